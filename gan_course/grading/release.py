"""What a student gets of a homework, and what the instructor keeps.

A release is made from what may be shown: scaffold instead of solutions, visible checks only, no outputs. It
is then searched for what may not be shown, and refused where anything of that is found.
"""

import ast
import importlib.metadata
import importlib.resources
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gan_course.grading import key as keys
from gan_course.grading.key import Key
from gan_course.grading.notebooks import BEGIN, END, KEY, Cell, Source, scaffold

WORKFLOW = ".github/workflows/grade.yml"
SOLUTION_LINE = 30  # letters from which on a line of a solution is taken for its author's own
HIDDEN_LINE = 20  # and a line or a string of a hidden check

README = """# {title}

Homework {homework}: about {minutes} minutes, {possible} points{split}.

| file | what it is |
|---|---|
| `{homework}.ipynb` | the tasks; write where it says `YOUR CODE HERE`, and words where it asks for them |
| `{homework}_checks.json` | what `gan-course homework check` compares with; it shows no answers |
| `{workflow}` | runs the same check on GitHub when you push |

## How to work

1. Once, in a folder with a virtual environment (Python 3.11 or newer):

   ```
   pip install jupyterlab "{requirement}"
   ```

2. Open the notebook: `jupyter lab {homework}.ipynb`, or any other program for notebooks.
3. As often as you like:

   ```
   gan-course homework check {homework}.ipynb
   ```

   It runs the visible checks as the grader will, names what is wrong, and ends with 0 when nothing is.
4. Hand in `{homework}.ipynb`.

## What is graded

| question | points | of these by visible checks |
|---|---|---|
{table}

Keep the names of the functions and classes: answers are found by them. Where and in how many cells you write
does not matter, nor do outputs, plots and experiments. Only definitions are taken from the notebook: a
training run in the cell of an answer costs no points, and neither does an error in one of your trials.
"""


def student_files(source: Source, key: Key) -> dict[str, str]:
    """The files of a release, by their paths: a pure function of the source and its key."""
    public = key.of_students()
    return {
        f"{source.homework}.ipynb": as_text(student_notebook(source)),
        f"{source.homework}_checks.json": as_text(keys.to_json(public)),
        "README.md": readme(source),
        WORKFLOW: workflow(source),
    }


