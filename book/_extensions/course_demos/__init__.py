"""Demonstrations: trained generators that run in the page.

A demonstration is a figure with a static picture until a reader touches it. Then the page loads its script
(book/_static/demos/NAME.js), the runtime, and its parts: networks and examples that are made here from the
shipped weights, when the book is built, by the function `make` of the module NAME beside this file.

    python book/_extensions/course_demos digits        # makes one again, and says what it weighs
"""

import base64
import gzip
import hashlib
import importlib
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PICTURE = "picture.webp"
INSIDE = "demos/data"  # where the parts lie among the static files of the built book


class Demo(NamedTuple):
    """The words of a demonstration."""

    invitation: str
    """What the button says."""
    caption: str
    """What stands under the picture."""
    alt: str
    """The picture, for those who do not see it."""


DEMOS = {
    "digits": Demo(
        "Ask for a digit",
        "The generator of this chapter, in your page: choose a digit, move the noise, mix two digits.",
        "Ten generated digits, 0 to 9, all from the same noise vector.",
    ),
    "faces": Demo(
        "Choose hair, eyes, skin and glasses",
        "The generator of this chapter, in your page: every tag is a button, and the face answers at once.",
        "Three rows of six generated faces. In the first the hair colour changes and the noise stays, in the "
        "second skin and glasses change and the noise stays, in the third only the noise changes.",
    ),
    "drawing": Demo(
        "Draw a face",
        "pix2pix of this chapter, in your page: the face follows the pen. The pale tints are for you; "
        "the network sees only the lines and their colours.",
        "Six faces outlined in coloured pencil, and under each the face that pix2pix paints from it.",
    ),
    "label_map": Demo(
        "Paint a label map",
        "SPADE and CLADE in your page: paint hair, skin and eyes by class, and both fill them in.",
        "Label maps of faces in flat colours; below each the face that SPADE makes of it, and that of CLADE.",
    ),
    "redrawn": Demo(
        "See a face in another hand",
        "U-GAT-IT and CycleGAN in your page: pick a face, or upload one, and see it redrawn.",
        "Eight faces in four rows: as they are, under the attention map of U-GAT-IT, redrawn by U-GAT-IT, "
        "and redrawn by CycleGAN.",
    ),
}


# ---- where they lie ------------------------------------------------------------------------------------


def key(package: str) -> str:
    """A hash of what the parts depend on: the package's (`course_book.execution_key`), and this folder."""
    digest = hashlib.sha256(package.encode())
    for path in sorted(HERE.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def missing(folder: Path) -> list[str]:
    """The demonstrations whose parts `folder` does not hold."""
    return [name for name in DEMOS if not (folder / name).is_dir()]


def make(name: str, folder: Path) -> Path:
    """The parts of one demonstration and its picture, in `folder`/NAME; all of them or none."""
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / name
    with TemporaryDirectory(dir=folder, prefix=f".{name}-") as aside:
        unfinished = Path(aside) / name
        unfinished.mkdir()
        importlib.import_module(f"{__name__}.{name}").make(unfinished)
        shutil.rmtree(finished, ignore_errors=True)
        unfinished.rename(finished)
    return finished


# ---- what `make` writes --------------------------------------------------------------------------------


def write_data(path: Path, value: Any) -> None:
    """A part that holds a value: a script, for a page that was opened from a file may not fetch anything."""
    path.with_suffix(".js").write_text(f"GanDemos.deliver({json.dumps(value, separators=(',', ':'))});\n")


def write_network(path: Path, found) -> None:
    """A part that holds a network: an `export.Exportable`, as ONNX, compressed."""
    from gan_course import export

    onnx = path.with_suffix(".onnx")
    try:
        export.save(found, onnx)
        compressed = gzip.compress(onnx.read_bytes(), 9, mtime=0)
    finally:
        onnx.unlink(missing_ok=True)
    write_data(path, base64.b64encode(compressed).decode())


def write_picture(folder: Path, rows: list, scale: int = 1) -> None:
    """The static picture: rows of images, each a tensor [n, C, H, W] in [-1, 1], enlarged `scale` times."""
    import torch
    from PIL import Image

    strips = [torch.cat(list(images.expand(-1, 3, -1, -1)), dim=2) for images in rows]
    pixels = ((torch.cat(strips, dim=1) + 1) * 127.5).round().clamp(0, 255).byte()
    pixels = pixels.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy()).save(folder / PICTURE, quality=88, method=6)


def size_of_picture(folder: Path, name: str) -> tuple[int, int]:
    """Width and height of a demonstration's picture in pixels."""
    from PIL import Image

    with Image.open(folder / name / PICTURE) as picture:
        return picture.size
