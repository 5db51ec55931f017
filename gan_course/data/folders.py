"""Images from a folder: plain, one subfolder a class, or images with label maps, drawings and tags.

Layouts, recognised in this order:

* `images/` beside `labels/` (8-bit class ids), `drawings/` or `tags.csv`: what `gan-course data render`
  writes;
* every image in a first-level subfolder, at least two of them: the subfolders are the classes, sorted by
  name;
* anything else: all images below the folder, without labels.

Images are brought to a square by resizing the shorter side (bilinear, antialiased) and cropping the centre;
label maps the same way by nearest neighbour.
"""

import csv
import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm.auto import tqdm

from gan_course.data.image_set import ImageSet, StreamedSet
from gan_course.progress import shows_progress

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
MINIMUM_SIDE = 8  # pixels; what is smaller cannot be meant as a training image
MAXIMUM_CLASSES = 256
_MODES = {1: "L", 3: "RGB"}
_FORMATS = ", ".join(IMAGE_ENDINGS)


@dataclass(frozen=True)
class Layout:
    """The files of a folder that belong together, image by image, in the order of the set."""

    root: Path
    images: tuple[Path, ...]
    class_names: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    label_maps: tuple[Path, ...] = ()
    drawings: tuple[Path, ...] = ()
    tags: np.ndarray | None = None  # uint8 [N, T]
    tag_names: tuple[str, ...] = ()
    map_names: tuple[str, ...] = ()
    credit: str = ""


@dataclass(frozen=True)
class FolderReport:
    """What `check_folder` found. `bad` holds (file, what is wrong with it) for every file that cannot be
    used."""

    path: Path
    images: int
    class_names: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)  # (width, height) -> how many
    modes: dict[str, int] = field(default_factory=dict)  # Pillow's name of the pixel format -> how many
    bad: tuple[tuple[Path, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the folder can be trained on as it is."""
        return not self.bad

    def __str__(self) -> str:
        smallest = min(self.sizes, default=(0, 0), key=min)
        largest = max(self.sizes, default=(0, 0), key=max)
        modes = ", ".join(f"{mode} ({count:,})" for mode, count in self.modes.items())
        lines = [
            f"{self.path}: {self.images:,} images, {len(self.bad)} of the files bad",
            f"  with: {', '.join(self.parts)}",
            f"  sizes: {len(self.sizes)}, from {smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]}",
            f"  pixel formats: {modes}",
        ]
        if self.class_names:
            lines.append(f"  classes: {', '.join(self.class_names)}")
        lines.extend(f"  bad: {message}" for _, message in self.bad)
        return "\n".join(lines)


def load(
    path: str | Path,
    image_size: int = 64,
    channels: int = 3,
    memory_limit: float = 2.0,
    progress: bool | None = None,
) -> ImageSet | StreamedSet:
    """The images of a folder (see the layouts above), as square images of `image_size` pixels.

    `channels` is 3 for colour or 1 for grey. A set of more than `memory_limit` GiB is not held in memory
    but read from disk batch by batch (StreamedSet). Raises FileNotFoundError for a missing or empty folder,
    ValueError naming the first file that cannot be used; `check_folder` finds all of them.
    """
    if channels not in _MODES:
        raise ValueError(f"channels is {channels}; it must be 1 (grey) or 3 (colour)")
    if image_size < MINIMUM_SIDE:
        raise ValueError(f"image_size is {image_size}; it must be at least {MINIMUM_SIDE}")
    layout = find_layout(path)
    names = {"class_names": layout.class_names, "tag_names": layout.tag_names, "credit": layout.credit}
    read = partial(_read_entry, layout, image_size, channels)
    planes = channels + bool(layout.label_maps) + bool(layout.drawings)
    if len(layout.images) * planes * image_size**2 > memory_limit * 2**30:
        digest = hashlib.sha256(
            "\n".join(
                f"{file.relative_to(layout.root)} {file.stat().st_size}" for file in layout.images
            ).encode()
        )
        return StreamedSet(
            layout.root.name, len(layout.images), image_size, channels, digest.hexdigest(), read,
            map_names=layout.map_names, **names,
        )  # fmt: skip
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's global lock
        bar = tqdm(
            pool.map(read, range(len(layout.images))),
            total=len(layout.images),
            desc=f"reading {layout.root.name}",
            unit="image",
            disable=not shows_progress(progress),
            delay=1,
        )
        try:
            entries = list(bar)
        except ValueError:
            pool.shutdown(cancel_futures=True)
            raise
    tensors = {key: torch.stack([entry[key] for entry in entries]) for key in entries[0]}
    map_names = layout.map_names
    if layout.label_maps and not map_names:
        map_names = tuple(f"class {k}" for k in range(int(tensors["label_map"].max()) + 1))
    return ImageSet(layout.root.name, tensors, map_names=map_names, **names)


def check_folder(path: str | Path, progress: bool | None = None) -> FolderReport:
    """Read every file that `load` would read and report all that cannot be used, each with its reason."""
    layout = find_layout(path)
    sizes, modes, bad = Counter(), Counter(), []
    files = [*layout.images, *layout.drawings]
    for file in tqdm(
        files, desc=f"checking {layout.root.name}", unit="file", disable=not shows_progress(progress), delay=1
    ):
        try:
            picture, mode = _open(file)
            sizes[picture.size] += 1
            modes[mode] += 1
        except ValueError as error:
            bad.append((file, str(error)))
    unreadable = {file for file, _ in bad}
    for image, label_map in zip(layout.images, layout.label_maps, strict=False):
        try:
            pixels = read_label_map(label_map, len(layout.map_names) or MAXIMUM_CLASSES)
            if image not in unreadable:
                _check_same_size(image, _open(image)[0].size, label_map, (pixels.shape[1], pixels.shape[0]))
        except ValueError as error:
            bad.append((label_map, str(error)))
    present = {"labels": layout.labels, "label maps": layout.label_maps, "drawings": layout.drawings}
    parts = ("images", *(name for name, there in present.items() if there))
    if layout.tags is not None:
        parts += ("tags",)
    return FolderReport(
        layout.root, len(layout.images), layout.class_names, parts, dict(sizes), dict(modes), tuple(bad)
    )


# ----- which files ------------------------------------------------------------------------------------------


def find_layout(path: str | Path) -> Layout:
    """Which files a folder's set is made of. Raises FileNotFoundError or ValueError where there is no set."""
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"there is no folder {root} (nor a data set of that name)")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is a file; name the folder that holds the images")
    meta = _read_meta(root)
    if (root / "images").is_dir() and any(
        (root / part).exists() for part in ("labels", "drawings", "tags.csv")
    ):
        return _annotated(root, meta)
    images = _image_files(root)
    inside = [file.relative_to(root).parts for file in images]
    classes = sorted({parts[0] for parts in inside})
    if len(classes) > 1 and all(len(parts) > 1 for parts in inside):
        labels = tuple(classes.index(parts[0]) for parts in inside)
        return Layout(root, images, class_names=tuple(classes), labels=labels)
    return Layout(root, images)


def _image_files(folder: Path) -> tuple[Path, ...]:
    """All images below a folder, sorted; hidden files and folders are left alone."""
    found = [
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in IMAGE_ENDINGS
        and file.is_file()
        and not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(folder).parts)
    ]
    if not found:
        raise FileNotFoundError(f"{folder} holds no images (looked for {_FORMATS}, in subfolders too)")
    return tuple(sorted(found))


