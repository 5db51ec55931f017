"""Tagged faces, in the chapter on Wasserstein and tags."""

from pathlib import Path

import torch

import course_demos
from gan_course import export, weights
from gan_course.data.faces import EYE_COLOURS, HAIR_COLOURS, SKIN_COLOURS, TAG_GROUPS, TAG_NAMES

COLOURS = {"hair": HAIR_COLOURS, "eyes": EYE_COLOURS, "skin": SKIN_COLOURS}
SEED = 4
TRUNCATION = 0.75  # the noise of the picture and of the first face in the page, times this


def tag_buttons() -> list[dict]:
    """The kinds of tags in the order of the network's input, each with its buttons."""

    def option(kind: str, place: int, name: str) -> dict:
        if kind not in COLOURS:
            return {"value": place, "text": name, "title": name}
        text = name.removesuffix(f" {kind}")
        return {"value": place, "text": text, "title": name, "colour": COLOURS[kind][text]}

    return [
        {"kind": kind, "options": [option(kind, *each) for each in enumerate(TAG_NAMES[group])]}
        for kind, group in TAG_GROUPS.items()
    ]


def make(folder: Path) -> None:
    method, _ = weights.load("acgan-faces")
    course_demos.write_network(folder / "generator", export.EXPORTS["acgan"](method, "AtoB"))
    course_demos.write_data(folder / "tags", tag_buttons())
    hair = [[colour, 1, 0, 0] for colour in range(6)]
    skin_and_glasses = [[2, 0, place // 2, place % 2] for place in range(6)]
    one_order = [[3, 0, 1, 1]] * 6
    noise = TRUNCATION * method.draw_noise(8, torch.Generator().manual_seed(SEED))
    rows = [
        method.sample(6, noise=some.expand(6, -1), labels=torch.tensor(tags))
        for some, tags in ((noise[:1], hair), (noise[1:2], skin_and_glasses), (noise[2:], one_order))
    ]
    course_demos.write_picture(folder, rows, scale=2)
