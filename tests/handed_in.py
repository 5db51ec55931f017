"""A homework of three questions that needs no torch, and notebooks that students might hand in for it."""

import copy
import json
from pathlib import Path

SETUP = "import numpy as np"

SOFTPLUS = '''def softplus(x):
    """log(1 + exp(x)), for arrays of any size, without overflow."""
    ### BEGIN SOLUTION
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    ### END SOLUTION'''

LOSS = '''def discriminator_loss(real, fake):
    """-E[log D(x)] - E[log(1 - D(G(z)))] from scores."""
    ### BEGIN SOLUTION
    return np.mean(softplus(-real)) + np.mean(softplus(fake))
    ### END SOLUTION'''

MIX = '''def mix(real, fake, alpha):
    """alpha real + (1 - alpha) fake, one alpha for each sample [N]; samples [N, D]."""
    ### BEGIN SOLUTION
    alpha = alpha[:, None]
    return alpha * real + (1 - alpha) * fake
    ### END SOLUTION'''

SEND = "from gan_course.grading.probes import send\n"

CHECKS = {  # id, visible, points, code, and the sentence for whom it does not pass
    "softplus": [
        (
            "softplus-values",
            True,
            10,
            'send("values", softplus(np.array([-1.5, 0.25, 2.0])), says={says})',
            "softplus is log(1 + exp(x))",
        ),
        (
            "softplus-large",
            False,
            20,
            'send("large", softplus(np.array([-745.5, 745.25])), says={says})',
            "softplus overflows for large scores",
        ),
    ],
    "discriminator_loss": [
        (
            "loss-value",
            True,
            10,
            "real, fake = np.array([0.3, -1.2]), np.array([0.7, 0.1, 2.5])\n"
            'send("value", discriminator_loss(real, fake), says={says})',
            "the mean over real and the mean over fakes are added",
        ),
        (
            "loss-again",
            False,
            20,
            "real, fake = np.array([1.3, 0.2, 4.0]), np.array([-0.4])\n"
            'send("value", discriminator_loss(real, fake), says={says})',
            "each mean is over its own batch",
        ),
    ],
    "mix": [
        (
            "mix-values",
            True,
            10,
            "real, fake = np.arange(6.0).reshape(2, 3), np.ones((2, 3))\n"
            'send("mixed", mix(real, fake, np.array([0.25, 0.75])), says={says})',
            "one alpha for each sample",
        ),
        (
            "mix-inputs",
            False,
            20,
            "real, fake = np.arange(8.0).reshape(2, 4), np.full((2, 4), 7.0)\n"
            "mixed = mix(real, fake, np.array([0.1, 0.6]))\n"
            'send("mixed", mixed, says={says})\nsend("real", real, says={says})',
            "mix must not change its inputs, and needs one alpha for each sample",
        ),
    ],
}
ANSWERS = {"softplus": SOFTPLUS, "discriminator_loss": LOSS, "mix": MIX}
POINTS = {"softplus": 30, "discriminator_loss": 30, "mix": 30}
RUBRIC = """- question: explanation
  points: 10
  criteria:
    - {name: clear, points: 10, full: "says why", half: "says what", none: "says nothing"}
"""
SCAFFOLD_END = '    # YOUR CODE HERE\n    raise NotImplementedError("{name} is yours to write")'


def cell(kind, name, source, **metadata):
    made = {"cell_type": kind, "id": name, "metadata": metadata, "source": source}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def course(role, question=None, **more):
    return {"gan_course": {"role": role, **({"question": question} if question else {}), **more}}


def source():
    """The homework's source notebook."""
    cells = [
        cell("markdown", "title", "# A tiny homework"),
        cell("code", "setup", SETUP, **course("setup")),
        cell("code", "parameters", "FAST = True\nSEED = 0", tags=["parameters"]),
    ]
    for name, answer in ANSWERS.items():
        cells.append(cell("markdown", f"{name}-task", f"## {name}"))
        cells.append(cell("code", f"{name}-answer", answer, **course("solution", name, defines=[name])))
        for check, visible, points, text, says in CHECKS[name]:
            told = course("check", name, points=points, visible=visible, needs=[name])
            cells.append(cell("code", check, SEND + text.format(says=repr(says)), **told))
    report = course("report", "explanation", points=10)
    cells.append(cell("markdown", "explanation", "Explain softplus.", **report))
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"gan_course": {"homework": "hw9", "title": "Tiny", "minutes": 5}},
        "cells": cells,
    }


def write_source(homework: Path) -> Path:
    """The homework's folder below `homework`."""
    folder = homework / "hw9_tiny"
    folder.mkdir(parents=True)
    (folder / "hw9_tiny.ipynb").write_text(json.dumps(source()))
    (folder / "rubric.yml").write_text(RUBRIC)
    return folder


def scaffold(name):
    return ANSWERS[name].split("    ### BEGIN")[0] + SCAFFOLD_END.format(name=name)


def released():
    """What a student gets: scaffolds, visible checks."""
    made = source()
    made["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    kept = []
    for one in made["cells"]:
        told = one["metadata"].get("gan_course", {})
        if told.get("role") == "check" and not told["visible"]:
            continue
        if told.get("role") == "solution":
            one["source"] = scaffold(told["question"])
        kept.append(one)
    made["cells"] = kept
    return made


def right(name):
    """A right answer, as a student would write it."""
    return "\n".join(line for line in ANSWERS[name].splitlines() if "###" not in line)


def handed_in(**answers):
    """A notebook with these answers, and right ones to the other questions; None leaves one unanswered."""
    made = copy.deepcopy(released())
    for one in made["cells"]:
        told = one["metadata"].get("gan_course", {})
        if told.get("role") == "solution":
            answer = answers.get(told["question"], right(told["question"]))
            if answer is not None:
                one["source"] = answer
    return made
