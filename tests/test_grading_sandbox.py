"""The sandbox, and the grading of a class: what is kept, what is written, what is left behind."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import handed_in
import pytest
from handed_in import right
from test_bad_submissions import SLEEPER, folder_of, key, only, read  # noqa: F401  (key is a fixture)

from gan_course.grading import batch, gradebook, jail, launcher, reports
from gan_course.grading import key as keys
from gan_course.grading.batch import Settings, find_submissions, folder_names, grade_class
from gan_course.grading.gradebook import Student
from gan_course.grading.limits import Limits

linux = pytest.mark.skipif(not jail.on_linux(), reason="the sandbox needs Linux")
NASTY = "<script>alert(1)</script> ![x](http://x) `a` | b\n::error::c %0A \x1b[31m\u202eabc\x00"


def report(name="ada.ipynb", points=5, message="the sign is wrong", status="graded"):
    question = {
        "question": "loss",
        "points": points,
        "possible": 10,
        "status": "right" if points == 10 else "wrong",
        "messages": [] if points == 10 else [message],
        "checks": [{"visible": False, "points": points, "possible": 10, "message": message}],
    }
    return {
        "submission": name,
        "homework": "hw9",
        "status": status,
        "points": points,
        "possible": 10,
        "questions": [question],
        "reports": [{"question": "essay", "points": None, "possible": 90, "answered": True, "criteria": []}],
        "isolation": {},
        "seconds": 1.0,
    }


def small_key():
    question = keys.Question("loss", "loss-answer", ("loss",), "", "", (keys.Check("c", "", 10, False, ()),))
    rubric = ({"name": "clear", "points": 90},)
    return keys.Key("hw9", "Tiny", (), (question,), (keys.Report("essay", "e", 90, "", rubric),))


# ---- what is written -------------------------------------------------------------------------------------


def test_untrusted_text_is_harmless_wherever_it_is_put(tmp_path):
    nasty = report(name=NASTY, message=NASTY)
    reports.write(nasty, small_key(), tmp_path)
    page = (tmp_path / "feedback.html").read_text()
    assert "<script" not in page and "\x1b" not in page and "\u202e" not in page
    text = (tmp_path / "feedback.md").read_text()
    assert "<script" not in text and "![x]" not in text and "\n::error" not in text
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert suite.attrib["failures"] == "1"
    for line in reports.annotations([nasty]):
        assert "\n" not in line and line.count("::error") == 2 and line.startswith("::error title=")
        assert "%0A" not in line


def test_annotations_stay_within_the_limit_of_github():
    found = reports.annotations([report(f"{n}.ipynb") for n in range(25)])
    assert len(found) == 10
    assert "16 more" in found[-1]
    assert reports.annotations([report(points=10)]) == []


def test_github_gets_a_summary_and_others_do_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    reports.tell_github([report()], "# class")
    assert not (tmp_path / "summary").exists()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    reports.tell_github([report()], "# class")
    assert (tmp_path / "summary").read_text() == "# class\n"
    assert capsys.readouterr().out.startswith("::error title=ada.ipynb loss")


def roster(path, text):
    path.write_text(text, encoding="utf-8-sig")
    return gradebook.read_roster(path)


def test_a_roster_may_come_from_any_spreadsheet(tmp_path):
    path = tmp_path / "roster.csv"
    assert [one.name for one in roster(path, "Name;Mail\nAda Lovelace;ada@x.org\n\n")] == ["Ada Lovelace"]
    assert [one.name for one in roster(path, "First name,Last name\nAda,Lovelace\n")] == ["Ada Lovelace"]
    assert [one.name for one in roster(path, "Ada\nBob\n")] == ["Ada", "Bob"]
    with pytest.raises(ValueError, match="'name'"):
        roster(path, "mail,number\na@x.org,1\n")
    with pytest.raises(ValueError, match="2 times"):
        roster(path, "name,x\nAda,1\nAda,2\n")


def test_submissions_find_their_students():
    students = [
        Student("Ada Lovelace", {"github": "ada-l"}),
        Student("Ann", {}),
        Student("Anna Maria", {}),
        Student("Maria", {"number": "4711"}),
    ]
    names = {
        "hw3_Lovelace, Ada_final (2).ipynb": "Ada Lovelace",
        "hw3-ada-l": "Ada Lovelace",
        "anna_maria.ipynb": "Anna Maria",
        "4711_hw3.ipynb": "Maria",
        "ann.ipynb": "Ann",
        "ANNABEL.ipynb": None,
        "ada lovelace and ann.ipynb": "Ada Lovelace",
        "Ann Maria Bob.ipynb": "Maria",
    }
    found = gradebook.match(names, students)
    assert {name: found[name].name if name in found else None for name in names} == names


def test_the_gradebook_has_a_row_for_everyone_and_keeps_what_was_filled_in(tmp_path):
    path, key_ = tmp_path / "gradebook.csv", small_key()
    students = [Student("Zoe"), Student("=cmd()"), Student("Ada")]
    found = [report("ada.ipynb", 10), report("ada-2.ipynb", 4), report("bob.ipynb", 0, status="unreadable")]
    gradebook.write_gradebook(path, gradebook.rows_of(found, students), key_)
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig")))
    assert [row["name"] for row in rows] == ["Zoe", "'=cmd()", "Ada", "bob"]
    assert [row["points"] for row in rows] == ["0", "0", "10", "0"]
    assert rows[0]["status"] == "no submission"
    assert rows[2]["status"] == "graded, best of 2"
    assert rows[3]["status"] == "unreadable, not on the roster"
    rubric = "essay: clear (of 90)"
    assert rows[2][rubric] == ""
    path.write_text(path.read_text(encoding="utf-8-sig").replace("10,10,10,,", "10,10,10,77,good"))
    gradebook.write_gradebook(path, gradebook.rows_of(found, students), key_)
    again = list(csv.DictReader(path.open(encoding="utf-8-sig")))
    assert (again[2][rubric], again[2]["comment"]) == ("77", "good")


def test_the_summary_shows_the_distribution_and_the_hardest_question():
    found = [report(f"{n}.ipynb", n) for n in (0, 5, 10)]
    assert gradebook.distribution(found) == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    text = gradebook.summary_markdown(gradebook.rows_of(found, None), small_key())
    assert "| loss | 50% | 2 times: the sign is wrong |" in text
    page = gradebook.summary_html(
        gradebook.rows_of(found, None), small_key(), {f"{n}.ipynb": f"submissions/{n}" for n in (0, 5, 10)}
    )
    assert 'href="submissions/5/feedback.html"' in page


# ---- finding submissions ---------------------------------------------------------------------------------


def test_the_notebook_in_a_folder_is_found_by_what_it_is(tmp_path):
    own = tmp_path / "grace-hopper/work"
    (own / ".ipynb_checkpoints").mkdir(parents=True)
    (own / ".ipynb_checkpoints/a.ipynb").write_text(json.dumps(handed_in.handed_in()))
    (own / "scratch.ipynb").write_text(json.dumps({"cells": [], "metadata": {}}))
    (own / "x.ipynb").write_text(json.dumps(handed_in.released()))
    (tmp_path / "empty-handed").mkdir()
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "roster.csv").write_text("name\nx\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = {one.name: one for one in find_submissions(tmp_path, small_key())}
    assert set(found) == {"grace-hopper", "empty-handed", "loop"}
    hw9 = {one.name: one for one in find_submissions(tmp_path, small_key())}
    assert hw9["grace-hopper"].path == own / "x.ipynb"
    assert "no notebook" in found["empty-handed"].trouble
    assert "a link" in found["loop"].trouble
    with pytest.raises(FileNotFoundError, match="no submissions"):
        find_submissions(tmp_path / "nowhere", small_key())


def test_names_of_files_may_be_any_bytes_and_folders_may_be_full(tmp_path):
    for name in (b"caf\xe9.ipynb", b"caf\xe8.ipynb", b"a\nb.ipynb", b"c\x01.ipynb"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"{}")
    own = tmp_path / "ada/data"
    own.mkdir(parents=True)
    for number in range(3000):
        (own / f"{number}.png").touch()
    (own / "hw9.ipynb").write_text(json.dumps(handed_in.released()))
    found = find_submissions(tmp_path, small_key())
    assert len({one.name for one in found}) == 5
    assert all(one.name.isprintable() and one.name.encode() for one in found)
    assert [one.path for one in found if one.name == "ada"] == [own / "hw9.ipynb"]


@linux
def test_the_grader_imports_nothing_from_the_folder_it_is_started_in(key, tmp_path, monkeypatch):  # noqa: F811
    submissions = hand_in(tmp_path / "in", {"cy": CLASS["cy"]})
    for name in ("json", "ast", "zmq", "nbformat", "gan_course"):
        (submissions / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n1 / 0\n")
    monkeypatch.chdir(submissions)
    result = grade_class(submissions, key, tmp_path / "out", Settings(run_seconds=0, progress=False))
    assert not (tmp_path / "imported").exists()
    assert [one["status"] for one in result.reports if one["submission"] == "cy.ipynb"] == ["graded"]


@linux
def test_a_set_up_that_does_not_run_is_the_graders_trouble(key, tmp_path):  # noqa: F811
    broken = dataclasses.replace(key, setup=(("setup", "raise OSError('no such data')"),))
    submissions = hand_in(tmp_path / "in", {"ada": CLASS["ada"]})
    result = grade_class(submissions, broken, tmp_path / "out", Settings(run_seconds=0, progress=False))
    (one,) = result.reports
    assert one["status"] == "failed"
    assert "the set-up did not run to its end" in one["message"]


def test_a_worker_that_says_nothing_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "LOOK_AGAIN", 0.1)
    monkeypatch.setattr(batch.Workers, "start", lambda self: silent_process())
    with batch.Workers(1, tmp_path, patience=0.2) as workers:
        told = list(workers.results([{"name": "ada", "out": str(tmp_path / "ada")}]))
    assert [(job["name"], one["ok"]) for job, one in told] == [("ada", False)]


def silent_process():
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    return subprocess.Popen(sleeping, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_every_submission_has_a_folder_of_its_own():
    names = ["a.ipynb", "A.ipynb", "a", "../../a.ipynb", "..", "ä ö.ipynb", "x" * 300]
    folders = folder_names(names)
    assert len({one.casefold() for one in folders.values()}) == len(names)
    assert all("/" not in one and one.strip(".") and len(one) < 100 for one in folders.values())


def test_limits_must_be_sensible():
    with pytest.raises(ValueError, match="memory_mib is 0"):
        Limits(memory_mib=0)
    with pytest.raises(ValueError, match="--workers is 0"):
        Settings(workers=0)


# ---- a class ---------------------------------------------------------------------------------------------

CLASS = {
    "ada": only(right("softplus")),
    "bob": only("def softplus(x):\n    return np.log(1 + np.exp(x))"),
    "cy": handed_in.released(),
}


def hand_in(folder, cases):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in cases.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(content))
    return folder


def contents(out):
    """All files of the reports, without the times that stand in them."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name != "timing.json":
            text = path.read_text()
            if path.name == "report.json":
                told = json.loads(text)
                assert told.pop("seconds") >= 0
                text = json.dumps(told)
            found[path.relative_to(out).as_posix()] = text
    return found


