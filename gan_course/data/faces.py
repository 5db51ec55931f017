"""Cartoon faces, drawn by DiceBear from the styles of several artists and rasterised by resvg.

A face of the style "adventurer" is rendered three times from the same vector drawing:

* as it is: the image;
* with each colour variable of the style set to a flat colour of its own and antialiasing off: every pixel
  then has exactly one of 13 colours, which is the label map;
* with all colours white but the ink and the frames of the glasses: the outline drawing.

Nothing is downloaded: the styles come with the package dicebear-styles. Every style names its artist and
licence (see `credits`), and both are to be given where faces are shown.
"""

import csv
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata, resources
from io import BytesIO
from pathlib import Path

import joblib
import numpy as np
import resvg_py
import torch
from PIL import Image, ImageColor
from tqdm.auto import tqdm

from gan_course.data import cache
from gan_course.data.image_set import ImageSet
from gan_course.progress import shows_progress

HAIR_COLOURS = {
    "black": "#33333d",  # lighter than the ink, so that strands can be told apart
    "brown": "#7b4a24",
    "blonde": "#ecc94b",
    "red": "#d2451e",
    "grey": "#c3c8d0",
    "blue": "#3d8fe0",
}
# Saturated, since an iris at 64 pixels is four pixels wide.
EYE_COLOURS = {"brown": "#a0520f", "blue": "#1478f0", "green": "#12a23a", "violet": "#a22be0"}
SKIN_COLOURS = {"light": "#f6d7b5", "tan": "#d69a66", "dark": "#86502c"}
GLASSES = ("no glasses", "glasses")
PARALLEL_FROM = 400  # faces; to start processes for fewer would cost more than it saves
# Where each tag stands among the 15 places of "tags".
TAG_GROUPS = {"hair": slice(0, 6), "eyes": slice(6, 10), "skin": slice(10, 13), "glasses": slice(13, 15)}
TAG_NAMES = (
    *(f"{colour} hair" for colour in HAIR_COLOURS),
    *(f"{colour} eyes" for colour in EYE_COLOURS),
    *(f"{colour} skin" for colour in SKIN_COLOURS),
    *GLASSES,
)
# Colours to show label maps in, by class name.
MAP_COLOURS = {
    "background": "#f2f2f2",
    "skin": "#f0b98d",
    "hair": "#8c564b",
    "eyes": "#1f77b4",
    "sclera": "#aec7e8",
    "lips": "#d62728",
    "teeth": "#ffe9a8",
    "tongue": "#ff9896",
    "throat": "#7b2d52",
    "uvula": "#e377c2",
    "ink": "#222222",
    "glasses": "#2ca02c",
    "earrings": "#bcbd22",
    "eyebrows": "#9467bd",
    "mouth": "#d62728",
    "nose": "#ff7f0e",
    "freckles": "#c49c94",
    "outline": "#222222",
}


@dataclass(frozen=True)
class Style:
    """How a DiceBear style is used here.

    `tagged` maps hair, eyes and skin to the colour variables that they set, glasses to the component they
    switch; it is empty for a style without tags. `map_names` are the classes of the label map after the
    background: the style's colour variables; empty for a style with shading, whose parts are not flat.
    `ink` are the variables that an outline drawing keeps. `options` go to DiceBear as they are. `left_out`
    lists variants by component that are not drawn.
    """

    tagged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    map_names: tuple[str, ...] = ()
    ink: tuple[str, ...] = ()
    options: dict = field(default_factory=dict)
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)


