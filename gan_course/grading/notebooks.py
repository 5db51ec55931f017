"""Reading notebooks: a homework's source, checked strictly, and a student's submission, read leniently."""

import ast
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
UNWRITTEN = "is yours to write"  # stands in every scaffold
LONGEST_ID = 56  # of a cell: the assembled notebooks put a word before it, and the format allows 64
ROLES = ("setup", "solution", "selfcheck", "check", "experiment", "report")
KEY = "gan_course"  # the metadata key of notebook and cells
LARGEST_FILE = 300 * 2**20  # bytes of a submission; old outputs may be large
LARGEST_CELL = 200_000  # letters of a code cell


class Unreadable(ValueError):
    """A submission that holds no notebook; the text says why, to the student."""


# ---- the source of a homework ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of the source: its place, kind, text, and what its metadata says."""

    id: str
    kind: str
    source: str
    role: str = ""
    question: str = ""
    points: float = 0
    visible: bool = False
    defines: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def prepares(self) -> bool:
        """Whether it runs before everything, and again before the checks: set-up and parameters."""
        return self.kind == "code" and (self.role == "setup" or "parameters" in self.tags)


@dataclasses.dataclass(frozen=True)
class Source:
    """The one source of a homework.

    Attributes:
        path: the notebook.
        homework: short name, such as "hw3".
        title, minutes: what the student is told.
        cells: all cells, in order.
        allowed: lines that may stand both in a solution and in what the student gets.
    """

    path: Path
    homework: str
    title: str
    minutes: int
    cells: tuple[Cell, ...]
    allowed: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return self.path.parent

    def of(self, role: str, question: str | None = None) -> list[Cell]:
        """Cells of a role, of one question or of all."""
        return [cell for cell in self.cells if cell.role == role and question in (None, cell.question)]

    @property
    def questions(self) -> list[str]:
        """The coded questions, in order."""
        return [cell.question for cell in self.of("solution")]


def find_homework(name: str, homework: Path) -> Path:
    """The folder homework/hwN_name of a homework called "hw3", "hw3_conditional_dcgan" or by its path.

    Raises FileNotFoundError, with the names there are, if it is none of them.
    """
    if list(Path(name).glob("hw*.ipynb")):
        return Path(name)
    folders = homework_folders(homework)
    for folder in folders:
        if name in (folder.name, folder.name.split("_")[0]):
            return folder
    known = ", ".join(folder.name for folder in folders) or "nothing"
    raise FileNotFoundError(f"no homework {name!r} in {homework}: found {known}")


def homework_folders(homework: Path) -> list[Path]:
    """All homework source folders, by name."""
    return sorted(
        folder for folder in homework.glob("hw*_*") if folder.is_dir() and list(folder.glob("*.ipynb"))
    )


def read_source(folder: Path) -> Source:
    """Reads and checks the source notebook of a homework folder.

    Raises ValueError, naming the cell, where it breaks the format.
    """
    notebooks = sorted(Path(folder).glob("hw*.ipynb"))
    if len(notebooks) != 1:
        raise FileNotFoundError(
            f"{folder} must hold exactly one notebook hwN_name.ipynb, not {len(notebooks)}"
        )
    path = notebooks[0]
    content = json.loads(path.read_text(encoding="utf-8"))
    told = content.get("metadata", {}).get(KEY, {})
    for field in ("homework", "title", "minutes"):
        if field not in told:
            raise ValueError(f'{path}: the notebook\'s metadata lacks "{KEY}": {{"{field}": ...}}')
    cells = tuple(source_cell(path, cell) for cell in content["cells"])
    source = Source(
        path, told["homework"], told["title"], int(told["minutes"]), cells, tuple(told.get("allowed", ()))
    )
    check_source(source)
    return source


