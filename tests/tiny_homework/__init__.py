# ruff: noqa: E501 - cells of a notebook, as wide as they are
"""A homework without torch, small enough to be graded many times in a test."""

import json
from pathlib import Path

SETUP = "import math\n\nSCALE = 2.0"

MEAN = '''def mean(values):
    """The mean of a list of numbers.

    values: list of floats, at least one. Returns a float.
    """
    ### BEGIN SOLUTION
    total_of_all_of_them = sum(values)
    return total_of_all_of_them / len(values)
    ### END SOLUTION'''

SPREAD = '''def spread(values, corrected=False):
    """The standard deviation of a list of numbers, times SCALE."""
    ### BEGIN SOLUTION
    centre = mean(values)
    squares_of_distances = [(value - centre) ** 2 for value in values]
    return SCALE * math.sqrt(sum(squares_of_distances) / (len(values) - corrected))
    ### END SOLUTION'''

MEAN_VISIBLE = """from gan_course.grading.probes import send
values = [1.5, 2.25, 7.0]
send("the mean", mean(values), says="the mean of three numbers is wrong: divide their sum by how many there are")
send("the values", values, says="mean() changed its list: leave the argument as it is")"""

MEAN_HIDDEN = """from gan_course.grading.probes import send
secret_numbers_of_the_check = [0.125, -3.0, 11.0, 4.75, 2.0]
send("the mean", mean(secret_numbers_of_the_check), says="the mean of five numbers is wrong: is a length hard-wired?")
send("the mean of one", mean([3.5]), says="the mean of one number is that number")
send("the values", secret_numbers_of_the_check, says="mean() changed its list: leave the argument as it is")"""

SPREAD_VISIBLE = """from gan_course.grading.probes import send
send("the spread", spread([1.0, 2.5, 7.0]), says="the spread is wrong: SCALE times the root of the mean square")"""

SPREAD_HIDDEN = """from gan_course.grading.probes import send
send("the spread", spread([0.5, 2.0, 9.0, 4.0]), says="the spread is wrong: take the distances to the mean")
send("corrected", spread([0.5, 2.0, 9.5], corrected=True), says="corrected: divide by one less than the count")"""

MUTANTS = {
    "hard_wired_length": ("mean", "hard-wired", "divides by three", "def mean(values):\n    return sum(values) / 3"),
    "sum_only": ("mean", "divide their sum", "forgets to divide", "def mean(values):\n    return sum(values)"),
    "destroys": ("mean", "changed its list", "empties its argument",
                 "def mean(values):\n    n, total = len(values), 0.0\n    while values:\n        total += values.pop()\n"
                 "    return total / n"),
    "median": ("mean", "divide their sum", "takes the middle",
               "def mean(values):\n    return sorted(values)[len(values) // 2]"),
    "empty_division": ("mean", "hard-wired", "fails for other lengths",
                       "def mean(values):\n    a, b, c = values\n    return (a + b + c) / 3"),
    "sample_mean": ("mean", "divide their sum", "divides by n - 1",
                    "def mean(values):\n    return sum(values) / max(1, len(values) - 1)"),
    "rounds": ("mean", "divide their sum", "rounds", "def mean(values):\n    return round(sum(values) / len(values))"),
    "no_scale": ("spread", "SCALE times", "forgets SCALE",
                 "def spread(values, corrected=False):\n    m = mean(values)\n"
                 "    return math.sqrt(sum((v - m) ** 2 for v in values) / (len(values) - corrected))"),
    "variance": ("spread", "root", "forgets the root",
                 "def spread(values, corrected=False):\n    m = mean(values)\n"
                 "    return SCALE * sum((v - m) ** 2 for v in values) / (len(values) - corrected)"),
    "always_corrected": ("spread", "mean square", "divides by n - 1",
                         "def spread(values, corrected=False):\n    m = mean(values)\n"
                         "    return SCALE * math.sqrt(sum((v - m) ** 2 for v in values) / (len(values) - 1))"),
    "never_corrected": ("spread", "one less", "ignores the flag",
                        "def spread(values, corrected=False):\n    m = mean(values)\n"
                        "    return SCALE * math.sqrt(sum((v - m) ** 2 for v in values) / len(values))"),
    "no_mean": ("spread", "mean square", "distances to zero",
                "def spread(values, corrected=False):\n"
                "    return SCALE * math.sqrt(sum(v ** 2 for v in values) / (len(values) - corrected))"),
}  # fmt: skip