STYLES = {
    "adventurer": Style(
        tagged={"hair": ("hair",), "eyes": ("eyes",), "skin": ("skin",), "glasses": ("glasses",)},
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
        ink=("ink", "glasses"),
        options={"scale": 1.15},
        left_out={
            # Shut, winking and narrowed eyes, and those with a pinhole of an iris, do not show their colour
            # at 64 pixels; a lock over one eye halves what is left.
            "eyes": tuple(f"variant{number:02d}" for number in (6, 7, 8, 14, 17, 19, 20, 21, 22)),
            "hair": ("long20",),
            "glasses": ("variant03",),  # reading glasses of a dozen pixels
        },
    ),
    "lorelei": Style(
        map_names=(
            "skin",
            "hair",
            "eyes",
            "eyebrows",
            "outline",
            "nose",
            "mouth",
            "glasses",
            "earrings",
            "freckles",
        ),
    ),
    "avataaars": Style(
        tagged={
            "hair": ("hair", "facialHair"),
            "eyes": ("iris",),
            "skin": ("skin",),
            "glasses": ("accessories",),
        },
        options={"accessoriesColor": "#262e33", "scale": 1.6, "translateY": 10},
        left_out={
            "accessories": ("eyepatch", "kurt", "sunglasses", "wayfarers"),  # the eyes cannot be seen
            # shut, winking, or dots without a white around them, on which brown cannot be told from dark skin
            "eyes": ("closed", "cry", "default", "happy", "hearts", "side", "wink", "winkWacky", "xDizzy"),
            "mouth": ("vomit",),
            # hats, and hair that is hardly there
            "top": (
                "frida",
                "hat",
                "hijab",
                "sides",
                "turban",
                "winterHat02",
                "winterHat03",
                "winterHat04",
                "winterHat1",
            ),
        },
    ),
    "toon-head": Style(),
    "micah": Style(),
}


@dataclass(frozen=True)
class Credit:
    """Who drew a style, under which licence, as the style's own file says."""

    style: str
    title: str
    artist: str
    artist_address: str
    source: str
    licence: str
    licence_address: str

    def __str__(self) -> str:
        return f'"{self.title}" by {self.artist} ({self.source}), {self.licence} ({self.licence_address})'


def credits(style: str) -> Credit:
    """Artist, source and licence of a style."""
    meta = _definition(style)["meta"]
    return Credit(
        style=style,
        title=meta["source"]["name"],
        artist=meta["creator"]["name"],
        artist_address=meta["creator"]["url"],
        source=meta["source"]["url"],
        licence=meta["license"]["name"],
        licence_address=meta["license"]["url"],
    )


def map_palette(style: str = "adventurer") -> torch.Tensor:
    """Colours to show the style's label maps in: uint8 [classes, 3]."""
    return torch.tensor(
        [ImageColor.getrgb(MAP_COLOURS[name]) for name in map_names(style)], dtype=torch.uint8
    )


def map_names(style: str = "adventurer") -> tuple[str, ...]:
    """Names of the label map's classes by id, background first; empty where the style has no label map."""
    names = STYLES[style].map_names
    return ("background", *names) if names else ()


# ----- one face ---------------------------------------------------------------------------------------------


def draw_tags(seed: int, index: int) -> dict[str, str]:
    """The tags of face `index`: independent uniform draws, a pure function of (seed, index)."""
    rng = np.random.default_rng([seed, index])
    return {
        "hair": str(rng.choice(list(HAIR_COLOURS))),
        "eyes": str(rng.choice(list(EYE_COLOURS))),
        "skin": str(rng.choice(list(SKIN_COLOURS))),
        "glasses": str(rng.choice(GLASSES)),
    }


def tag_vector(tags: dict[str, str]) -> np.ndarray:
    """Tags as uint8 [15]: four one-hot groups in the order of TAG_NAMES."""
    chosen = (f"{tags['hair']} hair", f"{tags['eyes']} eyes", f"{tags['skin']} skin", tags["glasses"])
    return np.array([name in chosen for name in TAG_NAMES], dtype=np.uint8)


def face_options(style: str, seed: int, index: int) -> dict:
    """What DiceBear is asked for to draw face `index`: the variants allowed, and the colours that the tags
    set."""
    spec = STYLES[style]
    options = {"seed": f"{style}-{seed}-{index}", "backgroundColor": "#ffffff", **spec.options}
    for component, names in _variants(style).items():
        options[f"{component}Variant"] = names
        if not names:
            options[f"{component}Probability"] = 0
    if spec.tagged:
        tags = draw_tags(seed, index)
        for kind, colours in (("hair", HAIR_COLOURS), ("eyes", EYE_COLOURS), ("skin", SKIN_COLOURS)):
            for variable in spec.tagged[kind]:
                options[f"{variable}Color"] = colours[tags[kind]]
        for component in spec.tagged["glasses"]:
            options[f"{component}Probability"] = 100 * GLASSES.index(tags["glasses"])
    return options


