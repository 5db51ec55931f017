"""Where images come from: `load` gives an ImageSet, `batches` an endless stream of batches from it.

images = data.load("mnist", image_size=32)
for batch in data.batches(images, batch_size=64, seed=0):
    batch["image"]  # float32 [64, 1, 32, 32] in [-1, 1]
"""

import inspect

from gan_course.data import faces, mnist
from gan_course.data.image_set import ImageSet, as_batch, batches, epoch_order

__all__ = ["ImageSet", "as_batch", "batches", "epoch_order", "load", "names"]

_LOADERS = {"mnist": mnist.load, "faces": faces.load}


def names() -> list[str]:
    """The names that `load` knows (a path of a folder is good too)."""
    return list(_LOADERS)


def load(name: str, **options) -> ImageSet:
    """The data set `name`, or the images of the folder `name`.

    Options are those of the set's own function (`mnist.load`, `faces.load` ...); all know `image_size`. Raises
    ValueError for an unknown name or option, listing the known ones.
    """
    if name not in _LOADERS:
        raise ValueError(f'unknown data set "{name}"; known are {", ".join(names())}')
    loader = _LOADERS[name]
    known = list(inspect.signature(loader).parameters)
    for option in options:
        if option not in known:
            raise ValueError(f'data set "{name}" has no option "{option}"; known are {", ".join(known)}')
    return loader(**options)