def source_cell(path: Path, cell: dict[str, Any]) -> Cell:
    if not cell.get("id"):
        raise ValueError(f"{path}: a cell has no id: {joined(cell.get('source'))[:60]!r}")
    if cell.get("outputs") or cell.get("execution_count"):
        raise ValueError(f"{path}, cell {cell['id']!r}: stored with outputs; clear them")
    metadata = cell.get("metadata", {})
    told = dict(metadata.get(KEY, {}))
    known = {field.name for field in dataclasses.fields(Cell)}
    unknown = set(told) - known
    if unknown:
        raise ValueError(
            f"{path}, cell {cell['id']!r}: unknown metadata {sorted(unknown)}; known: {sorted(known)}"
        )
    if told and told.get("role") not in ROLES:
        raise ValueError(
            f"{path}, cell {cell['id']!r}: role {told.get('role')!r} is none of {', '.join(ROLES)}"
        )
    for field in ("defines", "needs"):
        told[field] = tuple(told.get(field, ()))
    return Cell(
        id=cell["id"],
        kind=cell["cell_type"],
        source=joined(cell["source"]),
        tags=tuple(metadata.get("tags", ())),
        **told,
    )


def check_source(source: Source) -> None:
    """Raises ValueError for the first thing that a homework must not be."""
    ids = [cell.id for cell in source.cells]
    for cell in source.cells:
        if ids.count(cell.id) > 1:
            complain(source, cell, "the id is used twice")
        if len(cell.id) > LONGEST_ID:
            complain(source, cell, f"the id is longer than {LONGEST_ID} letters")
        check_cell(source, cell)
    questions = source.questions
    for question in questions:
        if questions.count(question) > 1:
            complain(source, source.of("solution", question)[1], f"a second solution of {question!r}")
        shown = {cell.visible for cell in source.of("check", question)}
        if shown != {True, False}:
            complain(source, source.of("solution", question)[0],
                     f"{question!r} needs a visible and a hidden check at least")  # fmt: skip
    points = sum(cell.points for cell in source.cells)
    if points != 100:
        raise ValueError(f"{source.path}: the points sum to {points:g}, not to 100")


def check_cell(source: Source, cell: Cell) -> None:
    if cell.role == "solution":
        check_solution(source, cell)
    if cell.role == "check":
        check_check(source, cell)
    if cell.role == "report" and (not cell.question or cell.points <= 0):
        complain(source, cell, "a report cell needs a question and points")
    if cell.role not in ("check", "report") and cell.points:
        complain(source, cell, "only checks and report cells carry points")
    if cell.role != "solution" and (BEGIN in cell.source or END in cell.source):
        complain(source, cell, "solution markers outside of a cell with the role 'solution'")


def check_solution(source: Source, cell: Cell) -> None:
    if not cell.question or not cell.defines:
        complain(source, cell, "a solution cell needs a question and what it defines")
    bound = {
        node.name
        for node in parse(source, cell).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))
    }
    for name in cell.defines:
        if name not in bound:
            complain(source, cell, f"defines {name!r}, but no function or class of that name stands in it")
    scaffold(cell)


def check_check(source: Source, cell: Cell) -> None:
    if cell.question not in source.questions:
        complain(source, cell, f"checks {cell.question!r}, which no solution cell answers")
    if cell.points <= 0:
        complain(source, cell, "a check needs points")
    defined = {name for one in source.of("solution") for name in one.defines}
    for name in cell.needs:
        if name not in defined:
            complain(source, cell, f"needs {name!r}, which no solution cell defines")
    tree = parse(source, cell)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            complain(source, cell, "an assert in a check; send the number instead")
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    if "send" not in called:
        complain(source, cell, "a check that sends nothing")


def parse(source: Source, cell: Cell) -> ast.Module:
    try:
        return ast.parse(cell.source)
    except SyntaxError as error:
        complain(source, cell, f"does not parse: {error}")


def complain(source: Source, cell: Cell, what: str) -> None:
    raise ValueError(f"{source.path}, cell {cell.id!r}: {what}")