def face_palette(style: str, seed: int, index: int) -> np.ndarray:
    """The colours that face `index` has by class of its label map: uint8 [classes, 3]."""
    options = face_options(style, seed, index)
    own = {name: colour["values"][0] for name, colour in _definition(style)["colors"].items()}
    colours = [options.get(f"{name}Color") or own[name] for name in map_names(style)]
    return np.array([ImageColor.getrgb(colour) for colour in colours], dtype=np.uint8)


def rasterise(style: str, options: dict, image_size: int, crisp: bool = False) -> np.ndarray:
    """A face as uint8 [image_size, image_size, 3]; `crisp` switches antialiasing off."""
    # imported where a face is drawn: it takes as long as torch's own import, and drawn sets are kept
    import dicebear

    svg = str(dicebear.Avatar(_drawable(style), options))
    # The picture ends at the canvas anyway, and without the clip path resvg needs a quarter less time.
    svg = re.sub(r' clip-path="url\(#clip-[^"]*"', "", svg, count=1)
    if crisp:
        svg = svg.replace('shape-rendering="auto"', 'shape-rendering="crispEdges"', 1)
    png = resvg_py.svg_to_bytes(svg_string=svg, width=image_size, height=image_size, skip_system_fonts=True)
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def label_map(style: str, options: dict, image_size: int) -> np.ndarray:
    """Class ids uint8 [image_size, image_size], pixel for pixel under the face that the same options draw.

    Class k is rendered in the grey level 16 k and read back. A grey level that is no multiple of 16 would
    be a mixture of two classes and raises RuntimeError; without antialiasing there is none.
    """
    names = map_names(style)
    grey = {f"{name}Color": f"#{16 * k:02x}{16 * k:02x}{16 * k:02x}" for k, name in enumerate(names)}
    picture = rasterise(style, options | grey, image_size, crisp=True)
    ids, mixture = np.divmod(picture[..., 0], 16)
    if mixture.any() or ids.max() >= len(names):
        raise RuntimeError(
            f'style "{style}", {options["seed"]}: a pixel of the label map belongs to no class'
        )
    return ids


def drawing(style: str, options: dict, image_size: int) -> np.ndarray:
    """The outline of a face, black on white: uint8 [image_size, image_size]."""
    spec = STYLES[style]
    white = {f"{name}Color": "#ffffff" for name in spec.map_names if name not in spec.ink}
    return rasterise(style, options | white, image_size)[..., 0]


def render(style: str, seed: int, index: int, image_size: int) -> dict[str, np.ndarray]:
    """One face, a pure function of the arguments.

    "image" uint8 [H, W, 3] always; "tags" uint8 [15], "label_map" uint8 [H, W] and "drawing" uint8 [H, W]
    where the style reaches them.
    """
    spec = STYLES[style]
    options = face_options(style, seed, index)
    face = {"image": rasterise(style, options, image_size)}
    if spec.tagged:
        face["tags"] = tag_vector(draw_tags(seed, index))
    if spec.map_names:
        face["label_map"] = label_map(style, options, image_size)
    if spec.ink:
        face["drawing"] = drawing(style, options, image_size)
    return face


# ----- the styles' own files --------------------------------------------------------------------------------


@lru_cache
def _definition(style: str) -> dict:
    text = (resources.files("dicebear_styles") / f"{style}.json").read_text(encoding="utf-8")
    definition = json.loads(text)
    return _with_iris(definition) if style == "avataaars" else definition


def _with_iris(definition: dict) -> dict:
    """Avataaars has no variable for the colour of its eyes, which are translucent black: give it one."""
    definition = deepcopy(definition)
    definition["colors"]["iris"] = {"values": ["#333333"]}
    parts = [definition["components"]["eyes"]]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts.extend(part)
        elif isinstance(part, dict):
            if part.get("fill") == "black":
                part["fill"] = {"type": "color", "name": "iris"}
                part.pop("fill-opacity", None)
            parts.extend(part.values())
    return definition


