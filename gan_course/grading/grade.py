"""Judging one submission: every question in a notebook and a process of its own."""

import ast
import dataclasses
import json
import math
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from gan_course.grading import messages, verdict
from gan_course.grading.assemble import (
    ANSWER,
    CHECK,
    Assembled,
    question_notebook,
    reference_notebook,
    same,
)
from gan_course.grading.key import Check, Key, Question, Report
from gan_course.grading.limits import LITERAL_SECONDS
from gan_course.grading.notebooks import Submission, Unreadable, read_submission
from gan_course.grading.outcomes import CellRun, Outcome
from gan_course.grading.plain import PlainRunner
from gan_course.grading.runner import Runner

QUESTION_SECONDS = 120.0  # time limit of a question's notebook
NO_CELL = CellRun("", "dead")


def grade_notebook(
    path: Path,
    key: Key,
    work: Path,
    run: Runner,
    visible_only: bool = False,
    seconds: float = QUESTION_SECONDS,
) -> dict[str, Any]:
    """Grades one submission.

    Args:
        path: the notebook that was handed in, in whatever state.
        key: of the homework; the students' key grades the visible checks.
        work: a folder for the assembled notebooks, which contain the key's secrets while they exist.
        run: runs them.
        visible_only: leave hidden checks out.
        seconds: time limit of a question.

    Returns: the report, ready for JSON. It holds no hidden check and no reference value.
    """
    started = time.monotonic()
    report: dict[str, Any] = {"submission": Path(path).name, "homework": key.homework, "status": "graded"}
    try:
        submission = read_submission(path)
    except Unreadable as reason:
        submission = None
        report |= {"status": "unreadable", "message": str(reason)}
    if submission is None:
        results = [
            empty_result(one, chosen(one, visible_only), str(report["message"])) for one in key.questions
        ]
        isolation: dict[str, Any] = {}
    else:
        results, isolation = Judge(key, work, run, visible_only, seconds).questions(submission)
    report["points"] = number(sum(one["points"] for one in results))
    report["possible"] = number(sum(one["possible"] for one in results))
    report["questions"] = results
    report["reports"] = [report_part(one, submission) for one in key.reports]
    report["isolation"] = isolation
    report["seconds"] = round(time.monotonic() - started, 2)
    return report


@dataclasses.dataclass(frozen=True)
class Judge:
    """Judges questions against a key. The fields are the arguments of `grade_notebook`."""

    key: Key
    work: Path
    run: Runner
    visible_only: bool = False
    seconds: float = QUESTION_SECONDS

    def questions(self, submission: Submission) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Results of the coded questions, in order, and the isolation that was in force."""
        results, wrong, isolation = [], set(), {}
        for question in self.key.questions:
            result, outcome = self.question(submission, question, wrong)
            results.append(result)
            if result["status"] != "right":
                wrong.add(question.name)
            isolation = isolation or (outcome.isolation if outcome else {})
        return results, isolation

    def question(
        self, submission: Submission, question: Question, wrong: set[str]
    ) -> tuple[dict[str, Any], Outcome | None]:
        """The result of one question, and how its notebook ran; None where there was nothing to run.

        Where the student got wrong what it builds on, it is judged with our answers to that and with the
        student's own, and the better result counts.
        """
        found = self.assembled(submission, question, wrong)
        nothing = empty_result(
            question, chosen(question, self.visible_only), absence(found, submission, question, self.key)
        )
        if found.untouched or (found.missing and not has_answer_cell(found)):
            return nothing, None
        result, outcome = self.judge(found, submission, question)
        if found.missing and result["status"] == "error" and answer_error(outcome) is None:
            return nothing, outcome
        before = [name for name in self.key.needed(question.name) if name in wrong]
        if before and result["status"] != "right":
            result = self.another_chance(result, submission, question, before)
        if not found.missing and result["status"] != "right":
            result = self.taken_literally(result, found, submission, question, wrong)
        return result, outcome

    def another_chance(
        self, result: dict[str, Any], submission: Submission, question: Question, before: Sequence[str]
    ) -> dict[str, Any]:
        """The better result with the student's own wrong answers to the questions before."""
        if not self.key.public:
            found = self.assembled(submission, question, ())
            second, _ = self.judge(found, submission, question)
            return max(result, second, key=lambda one: one["points"])
        hints = [f"{question.name} uses {name}, which is wrong: begin there" for name in before]
        return result | {"messages": [*result["messages"], *hints]}

    def taken_literally(
        self,
        result: dict[str, Any],
        found: Assembled,
        submission: Submission,
        question: Question,
        wrong: set[str],
    ) -> dict[str, Any]:
        """The better result with whole cells, where that makes a difference.

        An answer may stand on what its cell does besides defining it: a decorator that fills a table, a loop
        that appends to a list, a second definition below the first.
        """
        whole = question_notebook(submission, self.key, question.name, wrong, self.visible_only, literal=True)
        if code_of(whole) == code_of(found):
            return result
        judge = dataclasses.replace(self, seconds=min(self.seconds, LITERAL_SECONDS))
        second, _ = judge.judge(whole, submission, question)
        return max(result, second, key=lambda one: one["points"])

    def assembled(self, submission: Submission, question: Question, wrong: Iterable[str]) -> Assembled:
        return question_notebook(submission, self.key, question.name, wrong, self.visible_only)

    def judge(
        self, found: Assembled, submission: Submission, question: Question
    ) -> tuple[dict[str, Any], Outcome]:
        """Runs an assembled notebook, and says what it is worth."""
        outcome = run_notebook(found.notebook, self.work, self.run, self.seconds)
        source = "\n".join(cell.source for cell in submission.code)
        checks = chosen(question, self.visible_only)
        result = result_of(outcome, question, checks, source, private=not self.key.public)
        unread = syntax_error(found) if result["status"] == "error" else ""
        if unread:
            told = f"as it stands, your cell stops: {unread}"
            result["messages"] = [told]
            for one in result["checks"]:
                one["message"] = told if one["message"] else ""
        return result, outcome