def _read_meta(root: Path) -> dict:
    """What `render_faces` noted about a folder of its own; empty for any other."""
    try:
        meta = json.loads((root / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(meta, dict) or "map_names" not in meta:
        return {}
    if not meta.get("complete"):
        raise ValueError(
            f"{root} is unfinished: its rendering was interrupted; run the same command again to complete it"
        )
    return meta


def _annotated(root: Path, meta: dict) -> Layout:
    images = _image_files(root / "images")
    label_maps = _partners(images, root, "labels")
    drawings = _partners(images, root, "drawings")
    tags, tag_names = _read_tags(root / "tags.csv", len(images), meta)
    return Layout(
        root, images, label_maps=label_maps, drawings=drawings, tags=tags, tag_names=tag_names,
        map_names=tuple(meta.get("map_names", ())), credit=meta.get("credit", ""),
    )  # fmt: skip


def _partners(images: tuple[Path, ...], root: Path, part: str) -> tuple[Path, ...]:
    """For each image the file of the same name, whatever its ending, in the folder `part`."""
    if not (root / part).is_dir():
        return ()
    by_name = {file.relative_to(root / part).with_suffix(""): file for file in _image_files(root / part)}
    for image in images:
        if image.relative_to(root / "images").with_suffix("") not in by_name:
            raise ValueError(f"{image} has no partner of the same name in {root / part}")
    return tuple(by_name[image.relative_to(root / "images").with_suffix("")] for image in images)


def _read_tags(path: Path, count: int, meta: dict) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """tags.csv (one row an image, one column a kind) as one-hot groups uint8 [count, T], with the names of
    the T places."""
    if not path.exists():
        return None, ()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != count:
        raise ValueError(f"{path} has {len(rows)} rows for {count} images")
    kinds = [column for column in rows[0] if column != "index"]
    for number, row in enumerate(rows, 2):
        if any(not isinstance(row[kind], str) or not row[kind] for kind in kinds):
            raise ValueError(f"{path}, line {number}: expected a value for each of {', '.join(kinds)}")
    known = meta.get("tag_names") or sorted({_place(kind, row[kind]) for row in rows for kind in kinds})
    for number, row in enumerate(rows, 2):
        for kind in kinds:
            if _place(kind, row[kind]) not in known:
                raise ValueError(
                    f'{path}, line {number}: "{row[kind]}" is no value of {kind}; known: {", ".join(known)}'
                )
    table = [[name in {_place(kind, row[kind]) for kind in kinds} for name in known] for row in rows]
    return np.array(table, dtype=np.uint8), tuple(known)


def _place(kind: str, value: str) -> str:
    """The name of a tag's place: "red hair"; a value that names its kind already stands alone: "no
    glasses"."""
    return value if value.endswith(kind) else f"{value} {kind}"


# ----- one file ---------------------------------------------------------------------------------------------


def read_image(path: Path, channels: int = 3) -> np.ndarray:
    """One image file as uint8 [H, W, 3] or [H, W], upright.

    Palettes, CMYK, 16 bits a channel and the rotation noted by a camera are resolved, transparency is laid
    over white. Raises ValueError naming the file for what cannot be an image to train on.
    """
    picture, _ = _open(path)
    return np.asarray(picture.convert(_MODES[channels]))


def read_label_map(path: Path, classes: int = MAXIMUM_CLASSES) -> np.ndarray:
    """A file of class ids as uint8 [H, W]: 8-bit grey values or palette indices. Raises ValueError for ids
    >= classes."""
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("L", "P", "1", "I;16", "I"):
                raise ValueError(
                    f"{path} is no label map: its pixels are {picture.mode}, expected one channel of ids"
                )
            ids = np.array(picture)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as a label map: {_reason(error)}") from None
    if ids.max() >= classes or ids.min() < 0:
        row, column = np.argwhere((ids >= classes) | (ids < 0))[0]
        raise ValueError(
            f"{path}: label {ids[row, column]} at row {row}, column {column}; "
            f"class ids must be from 0 to {classes - 1}"
        )
    return ids.astype(np.uint8)


def _open(path: Path) -> tuple[Image.Image, str]:
    """An image file, decoded, upright, as L or RGB; and the pixel format that it had."""
    try:
        with Image.open(path) as file:
            file.load()
            mode = file.mode
            picture = _to_8_bits(path, ImageOps.exif_transpose(file))
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {_reason(error)}") from None
    if min(picture.size) < MINIMUM_SIDE:
        raise ValueError(
            f"{path} is {picture.width}x{picture.height} pixels; each side must have at least {MINIMUM_SIDE}"
        )
    return picture, mode


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "the content is not that of an image file"
    return str(error) or type(error).__name__


def _to_8_bits(path: Path, picture: Image.Image) -> Image.Image:
    """Any pixel format as L or RGB, transparency over white."""
    if picture.mode in ("L", "RGB"):
        if "transparency" not in picture.info:
            return picture
        picture = picture.convert("RGBA")
    if picture.mode == "F":
        raise ValueError(
            f"{path} holds floating-point pixels, whose range is unknown; save it with 8 or 16 bits"
        )
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"{path} holds 32-bit pixels, whose range is unknown; save it with 8 or 16 bits")
        return Image.fromarray((values / 257).round().astype(np.uint8))
    if picture.mode == "P" and "transparency" not in picture.info:
        return picture.convert("RGB")
    if picture.mode in ("P", "LA", "PA", "La", "RGBA", "RGBa"):
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _square(picture: Image.Image, image_size: int, resample: Image.Resampling) -> np.ndarray:
    """The centre square of a picture at `image_size` pixels."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    if side == image_size:
        return np.array(picture.crop(box))
    return np.array(picture.resize((image_size, image_size), resample, box=box))


def _check_same_size(
    image: Path, size: tuple[int, int], partner: Path, partner_size: tuple[int, int]
) -> None:
    if size != partner_size:
        raise ValueError(
            f"{partner} is {partner_size[0]}x{partner_size[1]} pixels, "
            f"but its image {image} is {size[0]}x{size[1]}"
        )


def _read_entry(layout: Layout, image_size: int, channels: int, index: int) -> dict[str, Tensor]:
    """All stored tensors of one image."""
    path = layout.images[index]
    picture, _ = _open(path)
    pixels = _square(picture.convert(_MODES[channels]), image_size, Image.Resampling.BILINEAR)
    entry = {
        "image": torch.from_numpy(pixels.reshape(image_size, image_size, channels))
        .permute(2, 0, 1)
        .contiguous()
    }
    if layout.labels:
        entry["label"] = torch.tensor(layout.labels[index])
    if layout.tags is not None:
        entry["tags"] = torch.from_numpy(layout.tags[index])
    if layout.label_maps:
        ids = Image.fromarray(
            read_label_map(layout.label_maps[index], len(layout.map_names) or MAXIMUM_CLASSES)
        )
        _check_same_size(path, picture.size, layout.label_maps[index], ids.size)
        entry["label_map"] = torch.from_numpy(_square(ids, image_size, Image.Resampling.NEAREST))
    if layout.drawings:
        lines, _ = _open(layout.drawings[index])
        _check_same_size(path, picture.size, layout.drawings[index], lines.size)
        entry["drawing"] = torch.from_numpy(
            _square(lines.convert("L"), image_size, Image.Resampling.BILINEAR)
        )[None]
    return entry
