"""What a submission defines: the functions, classes, imports and constants that an answer stands on.

The grader takes definitions from a submission, never its actions. A call at the top level of a cell (a
training run, a plot, `sys.exit()`) is not needed to judge a function, and could only lose points that the
function deserves; so an answer is cut out of the notebook by the names it uses, wherever they stand.
Only text is read here; nothing runs.
"""

import ast
import builtins
import dataclasses
import functools
import re
import symtable
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gan_course.grading.notebooks import LARGEST_CELL, Answer

BUILTINS = frozenset(dir(builtins))
WRITES, WRITTEN = re.compile(r"(?:-a\s+)?(?:\./)?(\w+)\.py"), ".py"  # a file of the student's own
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclasses.dataclass(frozen=True)
class Statement:
    """A top-level statement: its lines (from 0, the last not included) and the names it deals with.

    Attributes:
        binds: names that it gives a value, or whose parts it changes.
        uses: global names that it or the functions in it read.
        early: those of `uses` that are read when it runs, not only when its functions are called.
    """

    first: int
    last: int
    binds: frozenset[str]
    uses: frozenset[str]
    early: frozenset[str]
    star: bool = False
    future: bool = False
    modifies: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class CodeCell:
    """A code cell taken apart. `statements` is None where its text is no Python."""

    place: int
    answer: Answer
    source: str
    statements: tuple[Statement, ...] | None

    @functools.cached_property
    def binds(self) -> frozenset[str]:
        return frozenset(name for one in self.statements or () for name in one.binds)


def take_apart(cells: Sequence[Answer]) -> list[CodeCell]:
    """The code cells of a submission with their statements."""
    return [take_cell_apart(place, cell) for place, cell in enumerate(cells) if cell.kind == "code"]


@functools.lru_cache(maxsize=512)
def take_cell_apart(place: int, cell: Answer) -> CodeCell:
    source = as_python(cell.source)
    return CodeCell(place, cell, source, statements_of(source))


def as_python(source: str) -> str:
    """The text of a cell with notebook magics turned into Python, or out; as it is where that fails."""
    if re.match(r"\s*%%(time|timeit|capture|prun)\b", source):
        source = re.sub(r"%%[^\n]*", "", source, count=1)
    if parses(source):
        return source
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        return TransformerManager().transform_cell(source)
    except Exception:  # whatever a malformed text does to the transformer, the text stays as it is
        return source


def parses(source: str) -> bool:
    return statements_of(source) is not None