def absence(found: Assembled, submission: Submission, question: Question, key: Key) -> str:
    """What to say where there is no answer."""
    if found.untouched:
        return f"{' and '.join(found.missing or question.defines)} {messages.UNWRITTEN_YET}"
    told = f"no cell defines {' and '.join(found.missing)}: keep that name"
    if messages.word(submission.homework) not in ("", key.homework):
        told += f" (the notebook says that it is {submission.homework})"
    return told


def syntax_error(found: Assembled) -> str:
    """What Python cannot read in the cells of an answer, found by reading them here."""
    for cell in found.notebook.cells:
        if cell.id.startswith(ANSWER):
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                line = cell.source.split("\n")[(error.lineno or 1) - 1 :][:1]
                return f"SyntaxError: {error.msg} (line {error.lineno}: {''.join(line).strip()[:120]})"
            except (ValueError, RecursionError, MemoryError):
                return "SyntaxError"
    return ""


def run_notebook(notebook: NotebookNode, work: Path, run: Runner, seconds: float) -> Outcome:
    """Writes a notebook to a folder of its own, runs it, and removes the folder."""
    work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="question-", dir=work))
    try:
        path = folder / "question.ipynb"
        path.write_text(json.dumps(notebook), encoding="utf-8")
        return run.verify(path, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def code_of(found: Assembled) -> list[str]:
    """The student's part of an assembled notebook, without layout and comments."""
    return [plain_code(cell.source) for cell in found.notebook.cells if cell.id.startswith(ANSWER)]


def plain_code(source: str) -> str:
    try:
        return ast.unparse(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source


def has_answer_cell(found: Assembled) -> bool:
    return any(cell.id.startswith(ANSWER) for cell in found.notebook.cells)


def chosen(question: Question, visible_only: bool) -> list[Check]:
    return [check for check in question.checks if check.visible or not visible_only]


# ---- from what happened to points and messages -----------------------------------------------------


def result_of(
    outcome: Outcome, question: Question, checks: Sequence[Check], source: str, private: bool
) -> dict[str, Any]:
    """Points, status and messages of a question that ran."""
    runs = [cell_run(outcome, check) for check in checks]
    broken = answer_error(outcome)
    told = []
    for check, one in zip(checks, runs, strict=True):
        message = message_of(one, question, source, private, outcome.ended)
        if one.status == "error" and broken is not None:
            message = "as it stands, your cell stops: " + messages.of_error(broken.raised, source, private)
        points = check.points if one.status == "right" else 0
        told.append(
            {
                "visible": check.visible,
                "points": number(points),
                "possible": number(check.points),
                "message": message,
            }
        )
    return {
        "question": question.name,
        "points": number(sum(one["points"] for one in told)),
        "possible": number(sum(one["possible"] for one in told)),
        "status": status_of(runs),
        "messages": list(dict.fromkeys(one["message"] for one in told if one["message"])),
        "checks": told,
    }


def cell_run(outcome: Outcome, check: Check) -> CellRun:
    """The record of a check; one that did not run shares the fate of the whole."""
    ended = "timeout" if outcome.status == "timeout" else "dead"
    return outcome.cells.get(CHECK + check.id, dataclasses.replace(NO_CELL, status=ended))


def answer_error(outcome: Outcome) -> CellRun | None:
    """The student's first cell that raised."""
    for name, one in outcome.cells.items():
        if name.startswith(ANSWER) and one.status == "error":
            return one
    return None


def status_of(runs: Sequence[CellRun]) -> str:
    found = {one.status for one in runs}
    for status, word in (("timeout", "timeout"), ("dead", "killed"), ("error", "error"), ("wrong", "wrong")):
        if status in found:
            return word
    return "right"


def message_of(one: CellRun, question: Question, source: str, private: bool, ended: str) -> str:
    if one.status == "wrong":
        shape = "its shape is" in one.detail or "instead of numbers" in one.detail
        return f"{one.says} ({one.detail})" if shape and not private else one.says
    if one.status == "error":
        told = messages.of_error(one.raised, source, private)
        return (
            f"{told}. What is checked here: {one.says}"
            if one.says and messages.UNWRITTEN_YET not in told
            else told
        )
    if one.status == "timeout":
        return f"{question.name} was stopped at the time limit: does a loop in it never end?"
    if one.status == "dead":
        return f"{question.name} was stopped: {ended or 'its process ended (memory, an exit, or a crash)'}"
    return ""


def empty_result(question: Question, checks: Sequence[Check], message: str) -> dict[str, Any]:
    """A question without an answer."""
    told = [
        {"visible": check.visible, "points": 0, "possible": number(check.points), "message": message}
        for check in checks
    ]
    return {
        "question": question.name,
        "points": 0,
        "possible": number(sum(check.points for check in checks)),
        "status": "missing",
        "messages": [message],
        "checks": told,
    }


def report_part(report: Report, submission: Submission | None) -> dict[str, Any]:
    """A part for the instructor to grade: fields to fill, and whether the student wrote anything."""
    texts = [cell.source for cell in submission.cells if cell.id == report.cell] if submission else []
    texts += [
        cell.source
        for cell in (submission.cells if submission and not texts else ())
        if cell.role == "report" and cell.question == report.question
    ]
    return {
        "question": report.question,
        "points": None,
        "possible": number(report.points),
        "answered": any(text.strip() and not same(text, report.scaffold) for text in texts),
        "criteria": [
            {"name": one["name"], "points": None, "possible": number(one["points"])}
            for one in report.criteria
        ],
    }


def number(points: float) -> float | int:
    """Whole points as an int, for reports that read well."""
    return int(points) if float(points).is_integer() else round(float(points), 3)


# ---- the reference values --------------------------------------------------------------------------


def complete(key: Key, run: PlainRunner, seconds: float = QUESTION_SECONDS) -> Key:
    """The key with what the reference answers send in every check.

    Raises ValueError where set-up, a reference answer or a check does not run, or sends no numbers.
    """
    return dataclasses.replace(
        key, questions=tuple(complete_question(key, question, run, seconds) for question in key.questions)
    )


def complete_question(key: Key, question: Question, run: PlainRunner, seconds: float) -> Question:
    with tempfile.TemporaryDirectory(prefix="gan-course-key-") as folder:
        path = Path(folder) / "reference.ipynb"
        path.write_text(json.dumps(reference_notebook(key, question.name)), encoding="utf-8")
        told = run.values(path, seconds)
    for name, one in told.items():
        if one["raised"] and not name.startswith(CHECK):
            raise ValueError(f"{key.homework}, cell {name!r} raised {error_line(one)}")
    checks = tuple(
        dataclasses.replace(check, reference=reference_of(key, check, told.get(CHECK + check.id)))
        for check in question.checks
    )
    return dataclasses.replace(question, checks=checks)


def reference_of(key: Key, check: Check, told: dict[str, Any] | None) -> tuple[dict[str, Any], ...]:
    where = f"{key.homework}, check {check.id!r}"
    if told is None:
        raise ValueError(f"{where}: the reference answer did not get there")
    if told["raised"]:
        raise ValueError(f"{where}: the reference answer raised {error_line(told)}")
    if not told["payloads"]:
        raise ValueError(f"{where}: nothing was sent")
    for record in told["payloads"]:
        values = verdict.numbers(record.get("values"))
        if "text" not in record and (values is None or any(math.isnan(value) for value in values)):
            raise ValueError(
                f"{where}: {record['name']!r} is {record.get('type') or record.get('values')}: no numbers"
            )
    return tuple(told["payloads"])


def error_line(told: dict[str, Any]) -> str:
    inside = [one["raised"] for one in told["payloads"] if "raised" in one]
    raised = told["raised"] | (inside[0] if inside else {})
    where = f", line {raised['line']}" if raised.get("line") else ""
    return f"{raised['type']}: {raised['message']}{where}" + (
        f" ({raised['text']})" if raised.get("text") else ""
    )
