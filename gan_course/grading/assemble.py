"""The small notebook by which one question of one submission is judged.

Set-up, what the student wrote for the question and whatever that uses, the reference answers to the
questions before it that the student got wrong, set-up again (so that a student's `np = 3` does no harm),
and the checks, pristine from the key, with the reference values as their outputs.
"""

import ast
import dataclasses
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import nbformat
from nbformat import NotebookNode

from gan_course.grading.definitions import BUILTINS, CodeCell, Piece, cut, take_apart
from gan_course.grading.key import Check, Key, Question
from gan_course.grading.notebooks import UNWRITTEN, Answer, Submission
from gan_course.grading.outcomes import SETUP
from gan_course.grading.probes import CHECK_FUNCTION, MIME

ANSWER, REFERENCE, CHECK = "answer-", "reference-", "check-"  # how the ids of those cells begin
KERNEL = "gan-course"
EMPTY = Submission(())


@dataclasses.dataclass(frozen=True)
class Assembled:
    """A notebook for one question.

    Attributes:
        notebook: with reference outputs in the checks; ids of checks are CHECK + the id in the key.
        missing: names that the question asks for and no cell of the submission defines.
        untouched: whether the answer is still the scaffold.
    """

    notebook: NotebookNode
    missing: tuple[str, ...]
    untouched: bool


def question_notebook(
    submission: Submission,
    key: Key,
    question: str,
    wrong: Iterable[str] = (),
    visible_only: bool = False,
    kernel: str = KERNEL,
    literal: bool = False,
) -> Assembled:
    """The notebook that judges a question of a submission.

    Args:
        submission: from notebooks.read_submission.
        key: of the homework.
        question: its name.
        wrong: questions that the student got wrong; their reference answers are used instead.
        visible_only: leave the hidden checks out.
        kernel: name of the kernelspec.
        literal: whole cells, of all definitions of a name the last, as in the student's own notebook.
    """
    asked = key.by_name[question]
    replaced = [key.by_name[name] for name in wrong if name != question and key.by_name[name].solution]
    cells = take_apart(submission.cells)
    references = reference_cells(replaced, first=len(submission.cells))
    preferred = {name: places(cells, one) for one in key.questions for name in one.defines if not literal}
    preferred |= {
        name: [cell.place] for cell, one in zip(references, replaced, strict=True) for name in one.defines
    }
    needed = [name for other in key.needed(question) for name in key.by_name[other].defines]
    pieces, missing = cut([*cells, *references], [*asked.defines, *needed], preferred, key.given)
    missing &= set(asked.defines)
    if literal:
        whole = {cell.place: cell.source for cell in cells}
        pieces = [Piece(one.place, whole.get(one.place, one.source)) for one in pieces]
    if missing:
        pieces += unparsed(cells, asked)
    checks = [check for check in asked.checks if check.visible or not visible_only]
    notebook = build(key, pieces, checks, len(submission.cells), kernel)
    return Assembled(notebook, tuple(sorted(missing)), untouched(cells, asked))


def reference_notebook(key: Key, question: str, kernel: str = KERNEL) -> NotebookNode:
    """The notebook in which the reference answers to a question and all before it send their values."""
    solved = Submission(tuple(Answer(one.solution, one.cell) for one in key.questions))
    return question_notebook(solved, key, question, kernel=kernel).notebook


def reference_cells(questions: Sequence[Question], first: int) -> list[CodeCell]:
    cells = take_apart([Answer(question.solution) for question in questions])
    return [dataclasses.replace(cell, place=first + cell.place) for cell in cells]


def places(cells: Sequence[CodeCell], question: Question) -> list[int]:
    """Where the answer to a question is looked for: its own cell, unless that is untouched; best first."""
    own = [cell for cell in cells if belongs(cell.answer, question) and UNWRITTEN not in cell.source]
    return [cell.place for cell in reversed(own)]


def belongs(answer: Answer, question: Question) -> bool:
    """Whether a cell says, by its metadata or its id, that it answers the question."""
    return answer.id == question.cell or (answer.role == "solution" and answer.question == question.name)


def same(source: str, scaffold: str) -> bool:
    return source.split() == scaffold.split()


def untouched(cells: Sequence[CodeCell], question: Question) -> bool:
    """Whether all that defines the question's names is the scaffold."""
    holders = [cell for cell in cells if cell.binds & set(question.defines)]
    return bool(holders) and all(same(cell.source, question.scaffold) for cell in holders)


def unparsed(cells: Sequence[CodeCell], question: Question) -> list[Piece]:
    """The question's own cells, as they stand, where what it asks for was not found by reading them."""
    own = [cell for cell in cells if belongs(cell.answer, question)]
    broken = [
        cell
        for cell in cells
        if cell.statements is None and any(name in cell.source for name in question.defines)
    ]
    return [Piece(cell.place, cell.source) for cell in own or broken]


def build(
    key: Key, pieces: Sequence[Piece], checks: Sequence[Check], first_reference: int, kernel: str
) -> NotebookNode:
    cells = [code(SETUP + name, source) for name, source in key.setup]
    for place in pieces:
        kind = ANSWER if place.place < first_reference else REFERENCE
        cells.append(code(f"{kind}{place.place}", place.source))
    cells += [code("again-" + name, source) for name, source in key.setup]
    cells += [check_cell(check) for check in checks]
    kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
    metadata = {"kernelspec": kernelspec, "language_info": {"name": "python"}}
    return nbformat.from_dict({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def code(name: str, source: str) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": name, "metadata": {}, "source": source}
    return cell | {"execution_count": None, "outputs": []}


def check_cell(check: Check) -> dict[str, Any]:
    """A check with the reference values as its outputs."""
    cell = code(CHECK + check.id, wrapped(check.source))
    outputs = [
        {"output_type": "display_data", "data": {MIME: one}, "metadata": {}} for one in check.reference
    ]
    return cell | ({"execution_count": 1, "outputs": outputs} if outputs else {})


def wrapped(source: str) -> str:
    """A check as the body of a function: what it assigns does not overwrite the student's names.

    Builtins that it calls are imported, so that a student's `sum = 0` does no harm either.
    """
    tree = ast.parse(source)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    stored = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    used = sorted({node.id for node in names if not node.id.startswith("_")} & BUILTINS - stored)
    lines = [f"from builtins import {', '.join(used)}"] if used else []
    body = textwrap.indent("\n".join([*lines, *(ast.unparse(node) for node in tree.body)]), "    ")
    return (
        "from gan_course.grading.probes import watched as gan_course_watched\n\n\n"
        f"def {CHECK_FUNCTION}():\n{body}\n\n\n"
        f"with gan_course_watched():\n    {CHECK_FUNCTION}()"
    )