@linux
def test_a_class_is_graded_once_whatever_the_number_of_workers(key, tmp_path):  # noqa: F811
    submissions = hand_in(tmp_path / "in", CLASS)
    os.mkfifo(submissions / "pipe.ipynb")  # whoever reads it waits for ever
    (submissions / "link.ipynb").symlink_to(submissions / "ada.ipynb")
    settings = {"run_seconds": 0, "progress": False}
    first = grade_class(submissions, key, tmp_path / "one", Settings(workers=1, **settings))
    assert [one["points"] for one in first.reports] == [30, 10, 0, 0, 0]
    assert [one["status"] for one in first.reports] == ["graded"] * 3 + ["unreadable"] * 2
    second = grade_class(submissions, key, tmp_path / "two", Settings(workers=2, **settings))
    assert second.graded == 5
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    before = contents(tmp_path / "two")
    again = grade_class(submissions, key, tmp_path / "two", Settings(workers=2, **settings))
    assert (again.graded, again.kept) == (0, 5)
    assert contents(tmp_path / "two") == before
    hand_in(submissions, {"cy": CLASS["ada"]})
    changed = grade_class(submissions, key, tmp_path / "two", Settings(workers=1, **settings))
    assert (changed.graded, changed.kept) == (1, 4)
    assert changed.reports[2]["points"] == 30


