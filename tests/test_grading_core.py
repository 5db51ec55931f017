"""The core of the grader: what a check sends, the verdict, cutting answers out, verify, check, release."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_homework as tiny
from hypothesis import given, settings
from hypothesis import strategies as some
from IPython.core.interactiveshell import InteractiveShell

from gan_course.grading import (
    assemble,
    check,
    cli,
    definitions,
    messages,
    notebooks,
    probes,
    release,
    verdict,
)
from gan_course.grading import key as keys
from gan_course.grading.grade import complete, grade_notebook
from gan_course.grading.notebooks import Answer, Submission, Unreadable
from gan_course.grading.outcomes import CellRun
from gan_course.grading.plain import PlainRunner
from gan_course.grading.runner import NbvalRunner, read_results
from gan_course.grading.verify import verify

EVERYTHING_PASSES = 80  # points of the tiny homework's code


@pytest.fixture(scope="module")
def plain():
    with PlainRunner() as runner:
        yield runner


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("homework"))


@pytest.fixture(scope="module")
def key(home, plain):
    return complete(keys.draft(notebooks.read_source(home)), plain)


def graded(path, key, run, tmp_path, **options):
    return grade_notebook(path, key, tmp_path / "work", run, **options)


def points(report):
    return {one["question"]: one["points"] for one in report["questions"]}


def said(report, question):
    return " ".join(next(one for one in report["questions"] if one["question"] == question)["messages"])


# ---- values ----------------------------------------------------------------------------------------


def sent(value, name="v", tolerance=1e-5):
    """The record of a value as it arrives: after a passage through JSON."""
    record = {"name": name, "says": "wrong", "tolerance": tolerance, **probes.encode(value)}
    return json.loads(json.dumps(record, allow_nan=False))


def same(right, value, **options):
    return verdict.difference([sent(right, **options)], [sent(value)]) is None


def test_numbers_arrays_and_tensors_of_equal_value_are_equal():
    torch = pytest.importorskip("torch")
    for one in (
        0.5,
        np.float32(0.5),
        np.array(0.5),
        torch.tensor(0.5),
        torch.tensor(0.5, dtype=torch.bfloat16),
    ):
        assert same(0.5, one)
    for one in ([1, 0], (True, False), np.array([1, 0], dtype=np.uint8), torch.tensor([True, False])):
        assert same([1.0, 0.0], one)
    assert same(torch.ones(2, 3, requires_grad=True), np.ones((2, 3)))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [0.5],
        [[0.5]],
        "0.5",
        0.5002,
        math.nan,
        math.inf,
        object(),
        [[1], [2, 3]],
        np.zeros(1001),
        1j,
        [],
    ],
)
def test_nothing_else_equals_a_number(value):
    assert not same(0.5, value)


def test_objects_that_equal_everything_equal_nothing():
    class Everything(float):
        __eq__ = lambda self, other: True  # noqa: E731
        __hash__ = None

    class Silent:
        __eq__ = lambda self, other: True  # noqa: E731
        __hash__ = None
        __float__ = __getattr__ = lambda *arguments: 0.5

    assert not same(0.75, Everything(0.5))
    assert not same(0.75, Silent())


def test_not_a_number_and_infinity():
    assert not same(math.nan, math.nan)
    assert same(math.inf, math.inf)
    assert not same(math.inf, -math.inf)


def test_strings_are_compared_letter_by_letter():
    assert same("real", "real")
    assert not same("real", "fake")
    assert not same("real", 1.0)
    assert not same("x" * 41, "x" * 41), "longer ones are not sent"


def test_values_too_many_too_few_renamed_or_in_another_order_are_wrong():
    right = [sent(1.0, "a"), sent(2.0, "b")]
    assert verdict.difference(right, [sent(1.0, "a"), sent(2.0, "b")]) is None
    for wrong in ([], right[:1], right[::-1], [*right, sent(3.0, "c")], [sent(1.0, "a"), sent(2.0, "c")]):
        assert verdict.difference(right, wrong) is not None
    assert verdict.difference([], right), "without reference values nothing is right"


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"values": [0.5]},
        {"shape": [], "values": "0.5"},
        {"shape": [], "values": [[0.5]]},
        {"shape": {}, "values": [0.5]},
        {"shape": [], "values": [10**400]},
        {"shape": [1], "values": [0.5]},
        {"text": "\ud800"},
    ],
)
def test_malformed_records_are_wrong_and_raise_nothing(record):
    for right in (sent(0.5), verdict.seal(sent(0.5), "place"), verdict.seal(sent("half"), "place")):
        assert verdict.difference([right], [{"name": "v", **record}]) is not None


@settings(max_examples=60, deadline=None)
@given(
    some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=4),
    some.floats(1e-7, 1e-3),
    some.floats(-3, 3),
    some.integers(0, 3),
)
def test_sealed_values_accept_what_clear_ones_accept(values, tolerance, steps, place):
    right = sent(values, tolerance=tolerance)
    tried = list(values)
    place %= len(values)
    tried[place] += steps * tolerance * verdict.scale(values[place])
    if abs(abs(steps) - 1) < 1e-2 or abs(values[place]) * 1e-15 > tolerance * 1e-2:
        return  # on the border, rounding decides
    in_clear = verdict.difference([right], [sent(tried)]) is None
    assert in_clear == (abs(steps) < 1)
    assert (verdict.difference([verdict.seal(right, "p")], [sent(tried)]) is None) == in_clear


def test_a_sealed_record_does_not_hold_the_value():
    text = json.dumps(verdict.seal(sent([0.6931471805, 12.25]), "p")) + json.dumps(
        verdict.seal(sent("hinge"), "p")
    )
    assert "0.693" not in text and "12.25" not in text and "hinge" not in text


# ---- reading submissions ---------------------------------------------------------------------------

CODE = {"cell_type": "code", "source": "def mean(values):\n    return 1"}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"cells": [CODE]}).encode("utf-8-sig"),
        json.dumps({"cells": [CODE]}).encode("utf-16"),
        json.dumps({"cells": [CODE | {"source": ["def mean(values):\n", "    return 1"]}]}).encode(),
        json.dumps({"cells": [CODE | {"source": "def mean(values):\r\n    return 1"}]}).encode(),
        json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": CODE["source"]}]}]}).encode(),
        json.dumps({"cells": [None, 3, CODE | {"metadata": None, "id": 7}], "metadata": []}).encode(),
    ],
    ids=["byte order mark", "utf-16", "lines", "carriage returns", "nbformat 3", "junk around"],
)
def test_reads_what_notebook_programs_write(content):
    (cell,) = notebooks.submission_of(content).code
    assert cell.source == CODE["source"]


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"%PDF-1.7\n...", "PDF"),
        (b'{"cells": [', "cut off"),
        (b"[1, 2]", "no notebook"),
        (b'{"nbformat": 4}', "no cells"),
        (b"\xff\xfe\xfa\xfb\x00", "no notebook"),
        (b"[" * 200_000, "no notebook"),
    ],
)
def test_says_why_a_file_cannot_be_read(content, reason, tmp_path):
    path = tmp_path / "s.ipynb"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        notebooks.read_submission(path)


def test_an_unreadable_file_gets_nothing_and_the_reason(key, plain, tmp_path):
    path = tmp_path / "hw9.ipynb"
    path.write_bytes(b"%PDF-1.4")
    report = graded(path, key, plain, tmp_path)
    assert (report["status"], report["points"], report["possible"]) == ("unreadable", 0, EVERYTHING_PASSES)
    assert "PDF" in report["message"]


# ---- cutting answers out ---------------------------------------------------------------------------


def cut(*sources, names=("f",), given=()):
    cells = definitions.take_apart([Answer(source) for source in sources])
    found, missing = definitions.cut(cells, names, {}, frozenset(given))
    return [piece.source.strip() for piece in found], missing


def runs(pieces):
    shell = InteractiveShell()
    for one in pieces:
        shell.run_cell(one).raise_error()
    return shell.user_ns["f"]


@pytest.mark.parametrize(
    "sources",
    [
        ["def f():\n    return 7"],
        ["import sys\nsys.exit()\ndef f():\n    return 7\nraise SystemExit"],
        ["f = lambda: 7\nwhile True: pass"],
        ["def g():\n    return 7", "1 / 0", "def f():\n    return g()"],
        ["def f():\n    return g()", "def g():\n    return SEVEN", "SEVEN = 7; 1 / 0 if False else 0"],
        [
            "class F(Base):\n    pass\ndef f():\n    return F().seven()",
            "class Base:\n    def seven(self): return 7",
        ],
        ["@twice\ndef f():\n    return 7 / 2", "def twice(g):\n    return lambda: int(2 * g())"],
        ["def f(n=SEVEN):\n    return n", "from math import floor\nSEVEN = floor(7.5)"],
        ["%matplotlib inline\n!pip list\ndef f():\n    return 7"],
        ["%%time\ndef f():\n    return 7"],
        ["try:\n    import nothing_of_that_name\nexcept ImportError:\n    def f():\n        return 7"],
        ["class N:\n    pass\nN.seven = 7\ndef f():\n    return N.seven"],
        ["class N:\n    pass\nsetattr(N, 'seven', 7)\ndef f():\n    return N.seven"],
        ["table = []\ntable.append(7)\ndef f():\n    return table[0]"],
        ["from math import *\ndef f():\n    return floor(7.5)"],
        ["import math\n\ndef f():\n    return [math.floor(x) for x in (7.5,)][0]"],
        ["sum = 7\ndef f():\n    return sum"],
        ["total = 0\nfor i in range(8):\n    total = i\ndef f():\n    return total"],
        ["def f():\n    global seen\n    seen = 7\n    return seen"],
        ["x: int = 7\ndef f() -> int:\n    return x"],
        ["a, b = 7, 8\ndef f():\n    return a"],
        ["def f(x: Unknown = 7) -> Unknown | None:\n    return x", "from __future__ import annotations"][
            ::-1
        ],
        ["_helper = 3\ndef f():\n    return _helper + 1", "_helper = 6\ndef f():\n    return _helper + 1"],
    ],
)
def test_takes_what_an_answer_needs_and_leaves_the_rest(sources):
    pieces, missing = cut(*sources)
    assert not missing
    assert runs(pieces)() == 7


def test_local_names_pull_nothing_in():
    pieces, _ = cut("def f(loss):\n    rate = loss\n    return rate", "loss = train()\nrate = train()")
    assert len(pieces) == 1


def test_does_not_take_what_the_setup_gives():
    pieces, _ = cut("import torch\ndef f():\n    return torch", given={"torch"})
    assert pieces == ["def f():\n    return torch"]


def test_line_numbers_stay_the_students():
    cells = definitions.take_apart([Answer("print(1)\n\ndef f():\n    return 7")])
    (piece,), _ = definitions.cut(cells, ["f"], {}, frozenset())
    assert piece.source.split("\n") == ["", "", "def f():", "    return 7"]


def test_says_what_is_not_defined():
    assert cut("def g(): pass")[1] == {"f"}
    assert cut("def f(:")[1] == {"f"}


def test_a_thousand_cells_each_on_the_next_do_no_harm():
    chain = [f"class C{i}(C{i + 1}): pass" for i in range(1500)]
    pieces, _ = cut("def f(): return C0", *chain)
    assert len(pieces) > 1000


# ---- assembling ------------------------------------------------------------------------------------


def test_the_notebook_of_a_question(key):
    answers = Submission(
        (Answer("import os\nos._exit(0)\ndef mean(values):\n    return 1.0", id="mean-answer"),)
    )
    notebook = assemble.question_notebook(answers, key, "spread", wrong={"mean"}).notebook
    ids = [cell.id for cell in notebook.cells]
    assert ids[:2] == ["setup-setup", "setup-parameters"]
    assert [one for one in ids if one.startswith("again-")] == ["again-setup", "again-parameters"]
    assert ids[-2:] == ["check-spread-visible", "check-spread-hidden"]
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "total_of_all_of_them" in text and "return 1.0" not in text, "the reference for what was wrong"
    own = assemble.question_notebook(answers, key, "mean").notebook
    text = "\n".join(cell.source for cell in own.cells)
    assert "total_of_all_of_them" not in text and "os._exit" not in text
    assert own.cells[-1].outputs[0]["data"][probes.MIME]["values"] == [2.975]


def test_what_a_check_assigns_does_not_overwrite_the_students_names(key, plain, tmp_path):
    # the checks call their own list `values`
    answer = (
        "values = 3\nmax = 5\n\n\ndef mean(numbers):\n    return sum(numbers) / len(numbers) + 0 * values"
    )
    path = tiny.submission(tmp_path / "s.ipynb", mean=answer)
    assert points(graded(path, key, plain, tmp_path))["mean"] == 40


# ---- grading, in forks of our own -------------------------------------------------------------------


def test_scaffold_solution_and_a_right_answer_written_elsewhere(key, plain, tmp_path):
    untouched = graded(tiny.submission(tmp_path / "a.ipynb"), key, plain, tmp_path)
    assert points(untouched) == {"mean": 0, "spread": 0}
    assert {one["status"] for one in untouched["questions"]} == {"missing"}
    assert "mean is not written yet" in said(untouched, "mean")
    solved = graded(
        tiny.submission(tmp_path / "b.ipynb", mean=tiny.MEAN, spread=tiny.SPREAD), key, plain, tmp_path
    )
    assert solved["points"] == solved["possible"] == EVERYTHING_PASSES
    content = tiny.notebook()
    content["cells"] += [
        tiny.code("scratch", "def mean(v):\n    return sum(v) / len(v)"),
        tiny.code("trial", "1 / 0"),
    ]
    elsewhere = graded(tiny.submission(tmp_path / "c.ipynb", content), key, plain, tmp_path)
    assert points(elsewhere)["mean"] == 40


def test_what_was_wrong_before_does_not_make_wrong_what_comes_after(key, plain, tmp_path):
    wrong = tiny.MUTANTS["sum_only"][3]
    report = graded(
        tiny.submission(tmp_path / "s.ipynb", mean=wrong, spread=tiny.SPREAD), key, plain, tmp_path
    )
    assert points(report) == {"mean": 0, "spread": 40}


def test_an_answer_that_fits_only_the_students_own_helper_counts_too(key, plain, tmp_path):
    mean = "def mean(values, count):\n    return sum(values) / count"
    spread = tiny.SPREAD.replace("mean(values)", "mean(values, len(values))")
    report = graded(tiny.submission(tmp_path / "s.ipynb", mean=mean, spread=spread), key, plain, tmp_path)
    assert points(report) == {"mean": 0, "spread": 40}


@pytest.mark.parametrize(
    "change",
    [
        "reversed",
        "no metadata",
        "no ids",
        "same ids",
        "checks deleted",
        "checks edited",
        "skip tags",
        "renamed cells",
    ],
)
def test_a_notebook_in_disorder_loses_nothing(change, key, plain, tmp_path):
    path = tiny.submission(tmp_path / "s.ipynb", mean=tiny.MEAN, spread=tiny.SPREAD)
    content = json.loads(path.read_text())
    cells = content["cells"]
    if change == "reversed":
        cells.reverse()
    if change == "checks deleted":
        content["cells"] = [
            cell for cell in cells if cell["metadata"].get("gan_course", {}).get("role") != "check"
        ]
    for number, cell in enumerate(cells):
        if change == "no metadata":
            cell["metadata"] = {}
        if change == "no ids":
            cell.pop("id")
        if change == "same ids":
            cell["id"] = "cell"
        if change == "renamed cells":
            cell["id"] = f"cell-{number}"
            cell["metadata"] = {}
        if change == "skip tags":
            cell["metadata"]["tags"] = ["skip-execution", "nbval-skip", "raises-exception"]
        if change == "checks edited" and cell["metadata"].get("gan_course", {}).get("role") == "check":
            cell["source"] = "raise SystemExit"
    path.write_text(json.dumps(content))
    assert graded(path, key, plain, tmp_path)["points"] == EVERYTHING_PASSES


@pytest.mark.parametrize(
    "answer, told",
    [
        (
            "def mean(values):\n    return values.total()",
            "mean raised AttributeError: 'list' object has no attribute",
        ),
        ("def mean(values)\n    return 1", "SyntaxError: expected ':' (line 1: def mean(values))"),
        ("def mean(values):\n    return undefined_name", "name 'undefined_name' is not defined"),
        ("def average(values):\n    return 1", "no cell defines mean"),
        ("def mean():\n    return 1", "takes 0 positional arguments"),
        ("def mean(values):\n    import os\n    os._exit(0)", "was stopped"),
        ("def mean(values):\n    raise SystemExit(0)", "SystemExit"),
    ],
)
def test_says_what_stopped_an_answer(answer, told, key, plain, tmp_path):
    report = graded(tiny.submission(tmp_path / "s.ipynb", mean=answer), key, plain, tmp_path)
    assert points(report)["mean"] == 0
    assert told in said(report, "mean")


def test_an_endless_loop_is_stopped(key, plain, tmp_path):
    path = tiny.submission(tmp_path / "s.ipynb", mean="def mean(values):\n    while True:\n        pass")
    report = graded(path, key, plain, tmp_path, seconds=1)
    assert points(report)["mean"] == 0 and "time limit" in said(report, "mean")


def test_an_answer_cannot_speak_through_its_errors():
    source = "def mean(values):\n    raise ValueError(values)"
    raised = {
        "type": "ValueError",
        "message": "secret_numbers_of_the_check = [0.125]",
        "function": "mean",
        "line": 2,
    }
    told = messages.of_error(raised | {"text": "raise ValueError(values)"}, source, private=True)
    assert told == "mean raised ValueError (at your line: raise ValueError(values))"
    assert "0.125" in messages.of_error(raised, source, private=False)
    named = {
        "type": "NameError",
        "message": "name 'secret_numbers' is not defined",
        "text": "the check's line",
    }
    assert "secret" not in messages.of_error(named, source, True) and "line" not in messages.of_error(
        named, source, True
    )
    assert "Secret" not in messages.of_error({"type": "Secret", "message": ""}, source, True)


@pytest.mark.parametrize(
    ("said", "short"),
    [
        (
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: "
            "you tried to allocate 271828 bytes. Error code 12 (Cannot allocate memory)",
            "not so much memory",
        ),
        (
            "Unable to allocate 271828 GiB for an array with shape (9,) and data type float64",
            "not so much memory",
        ),
        ("Found no NVIDIA driver on your system. Please check that you have 271828", "there is no GPU"),
    ],
)
def test_errors_full_of_numbers_are_told_in_short(said, short):
    told = messages.of_error({"type": "RuntimeError", "message": said}, "", private=True)
    assert short in told and "271828" not in told


# ---- the real way: a kernel, nbval, a verdict in the pytest process ---------------------------------

FORGERIES = {
    "sends what a guess would": "import gan_course.grading.probes as probes\n"
    "old = probes.send\n"
    "probes.send = lambda name, value, says, tolerance=1: old(name, 2.975, says)\n"
    "def mean(values):\n    return 2.975",
    "reads the notebook": "import pathlib\n"
    "def mean(values):\n"
    "    import gan_course.grading.probes as probes, json, re\n"
    "    found = [p.read_text() for p in pathlib.Path('.').rglob('*.ipynb')]\n"
    "    return float(re.findall('values.: .([0-9.]+)', found[0])[0])",
    "rewrites the checks": "import ast\n"
    "class Pass(ast.NodeTransformer):\n"
    "    def visit_Call(self, node):\n"
    "        node.args = [ast.Constant(True) for a in node.args]\n        return node\n"
    "hook = get_ipython().ast_transformers.append(Pass())\n"
    "def mean(values, hook=hook):\n    return True",
    "prints a pass": "def mean(values):\n    print('1 passed', {'status': 'right'})\n    return 0.0",
    "equals everything": "class E(float):\n    __eq__ = lambda s, o: True\n    __hash__ = None\n"
    "def mean(values):\n    return E()",
    "publishes by itself": "from IPython.display import publish_display_data\n"
    "def mean(values):\n"
    "    record = {'name': 'the mean', 'shape': [], 'values': [2.975]}\n"
    "    publish_display_data({'application/vnd.gan-course.check+json': record})\n"
    "    return 2.975",
    "ends the process": "def mean(values):\n    import os\n    os._exit(0)",
    "replaces the display": "ip = get_ipython()\n"
    "ip.display_pub.publish = changed = lambda *a, **k: None\n"
    "def mean(values, keep=changed):\n    ip.display_pub.publish = keep\n    return 1.0",
    "writes results": "def mean(values):\n"
    "    import pathlib, tempfile\n"
    "    for path in pathlib.Path(tempfile.gettempdir()).glob('gan-course-results-*/*'):\n"
    '        path.write_text(\'["", {"cell": "check-mean-hidden", "status": "right"}]\')\n'
    "    return 1.0",
}
QUICK = ("rewrites the checks", "ends the process")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in FORGERIES]
)
def test_forgeries_earn_nothing(name, key, tmp_path):
    path = tiny.submission(tmp_path / "s.ipynb", mean=FORGERIES[name])
    report = graded(path, key, NbvalRunner(cell_seconds=60), tmp_path, seconds=250)
    (mean, _) = report["questions"]
    assert mean["points"] == 0, mean
    hidden = json.dumps(report)
    assert "secret_numbers" not in hidden and "2.975" not in hidden


@pytest.mark.timeout(600)
def test_a_right_answer_by_the_real_way_and_a_wrong_one_by_its_name(key, tmp_path):
    answer = tiny.MEAN + "\n\nprint('x' * 100_000)\nimport warnings\nwarnings.warn('noise')"
    wrong = "# NBVAL_SKIP\n" + tiny.MUTANTS["never_corrected"][3]
    path = tiny.submission(tmp_path / "s.ipynb", mean=answer, spread=wrong)
    report = graded(path, key, NbvalRunner(cell_seconds=60), tmp_path, seconds=250)
    assert points(report) == {"mean": 40, "spread": 15}
    assert "one less than the count" in said(report, "spread")


def test_records_that_pytest_did_not_sign_are_passed_over(tmp_path):
    path = tmp_path / "results.jsonl"
    record = json.dumps({"cell": "check-a", "status": "right", "says": "", "detail": "", "raised": None})
    from gan_course.grading.nbval_plugin import sign

    good = json.dumps([sign("secret", 0, record), record])
    path.write_text(f"{json.dumps([sign('guess', 0, record), record])}\nnoise\n[1, 2]\n{good}\n{good}\n[")
    assert read_results(path, "secret") == {"check-a": CellRun("check-a", "right")}
    assert read_results(path, "another") == {}


# ---- verify ----------------------------------------------------------------------------------------


def changed(tmp_path, content=None, **mutants):
    return tiny.write(tmp_path, content, tiny.MUTANTS | mutants)


def test_verify_accepts_a_sound_homework(home):
    found = verify(home)
    assert (found.problems, found.mutants, found.caught, found.alternatives) == ((), 12, 12, 1)


def test_verify_names_what_is_not_caught(tmp_path):
    right = ("mean", "anything", "is right", "def mean(v):\n    return sum(v) / len(v)")
    unnamed = ("mean", "no message says this", "returns 1", "def mean(v):\n    return 1.0")
    found = verify(changed(tmp_path, right=right, unnamed=unnamed))
    assert found.caught == 12 and found.mutants == 14
    assert any("right.py: not caught: is right" in problem for problem in found.problems)
    assert any("unnamed.py: caught, but no message says" in problem for problem in found.problems)


def test_verify_refuses_checks_that_can_be_guessed_and_alternatives_that_lose(tmp_path):
    content = tiny.notebook()
    for cell in content["cells"]:
        if cell["id"] == "mean-visible":
            cell["source"] = tiny.MEAN_VISIBLE.replace("mean(values), says", "mean(values) > -1, says")
    home = changed(tmp_path, content)
    (home / "alternatives/wrong.py").write_text(
        "# question: spread\ndef spread(values, corrected=False):\n    return 1\n"
    )
    problems = "\n".join(verify(home).problems)
    assert "check mean-visible: an answer that returns 0 passes" in problems
    assert "wrong.py: right, but spread loses points" in problems


@pytest.mark.parametrize(
    "cell, old, new, told",
    [
        ("mean-hidden", "send(", "print(", "sends nothing"),
        ("mean-hidden", "mean(secret", "assert mean(secret", "does not parse"),
        ("mean-answer", "### END SOLUTION", "", "in pairs"),
        ("mean-answer", "def mean", "def average", "defines 'mean'"),
        ("mean-selfcheck", "assert", "### BEGIN SOLUTION\nassert", "markers outside"),
    ],
)
def test_the_format_is_checked_and_the_cell_named(cell, old, new, told, tmp_path):
    content = tiny.notebook()
    for one in content["cells"]:
        if one["id"] == cell:
            one["source"] = one["source"].replace(old, new)
    with pytest.raises(ValueError, match=told) as error:
        notebooks.read_source(changed(tmp_path, content))
    assert cell in str(error.value)


def test_points_and_rubric_must_agree(tmp_path):
    content = tiny.notebook()
    content["cells"][-1]["metadata"]["gan_course"]["points"] = 25
    with pytest.raises(ValueError, match="sum to 105"):
        notebooks.read_source(changed(tmp_path / "a", content))
    home = changed(tmp_path / "b")
    (home / "rubric.yml").write_text(tiny.RUBRIC.replace("points: 8", "points: 9"))
    with pytest.raises(ValueError, match="sum to 21"):
        keys.draft(notebooks.read_source(home))


# ---- release, key, check ----------------------------------------------------------------------------


def test_a_release_shows_no_solution_and_no_hidden_check(home, key):
    source = notebooks.read_source(home)
    files = release.student_files(source, key)
    assert set(files) == {"hw9.ipynb", "hw9_checks.json", "README.md", ".github/workflows/grade.yml"}
    text = "\n".join(files.values())
    for secret in (
        "total_of_all_of_them",
        "squares_of_distances",
        "secret_numbers",
        "2.975",
        "SOLUTION",
        "one less",
    ):
        assert secret not in text
    assert "is yours to write" in files["hw9.ipynb"] and "20 points" not in files["hw9.ipynb"]
    assert release.leaks(source, files) == []
    assert files == release.student_files(source, key), "the same every time"
    notebook = json.loads(files["hw9.ipynb"])
    assert all(not cell.get("outputs") for cell in notebook["cells"])
    compile(
        "\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"), "n", "exec"
    )


def test_a_release_that_would_leak_is_refused(tmp_path, plain):
    content = tiny.notebook()
    content["cells"][3]["source"] += (
        "\n\n    squares_of_distances = [(value -  centre) ** 2 for value in values]"
    )
    content["cells"][0]["source"] += "\n\nHint: corrected: divide by one less than the count"
    home = changed(tmp_path, content)
    source = notebooks.read_source(home)
    with pytest.raises(ValueError, match="not released") as error:
        release.write_release(source, complete(keys.draft(source), plain), tmp_path / "out")
    assert "the solution of 'spread'" in str(error.value) and "the hidden check 'spread-hidden'" in str(
        error.value
    )
    assert not (tmp_path / "out").exists()


def test_keys_are_read_as_they_were_written(key, tmp_path):
    path = keys.write(key, tmp_path / "k" / keys.FILE)
    again = keys.load(tmp_path / "k")
    assert (again.digest, again.questions) == (key.digest, key.questions)
    assert again.hidden_paths == (path.parent.resolve(),)
    path.write_text("{}")
    with pytest.raises(ValueError, match="no key of a homework"):
        keys.read(path)
    with pytest.raises(FileNotFoundError, match="neither a key"):
        keys.load(tmp_path / "nothing")


@pytest.fixture
def released(home, key, tmp_path):
    release.write_release(notebooks.read_source(home), key, tmp_path / "student")
    return tmp_path / "student"


def test_the_students_check_knows_right_from_wrong(released, plain):
    solved = tiny.submission(released / "hw9.ipynb", mean=tiny.MEAN, spread=tiny.SPREAD)
    report = check.check(solved, run=plain)
    assert report["points"] == report["possible"] == 30
    wrong = tiny.submission(released / "renamed.ipynb", mean=tiny.MUTANTS["sum_only"][3], spread=tiny.SPREAD)
    text = check.as_text(check.check(wrong, run=plain))
    assert "divide their sum" in text and "begin there" in text and "0 of 30 points" in text
    assert "explanation" in text, "what is still as it came"


def test_the_check_says_what_it_lacks(released, tmp_path, plain):
    with pytest.raises(FileNotFoundError, match="no such notebook"):
        check.check(tmp_path / "none.ipynb", run=plain)
    alone = tiny.submission(tmp_path / "alone.ipynb")
    with pytest.raises(FileNotFoundError, match=r"no hw9_checks\.json beside"):
        check.check(alone, run=plain)
    assert check.check(alone, key=released / "hw9_checks.json", run=plain)["possible"] == 30


def test_the_command_line(home, tmp_path, capsys):
    assert (
        cli.main(
            ["homework", "release", str(home), "--to", str(tmp_path / "s"), "--key", str(tmp_path / "k")]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "12 of 12 planted wrong answers caught" in said
    assert (tmp_path / "s/README.md").exists() and (tmp_path / "k/hw9_key.ipynb").exists()
    rates = json.loads((home.parent / "catch_rates.json").read_text())
    assert rates["hw9"]["caught"] == rates["hw9"]["mutants"] == 12
    assert "| hw9 Numbers | 2 | 4 | 2 | 12 | 12 |" in (home.parent / "catch_rates.md").read_text()
    assert cli.main(["homework", "verify", "hw7", "--homework", str(home.parent)]) == 1
    assert "found hw9_numbers" in capsys.readouterr().err


def test_nothing_of_it_needs_torch():
    modules = ", ".join(
        f"gan_course.grading.{path.stem}" for path in Path(cli.__file__).parent.glob("[a-z]*.py")
    )
    command = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
