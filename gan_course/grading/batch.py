"""Grades a class: finds the submissions, has workers grade them, keeps what was graded before, writes tables.

Each submission's files appear at once, when it is done: a run that is killed loses what was under way, and
the next one goes on. The files do not tell in which order, by how many workers or when they were written.
"""

import contextlib
import hashlib
import json
import os
import re
import selectors
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from gan_course.grading import gradebook, reports
from gan_course.grading import key as keys
from gan_course.grading.key import Key
from gan_course.grading.limits import GRACE, LITERAL_SECONDS, Limits
from gan_course.grading.notebooks import LARGEST_FILE
from gan_course.grading.sandbox import PRELOAD, Sandbox, write_json
from gan_course.progress import shows_progress

NOT_SUBMISSIONS = re.compile(r"(\..*|~.*|__.*|readme(\.\w+)?|.*\.csv|thumbs\.db|desktop\.ini)", re.IGNORECASE)
DEEPEST = 6  # folders below a submission's own, in which its notebook is looked for
MOST_FOLDERS = 2000  # looked at in one submission's folder
TRIES = 2  # of a submission whose worker died
LOOK_AGAIN = 10.0  # seconds after which a silent worker's clock is looked at


@dataclass(frozen=True)
class Found:
    """A submission: its name, its notebook, and what was wrong where there is none."""

    name: str
    path: Path
    trouble: str = ""


@dataclass(frozen=True)
class Settings:
    """How a class is graded. Seconds are wall-clock time; 0 for `run_seconds` leaves the whole run out."""

    seconds: float = 60.0
    run_seconds: float = 300.0
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    limits: Limits = field(default_factory=Limits)
    visible_only: bool = False
    namespaces: bool = True
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"--workers is {self.workers}; it must be at least 1")
        if self.seconds <= 0:
            raise ValueError(f"--timeout is {self.seconds:g}; it must be above 0")

    def submission_seconds(self, key: Key) -> float:
        """For all questions together: each may be judged thrice, and none may take another one's time."""
        return (2 * self.seconds + LITERAL_SECONDS) * max(len(key.questions), 1) + 60

    def told(self) -> str:
        """What of it bears on a grade."""
        return json.dumps(
            [self.seconds, self.run_seconds, vars(self.limits), self.visible_only, self.namespaces],
            sort_keys=True,
        )


@dataclass
class Result:
    """What a batch did: how many were graded now, how many before, and the reports of all."""

    graded: int
    kept: int
    reports: list[dict[str, Any]]
    rows: list[gradebook.Row]
    seconds: float


# ---- finding submissions ---------------------------------------------------------------------------------


def find_submissions(folder: Path, key: Key, leave_out: Iterable[Path] = ()) -> list[Found]:
    """Every file in a folder is a submission, and every folder in it; a single notebook is one by itself.

    Hidden files, READMEs and .csv files are none. In a student's folder the notebook is the one that says it
    is this homework's, else the one that defines most of its names.

    Raises FileNotFoundError where there is nothing.
    """
    folder = Path(folder)
    if folder.is_file():
        return [Found(folder.name, folder)]
    if not folder.is_dir():
        raise FileNotFoundError(f"there are no submissions at {folder}: no such folder")
    left_out = {path.resolve() for path in leave_out}
    found, taken = [], set()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if NOT_SUBMISSIONS.fullmatch(path.name) or path.resolve() in left_out:
            continue
        name = printable(path.name)
        while name in taken:  # two names of bytes that are no text may look the same
            name += " (again)"
        taken.add(name)
        if path.is_symlink():
            found.append(Found(name, path, "it is a link, not a file"))
        elif path.is_dir():
            found.append(in_folder(name, path, key))
        else:
            found.append(Found(name, path))
    if not found:
        raise FileNotFoundError(
            f"there are no submissions in {folder}; it should hold one file or folder each"
        )
    return found