def command(key, submissions, out, *more):  # noqa: F811
    place = submissions.parent / "key"
    keys.write(key, place / "key.json")
    words = ["homework", "grade", submissions, "--key", place, "--out", out, "--workers", "1", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "gan_course.grading.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(submissions.parent)},
        # a background job ignores Ctrl-C, and so would all that it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(found, seconds=300):
    until = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < until
        time.sleep(0.02)


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_goes_on_where_it_was(key, tmp_path, number):  # noqa: F811
    slow = only(f"import os\ndef softplus(x):\n    os.system('sleep {SLEEPER}')")
    submissions = hand_in(tmp_path / "in", {"ada": CLASS["ada"], "slow": slow, "zoe": CLASS["cy"]})
    out = tmp_path / "out"
    process = command(key, submissions, out, "--run-timeout", "0")
    wait_for(lambda: (out / "submissions/ada/report.json").exists() and sleepers())
    process.send_signal(number)
    told = process.communicate(timeout=30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), told
    wait_for(lambda: not sleepers(), 10)
    before = (out / "submissions/ada/report.json").read_text()
    hand_in(submissions, {"slow": CLASS["bob"]})
    process = command(key, submissions, out, "--run-timeout", "0")
    told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert "3 submissions, 2 graded now, 1 before" in told[0]
    assert (out / "submissions/ada/report.json").read_text() == before
    assert not list((out / "submissions").glob(".*"))


def sleepers():
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if SLEEPER in read(path)]


