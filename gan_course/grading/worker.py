"""Grades submissions one after the other, each in a process of its own that is forked for it.

    python -m gan_course.grading.worker SETTINGS

Jobs come on standard input, one JSON line each; answers go to standard output likewise. A process for each
submission: what one does to the grader that reads it, ends with it.
"""

import contextlib
import json
import os
import re
import resource
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gan_course.grading import jail, reports, together
from gan_course.grading import key as keys
from gan_course.grading.limits import GRACE, MIB, address_space_now
from gan_course.grading.notebooks import LARGEST_FILE, Unreadable, read_submission
from gan_course.grading.outcomes import CellRun, Outcome
from gan_course.grading.sandbox import KERNEL, SandboxRunner, wait

SHORT = re.compile(r"^FAST\s*=", re.MULTILINE)  # in the cell of parameters
READING_MEMORY = 3 * LARGEST_FILE + 512 * MIB


def main(settings_file: str) -> None:
    jail.die_with_parent()
    settings = json.loads(Path(settings_file).read_text())
    key = keys.read(Path(settings["key"]))
    import_what_children_need()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        begin = time.monotonic()
        child = os.fork()
        if child == 0:
            grade_and_exit(job, key, settings)
        code = wait(child, begin + settings["submission_seconds"] + settings["run_seconds"] + GRACE)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        told = {"name": job["name"], "ok": code == 0, "code": code, "peak": peak}
        answers.write(json.dumps(told | {"seconds": time.monotonic() - begin}) + "\n")
        answers.flush()


def import_what_children_need() -> None:
    import nbval.kernel
    import nbval.plugin  # noqa: F401
    import pytest  # noqa: F401

    import gan_course.grading.grade
    import gan_course.grading.nbval_plugin  # noqa: F401


