"""Images from a folder: plain, one subfolder a class, in pairs, or with label maps, drawings and tags.

Layouts that options ask for:

* `pairs="side-by-side"`: each file holds two pictures, A on the left and B on the right;
* `pairs="folders"`: the files of the folders trainA and trainB, or A and B, belong together by their names;
* `label_dir`, `image_dir`, `instance_dir`: images, label maps and instance maps, together by their names.

Otherwise layouts are recognised, in this order:

* `images/` beside `labels/` (8-bit class ids), `drawings/` or `tags.csv`: what `gan-course data render`
  writes;
* every image in a first-level subfolder, at least two of them: the subfolders are the classes, sorted by
  name;
* anything else: all images below the folder, without labels.

Images are brought to a square by resizing the shorter side (bilinear, antialiased) and cropping the centre;
label maps and instance maps the same way by nearest neighbour.
"""

import csv
import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
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
DONT_CARE = 255  # the id that many collections give to what nobody labelled
PAIRS = ("side-by-side", "folders")
DIRECTIONS = ("AtoB", "BtoA")
_MODES = {1: "L", 3: "RGB"}
_FORMATS = ", ".join(IMAGE_ENDINGS)


@dataclass(frozen=True)
class Layout:
    """The files of a folder that belong together, image by image, in the order of the set.

    `inputs` are pictures to make the images from; with `side_by_side` they are halves of the images' own
    files, "AtoB" the left one, "BtoA" the right one. `dont_care` is the class that takes the ids 255, if any.
    With `one_size` a label map has the size of its image.
    """

    root: Path
    images: tuple[Path, ...]
    class_names: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    label_maps: tuple[Path, ...] = ()
    instance_maps: tuple[Path, ...] = ()
    drawings: tuple[Path, ...] = ()
    inputs: tuple[Path, ...] = ()
    side_by_side: str = ""
    dont_care: int | None = None
    one_size: bool = True
    tags: np.ndarray | None = None  # uint8 [N, T]
    tag_names: tuple[str, ...] = ()
    map_names: tuple[str, ...] = ()
    credit: str = ""

    @property
    def classes(self) -> int:
        """How many ids a label map may have."""
        return len(self.map_names) or MAXIMUM_CLASSES

    def files(self) -> tuple[Path, ...]:
        """Every file that is read."""
        return (*self.images, *self.label_maps, *self.instance_maps, *self.drawings, *self.inputs)


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
    split: str = "",
    pairs: str = "",
    direction: str = "AtoB",
    input_channels: int = 0,
    image_dir: str | Path = "",
    label_dir: str | Path = "",
    instance_dir: str | Path = "",
    label_nc: int = 0,
    dont_care: bool = False,
    memory_limit: float = 2.0,
    progress: bool | None = None,
) -> ImageSet | StreamedSet:
    """The images of a folder (see the layouts above), as square images of `image_size` pixels.

    Args:
        path: the folder.
        image_size: height and width of the images, in pixels.
        channels: 3 for colour or 1 for grey.
        split: the part to read, "train", "val" or "test": a subfolder of that name, or the folders trainA and
            trainB. Pairs are read from "train" where there is such a part and none is named.
        pairs: "side-by-side" or "folders" for a set with the tensor "input".
        direction: which of a pair is the input: "AtoB" or "BtoA".
        input_channels: channels of the input, 3 or 1; 0: as many as the images have.
        image_dir, label_dir, instance_dir: folders of images, label maps and instance maps, absolute or below
            `path`. Without `image_dir` the images lie in images/.
        label_nc: number of classes of the label maps; 0: as many as the meta data or the maps themselves say.
        dont_care: label maps may hold 255, "don't care", which becomes the class `label_nc`.
        memory_limit: a set of more GiB is not held in memory but read from disk batch by batch (StreamedSet).

    Raises:
        FileNotFoundError: a missing or empty folder.
        ValueError: the first file that cannot be used, by name; `check_folder` finds all of them.
    """
    if channels not in _MODES or (input_channels or channels) not in _MODES:
        wrong = f"channels is {channels}" if channels not in _MODES else f"input_channels is {input_channels}"
        raise ValueError(f"{wrong}; it must be 1 (grey) or 3 (colour)")
    if image_size < MINIMUM_SIDE:
        raise ValueError(f"image_size is {image_size}; it must be at least {MINIMUM_SIDE}")
    layout = find_layout(
        path, split=split, pairs=pairs, direction=direction, image_dir=image_dir, label_dir=label_dir,
        instance_dir=instance_dir, label_nc=label_nc, dont_care=dont_care,
    )  # fmt: skip
    return load_layout(layout, image_size, channels, input_channels or channels, memory_limit, progress)


