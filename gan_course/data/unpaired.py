"""Two domains without pairs: two styles of faces, or folders trainA and trainB."""

from pathlib import Path

from gan_course.data import faces, folders
from gan_course.data.image_set import UnpairedSet


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