def grade_and_exit(job: dict[str, Any], key: keys.Key, settings: dict[str, Any]) -> None:
    status = 70
    try:
        jail.die_with_parent()
        os.setsid()
        limit = address_space_now() + READING_MEMORY
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        work = Path(tempfile.mkdtemp(prefix="work-", dir=settings["work"]))
        try:
            grade(job, key, settings, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def grade(job: dict[str, Any], key: keys.Key, settings: dict[str, Any], work: Path) -> None:
    """Grades one submission and writes its reports to the folder job["out"]."""
    from gan_course.grading.grade import grade_notebook

    begin = time.monotonic()
    copy = work / "submission.ipynb"
    trouble = job.get("trouble") or copy_of(Path(job["path"]), copy)
    if trouble:
        copy.write_bytes(b"")
    runner = UntilDeadline(
        SandboxRunner(Path(settings["sandbox"])), begin + settings["submission_seconds"], work
    )
    runner.run_together(copy, key, settings)
    report = grade_notebook(
        copy, key, work, runner, visible_only=settings["visible_only"], seconds=settings["seconds"]
    )
    if trouble:
        report |= {"status": "unreadable", "message": trouble}
        for question in report["questions"]:
            question["messages"] = [trouble]
            for check in question["checks"]:
                check["message"] = trouble
    if runner.broken:
        report |= {"status": "failed", "message": f"the grader itself failed: {runner.broken}"}
    report["submission"], report["digest"] = job["name"], job["digest"]
    out = Path(job["out"])
    if settings["run_seconds"] and report["status"] == "graded":
        report["run"] = run_once(copy, out / "executed.ipynb", work, settings, runner)
    report["isolation"] = report["isolation"] or runner.isolation
    report["seconds"] = round(time.monotonic() - begin, 2)
    reports.write(report, key, out)
    timing = {"seconds": report["seconds"], "peak_memory_mib": round(runner.peak / MIB)}
    (out / "timing.json").write_text(json.dumps(timing) + "\n")


def copy_of(path: Path, copy: Path) -> str:
    """Copies a plain file of bounded size, following no link. Returns what is wrong with it, or ""."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return f"the file cannot be read: {'it is a link' if path.is_symlink() else error.strerror}"
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return "it is no file"
        if found.st_size > LARGEST_FILE:
            return f"the file has {found.st_size / MIB:.0f} MiB; clear its outputs and save it again"
        with copy.open("wb") as target:
            shutil.copyfileobj(file, target)
    return ""


class UntilDeadline:
    """A runner for all questions of one submission, which have a time limit together."""

    def __init__(self, runner: SandboxRunner, until: float, work: Path) -> None:
        self.runner, self.until, self.work = runner, until, work
        self.broken = ""
        self.known: dict[str, CellRun] = {}
        self.peak = 0
        self.isolation: dict[str, Any] = {}

    def run_together(self, path: Path, key: keys.Key, settings: dict[str, Any]) -> None:
        """All questions at once; what passes there need not be run again."""
        with contextlib.suppress(Unreadable):
            whole = together.joint_notebook(read_submission(path), key, settings["visible_only"])
            if whole is not None:
                notebook = self.work / "together.ipynb"
                notebook.write_text(json.dumps(whole), encoding="utf-8")
                runner = SandboxRunner(self.runner.folder, together.CELL_SECONDS)
                outcome = runner.verify(notebook, min(settings["seconds"], together.SECONDS))
                self.known = together.proven(outcome)
                self.peak = max(self.peak, outcome.peak_memory or 0)
                self.isolation = outcome.isolation

    def verify(self, notebook: Path, seconds: float) -> Outcome:
        already = together.known_outcome(notebook, self.known)
        if already is not None:
            already.isolation = self.isolation
            return already
        left = self.until - time.monotonic()
        if left <= 0:
            return Outcome(status="timeout")
        content = notebook.read_bytes()  # not on the disk: the reference values stand in it
        outcome = self.runner.verify(notebook, min(seconds, left))
        if outcome.status == "broken" and self.until > time.monotonic():  # our trouble: once more
            notebook.write_bytes(content)
            outcome = self.runner.verify(notebook, seconds)
        self.note(outcome)
        return outcome

    def note(self, outcome: Outcome) -> None:
        if outcome.status == "broken" and outcome.isolation and not outcome.unprepared:
            # the kernel ran, twice, and the process that reads its messages broke: the answer's doing
            outcome.status, outcome.ended = "killed", outcome.ended or "what it sent could not be read"
        if outcome.status == "broken":
            self.broken = outcome.stderr.strip()[-300:] or f"exit status {outcome.returncode}"
        self.peak = max(self.peak, outcome.peak_memory or 0)
        self.isolation = self.isolation or outcome.isolation


def run_once(
    path: Path, out: Path, work: Path, settings: dict[str, Any], runner: UntilDeadline
) -> dict[str, Any]:
    """Executes the whole submission as it stands, for feedback. Returns which cells stopped, and at what."""
    import nbformat

    try:
        cells = read_submission(path).cells
    except Unreadable:
        return {"cells": 0, "errors": []}
    notebook = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    notebook.metadata["kernelspec"] = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
    for number, cell in enumerate(cells):
        make = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
        notebook.cells.append(make(cell.source, id=f"cell-{number}"))
    short = next((cell for cell in notebook.cells if SHORT.search(cell.source)), None)
    for cell in notebook.cells:
        # without the tag papermill stops at the first error
        cell.metadata["tags"] = ["raises-exception", *(["parameters"] if cell is short else [])]
    whole = work / "whole.ipynb"
    nbformat.write(notebook, whole)
    done = work / "done.ipynb"
    parameters = {"FAST": True} if short else {}
    outcome = runner.runner.execute(whole, done, settings["run_seconds"], parameters)
    runner.note(Outcome(peak_memory=outcome.peak_memory, isolation=outcome.isolation))
    told: dict[str, Any] = {"cells": sum(cell.kind == "code" for cell in cells), "errors": []}
    if outcome.status == "timeout":
        told["stopped"] = f"the whole notebook was stopped after {settings['run_seconds']:g} s"
    elif outcome.status != "finished":
        told["stopped"] = outcome.ended or "the whole notebook could not be executed"
    with contextlib.suppress(Exception):
        executed = nbformat.read(done, as_version=4)
        for cell in executed.cells:
            cell.metadata = {}
            errors = [o for o in cell.get("outputs", ()) if o.get("output_type") == "error"]
            if errors and str(cell.id).startswith("cell-"):
                number = int(str(cell.id).rpartition("-")[2])
                message = f"{errors[-1].get('ename')}: {errors[-1].get('evalue')}"
                told["errors"].append({"cell": number + 1, "message": reports.plain(message, 300)})
        executed.metadata = {"language_info": {"name": "python"}}
        out.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(executed, out)
    return told


if __name__ == "__main__":
    main(sys.argv[1])
