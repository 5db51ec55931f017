"""The published record: how many planted wrong answers the checks of each homework catch.

`gan-course homework verify` writes catch_rates.json, and catch_rates.md for a chapter to include, into the
homework folder. A record bears the fingerprint of the homework it was measured on; a test compares.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from gan_course.grading.key import fingerprint
from gan_course.grading.verify import Verified

FILE, TABLE = "catch_rates.json", "catch_rates.md"


@dataclasses.dataclass(frozen=True)
class CatchRate:
    """What `verify` found for a homework.

    Attributes:
        checks: graded cells.
        mutants, caught: planted wrong answers, and those that lost points by a message naming the mistake.
        alternatives: other right ways of writing it, all with full points.
        fingerprint: of the homework's folder when it was measured.
    """

    homework: str
    title: str
    questions: int
    checks: int
    mutants: int
    caught: int
    alternatives: int
    fingerprint: str


def of(found: Verified) -> CatchRate:
    """The record of a verified homework."""
    return CatchRate(
        homework=found.source.homework,
        title=found.source.title,
        questions=len(found.key.questions),
        checks=sum(len(question.checks) for question in found.key.questions),
        mutants=found.mutants,
        caught=found.caught,
        alternatives=found.alternatives,
        fingerprint=fingerprint(found.source),
    )


def read(homework: Path) -> dict[str, CatchRate]:
    """The records in a homework folder, by short name; empty where none was written.

    Raises ValueError if the file is something else.
    """
    path = Path(homework) / FILE
    if not path.is_file():
        return {}
    try:
        return {
            name: CatchRate(**told) for name, told in json.loads(path.read_text(encoding="utf-8")).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no catch rates: {error}") from None


def update(homework: Path, rate: CatchRate) -> None:
    """Writes one record, and the table of all."""
    rates = read(homework) | {rate.homework: rate}
    ordered: dict[str, Any] = {name: dataclasses.asdict(rates[name]) for name in sorted(rates)}
    (Path(homework) / FILE).write_text(
        json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (Path(homework) / TABLE).write_text(table(rates), encoding="utf-8")


def table(rates: dict[str, CatchRate]) -> str:
    """The records as a Markdown table, with their sum."""
    lines = [
        "| homework | questions | checks | right answers accepted | planted wrong answers | caught |",
        "|---|---|---|---|---|---|",
    ]
    chosen = [rates[name] for name in sorted(rates)]
    for rate in chosen:
        lines.append(
            f"| {rate.homework} {rate.title} | {rate.questions} | {rate.checks} | {rate.alternatives + 1} "
            f"| {rate.mutants} | {rate.caught} |"
        )
    sums = [sum(getattr(rate, field) for rate in chosen) for field in ("questions", "checks")]
    accepted = sum(rate.alternatives + 1 for rate in chosen)
    planted, caught = sum(rate.mutants for rate in chosen), sum(rate.caught for rate in chosen)
    lines.append(f"| all | {sums[0]} | {sums[1]} | {accepted} | {planted} | {caught} |")
    return "\n".join(lines) + "\n"
