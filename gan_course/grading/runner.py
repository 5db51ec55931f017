"""Running an assembled notebook under nbval, in processes of its own."""

import dataclasses
import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from gan_course.grading.nbval_plugin import sign
from gan_course.grading.outcomes import CellRun, Outcome

CELL_SECONDS = 20.0  # time limit of a cell
TAIL = 2000  # letters kept of what pytest printed


class Runner(Protocol):
    """Anything that runs an assembled notebook and says what became of its cells."""

    def verify(self, notebook: Path, seconds: float) -> Outcome:
        """Runs a notebook, for at most so many seconds. The file may be gone afterwards."""


@dataclasses.dataclass
class NbvalRunner:
    """Runs notebooks with nbval, in this Python's own kernel and without a sandbox.

    Attributes:
        cell_seconds: time limit of a cell; that of the whole is given to `verify`.
        kernel: name of a kernelspec; None for this Python's own.
    """

    cell_seconds: float = CELL_SECONDS
    kernel: str | None = None

    def verify(self, notebook: Path, seconds: float) -> Outcome:
        """Runs a notebook; ends its whole process group at the time limit."""
        with tempfile.TemporaryDirectory(prefix="gan-course-results-") as folder:
            results, secret = Path(folder) / "results.jsonl", secrets.token_hex(32)
            outcome = self.run(self.command(notebook, results), notebook.parent, secret, seconds)
            outcome.cells = read_results(results, secret)
        if outcome.status == "finished" and not outcome.cells:
            outcome.status = "broken"
        return outcome

    def command(self, notebook: Path, results: Path) -> list[str]:
        """The command line of pytest."""
        plugins = ["-p", "no:cacheprovider", "-p", "nbval.plugin", "-p", "gan_course.grading.nbval_plugin"]
        kernel = ["--nbval-kernel-name", self.kernel] if self.kernel else ["--nbval-current-env"]
        return [
            *(sys.executable, "-m", "pytest", "-q", "-s", "--color", "no", "-c", os.devnull),
            *("--rootdir", str(notebook.parent), *plugins, "--nbval", *kernel),
            *("--nbval-cell-timeout", str(self.cell_seconds), "--gan-course-results", str(results)),
            str(notebook),
        ]

    def environment(self) -> dict[str, str]:
        """The environment of pytest, and of the kernel after it."""
        quiet = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return {**variables, "JUPYTER_PREFER_ENV_PATH": "1", "MPLBACKEND": "agg", **quiet}

    def run(self, command: list[str], folder: Path, secret: str, seconds: float) -> Outcome:
        """Runs pytest in a session of its own, and leaves nothing of it behind."""
        started = time.monotonic()
        outcome = Outcome()
        with tempfile.TemporaryFile() as errors:
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": errors}
            process = subprocess.Popen(
                command, cwd=folder, env=self.environment(), start_new_session=True, **streams
            )
            try:
                process.communicate(secret.encode() + b"\n", timeout=seconds)
            except subprocess.TimeoutExpired:
                outcome.status = "timeout"
            finally:
                end_group(process.pid)
                process.wait()
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - TAIL))
            outcome.stderr = errors.read().decode("utf-8", "replace")
        outcome.returncode, outcome.seconds = process.returncode, time.monotonic() - started
        if outcome.status == "finished" and outcome.returncode not in (0, 1):
            outcome.status = "killed" if outcome.returncode < 0 else "broken"
        return outcome


def end_group(group: int) -> None:
    """Kills a process group (on Windows: its first process); nothing where it is gone."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(group, signal.SIGTERM)
    except OSError:  # gone
        pass


def read_results(path: Path, secret: str) -> dict[str, CellRun]:
    """The records that the pytest process wrote; lines that it did not sign in that place are passed over."""
    found: dict[str, CellRun] = {}
    if not path.is_file():
        return found
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        told = opened(line, secret, len(found))
        if told is not None:
            found[told["cell"]] = CellRun(**told)
    return found


def opened(line: str, secret: str, number: int) -> dict[str, Any] | None:
    try:
        signature, record = json.loads(line)
    except (ValueError, TypeError):
        return None
    if not isinstance(signature, str) or not isinstance(record, str):
        return None
    right = sign(secret, number, record)
    return json.loads(record) if hmac.compare_digest(signature.encode(), right.encode()) else None