@lru_cache
def _drawable(style: str):
    from dicebear import Style as Definition

    return Definition(_definition(style))


@lru_cache
def _variants(style: str) -> dict[str, list[str]]:
    """The variants of each component that may be drawn.

    For a style with label maps those with a colour or an opacity of their own (freckles, flowers in the
    hair) drop out: no variable reaches them, so they could not be given a class.
    """
    spec = STYLES[style]
    chosen = {}
    for component, content in _definition(style)["components"].items():
        names = [name for name in content["variants"] if name not in spec.left_out.get(component, ())]
        if spec.map_names:
            names = [name for name in names if not _has_fixed_paint(content["variants"][name])]
        chosen[component] = names
    return chosen


def _has_fixed_paint(part) -> bool:
    if isinstance(part, list):
        return any(_has_fixed_paint(child) for child in part)
    if not isinstance(part, dict):
        return False
    fixed = any(isinstance(part.get(paint), str) and part[paint] != "none" for paint in ("fill", "stroke"))
    return fixed or any("opacity" in key or _has_fixed_paint(value) for key, value in part.items())


# ----- many faces -------------------------------------------------------------------------------------------


def load(
    image_size: int = 64,
    count: int = 3000,
    style: str = "adventurer",
    seed: int = 0,
    input: str = "",
    split_colours: bool = False,
    progress: bool | None = None,
) -> ImageSet:
    """`count` faces of `image_size` pixels, rendered on all cores the first time and read from the cache
    afterwards.

    Face i is a pure function of (style, seed, i, image_size), whatever `count` is. Tensors by style:
    "image" always; "label_map" for adventurer (13 classes) and lorelei (11); "drawing" for adventurer;
    "tags" for adventurer and avataaars (15 places, see TAG_NAMES); toon-head and micah have the image
    alone.

    For paired translation, `input` adds the tensor "input": "drawing", "outline", "dabs" or "map" (see
    `gan_course.data.pairs`), and `split_colours` divides the classes of hair, eyes and skin by their colours.
    """
    from gan_course.data import pairs  # which knows the faces, and so cannot be imported before them

    _check(style, count, image_size, seed)
    key = cache.key(style=style, count=count, image_size=image_size, seed=seed, made_by=_recipe())
    path = cache.folder() / f"faces-{style}-{image_size}-{key}.safetensors"
    tensors = cache.read(path)
    if tensors is None:
        chunks = list(_render_all(style, seed, range(count), image_size, progress))
        tensors = {
            name: torch.from_numpy(np.concatenate([chunk[name] for chunk in chunks])) for name in chunks[0]
        }
        tensors["image"] = tensors["image"].permute(0, 3, 1, 2).contiguous()
        if "drawing" in tensors:
            tensors["drawing"] = tensors["drawing"].unsqueeze(1)
        cache.write(path, tensors)
    images = ImageSet(
        f"faces-{style}",
        tensors,
        tag_names=TAG_NAMES if STYLES[style].tagged else (),
        map_names=map_names(style),
        credit=str(credits(style)),
    )
    if split_colours:
        images = pairs.split_classes(images)
    return pairs.with_input(images, input, seed) if input else images


