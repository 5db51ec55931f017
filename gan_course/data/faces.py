"""Cartoon faces, drawn by DiceBear from the styles of several artists and rasterised by resvg.

A face of the style "adventurer" is rendered three times from the same vector drawing:

* as it is: the image;
* with each colour variable of the style set to a flat colour of its own and antialiasing off: every pixel then has
  exactly one of 13 colours, which is the label map;
* with all colours white but the ink: the outline drawing.

Nothing is downloaded: the styles come with the package dicebear-styles. Every style names its artist and licence
(`credits`), and both must be given when faces are shown.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from io import BytesIO

import dicebear
import joblib
import numpy as np
import resvg_py
import torch
from PIL import Image
from tqdm.auto import tqdm

from gan_course.data.image_set import ImageSet

HAIR_COLOURS = {
    "black": "#33333d",
    "brown": "#7b4a24",
    "blonde": "#ecc94b",
    "red": "#d2451e",
    "grey": "#c3c8d0",
    "blue": "#3d8fe0",
}
EYE_COLOURS = {"brown": "#8a4510", "blue": "#1478f0", "green": "#12a23a", "violet": "#a22be0"}
SKIN_COLOURS = {"light": "#f6d7b5", "tan": "#d69a66", "dark": "#86502c"}
GLASSES = ("no glasses", "glasses")
TAG_NAMES = (
    *(f"{colour} hair" for colour in HAIR_COLOURS),
    *(f"{colour} eyes" for colour in EYE_COLOURS),
    *(f"{colour} skin" for colour in SKIN_COLOURS),
    *GLASSES,
)
TAG_GROUPS = {"hair": slice(0, 6), "eyes": slice(6, 10), "skin": slice(10, 13), "glasses": slice(13, 15)}


@dataclass(frozen=True)
class Style:
    """How a DiceBear style is used.

    `tags` maps hair, eyes and skin to the colour variable that shows them, and glasses to the component.
    `map_names` lists the classes of the label map after the background: the style's colour variables.
    `ink` is the colour variable of the outline. `options` are handed to DiceBear as they are.
    """

    name: str
    tags: dict[str, str] = field(default_factory=dict)
    map_names: tuple[str, ...] = ()
    ink: str | None = None
    options: dict = field(default_factory=dict)
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)


STYLES = {
    "adventurer": Style(
        "adventurer",
        tags={"hair": "hair", "eyes": "eyes", "skin": "skin", "glasses": "glasses"},
        map_names=(
            "skin",
            "hair",
            "eyes",
            "sclera",
            "lips",
            "teeth",
            "tongue",
            "throat",
            "uvula",
            "ink",
            "glasses",
            "earrings",
        ),
        ink="ink",
        # Shut, winking and nearly shut eyes do not show their colour.
        left_out={
            "eyes": (
                "variant06",
                "variant07",
                "variant08",
                "variant19",
                "variant20",
                "variant21",
                "variant22",
            )
        },
    ),
}


@lru_cache
def _definition(style: str) -> dict:
    text = (resources.files("dicebear_styles") / f"{style}.json").read_text(encoding="utf-8")
    return json.loads(text)


@lru_cache
def _drawable(style: str) -> dicebear.Style:
    return dicebear.Style(_definition(style))


def _own_colours(element) -> bool:
    """Whether any part of a drawing has a colour or an opacity that no colour variable reaches."""
    if isinstance(element, list):
        return any(_own_colours(part) for part in element)
    if not isinstance(element, dict):
        return False
    for key, value in element.items():
        if key in ("fill", "stroke") and isinstance(value, str) and value != "none":
            return True
        if "opacity" in key or _own_colours(value):
            return True
    return False


@lru_cache
def _variants(style: str) -> dict[str, list[str]]:
    """The variants of each component that may be drawn."""
    spec = STYLES[style]
    chosen = {}
    for component, content in _definition(style)["components"].items():
        names = [name for name in content["variants"] if name not in spec.left_out.get(component, ())]
        if spec.map_names:
            names = [name for name in names if not _own_colours(content["variants"][name])]
        chosen[component] = names
    return chosen


def draw_tags(seed: int, index: int) -> dict[str, str]:
    """The tags of face `index`: four independent uniform draws, a pure function of (seed, index)."""
    rng = np.random.default_rng([seed, index])
    return {
        "hair": list(HAIR_COLOURS)[rng.integers(len(HAIR_COLOURS))],
        "eyes": list(EYE_COLOURS)[rng.integers(len(EYE_COLOURS))],
        "skin": list(SKIN_COLOURS)[rng.integers(len(SKIN_COLOURS))],
        "glasses": GLASSES[rng.integers(len(GLASSES))],
    }


def _flat_colour(class_id: int) -> int:
    """The grey level that stands for a class while a label map is rendered."""
    return class_id * 16


def _rasterise(svg: str, size: int) -> np.ndarray:
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def _svg(style: str, options: dict, crisp: bool = False) -> str:
    svg = str(dicebear.Avatar(_drawable(style), options))
    return (
        svg.replace("<svg ", '<svg shape-rendering="crispEdges" ', 1).replace('shape-rendering="auto"', "")
        if crisp
        else svg
    )


def render(style: str, seed: int, index: int, image_size: int) -> dict[str, np.ndarray]:
    """One face: "image" uint8 [H, W, 3], and where the style reaches them "tags" uint8 [15], "label_map" uint8 [H, W]
    and "drawing" uint8 [H, W]. A pure function of its arguments."""
    spec = STYLES[style]
    options = {"seed": f"{style}-{seed}-{index}", "backgroundColor": "#ffffff", **spec.options}
    for component, names in _variants(style).items():
        options[f"{component}Variant"] = names
    face = {}
    if spec.tags:
        tags = draw_tags(seed, index)
        options[f"{spec.tags['hair']}Color"] = HAIR_COLOURS[tags["hair"]]
        options[f"{spec.tags['eyes']}Color"] = EYE_COLOURS[tags["eyes"]]
        options[f"{spec.tags['skin']}Color"] = SKIN_COLOURS[tags["skin"]]
        options[f"{spec.tags['glasses']}Probability"] = 100 if tags["glasses"] == "glasses" else 0
        named = [f"{tags['hair']} hair", f"{tags['eyes']} eyes", f"{tags['skin']} skin", tags["glasses"]]
        face["tags"] = np.array([name in named for name in TAG_NAMES], dtype=np.uint8)
    face["image"] = _rasterise(_svg(style, options), image_size)
    if spec.map_names:
        grey = {"background": _flat_colour(0)} | {n: _flat_colour(i) for i, n in enumerate(spec.map_names, 1)}
        flat = {f"{name}Color": f"#{level:02x}{level:02x}{level:02x}" for name, level in grey.items()}
        ids, remainder = np.divmod(
            _rasterise(_svg(style, options | flat, crisp=True), image_size)[..., 0], 16
        )
        if remainder.any() or ids.max() > len(spec.map_names):
            raise RuntimeError(
                f"style {style}, seed {seed}, face {index}: a pixel of the label map has no class colour"
            )
        face["label_map"] = ids
    if spec.ink:
        white = {f"{name}Color": "#ffffff" for name in spec.map_names if name != spec.ink}
        face["drawing"] = _rasterise(_svg(style, options | white), image_size)[..., 0]
    return face


def _render_many(style: str, seed: int, indices: range, image_size: int) -> dict[str, np.ndarray]:
    faces = [render(style, seed, index, image_size) for index in indices]
    return {key: np.stack([face[key] for face in faces]) for key in faces[0]}


def _render_all(
    style: str, seed: int, count: int, image_size: int, progress: bool
) -> Iterator[dict[str, np.ndarray]]:
    chunks = [range(start, min(start + 50, count)) for start in range(0, count, 50)]
    jobs = (joblib.delayed(_render_many)(style, seed, chunk, image_size) for chunk in chunks)
    parallel = joblib.Parallel(n_jobs=-1 if count > 200 else 1, return_as="generator")
    with tqdm(total=count, desc=f"rendering {style} faces", unit="face", disable=not progress) as bar:
        for chunk in parallel(jobs):
            bar.update(len(chunk["image"]))
            yield chunk


def load(
    image_size: int = 64, count: int = 3000, style: str = "adventurer", seed: int = 0, progress: bool = True
) -> ImageSet:
    """`count` faces of `image_size` pixels."""
    chunks = list(_render_all(style, seed, count, image_size, progress))
    arrays = {key: np.concatenate([chunk[key] for chunk in chunks]) for key in chunks[0]}
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    tensors["image"] = tensors["image"].permute(0, 3, 1, 2).contiguous()
    if "drawing" in tensors:
        tensors["drawing"] = tensors["drawing"][:, None]
    spec = STYLES[style]
    return ImageSet(
        f"faces-{style}",
        tensors,
        tag_names=TAG_NAMES if spec.tags else (),
        map_names=("background", *spec.map_names) if spec.map_names else (),
    )
