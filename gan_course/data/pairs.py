"""Inputs for paired translation: pictures and maps that say more or less about the image to be made.

An outline says where the hair ends, not that it is red: a network that is asked for the face must guess. The
inputs here differ in what they leave open.

* "drawing": the black outline. Hair, eyes and skin may have any colour.
* "outline": the same outline, drawn with coloured pencils: along the lines each region shows its colour.
* "dabs": the black outline, and some dabs of paint of each region's colour.
* "map": the label map in flat colours. With classes split by their colours (`split_classes`) it leaves
  nothing open, without it what the drawing leaves open.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor
from torch.nn import functional as F

from gan_course.data import faces
from gan_course.data.image_set import ImageSet, paint

# The colours of the classes that `split_classes` divides, by the tag that tells them apart.
SPLIT = {"hair": faces.HAIR_COLOURS, "eyes": faces.EYE_COLOURS, "skin": faces.SKIN_COLOURS}
_COLOURS = {f"{colour} {kind}": code for kind, colours in SPLIT.items() for colour, code in colours.items()}
# Two dabs of each region; a region of a few pixels is covered by them whole.
DABS = 2
UNPAINTED = ("background", "ink", "outline")  # classes that get no colour of their own
_SOME = 500  # images at a time, so that what is computed on the way stays small


def with_input(images: ImageSet, kind: str, seed: int = 0) -> ImageSet:
    """The set with a tensor "input" uint8 [N, 3, H, W] to make "image" from.

    `kind` is "drawing", "outline", "dabs" (placed by `seed` and by the image's number) or "map". Raises
    ValueError for another kind, and for a set without the label maps or drawings that the kind needs.
    """
    if kind not in KINDS:
        raise ValueError(f'unknown kind of input "{kind}"; known are {", ".join(KINDS)}')
    needed = {"drawing": ("drawing",), "map": ("label_map",)}.get(kind, ("drawing", "label_map"))
    for name in needed:
        if name not in images.tensors:
            raise ValueError(f'input "{kind}" needs the tensor "{name}", which "{images.name}" does not have')
    return replace(images, tensors=images.tensors | {"input": KINDS[kind](images, seed)})


def split_classes(images: ImageSet) -> ImageSet:
    """The set with label maps that tell colours apart: "black hair" ... "blue hair" in place of "hair", and
    so for eyes and skin, as the tags of each face say.

    Faces of the style adventurer have 23 classes then. Raises ValueError for a set without label maps and the
    tags of faces.
    """
    if "label_map" not in images.tensors or images.tag_names != faces.TAG_NAMES:
        raise ValueError(
            f'classes are split by the tags of faces, but "{images.name}" lacks label maps or tags'
        )
    names, starts = [], []
    for name in images.map_names:
        starts.append(len(names))
        names += [f"{colour} {name}" for colour in SPLIT[name]] if name in SPLIT else [name]
    ids = torch.tensor(starts, dtype=torch.uint8).repeat(len(images), 1)  # [N, classes] -> the new id
    for kind in SPLIT:
        if kind in images.map_names:
            tag = images.tensors["tags"][:, faces.TAG_GROUPS[kind]].argmax(1)
            ids[:, images.map_names.index(kind)] += tag.to(torch.uint8)
    label_map = images.tensors["label_map"]
    split = ids.gather(1, label_map.flatten(1).long()).view_as(label_map)
    return replace(images, tensors=images.tensors | {"label_map": split}, map_names=tuple(names))


def merge_classes(label_map: Tensor, map_names: Sequence[str]) -> Tensor:
    """Label maps [N, H, W] of split classes, named by `map_names`, as maps of the classes before it."""
    plain = [name.rpartition(" ")[2] if name in _COLOURS else name for name in map_names]
    order = list(dict.fromkeys(plain))
    table = torch.tensor([order.index(name) for name in plain], device=label_map.device)
    return table.to(label_map.dtype)[label_map.long()]


def palette(map_names: Sequence[str]) -> Tensor:
    """Colours to show label maps in: uint8 [classes, 3].

    A split class has the colour that it is named after, a class of faces its colour of `faces.MAP_COLOURS`,
    any other one of the hues that follow each other by the golden angle.
    """
    known = faces.MAP_COLOURS | _COLOURS
    wheel = [f"hsv({137.508 * number % 360:.0f}, 65%, {90 - 25 * (number % 3)}%)" for number in range(256)]
    colours = [ImageColor.getrgb(known.get(name, wheel[k])) for k, name in enumerate(map_names)]
    return torch.tensor(colours, dtype=torch.uint8).view(-1, 3)


def region_colours(image: Tensor, label_map: Tensor, classes: int) -> Tensor:
    """The colour that each class has in each image: uint8 [N, classes, 3], black for an absent class.

    The mean of a class's innermost pixels, those with the most of their eight neighbours in the same class:
    what lies at an edge is mixed with the colour beyond it.
    """
    weights = 16.0 ** _alike(label_map)  # the innermost outweigh all others
    ids = label_map.long().flatten(1)  # [N, HW]
    total = torch.zeros(len(image), classes).scatter_add_(1, ids, weights.flatten(1))
    sums = torch.zeros(len(image), 3, classes)
    sums.scatter_add_(2, ids[:, None].expand(-1, 3, -1), image.flatten(2) * weights.flatten(1)[:, None])
    means = sums / total[:, None].clamp(min=1e-9)
    return means.round().to(torch.uint8).movedim(1, 2)


# ----- the kinds --------------------------------------------------------------------------------------------


def _drawing(images: ImageSet, seed: int) -> Tensor:
    return images.tensors["drawing"].expand(-1, 3, -1, -1).contiguous()


def _map(images: ImageSet, seed: int) -> Tensor:
    return paint(images.tensors["label_map"], palette(images.map_names).to(images.device))


def _outline(images: ImageSet, seed: int) -> Tensor:
    """Paint what lies within `width` pixels of another class, on both sides of every line."""
    width = max(1, round(images.image_size / 64))

    def near_an_edge(label_map: Tensor, random: Tensor) -> Tensor:
        ids = label_map[:, None].float()
        window = {"kernel_size": 2 * width + 1, "stride": 1, "padding": width}
        return (F.max_pool2d(ids, **window) != -F.max_pool2d(-ids, **window))[:, 0]

    return _painted(images, near_an_edge, seed)


def _dabs(images: ImageSet, seed: int) -> Tensor:
    """Paint discs around DABS random pixels of each class, as far as its region goes."""
    radius = max(1, 2 * images.image_size // 64)
    across = range(-radius, radius + 1)
    steps = [(y, x) for y in across for x in across if y * y + x * x <= (radius + 0.5) ** 2]

    def around_some_pixels(label_map: Tensor, random: Tensor) -> Tensor:
        chances = random + _alike(label_map) / 8  # inner pixels are chosen before those at an edge
        centres = torch.zeros_like(label_map, dtype=torch.bool)
        ids = label_map.flatten(1).long()
        for _ in range(DABS):
            chances[centres] = 0
            best = torch.zeros(len(label_map), len(images.map_names))
            best.scatter_reduce_(1, ids, chances.flatten(1), "amax")
            centres |= chances == best.gather(1, ids).view_as(chances)
        covered = torch.zeros_like(centres)
        for near, centre in zip(_shifted(label_map, steps), _shifted(centres, steps), strict=True):
            covered |= centre & (near == label_map)
        return covered

    return _painted(images, around_some_pixels, seed)


def _painted(images: ImageSet, choose: Callable[[Tensor, Tensor], Tensor], seed: int) -> Tensor:
    """White paper, the regions' colours where `choose(label_map, random)` says so, and the ink on top."""
    tensors = {key: images.tensors[key].cpu() for key in ("image", "label_map", "drawing")}
    paintable = torch.tensor([name not in UNPAINTED for name in images.map_names])
    numbers = np.random.default_rng(seed)
    parts = []
    for start in range(0, len(images), _SOME):
        image, label_map, drawing = (tensor[start : start + _SOME] for tensor in tensors.values())
        random = torch.from_numpy(numbers.random(label_map.shape, dtype=np.float32))
        chosen = choose(label_map, random) & paintable[label_map.long()]
        colours = region_colours(image, label_map, len(images.map_names))
        index = label_map.flatten(1).long()[:, :, None].expand(-1, -1, 3)
        shown = colours.gather(1, index).movedim(1, 2).reshape(image.shape)
        paper = shown.where(chosen[:, None], torch.tensor(255, dtype=torch.uint8))
        parts.append((paper.float() * drawing / 255).round().to(torch.uint8))
    return torch.cat(parts).to(images.device)


def _alike(label_map: Tensor) -> Tensor:
    """How many of its eight neighbours each pixel shares its class with: float32 [N, H, W]."""
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    count = torch.zeros_like(label_map)
    for near in _shifted(label_map, around):
        count += near == label_map
    return count.float()


def _shifted(values: Tensor, steps: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
    """For each step (down, right) what lies so many pixels further: [N, H, W]. The edges go on beyond."""
    reach = max(max(abs(y), abs(x)) for y, x in steps)
    height, width = values.shape[1:]
    padded = F.pad(values.float(), (reach,) * 4, mode="replicate").to(values.dtype)
    for y, x in steps:
        yield padded[:, reach + y : reach + y + height, reach + x : reach + x + width]


KINDS: dict[str, Callable[[ImageSet, int], Tensor]] = {
    "drawing": _drawing,
    "outline": _outline,
    "dabs": _dabs,
    "map": _map,
}