def render_faces(
    out: str | Path,
    count: int = 1000,
    image_size: int = 64,
    style: str = "adventurer",
    seed: int = 0,
    progress: bool | None = None,
) -> Path:
    """Write faces as files: images/000000.png ..., where the style has them labels/ (8-bit class ids),
    drawings/ and tags.csv, and meta.json and README.txt with artist and licence.

    A call that was interrupted is completed by the same call. Raises FileExistsError for a folder that
    holds anything else. `data.load(out)` reads the folder back.
    """
    _check(style, count, image_size, seed)
    out = Path(out)
    request = {"style": style, "count": count, "image_size": image_size, "seed": seed, "made_by": _recipe()}
    meta = {
        "content": "faces rendered by gan_course",
        "complete": False,
        "request": request,
        "map_names": map_names(style),
        "tag_names": TAG_NAMES if STYLES[style].tagged else (),
        "credit": str(credits(style)),
    }
    _claim(out, request)
    _write_text(out / "meta.json", json.dumps(meta, indent=1))
    _write_text(out / "README.txt", f"{count} cartoon faces. {credits(style)}.\n")
    parts = {"image": "images", "label_map": "labels", "drawing": "drawings"}
    missing = [index for index in range(count) if not (out / "images" / f"{index:06d}.png").exists()]
    index = iter(missing)
    for chunk in _render_all(style, seed, missing, image_size, progress):
        for row in range(len(chunk["image"])):
            name = f"{next(index):06d}.png"
            # The image comes last: where it is, its label map and drawing are.
            for key in ("label_map", "drawing", "image"):
                if key in chunk:
                    _write_png(out / parts[key] / name, chunk[key][row])
    if STYLES[style].tagged:
        _write_tags(out / "tags.csv", [draw_tags(seed, face) for face in range(count)])
    _write_text(out / "meta.json", json.dumps(meta | {"complete": True}, indent=1))
    return out


def _check(style: str, count: int, image_size: int, seed: int) -> None:
    if style not in STYLES:
        raise ValueError(f'unknown style of faces "{style}"; known are {", ".join(STYLES)}')
    if count < 1:
        raise ValueError(f"count is {count}; ask for one face at least")
    if not 16 <= image_size <= 1024:
        raise ValueError(f"image_size is {image_size}; faces are rendered from 16 to 1024 pixels")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must not be negative")


@lru_cache
def _recipe() -> list[str]:
    """What the pixels depend on besides the request: versions of the libraries, and this file."""
    versions = [
        f"{name} {metadata.version(name)}" for name in ("dicebear-core", "dicebear-styles", "resvg_py")
    ]
    return [*versions, cache.key(source=Path(__file__).read_text(encoding="utf-8"))]


def _render_some(style: str, seed: int, indices: list[int], image_size: int) -> dict[str, np.ndarray]:
    faces = [render(style, seed, index, image_size) for index in indices]
    return {key: np.stack([face[key] for face in faces]) for key in faces[0]}


def _render_all(style, seed, indices, image_size, progress, chunk_size=50) -> Iterator[dict[str, np.ndarray]]:
    """The faces of `indices` in order, in chunks, on all cores."""
    chunks = [list(indices[start : start + chunk_size]) for start in range(0, len(indices), chunk_size)]
    parallel = joblib.Parallel(n_jobs=-1 if len(indices) >= PARALLEL_FROM else 1, return_as="generator")
    jobs = (joblib.delayed(_render_some)(style, seed, chunk, image_size) for chunk in chunks)
    with tqdm(
        total=len(indices), desc=f"rendering {style} faces", unit="face", disable=not shows_progress(progress)
    ) as bar:
        for faces in parallel(jobs):
            bar.update(len(faces["image"]))
            yield faces


def _claim(out: Path, request: dict) -> None:
    """Make the folder, or find that it is the same request's, unfinished or whole."""
    if not out.exists():
        out.mkdir(parents=True)
    if not out.is_dir():
        raise FileExistsError(f"{out} is a file; name a folder to write the faces to")
    if not any(out.iterdir()):
        return
    meta = out / "meta.json"
    try:
        earlier = json.loads(meta.read_text(encoding="utf-8")).get("request")
    except (OSError, ValueError, AttributeError):
        raise FileExistsError(
            f"{out} is not empty and was not made by this command; name another folder"
        ) from None
    if earlier != request:
        raise FileExistsError(
            f"{out} holds other faces ({json.dumps(earlier)}); name another folder or remove it"
        )


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    Image.fromarray(pixels).save(unfinished, format="png")
    unfinished.replace(path)


def _write_tags(path: Path, tags: list[dict[str, str]]) -> None:
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", *TAG_GROUPS])
        writer.writerows([index, *(row[kind] for kind in TAG_GROUPS)] for index, row in enumerate(tags))
    unfinished.replace(path)
