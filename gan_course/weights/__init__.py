"""Trained weights that the book shows, each with the run card of the run that made it.

They are small, and reproducible on two CPU cores: `python -m gan_course.weights NAME` trains one again.

Beside them lie records: what a series of runs measured, and pictures of what they made, without the weights.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from gan_course import methods
from gan_course.metrics.classifier import Classifier, ClassifierConfig
from gan_course.metrics.segmenter import Segmenter, SegmenterConfig
from gan_course.training.log import read as read_log
from gan_course.training.run import load_weights
from gan_course.weights.official import load_official as load_official

_JUDGES = {"classifier": (Classifier, ClassifierConfig), "segmenter": (Segmenter, SegmenterConfig)}
FOLDER = Path(str(resources.files("gan_course.weights")))


def names() -> list[str]:
    """The weights that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def card(name: str) -> dict[str, Any]:
    """The run card of the weights: method, configuration, data, seed, seconds, metrics.

    Raises ValueError for a name that is not shipped, listing those that are.
    """
    if name not in names():
        raise ValueError(f"no weights called {name!r} ship with the package; there are: {', '.join(names())}")
    return json.loads((FOLDER / f"{name}.json").read_text())


def records() -> list[str]:
    """The records that ship with the package."""
    return sorted({path.stem for path in FOLDER.glob("*.json")}.difference(names()))


def record(name: str) -> dict[str, Any]:
    """What was measured in a series of runs whose weights are not shipped.

    Like a run card: method, configuration, data, settings; "metrics" holds, for each variant, a list with
    the measurements of each of its runs, and "rows" the names of the pictures (`record_rows`).

    Raises ValueError for a name that is not shipped, listing those that are.
    """
    if name not in records():
        there = ", ".join(records()) or "none"
        raise ValueError(f"no record called {name!r} ships with the package; there are: {there}")
    return json.loads((FOLDER / f"{name}.json").read_text())


def record_rows(name: str) -> dict[str, torch.Tensor]:
    """The pictures of a record: rows of images [N, 3, H, W] in [-1, 1], by what they show.

    Raises ValueError for a name that is not shipped, listing those that are.
    """
    rows = record(name)["rows"]
    with Image.open(FOLDER / f"{name}.png") as picture:
        pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1) / 127.5 - 1
    side = pixels.shape[1] // len(rows)
    strips = pixels.split(side, dim=1)
    return {row: torch.stack(strip.split(side, dim=2)) for row, strip in zip(rows, strips, strict=True)}


def load(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """A trained method (or a judge: classifier, segmenter), in evaluation mode, and its run card.

    >>> method, card = load("cgan-mnist")
    >>> method.sample(10).shape
    torch.Size([10, 1, 32, 32])

    Raises ValueError for a name that is not shipped, listing those that are.
    """
    found = card(name)
    path = FOLDER / f"{name}.safetensors"
    if found["method"] in _JUDGES:
        judge, config = _JUDGES[found["method"]]
        network = judge(config(**found["config"]))
        network.load_state_dict(load_file(path))
        return network.eval(), found
    return load_weights(path, methods.build(found["method"], **found["config"])), found


def progress(name: str) -> list[tuple[int, Image.Image]]:
    """Moments of the training, at most ten: the step, and the first samples of that moment's grid.

    A picture shows the first quarter of the run's sample grid, always from the same noise or the same inputs
    (rows of input, output and target). The list is empty for a judge. Raises ValueError for a name that is
    not shipped, listing those that are.
    """
    steps = card(name).get("progress", [])
    if not steps:
        return []
    with Image.open(FOLDER / f"{name}.progress.jpg") as strip:
        height = strip.height // len(steps)
        return [
            (step, strip.crop((0, place * height, strip.width, (place + 1) * height)))
            for place, step in enumerate(steps)
        ]


def log(name: str) -> dict[str, np.ndarray]:
    """The log of the training: columns by name (`Run.log`); no columns for a classifier.

    Raises ValueError for a name that is not shipped, listing those that are.
    """
    card(name)
    return read_log(FOLDER / f"{name}.log.csv")
