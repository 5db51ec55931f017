"""Where images come from: `load` gives a set of images, `batches` an endless stream of batches from it.

images = data.load("mnist", image_size=32)
for batch in data.batches(images, batch_size=64, seed=0):
    batch["image"]  # float32 [64, 1, 32, 32] in [-1, 1]
"""

import inspect
from dataclasses import dataclass
from pathlib import Path

from gan_course.data import catalogue, faces, folders, mnist, unpaired
from gan_course.data.faces import render_faces
from gan_course.data.folders import FolderReport, check_folder
from gan_course.data.image_set import (
    ImageSet,
    StreamedSet,
    UnpairedSet,
    as_batch,
    batches,
    centre,
    epoch_order,
    paint,
)
from gan_course.data.unpaired import joined

__all__ = [
    "FolderReport",
    "ImageSet",
    "StreamedSet",
    "UnpairedSet",
    "as_batch",
    "batches",
    "centre",
    "check_folder",
    "describe",
    "epoch_order",
    "joined",
    "load",
    "names",
    "paint",
    "render_faces",
]

_LOADERS = {
    "mnist": mnist.load,
    "mnist-test": mnist.load_test,
    "mnist-full": mnist.load_full,
    "faces": faces.load,
    **catalogue.LOADERS,
}


@dataclass(frozen=True)
class Description:
    """One line of the table of data sets."""

    name: str
    images: str
    content: str
    holds: str
    licence: str
    needs: str


def names() -> list[str]:
    """The names that `load` knows besides folders."""
    return list(_LOADERS)


def load(name: str | Path, **options) -> ImageSet | StreamedSet | UnpairedSet:
    """The data set `name`, or the images of the folder `name`.

    Options are those of the set's own function (`mnist.load`, `mnist.load_full`, `faces.load`,
    `folders.load`; for the sets of the papers `catalogue.load_pairs`, `load_domains` and
    `load_celeba_masks`); all take `image_size`. Faces in two `domains`, and a folder that holds trainA and
    trainB, give an UnpairedSet. Raises ValueError for an unknown option, listing the known ones,
    FileNotFoundError for a name that is neither a set nor a folder.
    """
    loader = _LOADERS.get(str(name))
    if loader is None and not Path(name).expanduser().exists():
        raise FileNotFoundError(f'"{name}" is neither a data set ({", ".join(names())}) nor a folder')
    arguments = (name,) if loader is None else ()
    loader = loader or folders.load
    known = [option for option in inspect.signature(loader).parameters if option != "path"]
    if loader is faces.load:
        known = [*(option for option in known if option != "style"), "style", "domains"]
        if "domains" in options:
            loader, known = unpaired.load_faces, [option for option in known if option != "style"]
    elif loader is folders.load and "pairs" not in options and unpaired.has_domains(name):
        loader, known = unpaired.load_folders, [*known, "split"]
    for option in options:
        if option not in known:
            raise ValueError(f'data set "{name}" has no option "{option}"; known are {", ".join(known)}')
    return loader(*arguments, **options)


def describe() -> list[Description]:
    """What can be loaded, for a table: no file is read but the styles' own."""
    digits = "handwritten digits, 28x28 grey, padded to 32x32"
    table = [
        Description("mnist", "5,000", digits, "image, label", "CC BY-SA 3.0", "nothing"),
        Description("mnist-test", "1,000", "held-out " + digits, "image, label", "CC BY-SA 3.0", "nothing"),
        Description(
            "mnist-full", "60,000 + 10,000", digits, "image, label", "CC BY-SA 3.0", "a folder, or 11 MB"
        ),
    ]
    for style, spec in faces.STYLES.items():
        holds = ["image"]
        if spec.tagged:
            holds.append(f"tags ({len(faces.TAG_NAMES)})")
        if spec.map_names:
            holds.append(f"label_map ({len(faces.map_names(style))} classes)")
        if spec.ink:
            holds.append("drawing")
        credit = faces.credits(style)
        table.append(
            Description(
                f"faces (style {style})",
                "any number",
                f"cartoon faces by {credit.artist}, any size",
                ", ".join(holds),
                credit.licence,
                "some seconds a thousand, once",
            )
        )
    table.append(
        Description(
            "a folder",
            "what it holds",
            "your own images",
            "image; label, label_map, instance_map, input, tags",
            "yours",
            "nothing",
        )
    )
    for published in catalogue.SETS:
        holds = "image, input" if published.direction else "image_a, image_b"
        if published.name == "CelebAMask-HQ":
            holds = f"image, label_map ({len(catalogue.CELEBA_MASKS) + 1} classes)"
        size = f"{published.size / 1e6:,.0f} MB" if published.size else "a download"
        needs = f"a folder, or {size}" if published.addresses else "a folder: ask the owner"
        table.append(
            Description(published.name, published.images, published.content, holds, published.licence, needs)
        )
    return table
