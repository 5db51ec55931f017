"""The student's own check: the visible checks of one notebook, by the machinery that grades."""

import contextlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan_course.grading import key as keys
from gan_course.grading.grade import grade_notebook
from gan_course.grading.key import Key
from gan_course.grading.notebooks import Unreadable, read_submission
from gan_course.grading.outcomes import Outcome
from gan_course.grading.runner import NbvalRunner, Runner

ENDING = "_checks.json"
SIGNS = {
    "right": "right  ",
    "wrong": "WRONG  ",
    "error": "ERROR  ",
    "missing": "missing",
    "timeout": "TIME   ",
}


def check(
    notebook: Path, key: Path | None = None, seconds: float = 120.0, run: Runner | None = None
) -> dict[str, Any]:
    """The report on a notebook's visible checks (see grade.grade_notebook).

    Args:
        notebook: the student's.
        key: the file hwN_checks.json that came with it; looked for beside the notebook if None.
        seconds: time limit of a question.
        run: what runs it; by default nbval, in the grader's sandbox where the system has one.

    Raises FileNotFoundError or ValueError where there is no notebook or no key.
    """
    notebook = Path(notebook)
    if not notebook.is_file():
        raise FileNotFoundError(f"{notebook}: there is no such notebook")
    for package in ("nbval", "ipykernel"):
        if run is None and importlib.util.find_spec(package) is None:
            raise ValueError(f'{package} is not installed; pip install "gan_course[homework]" brings it')
    found = keys.read(key) if key else find_key(notebook)
    with tempfile.TemporaryDirectory(prefix="gan-course-check-") as work, runner(run, seconds) as chosen:
        return grade_notebook(notebook, found, Path(work), chosen, True, seconds)


@contextlib.contextmanager
def runner(run: Runner | None, seconds: float) -> Iterator[Runner]:
    """What runs a check: the one that is given, else the sandbox with nbval to fall back on."""
    if run is not None:
        yield run
        return
    plain = NbvalRunner(seconds)
    if sys.platform != "linux":
        yield Trying([plain])
        return
    from gan_course.grading.sandbox import Sandbox

    with Sandbox.open() as sandbox:
        yield Trying([sandbox.runner(seconds), plain])


class Trying:
    """Runs a notebook with the first of some runners that works here."""

    def __init__(self, runners: list[Runner]) -> None:
        self.runners = runners

    def verify(self, notebook: Path, seconds: float) -> Outcome:
        """Runs a notebook.

        Raises ValueError, with what the last one said, if none of the runners works.
        """
        content = notebook.read_bytes()
        while True:
            notebook.write_bytes(content)
            outcome = self.runners[0].verify(notebook, seconds)
            if outcome.status != "broken":
                return outcome
            if len(self.runners) == 1:
                raise ValueError(
                    f"the check could not run: {outcome.stderr.strip()[-500:] or outcome.returncode}"
                )
            self.runners = self.runners[1:]


def find_key(notebook: Path) -> Key:
    """The checks that belong to a notebook, from its folder.

    Raises FileNotFoundError if there are none, ValueError if several could be meant.
    """
    found = sorted(notebook.resolve().parent.glob(f"*{ENDING}"))
    try:
        homework = read_submission(notebook).homework
    except Unreadable:
        homework = ""
    for path in found:
        if homework and path.name == homework + ENDING:
            return keys.read(path)
    if not found:
        raise FileNotFoundError(
            f"no {homework or 'hwN'}{ENDING} beside {notebook}: it came with the homework"
        )
    if len(found) > 1:
        raise ValueError(
            f"several checks lie beside {notebook}; choose one with --key: {', '.join(map(str, found))}"
        )
    return keys.read(found[0])


def as_text(report: dict[str, Any]) -> str:
    """A report for the terminal."""
    lines = [report["message"]] if "message" in report else []
    width = max(len(one["question"]) for one in report["questions"])
    for one in report["questions"]:
        sign = SIGNS.get(one["status"], one["status"].ljust(7))
        lines.append(f"{sign} {one['question']:{width}}  {one['points']:g} of {one['possible']:g}")
        lines += [f"          {message}" for message in one["messages"]]
    lines.append(f"visible checks: {report['points']:g} of {report['possible']:g} points")
    empty = [one["question"] for one in report["reports"] if not one["answered"]]
    if empty:
        lines.append(f"still as they came, graded by your instructor: {', '.join(empty)}")
    return "\n".join(lines)