def scaffold(cell: Cell) -> str:
    """The student's version of a solution cell: bodies between the markers replaced.

    Raises ValueError where markers do not pair or stand outside of a function.
    """
    kept, inside, name = [], False, ""
    for line in cell.source.splitlines():
        stripped = line.strip()
        opened = re.match(r"\s*(?:async )?(?:def|class) (\w+)", line)
        if opened and not inside:
            name = opened.group(1)
        if stripped == BEGIN:
            indent = line[: len(line) - len(line.lstrip())]
            if inside or not indent or not name:
                raise ValueError(f"cell {cell.id!r}: {BEGIN} twice, or outside of a function")
            kept += [
                f"{indent}# YOUR CODE HERE",
                f'{indent}raise NotImplementedError("{name} is yours to write")',
            ]
            inside = True
        elif stripped == END:
            if not inside:
                raise ValueError(f"cell {cell.id!r}: {END} without {BEGIN}")
            inside = False
        elif not inside:
            kept.append(line)
    if inside or BEGIN not in cell.source:
        raise ValueError(f"cell {cell.id!r}: needs {BEGIN} and {END}, in pairs")
    return "\n".join(kept)


# ---- a submission ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Answer:
    """A cell of a submission: text and where it claims to belong. Nothing of it is to be trusted."""

    source: str
    id: str = ""
    kind: str = "code"
    role: str = ""
    question: str = ""


@dataclasses.dataclass(frozen=True)
class Submission:
    """What a student handed in: the cells, in order, and the homework that it says it is ("" if none)."""

    cells: tuple[Answer, ...]
    homework: str = ""

    @property
    def code(self) -> list[Answer]:
        return [cell for cell in self.cells if cell.kind == "code"]


def read_submission(path: Path) -> Submission:
    """Reads whatever a notebook program may have written: byte order marks, nbformat 3, missing or doubled
    ids, stale outputs, tags and foreign kernels do not matter; only the text of the cells is taken.

    Raises Unreadable with a reason for the student if there is no notebook in the file.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise Unreadable(f"the file has {size / 2**20:.0f} MiB; clear its outputs and save it again")
        return submission_of(path.read_bytes())
    except OSError as error:
        raise Unreadable(f"the file cannot be read: {error.strerror}") from None


def submission_of(content: bytes) -> Submission:
    """As read_submission, from the bytes of the file."""
    if not content.strip(b"\x00\r\n\t \xef\xbb\xbf"):
        raise Unreadable("the file is empty")
    if content.lstrip()[:5] == b"%PDF-":
        raise Unreadable("the file is a PDF; hand in the notebook itself (.ipynb)")
    try:
        notebook = leniently(content)
    except RecursionError:
        raise Unreadable("the file is no notebook: nested too deeply") from None
    except MemoryError:
        raise Unreadable("the file is too large to be read; clear its outputs and save it again") from None
    except ValueError as error:
        raise Unreadable(f"the file is no notebook, or cut off: {str(error)[:100]}") from None
    if not isinstance(notebook, dict):
        raise Unreadable("the file is JSON, but no notebook")
    cells = raw_cells(notebook)
    if cells is None:
        raise Unreadable("the file is JSON, but holds no cells")
    told = mapping(mapping(notebook.get("metadata")).get(KEY))
    return Submission(
        tuple(answer(cell) for cell in cells if isinstance(cell, dict)), text(told.get("homework"))
    )


def leniently(content: bytes) -> Any:
    """The JSON value that the bytes begin with, in whatever encoding an editor may have saved them."""
    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return json.JSONDecoder(strict=False).raw_decode(text.lstrip("\ufeff \t\r\n"))[0]


def raw_cells(notebook: dict[str, Any]) -> list[Any] | None:
    """The list of cells, of nbformat 4 or of the worksheets of nbformat 3."""
    if isinstance(notebook.get("cells"), list):
        return notebook["cells"]
    worksheets = notebook.get("worksheets")
    if not isinstance(worksheets, list):
        return None
    return [cell for sheet in worksheets for cell in listed(mapping(sheet).get("cells"))]


def answer(cell: dict[str, Any]) -> Answer:
    told = mapping(mapping(cell.get("metadata")).get(KEY))
    return Answer(
        source=joined(cell.get("source", cell.get("input"))),
        id=text(cell.get("id")),
        kind=text(cell.get("cell_type")),
        role=text(told.get("role")),
        question=text(told.get("question")),
    )


def joined(source: Any) -> str:
    """The text of a cell: a string, or a list of lines."""
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return text(source).replace("\r\n", "\n").replace("\r", "\n")


def text(value: Any) -> str:
    """A string that can be written as UTF-8; "" for anything else."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