@linux
def test_a_system_without_namespaces_is_told_of_and_still_cleaned_up(key, tmp_path):  # noqa: F811
    orphan = (
        "import subprocess\ndef softplus(x):\n"
        f"    subprocess.Popen(['setsid', 'sleep', '{SLEEPER}'], start_new_session=True)\n"
        "    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))"
    )
    submissions = hand_in(tmp_path / "in", {"ada": only(orphan)})
    result = grade_class(
        submissions, key, tmp_path / "out", Settings(run_seconds=0, namespaces=False, progress=False)
    )
    (one,) = result.reports
    assert one["points"] == 30
    assert one["isolation"]["namespaces"] == []
    assert not sleepers()
    feedback = (folder_of(one, tmp_path / "out") / "feedback.md").read_text()
    assert "no namespaces" in feedback


@linux
def test_the_whole_notebook_is_run_for_feedback_and_does_not_count(key, tmp_path):  # noqa: F811
    notebook = only(right("softplus"))
    (parameters,) = (one for one in notebook["cells"] if one["id"] == "parameters")
    parameters["source"] = "FAST = False\nSEED = 0"
    notebook["cells"] += [
        handed_in.cell("code", f"x{n}", code) for n, code in enumerate(["1 / 0", "print(6 * 7, FAST)"])
    ]
    submissions = hand_in(tmp_path / "in", {"ada": notebook})
    result = grade_class(submissions, key, tmp_path / "out", Settings(progress=False))
    assert result.reports[0]["points"] == 30
    place = tmp_path / "out/submissions/ada"
    assert "ZeroDivisionError" in (place / "feedback.md").read_text()
    executed = json.loads((place / "executed.ipynb").read_text())
    assert executed["cells"][-1]["outputs"][0]["text"] in ("42 True\n", ["42 True\n"])


def test_processes_are_found_at_any_depth():
    script = "import subprocess, sys; subprocess.run(['sleep', '30'])"
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        try:
            wait_for(lambda: len(launcher.descendants(process.pid)) == 1)
            (below,) = launcher.descendants(process.pid)
            assert launcher.resident(below) > 0
            os.kill(below, signal.SIGKILL)
        finally:
            process.kill()