def load_layout(
    layout: Layout,
    image_size: int,
    channels: int,
    input_channels: int,
    memory_limit: float = 2.0,
    progress: bool | None = None,
) -> ImageSet | StreamedSet:
    """The images of files that are known to belong together; arguments and errors are those of `load`."""
    name = layout.root.resolve().name
    names = {"class_names": layout.class_names, "tag_names": layout.tag_names, "credit": layout.credit}
    read = partial(_read_entry, layout, image_size, channels, input_channels)
    pixel = channels + bool(layout.label_maps) + 4 * bool(layout.instance_maps) + bool(layout.drawings)
    pixel += input_channels * bool(layout.inputs or layout.side_by_side)
    if len(layout.images) * pixel * image_size**2 > memory_limit * 2**30:
        digest = hashlib.sha256(
            "\n".join(f"{file} {file.stat().st_size}" for file in layout.files()).encode()
        )
        return StreamedSet(
            name, len(layout.images), image_size, channels, digest.hexdigest(), read,
            map_names=layout.map_names, **names,
        )  # fmt: skip
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's global lock
        bar = tqdm(
            pool.map(read, range(len(layout.images))),
            total=len(layout.images),
            desc=f"reading {name}",
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
        map_names = _numbered(int(tensors["label_map"].max()) + 1)
    return ImageSet(name, tensors, map_names=map_names, **names)


def check_folder(path: str | Path, progress: bool | None = None, **options) -> FolderReport:
    """Read every file that `load` would read and report all that cannot be used, each with its reason.

    `options` are those of `load` that say which files belong together: split, pairs, direction, the three
    folders, label_nc, dont_care. A file without a partner raises ValueError.
    """
    layout = find_layout(path, **options)
    sizes, modes, bad, found = Counter(), Counter(), [], {}
    files = [*layout.images, *layout.inputs, *layout.drawings]
    for file in tqdm(
        files, desc=f"checking {layout.root.name}", unit="file", disable=not shows_progress(progress), delay=1
    ):
        try:
            picture, mode = _open(file)
            if layout.side_by_side:
                _halves(file, picture)
        except ValueError as error:
            bad.append((file, str(error)))
            continue
        found[file] = picture.size
        sizes[picture.size] += 1
        modes[mode] += 1
    for partners, size_of in (
        (layout.inputs, found.get),
        (layout.label_maps, lambda file: _size(read_label_map(file, layout.classes, layout.dont_care))),
        (layout.instance_maps, lambda file: _size(read_instance_map(file))),
    ):
        for image, partner in zip(layout.images, partners, strict=False):
            try:
                size = size_of(partner)
                if size and image in found and (layout.one_size or partners is layout.inputs):
                    _check_same_size(image, found[image], partner, size)
            except ValueError as error:
                bad.append((partner, str(error)))
    present = {
        "inputs": layout.inputs or layout.side_by_side,
        "labels": layout.labels,
        "label maps": layout.label_maps,
        "instance maps": layout.instance_maps,
        "drawings": layout.drawings,
    }
    parts = ("images", *(name for name, there in present.items() if there))
    if layout.tags is not None:
        parts += ("tags",)
    return FolderReport(
        layout.root, len(layout.images), layout.class_names, parts, dict(sizes), dict(modes), tuple(bad)
    )


# ----- which files ------------------------------------------------------------------------------------------


def find_layout(
    path: str | Path,
    *,
    split: str = "",
    pairs: str = "",
    direction: str = "AtoB",
    image_dir: str | Path = "",
    label_dir: str | Path = "",
    instance_dir: str | Path = "",
    label_nc: int = 0,
    dont_care: bool = False,
) -> Layout:
    """Which files a folder's set is made of; the options are those of `load`.

    Raises FileNotFoundError or ValueError where there is no set, or where options contradict each other.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f'direction is "{direction}"; it must be {" or ".join(DIRECTIONS)}')
    if pairs and pairs not in PAIRS:
        raise ValueError(f'pairs is "{pairs}"; it must be {" or ".join(PAIRS)}')
    if pairs and (label_dir or image_dir or instance_dir):
        raise ValueError("pairs are two pictures; label_dir, image_dir and instance_dir belong to label maps")
    if (image_dir or instance_dir) and not label_dir:
        raise ValueError("image_dir and instance_dir go with label_dir, the folder of the label maps")
    root = _existing(Path(path).expanduser(), "there is no folder {} (nor a data set of that name)")
    if pairs == "folders":
        return _in_two_folders(root, split or "train", direction)
    if split:
        root = _existing(root / split, "there is no folder {}, which split names")
    elif pairs and (root / "train").is_dir():
        root = root / "train"
    if pairs:
        return Layout(root, _image_files(root), side_by_side=direction)
    map_names = _label_names(label_nc, dont_care)
    ignored = label_nc if dont_care else None
    if label_dir:
        return _labelled(root, image_dir, label_dir, instance_dir, map_names, ignored)
    meta = _read_meta(root)
    if (root / "images").is_dir() and any(
        (root / part).exists() for part in ("labels", "drawings", "tags.csv")
    ):
        found = _annotated(root, meta)
        own_names = label_nc in (0, len(found.map_names)) and not dont_care
        return found if own_names else replace(found, map_names=map_names, dont_care=ignored)
    if label_nc:
        raise ValueError(f"{root} has no label maps to have {label_nc} classes; name their folder: label_dir")
    images = _image_files(root)
    inside = [file.relative_to(root).parts for file in images]
    classes = sorted({parts[0] for parts in inside})
    if len(classes) > 1 and all(len(parts) > 1 for parts in inside):
        labels = tuple(classes.index(parts[0]) for parts in inside)
        return Layout(root, images, class_names=tuple(classes), labels=labels)
    return Layout(root, images)


def _existing(folder: Path, message: str) -> Path:
    if not folder.exists():
        raise FileNotFoundError(message.format(folder))
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; name the folder that holds the images")
    return folder


def _in_two_folders(root: Path, split: str, direction: str) -> Layout:
    """Pairs of files of one name: trainA and trainB, A/train and B/train, or A and B."""
    arrangements = (f"{split}A", f"{split}B"), (f"A/{split}", f"B/{split}"), ("A", "B")
    for arrangement in arrangements:
        a, b = (root / name for name in arrangement)
        if a.is_dir() and b.is_dir():
            break
    else:
        wanted = ", or ".join(" and ".join(arrangement) for arrangement in arrangements)
        raise FileNotFoundError(f"{root} has no two folders of pairs: {wanted}")
    first, second = _image_files(a), _image_files(b)
    partners = _partners(first, a, b)
    _partners(second, b, a)  # a picture of B that has none in A is a mistake too
    inputs, images = (first, partners) if direction == "AtoB" else (partners, first)
    return Layout(root, images, inputs=inputs)


def _labelled(
    root: Path,
    image_dir: str | Path,
    label_dir: str | Path,
    instance_dir: str | Path,
    map_names: tuple[str, ...],
    dont_care: int | None,
) -> Layout:
    """Images with label maps, and instance maps where there are, by the folders that the user named."""
    labels = _existing(root / Path(label_dir).expanduser(), "there is no folder {}, which label_dir names")
    if not image_dir and not (root / "images").is_dir() and labels.is_relative_to(root):
        raise ValueError(f"{root} has no folder images; name the folder of the images: image_dir")
    folder = root / Path(image_dir or "images").expanduser()
    folder = _existing(
        folder if image_dir or folder.is_dir() else root, "there is no folder {} of the images"
    )
    images = _image_files(folder)
    instance_maps: tuple[Path, ...] = ()
    if instance_dir:
        place = root / Path(instance_dir).expanduser()
        place = _existing(place, "there is no folder {}, which instance_dir names")
        instance_maps = _partners(images, folder, place)
    return Layout(
        folder, images, label_maps=_partners(images, folder, labels), instance_maps=instance_maps,
        map_names=map_names, dont_care=dont_care,
    )  # fmt: skip


def _label_names(label_nc: int, dont_care: bool) -> tuple[str, ...]:
    if not 0 <= label_nc <= MAXIMUM_CLASSES - dont_care:
        raise ValueError(f"label_nc is {label_nc}; it must be from 1 to {MAXIMUM_CLASSES - dont_care}")
    if dont_care and not label_nc:
        raise ValueError(
            "dont_care needs label_nc, the number of classes: what nobody labelled comes after them"
        )
    return (*_numbered(label_nc), *(["don't care"] if dont_care else []))


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class {k}" for k in range(count))


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
    maps, drawings = (
        _partners(images, root / "images", root / part) if (root / part).is_dir() else ()
        for part in ("labels", "drawings")
    )
    tags, tag_names = _read_tags(root / "tags.csv", len(images), meta)
    return Layout(
        root, images, label_maps=maps, drawings=drawings, tags=tags, tag_names=tag_names,
        map_names=tuple(meta.get("map_names", ())), credit=meta.get("credit", ""),
    )  # fmt: skip


def _partners(images: tuple[Path, ...], root: Path, folder: Path) -> tuple[Path, ...]:
    """For each image below `root` the file of the same name, whatever its ending, below `folder`."""
    by_name = {file.relative_to(folder).with_suffix(""): file for file in _image_files(folder)}
    for image in images:
        if image.relative_to(root).with_suffix("") not in by_name:
            raise ValueError(f"{image} has no partner of the same name in {folder}")
    return tuple(by_name[image.relative_to(root).with_suffix("")] for image in images)


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


def read_label_map(path: Path, classes: int = MAXIMUM_CLASSES, dont_care: int | None = None) -> np.ndarray:
    """A file of class ids as uint8 [H, W]: grey values or palette indices.

    The id 255 becomes `dont_care`, unless that is None. Raises ValueError for ids >= classes.
    """
    ids = _read_ids(path, "label map")
    if dont_care is not None:
        ids = np.where(ids == DONT_CARE, dont_care, ids)
    if ids.max() >= classes or ids.min() < 0:
        row, column = np.argwhere((ids >= classes) | (ids < 0))[0]
        hint = (
            ' (dont_care=True makes a class of 255, "don\'t care")' if ids[row, column] == DONT_CARE else ""
        )
        raise ValueError(
            f"{path}: label {ids[row, column]} at row {row}, column {column}; "
            f"class ids must be from 0 to {classes - 1}{hint}"
        )
    return ids.astype(np.uint8)


def read_instance_map(path: Path) -> np.ndarray:
    """A file of ids of objects as int32 [H, W]: grey values of 8, 16 or 32 bits, or palette indices."""
    return _read_ids(path, "instance map").astype(np.int32)


def _read_ids(path: Path, kind: str) -> np.ndarray:
    """The numbers in a file with one channel, int64 [H, W]."""
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("L", "P", "1", "I;16", "I"):
                raise ValueError(
                    f"{path} is no {kind}: its pixels are {picture.mode}, expected one channel of ids; "
                    "save it in grey or with a palette"
                )
            return np.array(picture).astype(np.int64)
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as {_article(kind)}: {_reason(error)}") from None


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


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


def _halves(path: Path, picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The left and the right half of a file that holds two pictures."""
    width, height = picture.size
    if width % 2 or min(width // 2, height) < MINIMUM_SIDE:
        raise ValueError(
            f"{path} is {width}x{height} pixels; two pictures side by side have an even width, "
            f"and each side of each picture at least {MINIMUM_SIDE} pixels"
        )
    half = width // 2
    return picture.crop((0, 0, half, height)), picture.crop((half, 0, width, height))


def _size(ids: np.ndarray) -> tuple[int, int]:
    return ids.shape[1], ids.shape[0]


def _check_same_size(
    image: Path, size: tuple[int, int], partner: Path, partner_size: tuple[int, int]
) -> None:
    if size != partner_size:
        raise ValueError(
            f"{partner} is {partner_size[0]}x{partner_size[1]} pixels, "
            f"but its image {image} is {size[0]}x{size[1]}"
        )


def _read_entry(
    layout: Layout, image_size: int, channels: int, input_channels: int, index: int
) -> dict[str, Tensor]:
    """All stored tensors of one image."""
    path = layout.images[index]
    picture, _ = _open(path)
    source = None
    if layout.side_by_side:
        halves = _halves(path, picture)
        source, picture = halves if layout.side_by_side == "AtoB" else reversed(halves)
    elif layout.inputs:
        source, _ = _open(layout.inputs[index])
        _check_same_size(path, picture.size, layout.inputs[index], source.size)
    entry = {"image": _as_tensor(picture, channels, image_size)}
    if source is not None:
        entry["input"] = _as_tensor(source, input_channels, image_size)
    if layout.labels:
        entry["label"] = torch.tensor(layout.labels[index])
    if layout.tags is not None:
        entry["tags"] = torch.from_numpy(layout.tags[index])
    if layout.label_maps:
        ids = read_label_map(layout.label_maps[index], layout.classes, layout.dont_care)
        if layout.one_size:
            _check_same_size(path, picture.size, layout.label_maps[index], _size(ids))
        entry["label_map"] = _square_ids(ids, image_size)
    if layout.instance_maps:
        ids = read_instance_map(layout.instance_maps[index])
        _check_same_size(path, picture.size, layout.instance_maps[index], _size(ids))
        entry["instance_map"] = _square_ids(ids, image_size)
    if layout.drawings:
        lines, _ = _open(layout.drawings[index])
        _check_same_size(path, picture.size, layout.drawings[index], lines.size)
        entry["drawing"] = _as_tensor(lines, 1, image_size)
    return entry


def _as_tensor(picture: Image.Image, channels: int, image_size: int) -> Tensor:
    """The centre square of a picture: uint8 [channels, image_size, image_size]."""
    pixels = _square(picture.convert(_MODES[channels]), image_size, Image.Resampling.BILINEAR)
    return torch.from_numpy(pixels.reshape(image_size, image_size, channels)).permute(2, 0, 1).contiguous()


def _square_ids(ids: np.ndarray, image_size: int) -> Tensor:
    """The centre square of a map of ids: [image_size, image_size], of the same dtype."""
    return torch.from_numpy(_square(Image.fromarray(ids), image_size, Image.Resampling.NEAREST))
