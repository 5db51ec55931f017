"""What students hand in, by mistake or by malice: the points each gets, what it is told, what it cannot do.

One class is graded once, by the command's own code; each test looks at one submission of it. Most of them
answer one of three questions, so that the whole takes as little time as it can.
"""
# ruff: noqa: E501  (a table of one-liners)

import contextlib
import json
import os
import re
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

import handed_in
import pytest
from handed_in import right

from gan_course.grading import jail
from gan_course.grading import key as keys
from gan_course.grading.batch import Settings, grade_class
from gan_course.grading.limits import Limits

pytestmark = pytest.mark.skipif(not jail.on_linux(), reason="the sandbox needs Linux")

TOKEN = "a-token-that-nobody-must-see"
SLEEPER = "98765.4321"  # seconds: by it a process that was left behind is known
SOFTPLUS = "return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))"


@dataclass
class Case:
    """A submission. `points`: of softplus unless said otherwise. `says`: a pattern in what the student is told."""

    content: object
    points: float = 0
    says: str = ""
    status: str = "graded"
    never: str = ""  # a pattern that must not stand in any file of the report
    questions: dict[str, float] = field(default_factory=dict)
    name: str = ""


def only(code, question="softplus"):
    """A notebook with an answer to one question; the others are not written."""
    others = dict.fromkeys(handed_in.ANSWERS)
    return handed_in.handed_in(**{**others, question: code})


def softplus(*lines, first=""):
    """An answer with these lines in the function, and before it `first`."""
    return only(f"{first}\ndef softplus(x):\n" + "\n".join(f"    {line}" for line in lines))


def added(*cells, answer=None, at=None):
    """A right answer (or another one) and more code cells, before the rest or at a place."""
    made = only(right("softplus") if answer is None else answer)
    for number, code in enumerate(cells):
        made["cells"].insert(number if at is None else at, handed_in.cell("code", f"own-{number}", code))
    return made


def changed(change, made=None):
    made = only(right("softplus")) if made is None else made
    change(made)
    return made


def without_metadata(made):
    made["metadata"] = {}
    for one in made["cells"]:
        one["metadata"] = {}
        del one["id"]


def as_version_3(made):
    for one in made["cells"]:
        one.pop("id")
        if one["cell_type"] == "code":
            one |= {"input": one.pop("source"), "language": "python", "prompt_number": 1, "collapsed": False}
            one.pop("execution_count")
    made |= {"nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": made.pop("cells"), "metadata": {}}]}


def edit_checks(made):
    for one in made["cells"]:
        if one["metadata"].get("gan_course", {}).get("role") == "check":
            one["source"] = "print('all is well')"


def drop_checks(made):
    made["cells"] = [
        one for one in made["cells"] if one["metadata"].get("gan_course", {}).get("role") != "check"
    ]


def repeat_cells(made):
    made["cells"] = [one for one in made["cells"] for _ in range(3)]


def tag_all(made):
    for one in made["cells"]:
        one["metadata"]["tags"] = ["skip-execution", "nbval-skip", "raises-exception", "nbval-ignore-output"]
        one["source"] = "# NBVAL_SKIP\n" + one["source"] if one["cell_type"] == "code" else one["source"]


def foreign_kernel(made):
    made["metadata"]["kernelspec"] = {"name": "julia-1.10", "display_name": "Julia", "language": "julia"}
    made["metadata"]["language_info"] = {"name": "julia"}


def stale_outputs(made, letters=3_000_000):
    output = {"output_type": "stream", "name": "stdout", "text": "x" * letters}
    made["cells"][1] |= {"outputs": [output], "execution_count": 7}


