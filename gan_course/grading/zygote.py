"""A process that has run a homework's set-up, and forks for every notebook that it is asked to run.

    python -m gan_course.grading.zygote

Requests come on standard input, one JSON line each ({"notebook": path, "seconds": limit}); answers go to
standard output, one JSON line each: {"cells": [{"cell", "payloads", "raised"}], "status": ...}. For our own
code only (reference answers, alternatives, planted mistakes): there is no sandbox. Nothing is decided here.
"""

import gc
import json
import linecache
import os
import select
import signal
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gan_course.grading import probes
from gan_course.grading.definitions import as_python

SETUP = "setup-"
LAST_WORDS = 5.0  # seconds for a fork that has told everything to end


def main() -> int:
    """Serves requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence()
    prepared: dict[str, tuple[types.ModuleType, list[dict[str, Any]]]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        cells = code_cells(Path(request["notebook"]))
        first = [cell for cell in cells if cell["id"].startswith(SETUP)]
        known = json.dumps(first)
        if known not in prepared:
            prepared[known] = prepare(first)
        answers.write(json.dumps(answer(*prepared[known], cells[len(first) :], request["seconds"])) + "\n")
        answers.flush()
    return 0


def silence() -> None:
    """What cells print goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return [
        {"id": cell["id"], "source": "".join(cell["source"])}
        for cell in content["cells"]
        if cell["cell_type"] == "code"
    ]


def prepare(cells: Sequence[dict[str, str]]) -> tuple[types.ModuleType, list[dict[str, Any]]]:
    """Runs the set-up in a new main module, which the forks start from."""
    module = types.ModuleType("__main__")
    module.__dict__["display"] = lambda *things, **options: None
    sys.modules["__main__"] = module
    records: list[dict[str, Any]] = []
    run_cells(module, cells, records.append)
    if "torch" in sys.modules:  # no pool of threads: it would not survive a fork
        sys.modules["torch"].set_num_threads(1)
    gc.freeze()  # or every fork copies what its garbage collector looks at
    return module, records


def run_cells(
    module: types.ModuleType, cells: Sequence[dict[str, str]], tell: Callable[[dict[str, Any]], None]
) -> None:
    """Runs cells one after the other, whatever they raise, and tells what each one sent."""
    for cell in cells:
        sent: list[dict[str, Any]] = []
        probes.publish = sent.append
        raised = run_cell(module, cell)
        tell({"cell": cell["id"], "payloads": sent, "raised": raised})


def run_cell(module: types.ModuleType, cell: dict[str, str]) -> dict[str, Any] | None:
    source, name = as_python(cell["source"]), f"<{cell['id']}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        exec(compile(source, name, "exec"), module.__dict__)
    except BaseException as error:
        return error_in(error, name)
    return None


def error_in(error: BaseException, name: str) -> dict[str, Any]:
    """Type, text and line of an error."""
    told: dict[str, Any] = {"type": type(error).__name__, "message": str(error)[:500]}
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return told | ({"line": line} if line else {})


def answer(
    module: types.ModuleType,
    first: list[dict[str, Any]],
    cells: Sequence[dict[str, str]],
    seconds: float,
) -> dict[str, Any]:
    """Forks, and collects what the fork tells until it ends or its time is up."""
    sys.modules["__main__"] = module
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        sys.stdin = None  # what comes next on it is not for a notebook
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            run_cells(module, cells, lambda told: print(json.dumps(told), file=pipe, flush=True))
        os._exit(0)
    os.close(writing)
    text, timed_out = read_until(reading, time.monotonic() + seconds)
    if timed_out or not ends(child, LAST_WORDS):  # it may have closed its end and gone on
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    ending = "timeout" if timed_out else "finished" if status == 0 else "killed"
    lines = text.decode("utf-8", "replace").split("\n")[:-1]
    return {"cells": [*first, *(json.loads(line) for line in lines)], "status": ending, "order": ids(cells)}


def ends(child: int, seconds: float) -> bool:
    """Whether a child ends by itself within so many seconds; its status is left to be asked for."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.002)
    return False


def ids(cells: Sequence[dict[str, str]]) -> list[str]:
    return [cell["id"] for cell in cells]


def read_until(reading: int, end: float) -> tuple[bytes, bool]:
    """All that comes through a pipe until it is closed; and whether the time was up before."""
    parts = []
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return b"".join(parts), True
            part = pipe.read(1 << 16)
            if not part:
                return b"".join(parts), False
            parts.append(part)


if __name__ == "__main__":
    sys.exit(main())
