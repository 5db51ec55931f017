"""The homework of the course: well formed, verified as it stands, and released as it stands."""

import json
from pathlib import Path

import pytest

from gan_course.grading import catch_rates, notebooks, release, verdict
from gan_course.grading import key as keys
from gan_course.grading.grade import complete
from gan_course.grading.plain import PlainRunner
from gan_course.grading.runner import NbvalRunner
from gan_course.grading.verify import FEWEST_MUTANTS, Trial, read_written, verify

HOMEWORK = Path(__file__).resolve().parents[1] / "homework"
RELEASED = HOMEWORK / "released"
FOLDERS = notebooks.homework_folders(HOMEWORK)
NUMBERS = (
    "widths",
    "offsets",
    "digest",
)  # of a sealed value: they differ in the last digits between machines

each_homework = pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])


def draft_of(folder):
    source = notebooks.read_source(folder)
    return source, keys.draft(source)


def without_numbers(checks):
    for question in checks["questions"]:
        for check in question["checks"]:
            for record in check["reference"]:
                for name in NUMBERS:
                    record.pop(name, None)
    return checks


def without_references(checks):
    for question in checks["questions"]:
        for check in question["checks"]:
            del check["reference"]
    return checks


def test_there_are_seven():
    assert [folder.name.split("_")[0] for folder in FOLDERS] == [f"hw{number}" for number in range(7)]


@each_homework
def test_is_well_formed(folder):
    source, key = draft_of(folder)
    assert folder.name.split("_")[0] == source.homework == source.path.name.split("_")[0]
    mutants = read_written(source, key, "mutants")
    assert len(mutants) >= FEWEST_MUTANTS
    assert len({mutant.code[question] for mutant in mutants for question in mutant.code}) == len(mutants)
    assert read_written(source, key, "alternatives")
    assert {question for mutant in mutants for question in mutant.code} == set(source.questions), "one each"


@each_homework
def test_published_catch_rate_is_of_this_homework(folder):
    source, _ = draft_of(folder)
    rate = catch_rates.read(HOMEWORK).get(source.homework)
    again = f"run: gan-course homework verify {source.homework}"
    assert rate is not None and rate.fingerprint == catch_rates.fingerprint(source), again
    assert rate.caught == rate.mutants == len(list((folder / "mutants").glob("*.py")))


def test_published_table_is_that_of_the_records():
    table = catch_rates.table(catch_rates.read(HOMEWORK))
    assert (HOMEWORK / catch_rates.TABLE).read_text(encoding="utf-8") == table


@each_homework
def test_release_is_not_stale(folder):
    """All but the sealed values, which only the reference answers give."""
    source, key = draft_of(folder)
    stored = RELEASED / folder.name
    again = f"run: gan-course homework release {source.homework} --to {stored.relative_to(HOMEWORK.parent)}"
    files = release.student_files(source, key)
    found = {path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file()}
    assert found == set(files), again
    for name, text in files.items():
        in_store = (stored / name).read_text(encoding="utf-8")
        if name.endswith("_checks.json"):
            assert without_references(json.loads(in_store)) == without_references(json.loads(text)), again
        else:
            assert in_store == text, f"{name}: {again}"


@each_homework
def test_release_shows_nothing_of_solutions_and_hidden_checks(folder):
    source, _ = draft_of(folder)
    stored = RELEASED / folder.name
    files = {path.relative_to(stored).as_posix(): path.read_text(encoding="utf-8")
             for path in stored.rglob("*") if path.is_file()}  # fmt: skip
    assert release.leaks(source, files) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@each_homework
def test_tells_right_from_wrong(folder):
    found = verify(folder)
    assert found.problems == ()
    stored = keys.read(RELEASED / folder.name / f"{found.source.homework}_checks.json")
    now = keys.to_json(found.key.of_students())
    assert without_numbers(keys.to_json(stored)) == without_numbers(now), "the release is stale"
    for question, right in zip(stored.questions, found.key.questions, strict=True):
        shown = [check for check in right.checks if check.visible]
        for check, reference in zip(question.checks, shown, strict=True):
            assert verdict.difference(check.reference, reference.reference) is None, check.id


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kernel_and_nbval_decide_as_the_forks_do():
    source, key = draft_of(FOLDERS[0])
    with PlainRunner() as plain:
        key = complete(key, plain)
    trial = Trial(key, NbvalRunner(cell_seconds=60), seconds=250)
    assert list(trial.solution()) == []
    for mutant in read_written(source, key, "mutants")[::8]:
        assert list(trial.mutant(mutant)) == []