WRONG = "def softplus(x):\n    return x"
EVERYTHING = """
class Everything(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __getitem__(self, i): return self
    def __len__(self): return 3
    def __sub__(self, other): return 0.0
    __rsub__ = __add__ = __radd__ = __abs__ = __sub__
"""
TRANSFORMER = """
import ast
class Yes(ast.NodeTransformer):
    def visit_Call(self, node):
        return ast.Call(ast.Name('print', ast.Load()), [], []) if getattr(node.func, 'id', '') == 'send' else node
    def visit(self, node):
        return ast.fix_missing_locations(super().visit(node))
class Trick:
    get_ipython().ast_transformers.append(Yes())
    get_ipython().input_transformers_post.append(lambda lines: [l.replace('send', 'print') for l in lines])
"""
LOOK = """
import glob, os
def hunt():
    found = ''
    for top in ('/work', '/root', '/home', '/tmp', '/proc', '/var', '/mnt', '/opt', os.getcwd(), '..', '../..'):
        for place, folders, files in os.walk(top):
            if place.count('/') > 7 or 'site-packages' in place or '/lib/python' in place: folders[:] = []
            for name in files:
                if name.endswith(('.json', '.ipynb', 'environ', 'cmdline', '.yml', '.csv')):
                    try: found += open(os.path.join(place, name), errors='replace').read(1000000)
                    except OSError: pass
    return found
"""

VALUE = SOFTPLUS.removeprefix("return ")
FORGE = """
def forge():
    kernel = get_ipython().kernel
    for name, size in (('values', 3), ('large', 2)):
        told = {'name': name, 'says': '', 'tolerance': 1e9, 'shape': [size], 'values': [0.5] * size}
        data = {'application/vnd.gan-course.check+json': told}
        for kind in ('display_data', 'execute_result', 'update_display_data'):
            content = {'data': data, 'metadata': {}, 'transient': {}, 'execution_count': 1}
            kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())
"""
GARBAGE = (
    "kernel = get_ipython().kernel",
    "for kind in ('display_data', 'stream', 'error', 'execute_result', 'clear_output', 'nonsense', 'comm_open'):",
    "    for content in ({}, {'data': 3}, {'data': {'application/vnd.gan-course.check+json': [1]}}, {'name': None}, []):",
    "        kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())",
)
LIAR = """
class Liar(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __abs__(self): return 0.0
    def __lt__(self, other): return True
    __le__ = __lt__
    def __float__(self): return 0.5
"""
PROXY = """
import inspect
class Lazy:
    is_complex = False
    def __init__(self, x): self.x = x
    def detach(self): return self
    cpu = double = detach
    dtype = property(detach)
    def numel(self): return 3
    def tolist(self):
        frame = inspect.currentframe()
        while frame:
            frame.f_locals.update(tolerance=1e9, passed=True)
            frame = frame.f_back
        return [float('nan')] * 3
"""


def two_answers(first, second):
    """A notebook in which the cell for an answer stands twice."""

    def change(made):
        place = next(n for n, one in enumerate(made["cells"]) if one["id"] == "softplus-answer")
        cell = made["cells"][place]
        made["cells"][place : place + 1] = [{**cell, "source": first}, {**cell, "source": second}]

    return changed(change)


def odd_cells(made):
    made["cells"] = [{"cell_type": "code", "source": None, "metadata": None, "id": 5, "outputs": "x"}] + made[
        "cells"
    ]
    made["cells"] += [{"cell_type": "markdown", "source": 7}, {"cell_type": "code"}]
    for one in made["cells"]:
        if isinstance(one.get("source"), str):
            one["source"] = one["source"].splitlines(keepends=True)
    made["metadata"]["note"] = [float("nan"), float("inf"), 10**400]


def below(made):
    """The scaffold emptied, and the answer in a cell at the end."""
    for one in made["cells"]:
        if one["id"] == "softplus-answer":
            one["source"] = "def softplus(x):\n    pass"
    made["cells"].append(handed_in.cell("code", "mine", right("softplus")))


def saved_as(encoding, mark="ä"):
    made = only(right("softplus"))
    made["cells"].append(handed_in.cell("markdown", "note", f"Prämie: 3 {mark}"))
    return json.dumps(made, ensure_ascii=False).encode(encoding)


FULL = {"softplus": 30, "discriminator_loss": 30, "mix": 30}