ALTERNATIVE = """# question: mean
# why: with the standard library
import statistics


def mean(values):
    return float(statistics.fmean(values))
# question: spread
def spread(values, corrected=False):
    centre = statistics.fmean(values)
    total = math.fsum((value - centre) * (value - centre) for value in values)
    return SCALE * (total / (len(values) - int(corrected))) ** 0.5
"""

RUBRIC = """- question: explanation
  points: 20
  criteria:
    - {name: the words, points: 12, full: clear, half: partly, none: missing}
    - {name: the example, points: 8, full: fits, half: partly, none: missing}
"""


def code(name, source, **told):
    metadata = {"gan_course": told} if told else {}
    cell = {"cell_type": "code", "id": name, "metadata": metadata, "source": source}
    return {**cell, "outputs": [], "execution_count": None}


def markdown(name, source, **told):
    metadata = {"gan_course": told} if told else {}
    return {"cell_type": "markdown", "id": name, "metadata": metadata, "source": source}


def notebook():
    """The source notebook as a dictionary."""
    parameters = code("parameters", "FAST = True\nSEED = 0")
    parameters["metadata"] = {"tags": ["parameters"]}

    def check(name, source, question, points, visible, *needs):
        told = {"role": "check", "question": question, "points": points, "visible": visible}
        return code(name, source, **told, needs=[question, *needs])

    cells = [
        markdown("title", "# Numbers\n\nTwo functions, graded."),
        code("setup", SETUP, role="setup"),
        parameters,
        markdown("mean-task", "## 1. The mean (difficulty 1, 5 minutes, 40 points)"),
        code("mean-answer", MEAN, role="solution", question="mean", defines=["mean"]),
        code(
            "mean-selfcheck",
            "assert mean([1.0, 3.0]) == 2.0, 'two numbers'",
            role="selfcheck",
            question="mean",
        ),
        check("mean-visible", MEAN_VISIBLE, "mean", 15, True),
        check("mean-hidden", MEAN_HIDDEN, "mean", 25, False),
        markdown("spread-task", "## 2. The spread (difficulty 2, 5 minutes, 40 points)"),
        code("spread-answer", SPREAD, role="solution", question="spread", defines=["spread"]),
        check("spread-visible", SPREAD_VISIBLE, "spread", 15, True, "mean"),
        check("spread-hidden", SPREAD_HIDDEN, "spread", 25, False, "mean"),
        code("longer", "if not FAST:\n    print(spread(list(range(10_000_000))))", role="experiment"),
        markdown("explanation", "*Your words here.*", role="report", question="explanation", points=20),
    ]
    metadata = {"gan_course": {"homework": "hw9", "title": "Numbers", "minutes": 10}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def write(folder: Path, content=None, mutants=MUTANTS) -> Path:
    """Writes the homework folder hw9_numbers into a folder; returns it."""
    home = Path(folder) / "hw9_numbers"
    for part in ("mutants", "alternatives"):
        (home / part).mkdir(parents=True, exist_ok=True)
    (home / "hw9_numbers.ipynb").write_text(json.dumps(content or notebook(), indent=1), encoding="utf-8")
    (home / "rubric.yml").write_text(RUBRIC, encoding="utf-8")
    (home / "alternatives/statistics.py").write_text(ALTERNATIVE, encoding="utf-8")
    for name, (question, says, why, source) in mutants.items():
        head = f"# question: {question}\n# says: {says}\n# why: {why}\n"
        (home / f"mutants/{name}.py").write_text(head + source + "\n", encoding="utf-8")
    return home


def submission(path: Path, content=None, **answers) -> Path:
    """Writes a student's notebook: the scaffold, with the cells of some questions replaced."""
    from gan_course.grading.notebooks import Cell, scaffold

    content = content or notebook()
    for cell in content["cells"]:
        told = cell["metadata"].get("gan_course", {})
        if told.get("role") == "solution":
            plain = scaffold(Cell(cell["id"], "code", cell["source"]))
            cell["source"] = answers.get(told["question"], plain)
    content["cells"] = [cell for cell in content["cells"] if not hidden(cell)]
    Path(path).write_text(json.dumps(content), encoding="utf-8")
    return Path(path)


def hidden(cell) -> bool:
    told = cell["metadata"].get("gan_course", {})
    return told.get("role") == "check" and not told["visible"]
