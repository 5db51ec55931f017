"""What a check calls, in the process in which the answer runs: `send` publishes plain numbers.

Nothing is decided here. The numbers leave under a private MIME type, and the grader compares them,
in a process of its own, with those that the reference answer sent from the same check.
"""

import contextlib
import linecache
import math
import types
from collections.abc import Iterator
from numbers import Real
from typing import Any

MIME = "application/vnd.gan-course.check+json"
LARGEST = 1000  # numbers in one value
LONGEST = 40  # letters in one string
TOLERANCE = 1e-5
CHECK_FUNCTION = "gan_course_check"  # the function that a check cell becomes, see assemble.py


def send(name: str, value: Any, says: str, tolerance: float = TOLERANCE) -> None:
    """Sends one value of a check to the grader.

    Args:
        name: what the value is, in words that a student may read.
        value: a number, a bool, a string of at most 40 letters, or a tensor, array or nested list of at
            most 1000 numbers. The reference answer's value in the same check is what it is compared with.
        says: the sentence shown to a student whose value differs; it names the likely mistake.
        tolerance: allowed difference, relative to the magnitude of the right value where that is above 1.

    Anything else, and anything too large, is sent as the name of its type, which is never right.
    """
    publish({"name": str(name), "says": str(says), "tolerance": float(tolerance), **encode(value)})


def publish(content: dict[str, Any]) -> None:
    """Hands one record to whoever listens: the Jupyter kernel's display channel."""
    from IPython.display import publish_display_data

    publish_display_data({MIME: content, "text/plain": summary(content)})


def summary(content: dict[str, Any]) -> str:
    """What a student sees below the cell when it is run by hand; the grader does not read it."""
    if "raised" in content:
        return f"raised {content['raised']['type']}"
    if "text" in content:
        return f"{content['name']}: {content['text']}"
    values = content.get("values")
    if values is None:
        return f"{content['name']}: {content['type']}"
    shown = ", ".join(f"{value:.6g}" if isinstance(value, float) else value for value in values[:6])
    return f"{content['name']}: {shown}{', ...' if len(values) > 6 else ''}"


def encode(value: Any) -> dict[str, Any]:
    """A value as plain JSON: {"text"}, {"shape", "values"} or, for what cannot be sent, {"type"}."""
    if isinstance(value, str):
        return {"text": str.__str__(value)} if len(value) <= LONGEST else {"type": "a long string"}
    kind = {"type": f"a value of type {type(value).__name__}"[:80]}
    try:
        value = as_lists(value)
        shape = shape_of(value)
    except Exception:  # it looks like a tensor, and is none
        return kind
    if shape is None:
        return kind
    if math.prod(shape) > LARGEST:
        return {"type": f"an array of shape {list(shape)}"[:80]}
    return {"shape": list(shape), "values": [as_json(number) for number in flat(value)]}


def as_lists(value: Any) -> Any:
    """Tensors and arrays as nested lists of numbers; the rest as it is."""
    if hasattr(value, "detach"):
        value = value.detach()
        if value.numel() > LARGEST:
            return FakeArray(tuple(value.shape))
        value = value.cpu()
        return value.tolist() if value.dtype.is_complex else value.double().tolist()
    if hasattr(value, "tolist"):
        return FakeArray(tuple(value.shape)) if getattr(value, "size", 0) > LARGEST else value.tolist()
    if isinstance(value, (list, tuple)):
        return [as_lists(one) for one in value[: LARGEST + 1]]
    return value


class FakeArray:
    """Stands for an array that is too large to be sent: only its shape is known."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Shape of nested lists of numbers; None where they are ragged or hold something else."""
    if isinstance(value, FakeArray):
        return value.shape
    if isinstance(value, Real):
        return ()
    if not isinstance(value, list):
        return None
    inner = {shape_of(one) for one in value}
    if not inner:
        return (0,)
    if len(inner) > 1 or None in inner:
        return None
    return (len(value), *inner.pop())


def flat(value: Any) -> Iterator[float]:
    if not isinstance(value, list):
        yield value
        return
    for one in value:
        yield from flat(one)


def as_json(number: float) -> float | str:
    """A float; a string for what JSON has no number for."""
    try:
        number = float(number)
    except OverflowError:
        return "inf"
    return number if math.isfinite(number) else str(number)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Around a check: where the answer raises, the student's own line is published, and the error goes on."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(Exception):
            publish({"raised": describe(error)})
        raise


def describe(error: BaseException) -> dict[str, Any]:
    """Type and text of an error, with the last line of the student's code that it passed through."""
    told = {"type": type(error).__name__[:80], "message": str(error)[:500]}
    frame, line = own_frame(error.__traceback__)
    if frame is not None:
        code = frame.f_code
        told |= {"function": code.co_name[:80], "line": line}
        told["text"] = linecache.getline(code.co_filename, line).strip()[:200]
    return told


def own_frame(trace: types.TracebackType | None) -> tuple[types.FrameType | None, int]:
    """The innermost frame that belongs to the notebook, the check itself left out."""
    found: tuple[types.FrameType | None, int] = (None, 0)
    inside_check = False
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == CHECK_FUNCTION:
            inside_check = True
            check_file = frame.f_code.co_filename
        elif (
            inside_check
            and frame.f_globals.get("__name__") == "__main__"
            and frame.f_code.co_filename != check_file
        ):
            found = (frame, trace.tb_lineno)
        trace = trace.tb_next
    return found