@functools.lru_cache(maxsize=512)
def statements_of(source: str) -> tuple[Statement, ...] | None:
    """The top-level statements; None where the text is no Python, or too much of it."""
    if len(source) > LARGEST_CELL:
        return None
    try:
        body = ast.parse(source).body
        return tuple(statement(node, source) for node in body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def statement(node: ast.stmt, source: str) -> Statement:
    decorators = [one.lineno for one in getattr(node, "decorator_list", ())]
    first = min([node.lineno, *decorators]) - 1
    table = symtable.symtable(ast.unparse(node), "<cell>", "exec")
    uses = frozenset(global_names(table))
    early = frozenset(early_names(table)) if isinstance(node, DEFINITIONS) else uses
    early |= frozenset(imported_modules(node))
    return Statement(
        first,
        node.end_lineno or node.lineno,
        binds=frozenset(bound_names(table))
        | frozenset(changed_names(node))
        | frozenset(written_module(node)),
        uses=uses | frozenset(imported_modules(node)),
        early=early,
        star=isinstance(node, ast.ImportFrom) and node.names[0].name == "*",
        future=isinstance(node, ast.ImportFrom) and node.module == "__future__",
        modifies=frozenset(called_upon(node)),
    )


def global_names(table: symtable.SymbolTable) -> Iterator[str]:
    """Names read from the module, in the statement itself and in all functions and classes in it."""
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from global_names(child)


def early_names(table: symtable.SymbolTable) -> Iterator[str]:
    """As global_names, without the bodies of functions."""
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        if child.get_type() != "function":
            yield from early_names(child)


def bound_names(table: symtable.SymbolTable) -> Iterator[str]:
    """Names that a statement assigns, defines or imports at the top level."""
    for symbol in table.get_symbols():
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
            yield symbol.get_name()


def changed_names(node: ast.stmt) -> Iterator[str]:
    """Names whose attributes or items a top-level assignment sets: `Net.forward = ...`, `table[0] = ...`."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    for target in targets:
        while isinstance(target, (ast.Attribute, ast.Subscript)):
            target = target.value
        if isinstance(target, ast.Name):
            yield target.id


def written_module(node: ast.stmt) -> Iterator[str]:
    """The name helpers.py for `%%writefile helpers.py`, as IPython rewrites it: `import helpers` needs it."""
    call = node.value if isinstance(node, ast.Expr) else None
    if (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "run_cell_magic"
    ):
        words = [one.value for one in call.args if isinstance(one, ast.Constant)]
        found = WRITES.fullmatch(str(words[1]).strip()) if words[:1] in (["writefile"], ["file"]) else None
        if found and len(words) == 3:
            yield found[1] + WRITTEN


def imported_modules(node: ast.stmt) -> Iterator[str]:
    """The name helpers.py for whatever a statement imports from `helpers`."""
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            yield from (alias.name.split(".")[0] + WRITTEN for alias in one.names)
        elif isinstance(one, ast.ImportFrom) and one.module and not one.level:
            yield one.module.split(".")[0] + WRITTEN


def called_upon(node: ast.stmt) -> Iterator[str]:
    """The name in `name.method(...)` or `setattr(name, ...)` as a statement: it may change what name is."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call):
        return
    if isinstance(call.func, ast.Name) and call.func.id == "setattr" and call.args:
        target = call.args[0]
    else:
        target = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(target, ast.Name):
        yield target.id


# ---- cutting an answer out -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Piece:
    """What was cut out of one cell; lines keep their places, so that line numbers are the student's."""

    place: int
    source: str


def cut(
    cells: Sequence[CodeCell],
    names: Iterable[str],
    preferred: Mapping[str, Sequence[int]],
    given: frozenset[str],
) -> tuple[list[Piece], set[str]]:
    """Cuts out what defines some names, with everything of the student's that it uses.

    Args:
        cells: the submission, from `take_apart`.
        names: the names wanted.
        preferred: for a name, the places of the cells that are meant to define it, best first; the last
            cell that defines it counts otherwise.
        given: names that the set-up or reference answers define; these are not taken from the student.

    Returns: the pieces, in an order in which they can run, and the names wanted that no cell defines.
    """
    by_place = {cell.place: cell for cell in cells}
    kept = {cell.place: set(futures(cell)) for cell in cells}
    wanted = set(names)
    missing, seen, waiting = set(), set(), [(name, None) for name in sorted(wanted)]
    while waiting:
        name, asker = waiting.pop()
        if name in given:
            continue
        cell = provider(name, cells, preferred.get(name, ()), asker)
        if cell is None:
            missing |= {name} & wanted
            continue
        if (name, cell.place) in seen:
            continue
        seen.add((name, cell.place))
        for index in keep(cell, name, given, kept[cell.place]):
            uses = cell.statements[index].uses
            waiting += [(used, cell) for used in sorted(uses - BUILTINS | uses & cell.binds)]
    pieces = {place: piece(by_place[place], chosen) for place, chosen in kept.items() if chosen}
    return [pieces[place] for place in runnable_order(by_place, kept)], missing


def futures(cell: CodeCell) -> list[int]:
    """`from __future__ import ...`: it holds for all cells that come after it."""
    return [index for index, one in enumerate(cell.statements or ()) if one.future]


def provider(
    name: str, cells: Sequence[CodeCell], preferred: Sequence[int], asker: CodeCell | None
) -> CodeCell | None:
    """The cell that a name is taken from: a preferred one, that of the user of the name, else the last."""
    holders = [cell for cell in cells if name in cell.binds]
    for place in preferred:
        for cell in holders:
            if cell.place == place:
                return cell
    if asker is not None and asker in holders:
        return asker
    plain = [cell for cell in holders if cell.answer.role not in ("check", "selfcheck", "experiment")]
    if not holders and name not in BUILTINS and not name.endswith(WRITTEN):
        holders = [cell for cell in cells if any(one.star for one in cell.statements or ())]
    return (plain or holders or [None])[-1]


def keep(cell: CodeCell, name: str, given: frozenset[str], chosen: set[int]) -> list[int]:
    """Adds the statements of a cell that deal with a name; returns those that are new."""
    new = []
    for index, one in enumerate(cell.statements):
        deals = name in one.binds or name in one.modifies or (one.star and name not in cell.binds)
        if deals and index not in chosen and not (one.binds & given and not one.binds - given):
            chosen.add(index)
            new.append(index)
    return new


def piece(cell: CodeCell, chosen: set[int]) -> Piece:
    """The kept statements of a cell; the lines of the others are blank."""
    lines = cell.source.split("\n")
    keep = {
        line for index in chosen for line in range(cell.statements[index].first, cell.statements[index].last)
    }
    return Piece(cell.place, "\n".join(line if number in keep else "" for number, line in enumerate(lines)))


def runnable_order(by_place: Mapping[int, CodeCell], kept: Mapping[int, set[int]]) -> list[int]:
    """Places in document order, but each after those whose names it reads while it runs."""
    binds, early = {}, {}
    for place in sorted(place for place, chosen in kept.items() if chosen):
        chosen = [by_place[place].statements[index] for index in sorted(kept[place])]
        binds[place] = frozenset().union(*(one.binds for one in chosen))
        early[place] = frozenset().union(*(one.early for one in chosen)) - binds[place]
    order: list[int] = []
    try:
        for place in binds:
            visit(place, binds, early, order, set())
    except RecursionError:  # hundreds of cells, each on top of the next: nobody's homework
        return list(binds)
    return order


def visit(
    place: int,
    binds: Mapping[int, frozenset[str]],
    early: Mapping[int, frozenset[str]],
    order: list[int],
    above: set[int],
) -> None:
    """Depth first; a circle is left where it closes."""
    if place in order or place in above:
        return
    for other in binds:
        if other != place and binds[other] & early[place]:
            visit(other, binds, early, order, above | {place})
    order.append(place)