def printable(name: str) -> str:
    """A file's name as text, whatever bytes it has."""
    return reports.plain(os.fsencode(name).decode("utf-8", "replace"), 200)


def in_folder(name: str, folder: Path, key: Key) -> Found:
    """The notebook in a student's folder."""
    candidates = []
    for seen, (parent, folders, files) in enumerate(os.walk(folder)):
        place = Path(parent)
        folders[:] = sorted(one for one in folders if not one.startswith((".", "__")))
        if len(place.relative_to(folder).parts) >= DEEPEST:
            folders[:] = []
        candidates += [
            place / one for one in sorted(files) if one.lower().endswith(".ipynb") and one[0] != "."
        ]
        if seen > MOST_FOLDERS:
            break
    candidates = [path for path in candidates if is_plain_file(path)]
    if not candidates:
        return Found(name, folder, "there is no notebook (.ipynb) in the folder")
    return Found(name, max(candidates[:50], key=lambda path: likeness(path, key)))


def is_plain_file(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def likeness(path: Path, key: Key) -> tuple[int, int, int]:
    """How much a notebook looks like an answer to the homework; by its text, without reading it as JSON."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        text = file.read(LARGEST_FILE)
        said = bool(re.search(rb'"homework":\s*"' + re.escape(key.homework.encode()) + b'"', text))
        names = {name.encode() for question in key.questions for name in question.defines}
        written = sum(b"def " + name in text or b"class " + name in text for name in names)
        return (int(said), written, -len(path.parts))
    return (-1, 0, 0)


def digest_of(found: Found, key: Key, settings: Settings) -> str:
    """Changes when the submission, the key, the grader or its settings change."""
    told = hashlib.sha256(f"{key.digest} {settings.told()} {grader_digest()} {found.trouble}".encode())
    if not found.trouble and is_plain_file(found.path):
        with contextlib.suppress(OSError), found.path.open("rb") as file:
            for piece in iter(lambda: file.read(2**20), b""):
                told.update(piece)
    return told.hexdigest()


def grader_digest() -> str:
    told = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        told.update(path.read_bytes())
    return told.hexdigest()


def folder_names(names: Sequence[str]) -> dict[str, str]:
    """A folder's name for each submission: safe everywhere, and different for each."""
    found: dict[str, str] = {}
    taken = set()
    for name in sorted(names):
        stem = name[:-6] if name.lower().endswith(".ipynb") else name
        safe = re.sub(r"[^\w.-]+", "_", stem).strip("._")[:80] or "submission"
        if safe != stem or safe.casefold() in taken:
            safe += "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
        taken.add(safe.casefold())
        found[name] = safe
    return found


# ---- grading ---------------------------------------------------------------------------------------------


def grade_class(
    submissions: Path,
    key: Key,
    out: Path,
    settings: Settings,
    roster: Path | None = None,
    key_place: Path | None = None,
) -> Result:
    """Grades all submissions and writes everything to the folder `out`.

    Args:
        submissions: a folder with one file or folder for each student.
        key: of the homework.
        out: of the reports; what stands there from before and is still true is kept.
        roster: a CSV file of names; the gradebook then has one row for each.
        key_place: where the key was read from.

    Raises ValueError or OSError for what is missing or malformed, before anything is graded.
    """
    begin = time.monotonic()
    students = gradebook.read_roster(roster) if roster else None
    found = find_submissions(
        submissions, key, [out, *([roster] if roster else []), *([key_place] if key_place else [])]
    )
    names = folder_names([one.name for one in found])
    places = {one.name: out / "submissions" / names[one.name] for one in found}
    if not key.public:
        refuse_inside(out, submissions)
    (out / "submissions").mkdir(parents=True, exist_ok=True)
    for leftover in (out / "submissions").glob(".unfinished-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    jobs, kept = [], {}
    for one in found:
        digest = digest_of(one, key, settings)
        before = report_in(places[one.name])
        if (
            before
            and before.get("digest") == digest
            and before.get("submission") == one.name
            and before["status"] != "failed"
        ):
            kept[one.name] = before
        else:
            jobs.append(
                {"name": one.name, "path": str(one.path.absolute()), "trouble": one.trouble, "digest": digest}
            )
    if jobs:
        hidden = [submissions, out, *key.hidden_paths, *([key_place] if key_place else [])]
        grade_jobs(jobs, key, settings, places, out, hidden, len(found))
    all_reports = [report_in(places[one.name]) or kept[one.name] for one in found]
    rows = gradebook.rows_of(all_reports, students)
    write_tables(out, rows, key, names)
    return Result(len(jobs), len(kept), all_reports, rows, time.monotonic() - begin)


def refuse_inside(out: Path, submissions: Path) -> None:
    """Reports among the submissions would be graded next time."""
    if out.resolve() == submissions.resolve():
        raise ValueError(f"--out is {out}, the folder of the submissions; choose another one")


def report_in(place: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((place / "report.json").read_text(encoding="utf-8"))
    return None


def write_tables(out: Path, rows: Sequence[gradebook.Row], key: Key, names: dict[str, str]) -> None:
    gradebook.write_gradebook(out / "gradebook.csv", rows, key)
    (out / "summary.md").write_text(gradebook.summary_markdown(rows, key), encoding="utf-8")
    folders = {name: f"submissions/{folder}" for name, folder in names.items()}
    (out / "summary.html").write_text(gradebook.summary_html(rows, key, folders), encoding="utf-8")


def grade_jobs(
    jobs: list[dict[str, Any]],
    key: Key,
    settings: Settings,
    places: dict[str, Path],
    out: Path,
    hidden: list[Path],
    total: int,
) -> None:
    """Has the jobs graded by workers, each report put in its place when it is done."""
    with Sandbox.open(
        limits=settings.limits,
        hidden=hidden,
        preload=[*PRELOAD, *imported_by(key)],
        namespaces=settings.namespaces,
        cache=course_cache(),
    ) as sandbox:
        private = sandbox.folder / "home"  # readable by us only
        keys.write(key, private / "key.json")
        (private / "work").mkdir()
        patience = settings.submission_seconds(key) + settings.run_seconds + 3 * GRACE
        write_json(
            private / "settings.json",
            {
                "key": str(private / "key.json"),
                "sandbox": str(sandbox.folder),
                "work": str(private / "work"),
                "seconds": settings.seconds,
                "submission_seconds": settings.submission_seconds(key),
                "run_seconds": settings.run_seconds,
                "visible_only": settings.visible_only,
            },
        )
        with (
            Workers(min(settings.workers, len(jobs)), private / "settings.json", patience) as workers,
            tqdm(
                total=total,
                initial=total - len(jobs),
                desc=f"grading {key.homework}",
                unit="submission",
                disable=not shows_progress(settings.progress),
            ) as bar,
        ):
            for job in jobs:
                job["out"] = str(places[job["name"]].with_name(f".unfinished-{places[job['name']].name}"))
            for job, told in workers.results(jobs):
                if not told["ok"]:
                    write_failed(job, key, told)
                put_in_place(Path(job["out"]), places[job["name"]])
                bar.update()


def put_in_place(done: Path, place: Path) -> None:
    old = place.with_name(f".unfinished-old-{place.name}")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    done.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def write_failed(job: dict[str, Any], key: Key, told: dict[str, Any]) -> None:
    """A report for a submission that the grader could not cope with; it is tried again in the next run."""
    from gan_course.grading.grade import chosen, empty_result, number, report_part

    why = "it took too long" if told["code"] is None else f"its process ended with status {told['code']}"
    message = f"the grader itself failed on this submission: {why}"
    questions = [empty_result(one, chosen(one, False), message) for one in key.questions]
    report = {
        "submission": job["name"],
        "homework": key.homework,
        "status": "failed",
        "message": message,
        "points": 0,
        "possible": number(sum(one["possible"] for one in questions)),
        "questions": questions,
        "reports": [report_part(one, None) for one in key.reports],
        "isolation": {},
        "seconds": round(told["seconds"], 2),
        "digest": job["digest"],
    }
    shutil.rmtree(job["out"], ignore_errors=True)
    reports.write(report, key, Path(job["out"]))


def imported_by(key: Key) -> list[str]:
    """Modules that the homework's own cells import: kernels start with them."""
    import ast

    found = []
    for source in [source for _, source in key.setup] + [question.solution for question in key.questions]:
        with contextlib.suppress(SyntaxError):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Import):
                    found += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return list(dict.fromkeys(found))


def course_cache() -> Path | None:
    """What the course has already rendered, which needs no second rendering."""
    import platformdirs

    place = os.environ.get("GAN_COURSE_CACHE") or platformdirs.user_cache_dir("gan_course", appauthor=False)
    return Path(place) if Path(place).is_dir() else None


class Workers:
    """Processes that grade. A context manager: they end with it, whatever they are at.

    `patience`: seconds after which a worker that has not answered is ended; it ends what it grades earlier.
    """

    def __init__(self, count: int, settings: Path, patience: float) -> None:
        self.count, self.settings, self.patience = count, settings, patience
        self.since: dict[subprocess.Popen, float] = {}
        self.processes: list[subprocess.Popen] = []

    def __enter__(self) -> Self:
        self.processes = [self.start() for _ in range(self.count)]
        return self

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            # -P: no module from the folder we are in, which may be that of the submissions
            [sys.executable, "-P", "-m", "gan_course.grading.worker", self.settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours, and reaches them through us
        )

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()  # what it has started ends with it
        for process in self.processes:
            process.wait()
            process.stdin.close()
            process.stdout.close()

    def results(self, jobs: Iterable[dict[str, Any]]) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
        """Each job with what its worker told of it, in the order in which they are done."""
        waiting = [(job, 1) for job in reversed(list(jobs))]
        under_way: dict[subprocess.Popen, tuple[dict[str, Any], int]] = {}
        with selectors.DefaultSelector() as selector:
            for process in self.processes:
                selector.register(process.stdout, selectors.EVENT_READ, process)
                self.hand_out(process, waiting, under_way)
            while under_way:
                self.end_silent(under_way)
                for event, _ in selector.select(LOOK_AGAIN):
                    process = event.data
                    if process not in under_way:
                        selector.unregister(process.stdout)
                        continue
                    job, tries = under_way.pop(process)
                    line = process.stdout.readline()
                    if line:
                        told = json.loads(line)
                    else:
                        selector.unregister(process.stdout)
                        told = {"ok": False, "code": process.wait(), "seconds": 0.0}
                        self.processes.remove(process)
                        process = self.start()
                        self.processes.append(process)
                        selector.register(process.stdout, selectors.EVENT_READ, process)
                    if told["ok"] or tries >= TRIES:
                        yield job, told
                    else:
                        waiting.append((job, tries + 1))
                    self.hand_out(process, waiting, under_way)

    def end_silent(self, under_way: Iterable[subprocess.Popen]) -> None:
        """Kills workers whose time is up; the end of their output is then their answer."""
        for process in under_way:
            if time.monotonic() - self.since[process] > self.patience:
                process.kill()

    def hand_out(
        self,
        process: subprocess.Popen,
        waiting: list[tuple[dict[str, Any], int]],
        under_way: dict[subprocess.Popen, tuple[dict[str, Any], int]],
    ) -> None:
        if waiting:
            job, tries = waiting.pop()
            under_way[process] = (job, tries)
            self.since[process] = time.monotonic()
            shutil.rmtree(job["out"], ignore_errors=True)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
