"""The decision: do the values that arrived equal those that the reference answer sent?

This runs outside of the process that ran the answer, on plain JSON. Only positive evidence counts: a value
that is missing, malformed, renamed or in excess makes the check wrong, and printed text is never read.

A reference value stands in the key either in clear ("values", "text") or, in the key that students get,
as a commitment (`seal`), from which it cannot be read but against which a value can be tested.
"""

import hashlib
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gan_course.grading.probes import LARGEST, LONGEST, MIME

ROUNDS = 20_000  # of the hash behind a commitment: some milliseconds each, dear only to who tries millions


class Difference(NamedTuple):
    """The first value of a check that is not right: the reference's sentence, and how it differs."""

    says: str
    detail: str


def payloads(outputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records sent through the display channel, out of a cell's outputs; all else is passed over."""
    found = []
    for output in outputs:
        data = output.get("data") if isinstance(output, Mapping) else None
        if isinstance(data, Mapping) and MIME in data:
            content = data[MIME]
            found.append(dict(content) if isinstance(content, Mapping) else {})
    return found


def difference(reference: Sequence[dict[str, Any]], sent: Sequence[dict[str, Any]]) -> Difference | None:
    """None where every value arrived and is right; else the first one that is not.

    Args:
        reference: the records of the reference answer, from the key.
        sent: those of the answer, from `payloads`.
    """
    if not reference:
        return Difference("this check has no reference values: tell your instructor", "")
    sent = [one for one in sent if "raised" not in one]
    for index, right in enumerate(reference):
        if index >= len(sent):
            return Difference(right["says"], f"{right['name']}: no value arrived")
        detail = mismatch(right, sent[index])
        if detail is not None:
            return Difference(right["says"], detail)
    if len(sent) > len(reference):
        return Difference("the answer sent values of its own during the check", "")
    return None


def mismatch(right: Mapping[str, Any], one: Mapping[str, Any]) -> str | None:
    """How a value differs from the right one, in words that do not tell the right one; None: it is right."""
    name = right["name"]
    if one.get("name") != name:
        return f"{name}: another value arrived in its place"
    if is_text(right):
        text = one.get("text")
        fits = isinstance(text, str) and len(text) <= LONGEST and text_matches(right, text)
        return None if fits else name
    shape, values = one.get("shape"), numbers(one.get("values"))
    if values is None or not isinstance(shape, list):
        kind = one.get("type")
        return f"{name}: {kind[:80]} instead of numbers" if isinstance(kind, str) else f"{name}: no numbers"
    if shape != right["shape"] or len(values) != math.prod(right["shape"]):
        return f"{name}: its shape is {str(shape)[:60]}, not {right['shape']}"
    return None if values_match(right, values) else name


def is_text(right: Mapping[str, Any]) -> bool:
    return "text" in right or right.get("sealed") == "text"


def numbers(values: Any) -> list[float] | None:
    """The list of floats that a record holds; None where it is anything else."""
    if not isinstance(values, list) or len(values) > LARGEST:
        return None
    found = []
    for value in values:
        not_finite = isinstance(value, str) and value in ("nan", "inf", "-inf")
        if not not_finite and not (isinstance(value, (int, float)) and abs(value) < 1e308):
            return None
        found.append(float(value))
    return found


def scale(value: float) -> float:
    """What a tolerance is relative to: 1, or the power of two at or above the value's magnitude."""
    if not math.isfinite(value) or abs(value) <= 1:
        return 1.0
    fraction, exponent = math.frexp(abs(value))
    return math.ldexp(1.0, exponent - (fraction == 0.5))


def close(value: float, right: float, tolerance: float) -> bool:
    """|value - right| <= tolerance * scale(right). Infinity equals itself; what is not a number, nothing."""
    return value == right or abs(value - right) <= tolerance * scale(right)


def values_match(right: Mapping[str, Any], values: list[float]) -> bool:
    if any(math.isnan(value) for value in values):
        return False
    if "digest" in right:
        return opens(right, cells_of(right, values))
    expected = numbers(right["values"])
    return all(close(a, b, right["tolerance"]) for a, b in zip(values, expected, strict=True))


def text_matches(right: Mapping[str, Any], text: str) -> bool:
    return opens(right, text) if "digest" in right else text == right["text"]


# ---- commitments ---------------------------------------------------------------------------------
# The line is cut into cells as wide as the tolerance allows, placed so that the right value lies in the
# middle of one. The place of the cuts is told, the number of the right cell only as a hash over all values:
# a value is tested by asking whether it lies in the same cells.


def seal(record: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A reference record for the students' key: what is compared, but not the value itself.

    `place` says whose record it is: equal values in two places are not seen to be equal.
    """
    sealed = {key: record[key] for key in ("name", "says", "tolerance")}
    sealed["salt"] = hashlib.sha256(place.encode()).hexdigest()[:32]
    if "text" in record:
        return sealed | {"sealed": "text", "digest": digest(sealed["salt"], record["text"])}
    sealed |= {"sealed": "numbers", "shape": record["shape"], "widths": [], "offsets": []}
    for value in numbers(record["values"]):
        width = 2 * record["tolerance"] * scale(value)
        finite = math.isfinite(value)
        sealed["widths"].append(width if finite else 0.0)
        sealed["offsets"].append((value - width / 2) % width if finite else 0.0)
    content = cells_of(sealed, numbers(record["values"]))
    return sealed | {"digest": digest(sealed["salt"], content)}


def cells_of(sealed: Mapping[str, Any], values: list[float]) -> str:
    """Numbers of the cells in which values lie, joined."""
    cells = []
    for value, width, offset in zip(values, sealed["widths"], sealed["offsets"], strict=True):
        inside = width and math.isfinite(value)
        cells.append(str(math.floor((value - offset) / width)) if inside else str(value + 0.0))
    return ",".join(cells)


def digest(salt: str, content: str) -> str:
    return hashlib.pbkdf2_hmac(
        "sha256", content.encode("utf-8", "surrogatepass"), bytes.fromhex(salt), ROUNDS
    ).hex()


def opens(right: Mapping[str, Any], content: str) -> bool:
    return secrets.compare_digest(right["digest"], digest(right["salt"], content))
