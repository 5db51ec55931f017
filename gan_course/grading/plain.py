"""A quick runner for code that is ours: one process has everything loaded, and forks for every notebook.

The values are compared here, outside of the process that ran the answer, by the code that judges students.
"""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gan_course.grading import verdict
from gan_course.grading.assemble import CHECK
from gan_course.grading.outcomes import CellRun, Outcome

SETUP_SECONDS = 300  # for the set-up, which runs once


class PlainRunner:
    """Runs notebooks in forks of a prepared process, without a sandbox; a context manager."""

    def __init__(self) -> None:
        if not hasattr(os, "fork"):
            raise ValueError("planted mistakes are run in forked processes, which this system does not have")
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "PlainRunner":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the prepared process."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def verify(self, notebook: Path, seconds: float) -> Outcome:
        """Runs a notebook and compares what its checks sent with the reference values in it."""
        started = time.monotonic()
        told = self.ask({"notebook": str(notebook), "seconds": seconds})
        cells = {cell["id"]: cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]}
        outcome = Outcome(status=told["status"], seconds=time.monotonic() - started)
        for one in told["cells"]:
            outcome.cells[one["cell"]] = judged(one, cells[one["cell"]].get("outputs", []))
        add_unfinished(outcome, told["order"])
        return outcome

    def values(self, notebook: Path, seconds: float) -> dict[str, dict[str, Any]]:
        """What the cells of a notebook sent and raised, by their ids: for the reference answer."""
        return {
            one["cell"]: one for one in self.ask({"notebook": str(notebook), "seconds": seconds})["cells"]
        }

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gan_course.grading.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONWARNINGS": "ignore"},
            )
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        limit = SETUP_SECONDS + request["seconds"]
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        if not ready:
            self.process.kill()
            raise ValueError(f"the set-up and what came after it took more than {limit:g} s")
        line = self.process.stdout.readline()
        if not line:
            raise ValueError("the process that runs the set-up ended: does the set-up run by itself?")
        return json.loads(line)


def judged(told: dict[str, Any], reference: list[Any]) -> CellRun:
    """The record of a cell that ran to its end."""
    cell, raised = told["cell"], told["raised"]
    check = cell.startswith(CHECK)
    found = verdict.difference(verdict.payloads(reference), told["payloads"]) if check else None
    if raised is not None:
        inside = [one["raised"] for one in told["payloads"] if "raised" in one]
        return CellRun(cell, "error", found.says if found else "", raised=(inside or [raised])[0])
    if not check:
        return CellRun(cell, "done")
    return CellRun(cell, "right") if found is None else CellRun(cell, "wrong", found.says, found.detail)


def add_unfinished(outcome: Outcome, order: list[str]) -> None:
    """Records for the cell that a fork ended in, and those after it."""
    for number, cell in enumerate(name for name in order if name not in outcome.cells):
        ended = "timeout" if outcome.status == "timeout" and number == 0 else "dead"
        outcome.cells[cell] = CellRun(cell, ended)
