"""The key of a homework: its checks, what the reference answer sends in them, points, set-up, rubric.

The instructor's key holds everything. The key that students get (`public`) holds the visible checks only,
no reference answers, and the reference values as commitments (see verdict.py).
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_course.grading import verdict
from gan_course.grading.definitions import BUILTINS, CodeCell, take_apart
from gan_course.grading.notebooks import Answer, Source, homework_folders, read_source, scaffold

FILE = "key.json"
FORMAT = 1  # of the file; a key of another format is refused


@dataclasses.dataclass(frozen=True)
class Check:
    """A graded cell, all or nothing. `reference` holds the records that a right answer sends."""

    id: str
    source: str
    points: float
    visible: bool
    needs: tuple[str, ...]
    reference: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Question:
    """A coded question. `solution` is "" in the students' key."""

    name: str
    cell: str
    defines: tuple[str, ...]
    scaffold: str
    solution: str
    checks: tuple[Check, ...]

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks)


@dataclasses.dataclass(frozen=True)
class Report:
    """A part that an instructor grades, by a rubric. `scaffold` is the text that is to be replaced."""

    question: str
    cell: str
    points: float
    scaffold: str
    criteria: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Key:
    """All that the grader knows of a homework.

    Attributes:
        homework, title: "hw3", "Conditional DCGAN".
        setup: (id, source) of the cells that run before everything, and again before the checks.
        public: whether it is the students' key.
        hidden_paths: files and folders that a process running an answer must not see.
    """

    homework: str
    title: str
    setup: tuple[tuple[str, str], ...]
    questions: tuple[Question, ...]
    reports: tuple[Report, ...]
    public: bool = False
    hidden_paths: tuple[Path, ...] = ()

    @property
    def possible(self) -> float:
        """Points of the coded questions."""
        return sum(question.points for question in self.questions)

    @functools.cached_property
    def digest(self) -> str:
        """Changes when anything in the key changes that bears on a grade."""
        return hashlib.sha256(json.dumps(to_json(self), sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def given(self) -> frozenset[str]:
        """Names that the set-up defines."""
        cells = take_apart([Answer(source) for _, source in self.setup])
        return frozenset().union(*(cell.binds for cell in cells))

    @functools.cached_property
    def by_name(self) -> dict[str, Question]:
        return {question.name: question for question in self.questions}

    @functools.cached_property
    def owner(self) -> dict[str, str]:
        """The question that defines a name."""
        return {name: question.name for question in self.questions for name in question.defines}

    def needed(self, question: str) -> list[str]:
        """The other questions whose functions the checks or the reference answer of one use, in order."""
        found, waiting = set(), [question]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            waiting += [self.owner[used] for used in used_names(self.by_name[name]) if used in self.owner]
        return [one.name for one in self.questions if one.name in found and one.name != question]

    def of_students(self) -> "Key":
        """The students' key: visible checks, sealed values, no reference answer, no rubric."""
        questions = tuple(
            dataclasses.replace(question, solution="", checks=tuple(map(sealed, shown(question))))
            for question in self.questions
        )
        reports = tuple(dataclasses.replace(report, criteria=()) for report in self.reports)
        return dataclasses.replace(self, questions=questions, reports=reports, public=True, hidden_paths=())


def shown(question: Question) -> list[Check]:
    return [check for check in question.checks if check.visible]


def sealed(check: Check) -> Check:
    records = enumerate(check.reference)
    return dataclasses.replace(
        check, reference=tuple(verdict.seal(record, f"{check.id} {number}") for number, record in records)
    )


def used_names(question: Question) -> set[str]:
    needs = {name for check in question.checks for name in check.needs}
    cells: Sequence[CodeCell] = take_apart([Answer(question.solution)])
    return needs | {name for cell in cells for one in cell.statements or () for name in one.uses} - BUILTINS


# ---- making, writing, reading ----------------------------------------------------------------------


def draft(source: Source) -> Key:
    """The key without reference values, which `grade.complete` adds by running the reference answer."""
    rubric = read_rubric(source)
    return Key(
        homework=source.homework,
        title=source.title,
        setup=tuple((cell.id, cell.source) for cell in source.cells if cell.prepares),
        questions=tuple(draft_question(source, cell) for cell in source.of("solution")),
        reports=tuple(
            Report(cell.question, cell.id, cell.points, cell.source, tuple(rubric[cell.question]))
            for cell in source.of("report")
        ),
        hidden_paths=(source.folder.resolve(),),
    )


def draft_question(source: Source, cell: Any) -> Question:
    checks = tuple(
        Check(one.id, one.source, one.points, one.visible, one.needs)
        for one in source.of("check", cell.question)
    )
    return Question(cell.question, cell.id, cell.defines, scaffold(cell), cell.source, checks)


def read_rubric(source: Source) -> dict[str, list[dict[str, Any]]]:
    """Criteria by report question, from rubric.yml.

    Raises ValueError where it and the notebook's report cells disagree.
    """
    cells = {cell.question: cell.points for cell in source.of("report")}
    path = source.folder / "rubric.yml"
    if not cells and not path.exists():
        return {}
    import yaml

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from None
    rubric = {entry["question"]: entry for entry in entries}
    if set(rubric) != set(cells):
        raise ValueError(
            f"{path}: questions {sorted(rubric)}, but the notebook's reports are {sorted(cells)}"
        )
    for question, entry in rubric.items():
        total = sum(one["points"] for one in entry["criteria"])
        if not total == entry["points"] == cells[question]:
            raise ValueError(
                f"{path}: {question!r} has {cells[question]:g} points in the notebook, "
                f"{entry['points']:g} here, and its criteria sum to {total:g}"
            )
    return {question: entry["criteria"] for question, entry in rubric.items()}


def to_json(key: Key) -> dict[str, Any]:
    told = {field.name: getattr(key, field.name) for field in dataclasses.fields(key)}
    del told["hidden_paths"]
    told["questions"] = [dataclasses.asdict(question) for question in key.questions]
    told["reports"] = [dataclasses.asdict(report) for report in key.reports]
    return json.loads(json.dumps({"format": FORMAT, **told}))


def write(key: Key, path: Path) -> Path:
    """Writes a key as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_json(key), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> Key:
    """Reads what `write` wrote.

    Raises ValueError if it is something else.
    """
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        if told.pop("format") != FORMAT:
            raise ValueError("another version of the course wrote it")
        told["setup"] = tuple((name, source) for name, source in told["setup"])
        told["questions"] = tuple(read_question(one) for one in told["questions"])
        told["reports"] = tuple(
            Report(**one | {"criteria": tuple(one["criteria"])}) for one in told["reports"]
        )
        key = Key(**told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no key of a homework: {error}") from None
    return key if key.public else dataclasses.replace(key, hidden_paths=(Path(path).resolve().parent,))


def read_question(told: dict[str, Any]) -> Question:
    checks = tuple(
        Check(**one | {"needs": tuple(one["needs"]), "reference": tuple(one["reference"])})
        for one in told["checks"]
    )
    return Question(**told | {"defines": tuple(told["defines"]), "checks": checks})


def load(path: Path | str, homework: Path = Path("homework")) -> Key:
    """The key in a folder that `release --key` wrote, in a .json file, or of a source folder or its name.

    The key of a source folder is made by running the reference answer, and kept in the user's cache until
    the source changes.

    Raises FileNotFoundError or ValueError if there is no key.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".json":
        return read(path)
    if (path / FILE).is_file():
        return read(path / FILE)
    if path.is_dir() and list(path.glob("hw*.ipynb")):
        return cached(read_source(path))
    for folder in homework_folders(homework):
        if str(path) in (folder.name, folder.name.split("_")[0]):
            return cached(read_source(folder))
    raise FileNotFoundError(f"{path}: neither a key ({FILE}), nor a folder with a homework's source")


def cached(source: Source) -> Key:
    """The key of a source, from the cache where it has not changed."""
    import platformdirs

    from gan_course.grading.grade import complete
    from gan_course.grading.plain import PlainRunner

    folder = Path(platformdirs.user_cache_dir("gan_course")) / "keys"
    path = folder / f"{source.homework}-{made_from(source)[:16]}.json"
    if path.is_file():
        key = read(path)
    else:
        with PlainRunner() as run:
            key = complete(draft(source), run)
        write(key, path)
    hidden = (source.folder.resolve(), source.folder.resolve().parent, folder)
    return dataclasses.replace(key, hidden_paths=hidden)


def fingerprint(source: Source) -> str:
    """A hash over all that a homework's folder holds for the grader."""
    found = hashlib.sha256()
    for path in sorted([source.path, *source.folder.rglob("*.py"), *source.folder.glob("*.yml")]):
        text = path.read_text(encoding="utf-8")  # so that line ends do not matter
        found.update(f"{path.relative_to(source.folder).as_posix()}\0{text}\0".encode())
    return found.hexdigest()


def made_from(source: Source) -> str:
    """A hash over a homework and the code that makes a key of it."""
    found = hashlib.sha256(fingerprint(source).encode())
    for name in ("probes.py", "assemble.py", "key.py", "grade.py"):
        found.update(Path(__file__).with_name(name).read_bytes())
    return found.hexdigest()
