"""Paint a label map, in the chapter on SPADE and CLADE."""

import base64
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import parametrize

import course_demos
from gan_course import data, export, methods, weights
from gan_course.data import pairs
from gan_course.nn import norms

NETWORKS = ("spade", "clade")
EXAMPLES = 6
LOOKED_THROUGH = 40  # held-out faces that the examples are chosen from


def make(folder: Path) -> None:
    held = data.load("faces", image_size=64, count=LOOKED_THROUGH, seed=1, split_colours=True, progress=False)
    palette = pairs.palette(held.map_names)
    maps = varied(held.tensors["label_map"], len(held.map_names), EXAMPLES)
    described = {
        "names": held.map_names,
        "colours": ["#" + bytes(colour).hex() for colour in palette.tolist()],
        "examples": [base64.b64encode(bytes(label_map.flatten().tolist())).decode() for label_map in maps],
    }
    course_demos.write_data(folder / "classes", described)
    rows = [data.paint(maps, palette) / 127.5 - 1]
    for name in NETWORKS:
        method = painter(name)
        course_demos.write_network(folder / name, export.EXPORTS[method.name](method, "AtoB"))
        rows.append(method.translate(maps.long()))
    course_demos.write_picture(folder, rows, scale=2)


def painter(name: str) -> methods.Method:
    """The generator of the chapter, its weights divided by their spectral norms once and for all.

    A page that did it again for every picture would need longer, and a third of the file more.
    """
    method, _ = weights.load(f"{name}-faces")
    for layer in norms.normalised_layers(method.generator).values():
        parametrize.remove_parametrizations(layer, "weight")
    return method


def varied(label_maps: Tensor, classes: int, count: int) -> Tensor:
    """Some of the label maps [N, H, W]: each has the most classes that none before it has."""
    present = torch.nn.functional.one_hot(label_maps.flatten(1).long(), classes).amax(1)  # [N, classes]
    chosen: list[int] = []
    for _ in range(count):
        seen = present[chosen].sum(0)
        worth = (present / 4.0**seen).sum(1)  # a class that was seen counts a little still
        worth[chosen] = -1
        chosen.append(int(worth.argmax()))
    return label_maps[chosen]