QUICK = {
    # ---- unfinished, or partly wrong
    "untouched": Case(handed_in.released(), 0, "is not written yet"),
    "one wrong of three": Case(
        handed_in.handed_in(discriminator_loss="def discriminator_loss(real, fake):\n    return np.mean(softplus(-real))"),
        questions={"softplus": 30, "discriminator_loss": 0, "mix": 30},
        says="the mean over real and the mean over fakes are added",
    ),
    "prerequisite wrong": Case(
        handed_in.handed_in(softplus=WRONG, mix=None),
        questions={"softplus": 0, "discriminator_loss": 30, "mix": 0},
        says=r"softplus is log\(1 \+ exp\(x\)\)",
    ),
    "overflow": Case(softplus("return np.log(1 + np.exp(x))"), 10, "overflows for large scores"),
    "syntax error": Case(softplus("return (x"), 0, "SyntaxError"),
    "renamed function": Case(only("def soft_plus(x):\n    " + SOFTPLUS), 0, "softplus"),
    "unseeded randomness": Case(softplus("return x + np.random.rand()"), 0, r"log\(1 \+ exp"),
    "raises": Case(
        softplus("raise ValueError('seen: ' + repr(x) + repr(In))", first="leak = 1"),
        0,
        "softplus raised ValueError",
        never="745",
    ),
    "changes its input": Case(
        only("def mix(real, fake, alpha):\n    real *= alpha[:, None]\n    return real + (1 - alpha[:, None]) * fake", "mix"),
        questions={"softplus": 0, "discriminator_loss": 0, "mix": 10},
        says="must not change its inputs",
    ),
    # ---- crashes
    "os._exit": Case(
        handed_in.handed_in(softplus="import os\ndef softplus(x):\n    os._exit(0)", mix=None),
        questions={"softplus": 0, "discriminator_loss": 30, "mix": 0},
        says="ended the Python process itself",
    ),
    "SIGKILL": Case(softplus("os.kill(os.getpid(), 9)", first="import os"), 0, "SIGKILL"),
    "segmentation fault": Case(softplus("ctypes.string_at(0)", first="import ctypes"), 0, "segmentation fault"),
    "kill all": Case(softplus("os.kill(-1, 9)", SOFTPLUS, first="import os"), 0, "ProcessLookupError"),
    "sys.exit in the answer": Case(softplus("sys.exit(0)", first="import sys"), 0, "SystemExit"),
    "sys.exit first": Case(added("import sys\nsys.exit(0)"), 30),
    "os._exit first": Case(added("import os\nos._exit(0)"), 30),
    "recursion": Case(softplus("return softplus(x)"), 0, "RecursionError"),
    "huge array": Case(softplus("return np.ones(10**11)"), 0, "softplus raised"),
    "input": Case(softplus("return float(input())"), 0, "softplus raised"),
    "sleeps for ever": Case(
        softplus("while True: time.sleep(1)", first="import time"), 0, "stopped at the time limit: does a loop"
    ),
    # ---- noise that must not matter
    "scratch error": Case(added("1 / 0", "undefined_name", "raise SystemExit"), 30),
    "warnings": Case(softplus("warnings.warn('careful')", "sys.stderr.write('no')", SOFTPLUS, first="import sys, warnings"), 30),
    "prints and flushes": Case(
        softplus("for i in range(20000): print('noise', i, flush=True)", "display(x, x)", SOFTPLUS), 30
    ),
    "100 MB of output": Case(softplus("for i in range(100): print('x' * 10**6)", SOFTPLUS), 30),
    "writes to the terminal": Case(softplus("os.write(1, b'x' * 10**7)", "os.write(2, b'y')", SOFTPLUS, first="import os"), 30),
    "closes its output": Case(softplus("sys.stdout.close()", SOFTPLUS, first="import sys"), 30),
    "shadowed np": Case(added("np = 3\nsend = None\nlen = 4", at=3), 30),
    "shadowed after": Case(added("np = 3\nsend = None\nsoftplus = 5", at=-1), 30),
    "reversed": Case(changed(lambda made: made["cells"].reverse()), 30),
    "stripped metadata": Case(changed(without_metadata), 30),
    "deleted checks": Case(changed(drop_checks), 30),
    "edited checks": Case(changed(edit_checks), 30),
    "edited checks, wrong": Case(changed(edit_checks, only(WRONG)), 0, r"log\(1 \+ exp"),
    "tripled cells": Case(changed(repeat_cells), 30),
    "skip tags": Case(changed(tag_all), 30),
    "foreign kernel": Case(changed(foreign_kernel), 30),
    "stale outputs": Case(changed(stale_outputs), 30),
    "magics": Case(added("%matplotlib inline\n!rm -rf /\n%%time\n1", answer="%load_ext autoreload\n" + right("softplus")), 30),
    "version 3": Case(changed(as_version_3), 30),
    "byte order mark": Case(b"\xef\xbb\xbf" + json.dumps(only(right("softplus"))).encode(), 30),
    "windows lines": Case(json.dumps(only(right("softplus").replace("\n", "\r\n"))).encode(), 30),
    "renamed file": Case(only(right("softplus")), 30, name="Final version (2) änd last.IPYNB"),
    # ---- tricks
    "patched allclose": Case(
        added("import numpy as np\nnp.allclose = np.isclose = np.array_equal = lambda *a, **k: True", answer=WRONG), 0
    ),
    "patched in the answer": Case(
        softplus("np.allclose = lambda *a, **k: True", "import math; math.isclose = np.allclose", "return x"), 0
    ),
    "equal to everything": Case(only(EVERYTHING + "def softplus(x):\n    return Everything()"), 0),
    "AST transformers": Case(only(TRANSFORMER + WRONG), 0),
    "patched send": Case(
        softplus(
            "import gan_course.grading.probes as probes",
            "probes.send = probes.publish = lambda *a, **k: None",
            "probes.encode = lambda value: {'shape': [], 'values': [1.0]}",
            "return x",
        ),
        0,
    ),
    "patched verdict": Case(
        softplus(
            "import gan_course.grading.verdict as verdict",
            "verdict.difference = lambda *a: None",
            "verdict.close = lambda *a: True",
            "return x",
        ),
        0,
    ),
    "sends for itself": Case(
        softplus(
            "from gan_course.grading.probes import publish",
            "for name in ('values', 'large'):",
            "    publish({'name': name, 'says': '', 'tolerance': 1e9, 'shape': [3], 'values': [0.0, 0.0, 0.0]})",
            "    publish({'name': name, 'shape': {'$ne': 0}, 'values': 'nan', 'digest': None})",
            "return np.full(np.shape(x), np.nan)",
        ),
        0,
    ),
    "asks its caller": Case(
        softplus(
            "frame = sys._getframe()",
            "while frame.f_back: frame = frame.f_back; frame.f_locals.update(passed=True, reference=x)",
            "return x",
            first="import sys",
        ),
        0,
    ),
    "looks for the key": Case(
        only(LOOK + "found = None\ndef softplus(x):\n    seen = hunt()\n"
             f"    if '{TOKEN}' in seen or 'softplus-large' in seen or 'maximum(x, 0)' in seen:\n        {SOFTPLUS}\n"
             "    return x"),
        0,
    ),
    "looks for tokens": Case(
        softplus(
            f"if any('{TOKEN}' in value for value in os.environ.values()): {SOFTPLUS}", "return x", first="import os"
        ),
        0,
    ),
    "writes outside": Case(
        softplus(
            "for place in ('/', '/usr', '/etc', '/work', '/root', '/proc/1', os.path.dirname(np.__file__)):",
            "    try: open(os.path.join(place, 'written-by-a-student'), 'w').close(); return x",
            "    except OSError: pass",
            SOFTPLUS,
            first="import os",
        ),
        30,
    ),
    "orphans": Case(
        softplus(
            "for i in range(3):",
            f"    subprocess.Popen(['setsid', 'nohup', 'sleep', '{SLEEPER}'], start_new_session=True)",
            SOFTPLUS,
            first="import subprocess",
        ),
        30,
    ),
    "forged messages": Case(softplus("threading.Thread(target=forge).start()", "forge()", "time.sleep(0.1)", "return x", first=FORGE + "import threading, time"), 0),
    "garbage for messages": Case(softplus(*GARBAGE, "return x"), 0),
    "changes what is published": Case(
        softplus(
            "publisher = get_ipython().display_pub",
            "def publish(data, *a, publish=publisher.publish, **k):",
            "    for one in data.values():",
            "        if isinstance(one, dict): one.update(values=['nan'] * 3, tolerance=1e9, digest=None)",
            "    return publish(data, *a, **k)",
            "publisher.publish = publish",
            "return x",
        ),
        0,
    ),
    "searches its memory": Case(
        softplus(
            "for one in gc.get_objects():",
            "    if isinstance(one, dict) and 'tolerance' in one and one.get('values'): return np.array(one['values'])",
            "text = ''.join(get_ipython().user_ns['In']) + repr(get_ipython().history_manager.input_hist_raw)",
            f"if 'log1p' + '(' in text.replace(repr('log1p'), '') and 'def gan_course_solution' in text: {SOFTPLUS}",
            "return x",
            first="import gc",
        ),
        0,
    ),
    "a number that lies": Case(only(LIAR + "def softplus(x):\n    return np.array([Liar(1)] * len(x), dtype=object)"), 0),
    # ---- right, in a way that nobody expects
    "definitions of other kinds": Case(
        handed_in.handed_in(
            softplus=f"from functools import partial\ndef power(base, x):\n    {SOFTPLUS}\nsoftplus = partial(power, np.e)",
            discriminator_loss="class Loss:\n    def __call__(self, real, fake):\n        return np.mean(softplus(-real)) + np.mean(softplus(fake))\ndiscriminator_loss = Loss()",
            mix="from typing import Callable\nmix: Callable = lambda real, fake, alpha: alpha[:, None] * real + (1 - alpha[:, None]) * fake",
        ),
        questions=FULL,
    ),
    "what a cell does besides": Case(
        handed_in.handed_in(
            softplus="TABLE = {}\ndef entered(f):\n    TABLE[f.__name__] = f\n    return f\n"
            f"@entered\ndef inner(x):\n    {SOFTPLUS}\ndef softplus(x):\n    return TABLE['inner'](x)",
            discriminator_loss="PARTS = []\nfor sign in (-1, 1):\n    PARTS.append(lambda s, sign=sign: np.mean(softplus(sign * s)))\n"
            "def discriminator_loss(real, fake):\n    return PARTS[0](real) + PARTS[1](fake)",
            mix="ONE = None\ndef prepare():\n    global ONE\n    ONE = 1.0\nprepare()\n"
            "def mix(real, fake, alpha):\n    alpha = alpha[:, None]\n    return alpha * real + (ONE - alpha) * fake",
        ),
        questions=FULL,
    ),
    "numbers of other kinds": Case(
        handed_in.handed_in(
            softplus=f"def softplus(x):\n    x = np.longdouble(x)\n    {SOFTPLUS}",
            discriminator_loss="from fractions import Fraction\ndef discriminator_loss(real, fake):\n"
            "    return Fraction(float(np.mean(softplus(-real)) + np.mean(softplus(fake))))",
            mix="def mix(real, fake, alpha):\n    alpha = alpha[:, None].astype(object)\n    return np.ma.masked_array(alpha * real + (1 - alpha) * fake)",
        ),
        questions=FULL,
    ),
    "a module of its own": Case(
        added(f"%%writefile mine.py\nimport numpy as np\ndef inner(x):\n    {SOFTPLUS}", answer="import mine\ndef softplus(x):\n    return mine.inner(x)"), 30
    ),
    "asks the shell": Case(softplus("!echo working", "%time y = 1", SOFTPLUS), 30),
    "scaffold emptied": Case(changed(below), 30),
    "twice, the second right": Case(two_answers(WRONG, right("softplus")), 30),
    "twice, the second wrong": Case(two_answers(right("softplus"), WRONG), 0),
    "builtins gone": Case(added("import builtins\nbuiltins.print = builtins.isinstance = None\n__builtins__.len = None"), 30),
    "odd cells, infinite numbers": Case(changed(odd_cells), 30),
    "saved by an old editor": Case(saved_as("cp1252"), 30),
    "saved in UTF-16": Case(saved_as("utf-16", "€"), 30),
    "control characters and a tail": Case(json.dumps(added("x = '@'")).replace("@", "\t\x01").encode() + b"\n\x00\x00", 30),
    "awaits": Case(added("import asyncio\nawait asyncio.sleep(0)", answer=right("softplus") + "\nasync with asyncio.Lock(): pass"), 30),
    # ---- files that are none
    "empty": Case(b"", 0, "the file is empty", "unreadable"),
    "truncated": Case(json.dumps(only(right("softplus"))).encode()[:-400], 0, "no notebook, or cut off", "unreadable"),
    "PDF": Case(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", 0, "PDF", "unreadable"),
    "PDF by its name": Case(b"%PDF-1.7\n", 0, "PDF", "unreadable", name="report.pdf"),
    "noise": Case(bytes(range(256)) * 20, 0, "no notebook", "unreadable"),
    "a list": Case(b"[1, 2]", 0, "no notebook", "unreadable"),
    "no cells": Case(b'{"nbformat": 4}', 0, "no cells", "unreadable"),
    "nested": Case(b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 0, "nested too deeply", "unreadable"),
    "odd cells": Case(b'{"cells": [1, null, [], {"cell_type": 3, "source": {"a": 1}}, {"source": [1, "x"]}]}', 0, "softplus"),
}  # fmt: skip


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    folder = handed_in.write_source(tmp_path_factory.mktemp("homework"))
    os.environ["XDG_CACHE_HOME"], before = (
        str(tmp_path_factory.mktemp("cache")),
        os.environ.get("XDG_CACHE_HOME"),
    )
    try:
        yield keys.load(folder)
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before:
            os.environ["XDG_CACHE_HOME"] = before


def file_of(name, case):
    return case.name or name.replace(" ", "_").replace(",", "") + ".ipynb"


def hand_in(folder, cases):
    folder.mkdir()
    for name, case in cases.items():
        content = case.content if isinstance(case.content, bytes) else json.dumps(case.content).encode()
        (folder / file_of(name, case)).write_bytes(content)
    return folder


def grade(cases, key, folder, **settings):
    """The class, graded: reports by file name, the folder of the reports, and how long it took."""
    os.environ["GITHUB_TOKEN"] = TOKEN
    try:
        submissions = hand_in(folder / "submissions", cases)
        begin = time.monotonic()
        settings = {"run_seconds": 0, "workers": 2, "progress": False, **settings}
        result = grade_class(submissions, key, folder / "out", Settings(**settings))
    finally:
        del os.environ["GITHUB_TOKEN"]
    return {one["submission"]: one for one in result.reports}, folder / "out", time.monotonic() - begin


@pytest.fixture(scope="module")
def quick(key, tmp_path_factory, request):
    return grade(asked_for(QUICK, request), key, tmp_path_factory.mktemp("quick"), seconds=15)


def asked_for(cases, request):
    """Those that a test was chosen for (pytest -k), or all."""
    names = [item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")
             and "name" in item.callspec.params]  # fmt: skip
    return {name: case for name, case in cases.items() if name in names} or cases


def check(name, case, reports, out):
    report = reports[file_of(name, case)]
    told = [message for one in report["questions"] for message in one["messages"]]
    wanted = case.questions or {"softplus": case.points, "discriminator_loss": 0, "mix": 0}
    got = {one["question"]: one["points"] for one in report["questions"]}
    assert got == wanted, told
    assert report["points"] == sum(wanted.values())
    assert report["status"] == case.status, report.get("message")
    assert re.search(case.says, "\n".join(told)), told
    for path in folder_of(report, out).iterdir():
        if path.name == "executed.ipynb":  # the student's own code
            continue
        text = re.sub(r'"digest": "[0-9a-f]+"', "", path.read_text())  # may hold any three figures
        assert TOKEN not in text and "log1p" not in text
        assert not case.never or not re.search(case.never, text), path


def folder_of(report, out):
    for path in (out / "submissions").glob("*/report.json"):
        if json.loads(path.read_text())["submission"] == report["submission"]:
            return path.parent
    raise AssertionError(report["submission"])


@pytest.mark.parametrize("name", QUICK)
def test_a_bad_submission_gets_what_it_deserves(name, quick):
    check(name, QUICK[name], *quick[:2])


def test_nothing_is_left_behind(quick):
    alive = [path for path in Path("/proc").glob("[0-9]*/cmdline") if SLEEPER in read(path)]
    assert not alive
    for place in ("/", "/usr", "/etc", "/root", str(Path(__file__).parent)):
        assert not (Path(place) / "written-by-a-student").exists()


def read(path):
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""


def test_the_isolation_in_force_stands_in_the_report(quick):
    report = quick[0]["scratch_error.ipynb"]
    assert report["isolation"]["limits"]["memory_mib"] == Limits.memory_mib
    assert {"namespaces", "root", "user"} <= set(report["isolation"])
    assert "It ran in" in (folder_of(report, quick[1]) / "feedback.md").read_text()


def test_a_submission_reaches_no_network(key, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        address = server.getsockname()
        code = softplus(f"socket.create_connection({address!r}, 2)", SOFTPLUS, first="import socket")
        reports, _, _ = grade({"dials": Case(code)}, key, tmp_path)
        report = reports["dials.ipynb"]
        if "network" not in report["isolation"]["namespaces"]:
            pytest.skip("this system gives no namespaces")
        with pytest.raises(TimeoutError):
            server.accept()
    assert report["points"] == 0
    assert "OSError" in report["questions"][0]["messages"][0]


# ---- what takes its time ---------------------------------------------------------------------------------

FORK_BOMB = "while True:\n        try: os.fork()\n        except OSError: pass"
SLOW = {
    "endless loop": Case(
        handed_in.handed_in(softplus="def softplus(x):\n    while True: pass"),
        questions={"softplus": 0, "discriminator_loss": 30, "mix": 30},
        says="stopped at the time limit",
    ),
    "loop that swallows the interrupt": Case(
        softplus("while True:", "    try:", "        while True: pass", "    except BaseException: pass"),
        0,
        "stopped",
    ),
    "ignores signals": Case(
        softplus("signal.signal(signal.SIGINT, signal.SIG_IGN)", "while True: pass", first="import signal"), 0, "stopped"
    ),
    "endless C call": Case(softplus("return sum(range(10**18))"), 0, "stopped"),
    "waits for itself": Case(softplus("lock = threading.Lock()", "lock.acquire(); lock.acquire()", first="import threading"), 0, "stopped"),
    "stops itself": Case(softplus("os.kill(os.getpid(), 19)", "return x", first="import os"), 0, "stopped"),
    "stops all": Case(softplus("os.kill(1, 19)", "try: os.kill(-1, 19)", "except OSError: pass", "return x", first="import os"), 0),
    "leaves its answer to a child": Case(softplus("if os.fork(): time.sleep(1e6)", SOFTPLUS, first="import os, time"), 0, "stopped"),
    "answers twice": Case(softplus("return x if os.fork() else np.zeros(len(x))", first="import os"), 0),
    "endless threads": Case(
        softplus("sys.setswitchinterval(100)", "for i in range(3): threading.Thread(target=spin).start()", "return x", first="import sys, threading\ndef spin():\n    while True: pass"), 0
    ),
    "a thread that stays": Case(softplus("threading.Thread(target=time.sleep, args=(1e5,)).start()", SOFTPLUS, first="import threading, time"), 30),
    "closes its channels": Case(softplus("os.closerange(0, 1000)", "return x", first="import os"), 0),
    "ends its channels": Case(softplus("get_ipython().kernel.iopub_thread.stop()", "zmq.Context.instance().term()", "return x", first="import zmq"), 0),
    "no room": Case(softplus("resource.setrlimit(resource.RLIMIT_AS, (10**6, 10**6))", "return x", first="import resource"), 0),
    "bottomless": Case(softplus("sys.setrecursionlimit(10**9)", "return softplus(x)", first="import sys"), 0),
    "asks to be shut down": Case(softplus("get_ipython().ask_exit()", "get_ipython().kernel.do_shutdown(False)", "return x"), 0),
    "forgets everything": Case(softplus("get_ipython().run_line_magic('reset', '-f')", "return x"), 0),
    "forged end": Case(
        softplus("kernel = get_ipython().kernel", "for i in range(3): kernel.session.send(kernel.iopub_socket, 'status', {'execution_state': 'idle'}, parent=kernel.get_parent())", "return x"), 0
    ),
    "hooks of the shell": Case(
        only(FORGE + "def softplus(x):\n    for event in ('post_execute', 'post_run_cell'): get_ipython().events.register(event, lambda *a: forge())\n    return x"), 0
    ),
    "hooks of the import": Case(
        softplus("sys.modules['gan_course.grading.probes'] = sys.modules['numpy'] = None", "sys.meta_path.insert(0, Finder())", "return x",
                 first="import sys\nclass Finder:\n    def find_spec(self, *a): raise SystemExit"), 0
    ),
    "a proxy": Case(only(PROXY + "def softplus(x):\n    return Lazy(x)"), 0),
    "traced": Case(softplus("def trace(*a): return trace", "sys.settrace(trace); sys.setprofile(trace)", SOFTPLUS, first="import sys"), 30),
    "asynchronous": Case(only(f"async def softplus(x):\n    {SOFTPLUS}"), 0, "instead of numbers|log"),
    "made by exec": Case(only("exec(" + repr(right("softplus")) + ")"), 30),
    "made by globals": Case(only(f"def make():\n    return lambda x: {VALUE}\nglobals()['softplus'] = make()"), 30),
    "helpers in other cells": Case(
        added("def a(x): return np.maximum(x, 0) + b(x)", "def b(x): return np.log1p(E ** -np.abs(x))", "import math\nE = math.e", answer="def softplus(x):\n    return a(x)", at=-1), 30
    ),
    "all magics": Case(
        added("%%bash\nls\nrm -rf /", "%%javascript\nalert(1)", "softplus?", "x = !ls\nx", "%run nothing.py", "%cd /", "%env A=1",
              answer="%%capture\n!pip install nothing\n" + right("softplus") + "\n?softplus"), 30
    ),
    "ten thousand cells": Case(
        changed(lambda made: made["cells"].extend(handed_in.cell("code", f"m{n}", f"v{n} = {n}\nprint(v{n})") for n in range(10_000))), 30
    ),
    "endless definition": Case(only("class Slow:\n    while True: pass\n" + right("softplus")), 30),
    "memory bomb": Case(
        softplus("hoard = []", "while True: hoard.append(bytearray(10**8))"), 0, "MemoryError|memory"
    ),
    "memory bomb of many": Case(
        softplus(
            "for i in range(20):",
            "    if os.fork() == 0:",
            "        hoard = bytearray(10**9)",
            "        hoard[::4096] = b'x' * len(hoard[::4096])",
            "        time.sleep(100)",
            "time.sleep(100)",
            first="import os, time",
        ),
        0,
        "memory",
    ),
    "fork bomb": Case(softplus(FORK_BOMB, first="import os"), 0, "stopped"),
    "floods the channel": Case(
        softplus("from IPython.display import publish_display_data as p", "while True: p({'text/plain': 'x' * 10**6})"),
        0,
        "stopped",
    ),
    "fills the disk": Case(
        softplus(
            "try:",
            "    for i in range(10**4): open(f'{i}', 'wb').write(bytes(10**7))",
            "except OSError: pass",
            SOFTPLUS,
        ),
        30,
    ),
    "stale 60 MB": Case(changed(lambda made: stale_outputs(made, 60_000_000)), 30),
    "many slow cells": Case(added(*["import time\ntime.sleep(3)"] * 40), 30),
    "all of it": Case(handed_in.handed_in(), questions={"softplus": 30, "discriminator_loss": 30, "mix": 30}),
}  # fmt: skip


@pytest.fixture(scope="module")
def slow(key, tmp_path_factory, request):
    return grade(asked_for(SLOW, request), key, tmp_path_factory.mktemp("slow"), seconds=20, run_seconds=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_greedy_submission_gets_what_it_deserves(name, slow):
    check(name, SLOW[name], *slow[:2])


@pytest.mark.slow
def test_feedback_tells_how_the_whole_notebook_ran(key, tmp_path):
    cases = {name: SLOW[name] for name in ("all of it", "many slow cells")}
    reports, out, _ = grade(cases, key, tmp_path, seconds=20, run_seconds=20)
    told = [(folder_of(one, out) / "feedback.md").read_text() for one in reports.values()]
    assert "All" in told[0]
    assert "stopped after 20 s" in told[1]
