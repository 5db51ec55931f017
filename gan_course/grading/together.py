"""All questions of a submission in one notebook: the quick way to find out what is right.

Only positive evidence counts, so a check that passes here has passed. One that does not pass proves nothing,
since another question's answer may be to blame: its question is judged again, by itself.
"""

import json
from pathlib import Path
from typing import Any

from gan_course.grading.assemble import ANSWER, CHECK, question_notebook
from gan_course.grading.key import Key
from gan_course.grading.notebooks import Submission
from gan_course.grading.outcomes import SETUP, CellRun, Outcome

CELL_SECONDS, SECONDS = 10.0, 60.0


def joint_notebook(submission: Submission, key: Key, visible_only: bool) -> dict[str, Any] | None:
    """The questions' notebooks in one; None where fewer than two questions have an answer.

    What each needs of the student's cells stands in it once, in the order of the student's notebook.
    """
    parts = []
    for question in key.questions:
        found = question_notebook(submission, key, question.name, (), visible_only)
        if not found.untouched and not found.missing:
            parts.append(found.notebook)
    if len(parts) < 2:
        return None
    answers = [cell for part in parts for cell in part["cells"] if cell["id"].startswith(ANSWER)]
    once = list({(cell["id"], cell["source"]): cell for cell in answers}.values())
    once.sort(key=lambda cell: int(cell["id"].removeprefix(ANSWER)))
    setup = [cell for cell in parts[0]["cells"] if cell["id"].startswith(SETUP)]
    again = [cell for cell in parts[0]["cells"] if cell["id"].startswith("again-")]
    checks = [cell for part in parts for cell in part["cells"] if cell["id"].startswith(CHECK)]
    return {**parts[0], "cells": [*setup, *once, *again, *checks]}


def proven(outcome: Outcome) -> dict[str, CellRun]:
    """The checks that passed."""
    return {
        name: one for name, one in outcome.cells.items() if name.startswith(CHECK) and one.status == "right"
    }


def known_outcome(notebook: Path, known: dict[str, CellRun]) -> Outcome | None:
    """What running a question's notebook would show, where all of its checks have passed already."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    checks = [cell["id"] for cell in cells if cell["id"].startswith(CHECK)]
    if not checks or not set(checks) <= set(known):
        return None
    return Outcome(cells={name: known[name] for name in checks}, returncode=0)
