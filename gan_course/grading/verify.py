"""Does the grader of a homework tell right from wrong? Verified on answers of which it is known.

The scaffold must score 0, the solution and other right ways of writing it 100%, and every planted wrong
answer must lose points by a message that names its mistake. Answers that do nothing must pass no check.
"""

import ast
import dataclasses
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gan_course.grading import key as keys
from gan_course.grading import release
from gan_course.grading.grade import QUESTION_SECONDS, Judge, complete
from gan_course.grading.key import Key, Question
from gan_course.grading.notebooks import Answer, Source, Submission, read_source
from gan_course.grading.plain import PlainRunner
from gan_course.grading.runner import Runner

FEWEST_MUTANTS = 12
HEAD = re.compile(r"^# (question|says|why): *(.*)$")

# Bodies of answers that know nothing: a check that one of them passes could be passed by guessing.
IDLE = {
    "returns 0": "return 0.0",
    "returns 1": "return 1.0",
    "returns nothing": "return None",
    "returns its first argument": "return (*args, *options.values(), None)[0]",
    "returns zeros": "return (*args, *options.values(), 0.0)[0] * 0",
    "returns something equal to everything": "return Everything()",
}
EVERYTHING = '''
class Everything(float):
    """Equal to all, and whatever is asked of it is itself."""

    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __call__(self, *args, **options): return self
    def __getattr__(self, name): return self
    def __getitem__(self, index): return self
    def __iter__(self): return iter((self, self))
'''


@dataclasses.dataclass(frozen=True)
class Written:
    """An answer beside the notebook: code by question, and for a planted mistake what to say of it."""

    name: str
    code: Mapping[str, str]
    says: str = ""
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Verified:
    """What came out. `problems` is empty where all is as it should be."""

    source: Source
    key: Key
    mutants: int
    caught: int
    alternatives: int
    problems: tuple[str, ...]


def verify(folder: Path, run: Runner | None = None, seconds: float = QUESTION_SECONDS) -> Verified:
    """Verifies a homework folder.

    Args:
        folder: the source folder of a homework.
        run: runs the answers; by default forks of one prepared process. The reference values come from
            such forks in any case.
        seconds: time limit of an answer.

    Raises ValueError where the homework breaks the format, or its reference answer does not run.
    """
    source = read_source(folder)
    with PlainRunner() as plain:
        key = complete(keys.draft(source), plain, seconds)
        trial = Trial(key, run or plain, seconds)
        mutants = read_written(source, key, "mutants")
        alternatives = read_written(source, key, "alternatives")
        missed = [problem for mutant in mutants for problem in trial.mutant(mutant)]
        problems = [
            *trial.solution(),
            *trial.scaffold(),
            *(problem for one in alternatives for problem in trial.alternative(one)),
            *missed,
            *trial.idle(),
            *release.leaks(source, release.student_files(source, key)),
        ]
    if len(mutants) < FEWEST_MUTANTS:
        problems.append(f"{len(mutants)} planted wrong answers; at least {FEWEST_MUTANTS} are asked for")
    if not alternatives:
        problems.append("no other right way of writing the solution lies in alternatives/")
    caught = len(mutants) - len({problem.split(":")[0] for problem in missed})
    return Verified(source, key, len(mutants), caught, len(alternatives), tuple(problems))


def reference(folder: Path) -> Verified:
    """A homework with its key, and nothing tried out."""
    source = read_source(folder)
    with PlainRunner() as plain:
        key = complete(keys.draft(source), plain)
    return Verified(source, key, mutants=0, caught=0, alternatives=0, problems=("not verified",))