def as_text(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def student_notebook(source: Source) -> dict[str, Any]:
    """The notebook without solutions, hidden checks, outputs, and metadata that a student has no use for."""
    told = {"homework": source.homework, "title": source.title, "minutes": source.minutes}
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {
        "cells": [student_cell(cell) for cell in source.cells if cell.role != "check" or cell.visible],
        "metadata": {KEY: told, "kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def student_cell(cell: Cell) -> dict[str, Any]:
    text = scaffold(cell) if cell.role == "solution" else cell.source
    metadata: dict[str, Any] = {"tags": list(cell.tags)} if cell.tags else {}
    if cell.role:
        told = {"role": cell.role, "question": cell.question, "points": cell.points}
        metadata[KEY] = {name: value for name, value in told.items() if value}
    lines = text.splitlines(keepends=True)
    made = {"cell_type": cell.kind, "id": cell.id, "metadata": metadata, "source": lines}
    return made | ({"outputs": [], "execution_count": None} if cell.kind == "code" else {})


def readme(source: Source) -> str:
    reports = source.of("report")
    by_hand = sum(cell.points for cell in reports)
    rows = []
    for question in source.questions:
        checks = source.of("check", question)
        visible = sum(cell.points for cell in checks if cell.visible)
        rows.append(f"| {question} | {sum(cell.points for cell in checks):g} | {visible:g} |")
    rows += [
        f"| {cell.question} (report) | {cell.points:g} | graded by your instructor |" for cell in reports
    ]
    return README.format(
        title=source.title,
        homework=source.homework,
        minutes=source.minutes,
        possible=100,
        split=f", {by_hand:g} of them for what you write and show" if by_hand else "",
        workflow=WORKFLOW,
        requirement=requirement(),
        table="\n".join(rows),
    )


def requirement() -> str:
    """How pip is asked for the course, at the address that the package itself names."""
    for line in importlib.metadata.metadata("gan_course").get_all("Project-URL") or ():
        label, _, address = line.partition(", ")
        if label == "Repository":
            return f"gan_course[homework] @ git+{address}@main"
    return "gan_course[homework]"


def workflow(source: Source) -> str:
    """The workflow that checks a student's notebook on push."""
    template = importlib.resources.files("gan_course.grading") / "templates/grade.yml"
    text = template.read_text(encoding="utf-8")
    told = {"homework": source.homework, "notebook": f"{source.homework}.ipynb", "requirement": requirement()}
    for name, value in told.items():
        text = text.replace("{" + name + "}", value)
    return text


# ---- what must not be in it ------------------------------------------------------------------------


def leaks(source: Source, files: Mapping[str, str]) -> list[str]:
    """Lines of solutions and hidden checks that stand in a release: one sentence for each."""
    shown = {path: set(strings(path, text)) for path, text in files.items()}
    found = []
    for secret, where in secrets_of(source).items():
        for path, lines in shown.items():
            if any(secret in line for line in lines):
                found.append(f"{path} shows a line of {where}: {secret[:80]!r}")
    for path, text in files.items():
        found += [f"{path} contains {marker!r}" for marker in (BEGIN, END) if marker in text]
    return found


def strings(path: str, text: str) -> Iterator[str]:
    """The lines of a file, with spaces evened out; of JSON, the lines of all strings in it."""
    texts = strings_in(json.loads(text)) if path.endswith((".ipynb", ".json")) else [text]
    for one in texts:
        yield from (even(line) for line in one.splitlines())
        yield even(one)


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from strings_in(one)
    elif isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            yield "".join(value)
        for one in value:
            yield from strings_in(one)


def even(line: str) -> str:
    return " ".join(line.split())


def secrets_of(source: Source) -> dict[str, str]:
    """What must not be shown, and where it comes from.

    Lines of solutions, wherever else they stand; lines and strings of hidden checks that no visible code of
    the notebook has as well.
    """
    allowed = {even(line) for line in source.allowed}
    public = "\n".join(
        text
        for cell in source.cells
        if cell.kind == "code" and cell.role != "solution" and not is_hidden(cell)
        for text in pieces(cell.source)
    )
    found = {}
    for cell in source.of("solution"):
        for line in solution_lines(cell):
            if len(line) >= SOLUTION_LINE and line not in allowed:
                found[line] = f"the solution of {cell.question!r}"
    for cell in source.of("check"):
        for text in pieces(cell.source) if is_hidden(cell) else ():
            if len(text) >= HIDDEN_LINE and text not in public and text not in allowed:
                found[text] = f"the hidden check {cell.id!r}"
    return found


def is_hidden(cell: Cell) -> bool:
    return cell.role == "check" and not cell.visible


def pieces(code: str) -> set[str]:
    """The lines of some code, and the strings in it."""
    constants = [node.value for node in ast.walk(ast.parse(plain(code))) if isinstance(node, ast.Constant)]
    return {even(text) for text in [*code.splitlines(), *(one for one in constants if isinstance(one, str))]}


def plain(code: str) -> str:
    """Code without its notebook magics."""
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE)


def solution_lines(cell: Cell) -> Iterable[str]:
    inside = False
    for line in cell.source.splitlines():
        if line.strip() in (BEGIN, END):
            inside = line.strip() == BEGIN
        elif inside:
            yield even(line)


# ---- writing ---------------------------------------------------------------------------------------


def write_release(source: Source, key: Key, to: Path) -> list[Path]:
    """Writes the release into a folder.

    Raises ValueError, naming the lines, where something of the solution or of hidden checks would be in it.
    """
    files = student_files(source, key)
    found = leaks(source, files)
    if found:
        raise ValueError(f"{source.path} is not released:\n  " + "\n  ".join(found))
    written = []
    for name, text in files.items():
        path = Path(to) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def write_key(source: Source, key: Key, to: Path) -> list[Path]:
    """Writes the instructor's key: for the grader, and as a notebook with the reference values, to read."""
    notebook = json.loads(source.path.read_text(encoding="utf-8"))
    values = {check.id: check.reference for question in key.questions for check in question.checks}
    for cell in notebook["cells"]:
        if cell["id"] in values:
            cell["outputs"] = [output(record) for record in values[cell["id"]]]
            cell["execution_count"] = 1
    path = Path(to) / f"{source.homework}_key.ipynb"
    written = keys.write(key, Path(to) / keys.FILE)
    path.write_text(as_text(notebook), encoding="utf-8")
    return [written, path]


def output(record: Mapping[str, Any]) -> dict[str, Any]:
    from gan_course.grading.probes import MIME, summary

    data = {MIME: dict(record), "text/plain": summary(dict(record))}
    return {"output_type": "display_data", "data": data, "metadata": {}}
