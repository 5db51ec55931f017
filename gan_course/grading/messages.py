"""What a student is told. Answers must not be able to speak through it.

The text of an error comes out of the process that ran the answer, in which the hidden checks stand: an answer
could put them there. In private grading a text is therefore shown only when it is one of the usual ones of
Python and torch, with short numbers and with names that stand in the submission itself.
"""

import builtins
import re
from collections.abc import Mapping
from typing import Any

from gan_course.grading.notebooks import UNWRITTEN

UNWRITTEN_YET = "is not written yet"
LONGEST = 300  # letters of an error's text
NAME, NUMBER = r"'?([A-Za-z_][\w.]{0,60})'?", r"-?\d{1,5}"
SHAPE = rf"[\[(]?{NUMBER}(?:[x, ]+{NUMBER})*[\])]?"
REST = r"[^'\"\d]{0,200}"
USUAL = [
    rf"name {NAME} is not defined",
    rf"cannot access local variable {NAME} where it is not associated with a value",
    rf"{NAME} object is not (?:callable|iterable|subscriptable|a tensor)",
    rf"{NAME} object has no attribute {NAME}",
    rf"module {NAME} has no attribute {NAME}",
    rf"No module named {NAME}",
    rf"cannot import name {NAME} from {NAME}",
    rf"{NAME}\(\) missing {NUMBER} required (?:positional|keyword-only) arguments?: "
    rf"{NAME}(?:,? (?:and )?{NAME})?(?:,? (?:and )?{NAME})?",
    rf"{NAME}\(\) takes (?:from {NUMBER} to )?{NUMBER} positional arguments? but {NUMBER} (?:was|were) given",
    rf"{NAME}\(\) got (?:an unexpected keyword|multiple values for) argument {NAME}",
    rf"unsupported operand type\(s\) for [-+*/@<>=&|]{{1,3}}: {NAME} and {NAME}",
    rf"not enough values to unpack \(expected {NUMBER}, got {NUMBER}\)",
    rf"too many values to unpack \(expected {NUMBER}\)",
    r"division by zero|float division by zero|list index out of range|tuple index out of range",
    r"maximum recursion depth exceeded(?: in comparison| while calling a Python object)?",
    rf"mat1 and mat2 shapes cannot be multiplied \({SHAPE} and {SHAPE}\)",
    rf"mat1 and mat2 must have the same dtype, but got {NAME} and {NAME}",
    rf"The size of tensor a \({NUMBER}\) must match the size of tensor b \({NUMBER}\) "
    rf"at non-singleton dimension {NUMBER}",
    rf"shape {SHAPE} is invalid for input of size {NUMBER}",
    rf"Given (?:groups|transposed)={NUMBER}, weight of size {SHAPE}, expected input{SHAPE} "
    rf"to have {NUMBER} channels, but got {NUMBER} channels instead",
    rf"expected {NUMBER}D or {NUMBER}D input \(got {NUMBER}D input\)",
    rf"Expected more than 1 value per channel when training, got input size torch\.Size\({SHAPE}\)",
    rf"running_mean should contain {NUMBER} elements not {NUMBER}",
    rf"Sizes of tensors must match except in dimension {NUMBER}\. "
    rf"Expected size {NUMBER} but got size {NUMBER} for tensor number {NUMBER} in the list",
    rf"Dimension out of range \(expected to be in range of {SHAPE}, but got {NUMBER}\)",
    rf"index {NUMBER} is out of bounds for dimension {NUMBER} with size {NUMBER}",
    rf"element {NUMBER} of tensors does not require grad and does not have a grad_fn",
    r"grad can be implicitly created only for scalar outputs",
    rf"Trying to backward through the graph a second time{REST}",
    rf"One of the differentiated Tensors {REST}",
    rf"one of the variables needed for gradient computation has been modified by an inplace operation{REST}",
    r"a leaf Variable that requires grad is being used in an in-place operation",
    rf"[Ee]xpected m1 and m2 to have the same dtype{REST}",
    r"[Ee]xpected scalar type \w{4,8} but found \w{4,8}",
    rf"[Ee]xpected all tensors to be on the same device{REST}",
    r"all elements of (?:input|target) should be between 0 and 1",
]
# Texts full of numbers, of which only what they come to is told.
IN_SHORT = {
    r"can't allocate memory|Unable to allocate .{0,40} for an array": "there was not so much memory",
    r"Found no NVIDIA driver|No CUDA GPUs are available|not compiled with CUDA": (
        "there is no GPU where answers are judged: leave tensors on the device on which they come"
    ),
}
# names in such texts that need not stand in the submission
COMMON = frozenset(("float", "int", "str", "list", "tuple", "dict", "set", "bool", "NoneType", "function",
                    "method", "type", "module", "builtin_function_or_method", "Tensor", "torch", "numpy",
                    "ndarray", "Float", "Double", "Long", "Half", "BFloat16", "Int", "Bool"))  # fmt: skip


def of_error(raised: Mapping[str, Any] | None, source: str, private: bool) -> str:
    """One sentence about an error in a student's function.

    Args:
        raised: {"type", "message", "function", "line", "text"} from the answer's process; not trusted.
        source: all code of the submission.
        private: whether the text of the error must be held back unless it is a usual one.
    """
    raised = raised or {}
    kind, said = word(raised.get("type")), str(raised.get("message", ""))[:LONGEST]
    if kind == "NotImplementedError" and UNWRITTEN in said:
        return f"{own_name(raised, source)} {UNWRITTEN_YET}"
    if not kind or (not hasattr(builtins, kind) and private and kind not in source):
        kind = "an error"
    said = plain(said, source) if private else " ".join(said.split())
    where = str(raised.get("text", ""))
    lines = {line.strip() for line in source.splitlines()}
    told = f"{own_name(raised, source)} raised {kind}{': ' if said else ''}{said}"
    return told + (f" (at your line: {where})" if where and where in lines else "")


def own_name(raised: Mapping[str, Any], source: str) -> str:
    """The function that raised, where it is the student's."""
    name = word(raised.get("function"))
    return name if name and re.search(rf"\b(?:def|class) {re.escape(name)}\b", source) else "your code"


def word(value: Any) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w{0,60}", value) else ""


def plain(said: str, source: str) -> str:
    """The first line of a text, if it is a usual one in which nothing new is said; else ""."""
    said = said.split("\n")[0].strip().rstrip(".")
    for pattern, short in IN_SHORT.items():
        if re.search(pattern, said):
            return short
    for pattern in USUAL:
        found = re.fullmatch(pattern, said)
        if found:
            names = {part for name in found.groups() if name for part in name.split(".")}
            return said if all(name in COMMON or name in source for name in names) else ""
    return ""