@dataclasses.dataclass
class Trial:
    """Runs known answers against a key; each method yields what is not as it should be."""

    key: Key
    run: Runner
    seconds: float

    def result(self, question: Question, answers: Mapping[str, str]) -> dict[str, Any]:
        """The result of a question, where some answers replace the reference ones."""
        cells = [Answer(answers.get(one.name, one.solution), one.cell) for one in self.key.questions]
        submission = Submission(tuple(cells))
        with tempfile.TemporaryDirectory(prefix="gan-course-verify-") as work:
            judge = Judge(self.key, Path(work), self.run, seconds=self.seconds)
            result, _ = judge.judge(judge.assembled(submission, question, ()), submission, question)
        return result

    def solution(self) -> Iterator[str]:
        for question in self.key.questions:
            result = self.result(question, {})
            if result["status"] != "right":
                yield f"the solution of {question.name} loses points: {told(result)}"

    def scaffold(self) -> Iterator[str]:
        for question in self.key.questions:
            result = self.result(question, {question.name: question.scaffold})
            if result["points"]:
                yield f"the scaffold of {question.name} scores {result['points']} of {result['possible']}"

    def alternative(self, written: Written) -> Iterator[str]:
        """Everything that the other answers touch must score full points."""
        for question in self.key.questions:
            if {question.name, *self.key.needed(question.name)} & set(written.code):
                result = self.result(question, written.code)
                if result["status"] != "right":
                    yield f"{written.name}: right, but {question.name} loses points: {told(result)}"

    def mutant(self, written: Written) -> Iterator[str]:
        """A planted mistake must cost points, and be called by its name."""
        (name,) = written.code
        result = self.result(self.key.by_name[name], written.code)
        if result["points"] == result["possible"]:
            yield f"{written.name}: not caught: {written.why}"
        elif not any(written.says.lower() in message.lower() for message in result["messages"]):
            yield f"{written.name}: caught, but no message says {written.says!r}: {told(result)}"

    def idle(self) -> Iterator[str]:
        """Answers that do nothing must pass nothing."""
        for question in self.key.questions:
            for what, body in IDLE.items():
                result = self.result(question, {question.name: idle_answer(question, body)})
                for check, one in zip(question.checks, result["checks"], strict=True):
                    if one["points"]:
                        yield f"check {check.id}: an answer that {what} passes; send what cannot be guessed"


def told(result: dict[str, Any]) -> str:
    return "; ".join(result["messages"]) or result["status"]


def idle_answer(question: Question, body: str) -> str:
    """Functions and classes of the names asked for that only do what `body` says."""
    parts = [EVERYTHING]
    for node in ast.parse(question.solution).body:
        if getattr(node, "name", None) not in question.defines:
            continue
        if not isinstance(node, ast.ClassDef):
            parts.append(f"def {node.name}(*args, **options):\n    {body}\n")
            continue
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        parts.append(
            f"class {node.name}({bases}):\n"
            "    def __init__(self, *args, **options):\n        super().__init__()\n"
            f"    def forward(self, *args, **options):\n        {body}\n"
            + ("" if bases else f"    def __call__(self, *args, **options):\n        {body}\n")
        )
    return "\n".join(parts)


# ---- the files beside the notebook -----------------------------------------------------------------


def read_written(source: Source, key: Key, kind: str) -> list[Written]:
    """The answers in a homework's folder "mutants" or "alternatives", by name.

    Raises ValueError where one lacks its head or answers a question that there is not.
    """
    found = [read_one(path) for path in sorted((source.folder / kind).glob("*.py"))]
    for one in found:
        path = source.folder / kind / one.name
        for question in one.code:
            if question not in key.by_name:
                raise ValueError(f"{path}: question {question!r} is none of {', '.join(key.by_name)}")
        if kind == "mutants" and (len(one.code) != 1 or not one.says or not one.why):
            raise ValueError(
                f"{path}: begins with '# question: ...', '# says: ...' and '# why: ...', once each"
            )
    return found


def read_one(path: Path) -> Written:
    code: dict[str, list[str]] = {}
    head = {"says": "", "why": ""}
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        found = HEAD.match(line)
        if found and found[1] == "question":
            lines = code.setdefault(found[2].strip(), [])
        elif found and found[1] in head and not any(part.strip() for part in lines):
            head[found[1]] = found[2].strip()
        elif code:
            lines.append(line)
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"{path}: must begin with '# question: ...'")
    if not code:
        raise ValueError(f"{path}: must begin with '# question: ...'")
    return Written(path.name, {name: "\n".join(part).strip("\n") for name, part in code.items()}, **head)
