"""A pytest plugin: nbval runs the cells of an assembled notebook, and the verdict is ours.

    python -m pytest -p gan_course.grading.nbval_plugin --nbval --gan-course-results FILE NOTEBOOK

In the pytest process, which never runs a line of the answer, the values that a check published are compared
with those in the notebook (verdict.py). Each cell's record goes to FILE at once, so that what was proven
before a run is killed stays proven. The answer cannot write records of its own: each is signed with a secret
that arrives on standard input. It cannot read the reference values either: the notebook is deleted when it
has been read, before the kernel starts, and this process's memory is closed to others where the system can.
"""

import ctypes
import hashlib
import hmac
import json
import re
import sys
import time
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from gan_course.grading import verdict
from gan_course.grading.assemble import CHECK
from gan_course.grading.probes import MIME

POLL = 0.25  # seconds between two looks at whether the kernel lives
LAST_WORDS = 5.0  # seconds that a stopped cell has to end
PATIENCE = 30.0  # seconds between two messages of a cell that has run, on a busy machine
NOT_DUMPABLE = 4  # prctl's PR_SET_DUMPABLE
RAISED = ("type", "message", "function", "line", "text")  # what is told of an error
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class KernelDied(RuntimeError):
    """The kernel's process is gone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("gan_course").addoption(
        "--gan-course-results", metavar="FILE", help="where the signed records of the cells go"
    )


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--gan-course-results")
    if not path:
        return
    secret = sys.__stdin__.readline().strip()
    close_memory()
    patch_nbval()
    config.pluginmanager.register(Recorder(Path(path), secret))


def close_memory() -> None:
    """Keeps other processes of the same user from reading this one's memory (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(NOT_DUMPABLE, 0, 0, 0, 0)


def sign(secret: str, number: int, record: str) -> str:
    return hmac.new(secret.encode(), f"{number} {record}".encode(), hashlib.sha256).hexdigest()


# ---- what nbval does differently -----------------------------------------------------------------


def patch_nbval() -> None:
    """Our comparison for nbval's, no streams kept, and a dead kernel noticed when it dies."""
    from nbval.kernel import RunningKernel
    from nbval.plugin import IPyNbCell, IPyNbFile

    IPyNbCell.compare_outputs = compare_outputs
    IPyNbFile.get_kernel_message = kernel_message
    RunningKernel.get_message = living_message


def compare_outputs(cell: Any, test: list[Any], ref: list[Any], skip_compare: Any = None) -> bool:
    """Whether a check's values are right; in place of nbval's comparison of all that was printed."""
    found = verdict.difference(verdict.payloads(ref), verdict.payloads(test))
    cell.gan_course_difference = found
    cell.comparison_traceback = [found.says] if found else []
    return found is None


def kernel_message(file: Any, timeout: float | None = None, stream: str = "iopub") -> dict[str, Any]:
    """The next message, without printed text and pictures, which never count.

    How long it may take is ours to say: nbval's `timeout` is the same before and after an interrupt.
    """
    message = file.kernel.get_message(stream, timeout=LAST_WORDS if file.timed_out else PATIENCE)
    content = message["content"]
    if message["msg_type"] == "stream":
        message["content"] = {"name": "stdout", "text": ""}
    elif "data" in content:
        sent = content["data"]
        content["data"] = {MIME: sent[MIME]} if isinstance(sent, dict) and MIME in sent else {}
    return message


def living_message(kernel: Any, stream: str, timeout: float | None = None) -> dict[str, Any]:
    """As nbval's get_message, which waits for a dead kernel until the time is up."""
    get = kernel.kc.get_iopub_msg if stream == "iopub" else kernel.kc.get_shell_msg
    end = time.monotonic() + (timeout if timeout is not None else float("inf"))
    while True:
        try:
            return get(timeout=min(POLL, max(0.0, end - time.monotonic())))
        except Empty:
            if not kernel.is_alive():
                raise KernelDied("the process ended") from None
            if time.monotonic() >= end:
                raise


# ---- records -------------------------------------------------------------------------------------


class Recorder:
    """Writes a signed line for every cell that ran."""

    def __init__(self, path: Path, secret: str) -> None:
        self.path, self.secret, self.count = path, secret, 0

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Takes from tags and comments what they would say to nbval, and the notebook off the disk."""
        for item in items:
            graded = item.cell.id.startswith(CHECK)
            item.options.clear()
            item.options.update(check=graded, check_exception=False, skip=False)
            item.output_timeout = LAST_WORDS
        for path in {item.path for item in items}:
            path.unlink(missing_ok=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        report = yield
        if call.when == "call" or (call.when == "setup" and call.excinfo is not None):
            self.write(record(item, call.excinfo))
        return report

    def write(self, told: dict[str, Any]) -> None:
        line = json.dumps(told)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([sign(self.secret, self.count, line), line]) + "\n")
        self.count += 1


def record(item: Any, excinfo: Any) -> dict[str, Any]:
    """What happened to a cell, as fields of outcomes.CellRun."""
    told = {"cell": item.cell.id, "status": "done", "says": "", "detail": "", "raised": None}
    if item.options["check"]:
        told["status"] = "right"
    if excinfo is None:
        return told
    found = getattr(item, "gan_course_difference", None)
    if found is not None:
        return told | {"status": "wrong", "says": found.says, "detail": found.detail}
    outputs = item.test_outputs or []
    told |= {"status": failure(item, excinfo.value), "raised": raised(outputs)}
    if item.options["check"]:  # what the value that did not arrive was to show
        asked = verdict.difference(verdict.payloads(item.cell.outputs), verdict.payloads(outputs))
        told["says"] = asked.says if asked else ""
    return told


def failure(item: Any, error: BaseException) -> str:
    if item.parent.timed_out:
        return "timeout"
    kernel = item.parent.kernel
    return "error" if kernel is not None and kernel.is_alive() and "exception" in str(error) else "dead"


def raised(outputs: list[Any]) -> dict[str, Any] | None:
    """What a cell raised: as the check told it, else as the kernel did."""
    for sent in verdict.payloads(outputs):
        if isinstance(sent.get("raised"), dict):
            return {name: str(sent["raised"].get(name, ""))[:500] for name in RAISED}
    for output in outputs:
        if output.get("output_type") == "error":
            return told_by_kernel(output)
    return None


def told_by_kernel(output: Any) -> dict[str, Any]:
    told = {"type": str(output.get("ename"))[:80], "message": str(output.get("evalue"))[:500]}
    trace = ANSI.sub("", "\n".join(str(line) for line in output.get("traceback") or ())[-20_000:])
    lines = re.findall(r"(?:^|[ ,])line (\d{1,6})\b|^-+> *(\d{1,6}) ", trace, re.MULTILINE)
    if lines:
        told["line"] = int("".join(lines[-1]))
    return told
