"""Two domains without pairs: two styles of faces, or folders trainA and trainB."""

from pathlib import Path

import torch
from torch import Tensor

from gan_course.data import faces, folders
from gan_course.data.image_set import ImageSet, UnpairedSet

OTHER = "other"
"""The class of what only one of two domains has a name for."""


def load_faces(domains: tuple[str, str], count: int = 5000, seed: int = 0, **options) -> UnpairedSet:
    """Faces in two styles of drawing. Options are those of `faces.load`.

    The faces of the second style are drawn from another seed: no face of one domain is a face of the other.
    Raises ValueError unless `domains` are two different styles.
    """
    if len(domains) != 2 or domains[0] == domains[1]:
        raise ValueError(
            f"domains is {', '.join(domains)}; it must be two different styles of {', '.join(faces.STYLES)}"
        )
    first, second = (
        faces.load(style=style, count=count, seed=own_seed, **options)
        for style, own_seed in zip(domains, (seed, seed + 1_000_000), strict=True)
    )
    return UnpairedSet(first, second)


def has_domains(path: str | Path) -> bool:
    """Whether a folder is laid out in domains: trainA beside trainB, or testA beside testB."""
    root = Path(path).expanduser()
    return any((root / f"{split}A").is_dir() and (root / f"{split}B").is_dir() for split in ("train", "test"))


def load_folders(path: str | Path, split: str = "train", **options) -> UnpairedSet:
    """The images of the folders trainA and trainB below `path`, or of testA and testB with split="test".

    Options are those of `folders.load`. Raises FileNotFoundError where the folders are not there.
    """
    root = Path(path).expanduser()
    for domain in "AB":
        if not (root / f"{split}{domain}").is_dir():
            raise FileNotFoundError(
                f"{root} has no folder {split}{domain}; unpaired images lie in {split}A and {split}B"
            )
    return UnpairedSet(*(folders.load(root / f"{split}{domain}", **options) for domain in "AB"))


def joined(domains: UnpairedSet) -> ImageSet:
    """Both domains as one set whose "label" says which an image is of: 0 for A, 1 for B.

    Where both have label maps, the set has them too, with the classes that both know, in the order of A, and
    "other" for the rest. This is what a judge of styles, a segmenter of both, or a StarGAN learns from.
    """
    both = (domains.a, domains.b)
    tensors = {
        "image": torch.cat([some.tensors["image"] for some in both]),
        "label": torch.arange(2).repeat_interleave(torch.tensor([len(some) for some in both])),
    }
    names: tuple[str, ...] = ()
    if all("label_map" in some.tensors for some in both):
        names = (*(name for name in domains.a.map_names if name in domains.b.map_names), OTHER)
        tensors["label_map"] = torch.cat([renumbered(some, names) for some in both])
    return ImageSet(
        domains.name,
        tensors,
        class_names=tuple(some.name for some in both),
        map_names=names,
        credit="; ".join(dict.fromkeys(some.credit for some in both)),
    )


def renumbered(images: ImageSet, names: tuple[str, ...]) -> Tensor:
    """The label maps in the numbers of `names`, whose last stands for all that is not among them."""
    known = {name: number for number, name in enumerate(names)}
    numbers = [known.get(name, len(names) - 1) for name in images.map_names]
    return torch.tensor(numbers, dtype=torch.uint8)[images.tensors["label_map"].long()]
