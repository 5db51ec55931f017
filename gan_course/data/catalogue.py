"""The data sets of the papers, one call each: downloaded once where there is a network, or from a folder.

    images = data.load("facades", image_size=256)                       # fetched into the course's cache
    images = data.load("facades", image_size=256, folder="facades")     # unpacked by yourself

The sets of pix2pix and CycleGAN come from their authors' server. CelebAMask-HQ and selfie2anime lie where a
program cannot fetch them: their errors say where, and what to do with the file.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from gan_course.data import cache, downloads, folders, unpaired
from gan_course.data.image_set import ImageSet, StreamedSet, UnpairedSet
from gan_course.progress import shows_progress

_PIX2PIX = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
_CYCLEGAN = (
    "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets",
    "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets",
)


@dataclass(frozen=True)
class Published:
    """A data set of a paper.

    `size` (bytes) and `digest` (SHA-256) are those of the archive, None where no trustworthy source states
    them. `where` says how to get a set that has no `addresses` to fetch it from.
    """

    name: str
    images: str
    content: str
    licence: str
    archive: str = ""
    addresses: tuple[str, ...] = ()
    size: int | None = None
    digest: str | None = None
    direction: str = ""  # which of a pair the paper starts from; empty for a set without pairs
    where: str = ""


def _pairs(name, images, content, licence, direction="AtoB", size=None) -> Published:
    archive = f"{name}.tar.gz"
    return Published(
        name, images, content, licence, archive, (f"{_PIX2PIX}/{archive}",), size, direction=direction
    )


def _domains(name, images, content, size, digest) -> Published:
    # Sizes and digests as the package tensorflow-datasets records them for the set cycle_gan.
    archive = f"{name}.zip"
    addresses = tuple(f"{address}/{archive}" for address in _CYCLEGAN)
    licence = "photographs and paintings of many owners, for research"
    return Published(name, images, content, licence, archive, addresses, size, digest)


SETS = (
    _pairs(
        "facades", "400 + 100 + 106", "building facades with label maps (Tylecek and Sara 2013)",
        "for research, cite the authors", "BtoA", 30168306,
    ),
    _pairs(
        "maps", "1,096 + 1,098", "aerial photographs with maps", "Google Maps, for research", size=250242400
    ),
    _pairs(
        "edges2shoes", "about 50,000", "shoes (Yu and Grauman 2014) with their edges",
        "UT Zappos50K, for research",
    ),
    _pairs(
        "edges2handbags", "about 137,000", "handbags (Zhu et al. 2016) with their edges",
        "Amazon's pictures, for research",
    ),
    _domains(
        "horse2zebra", "about 2,400", "wild horses and zebras", 116867962,
        "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
    ),
    _domains(
        "apple2orange", "about 2,000", "apples and oranges", 78456409,
        "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
    ),
    _domains(
        "summer2winter_yosemite", "about 2,100", "Yosemite in summer and in winter", 132640856,
        "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9",
    ),
    _domains(
        "monet2photo", "about 8,000", "paintings by Monet, photographs of landscapes", 305231073,
        "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
    ),
    _domains(
        "cezanne2photo", "about 7,500", "paintings by Cezanne, photographs of landscapes", 279885071,
        "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff",
    ),
    _domains(
        "ukiyoe2photo", "about 8,500", "Japanese woodblock prints, photographs of landscapes", 292946532,
        "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08",
    ),
    _domains(
        "vangogh2photo", "about 7,500", "paintings by van Gogh, photographs of landscapes", 306590349,
        "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff",
    ),
    _domains(
        "iphone2dslr_flower", "about 5,000", "flowers, by telephones and by large cameras", 339964458,
        "8fcb5e374d631b107e1d961b8c4cd0a186aa2a4ff3e279923f4c426128de7113",
    ),
    Published(
        "selfie2anime", "3,400 + 3,400", "portraits of women and faces of anime (Kim et al. 2020)",
        "for research",
        where="download selfie2anime.zip by a browser from Google Drive, as the page "
        "https://github.com/taki0112/UGATIT says "
        "(https://drive.google.com/file/d/1xOWj1UVgp6NKMT3HbPhBbtq2A4EDkghF/view), and unpack it",
    ),
    Published(
        "CelebAMask-HQ", "30,000", "faces of celebrities with label maps of 19 classes (Lee et al. 2020)",
        "non-commercial research only",
        where="agree to its terms at https://github.com/switchablenorms/CelebAMask-HQ, download "
        "CelebAMask-HQ.zip by a browser from the Google Drive or Baidu named there, and unpack it",
    ),
)  # fmt: skip

# Classes 1 to 18 of CelebAMask-HQ by the ending of their masks' names; a later one is drawn over the earlier.
CELEBA_MASKS = {
    "skin": "skin",
    "nose": "nose",
    "eye_g": "glasses",
    "l_eye": "left eye",
    "r_eye": "right eye",
    "l_brow": "left eyebrow",
    "r_brow": "right eyebrow",
    "l_ear": "left ear",
    "r_ear": "right ear",
    "mouth": "mouth",
    "u_lip": "upper lip",
    "l_lip": "lower lip",
    "hair": "hair",
    "hat": "hat",
    "ear_r": "earrings",
    "neck_l": "necklace",
    "neck": "neck",
    "cloth": "clothes",
}
# Where CelebA's own training and validation images end, by the number that an image has there.
_CELEBA_SPLITS = {"train": range(162771), "val": range(162771, 182638), "test": range(182638, 202600)}
_CELEBA_MASKS_PER_FOLDER = 2000


def load_pairs(
    published: Published,
    image_size: int = 256,
    split: str = "train",
    direction: str = "",
    folder: str | Path | None = None,
    memory_limit: float = 2.0,
    progress: bool | None = None,
) -> ImageSet | StreamedSet:
    """Pairs "input" and "image", by default in the direction of the paper: "AtoB" or "BtoA".

    Read from `folder` where the set is unpacked, else from the course's cache, into which it is downloaded
    the first time. Raises FileNotFoundError for a `split` that the set does not have.
    """
    root = _folder(published, folder, ("train",), progress)
    return folders.load(
        root, image_size, split=split, pairs="side-by-side", direction=direction or published.direction,
        memory_limit=memory_limit, progress=progress,
    )  # fmt: skip


def load_domains(
    published: Published,
    image_size: int = 256,
    split: str = "train",
    folder: str | Path | None = None,
    memory_limit: float = 2.0,
    progress: bool | None = None,
) -> UnpairedSet:
    """Two domains without pairs, their training images or (`split="test"`) those held out.

    Read from `folder` where the set is unpacked, else from the course's cache, into which it is downloaded
    the first time.
    """
    root = _folder(published, folder, ("trainA", "trainB"), progress)
    return unpaired.load_folders(
        root, split, image_size=image_size, memory_limit=memory_limit, progress=progress
    )


def load_celeba_masks(
    published: Published,
    image_size: int = 256,
    split: str = "train",
    folder: str | Path | None = None,
    memory_limit: float = 2.0,
    progress: bool | None = None,
) -> ImageSet | StreamedSet:
    """Faces with label maps of 19 classes, read from `folder`, where the set is unpacked.

    The set has a mask for each class of each face. The first call merges those that `split` needs ("train",
    "val", "test" of CelebA, or "all") into one label map a face, kept in the course's cache. Raises
    FileNotFoundError where images, masks or the list of splits are missing, ValueError for masks of unequal
    size.
    """
    if split not in (*_CELEBA_SPLITS, "all"):
        raise ValueError(f'split is "{split}"; it must be {", ".join(_CELEBA_SPLITS)} or all')
    root = _folder(published, folder, ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno"), progress)
    numbers = _celeba_numbers(root, split)
    merged = cache.folder() / f"CelebAMask-HQ-{cache.key(folder=str(root.resolve()))}"
    merged.mkdir(parents=True, exist_ok=True)
    label_maps = _merge_all(root / "CelebAMask-HQ-mask-anno", merged, numbers, progress)
    layout = folders.Layout(
        root,
        tuple(root / "CelebA-HQ-img" / f"{number}.jpg" for number in numbers),
        label_maps=label_maps,
        map_names=("background", *CELEBA_MASKS.values()),
        one_size=False,  # images have 1024 pixels, masks 512
        credit="CelebAMask-HQ, by C.-H. Lee, Z. Liu, L. Wu and P. Luo, non-commercial research only",
    )
    return folders.load_layout(layout, image_size, 3, 3, memory_limit, progress)


def merge_masks(folder: Path, number: int) -> np.ndarray:
    """The label map of face `number`, uint8 [H, W]: its masks in `folder`, one drawn over the other."""
    label_map, first = None, None
    for k, ending in enumerate(CELEBA_MASKS, 1):
        path = folder / str(number // _CELEBA_MASKS_PER_FOLDER) / f"{number:05d}_{ending}.png"
        if not path.exists():
            continue
        mask = folders.read_image(path, 1) > 0
        if label_map is None:
            label_map, first = np.zeros(mask.shape, dtype=np.uint8), path
        elif mask.shape != label_map.shape:
            raise ValueError(f"{path} is {_size(mask)} pixels, but {first} is {_size(label_map)}")
        label_map[mask] = k
    if label_map is None:
        raise FileNotFoundError(f"{folder} has no mask of face {number} ({number:05d}_skin.png and so on)")
    return label_map


# ----- where the files are ----------------------------------------------------------------------------------


def _folder(
    published: Published, folder: str | Path | None, parts: tuple[str, ...], progress: bool | None
) -> Path:
    """The folder that holds `parts`: the user's, or the one in the cache, filled if need be."""
    if folder is not None:
        found = _holding(Path(folder).expanduser(), published.name, parts)
        if found is None:
            raise FileNotFoundError(
                f"{folder} does not hold {published.name}: no folder {' and '.join(parts)} there"
            )
        return found
    home = cache.folder() / "sets" / published.name
    found = _holding(home, published.name, parts)
    if found is not None:
        return found
    way_out = f'name its folder: data.load("{published.name}", folder="...")'
    if not published.addresses:
        raise FileNotFoundError(
            f"{published.name} cannot be downloaded by a program: {published.where}; then {way_out}"
        )
    archive = home.with_name(published.archive)
    try:
        downloads.fetch(list(published.addresses), archive, published.size, published.digest, progress)
    except ConnectionError as error:
        raise ConnectionError(f"{error}\nIf you have {published.name} on disk, {way_out}.") from None
    downloads.unpack(archive, home)
    archive.unlink()
    found = _holding(home, published.name, parts)
    if found is None:
        raise ValueError(f"{home}, unpacked from {archive.name}, has no folder {' and '.join(parts)}")
    return found


def _holding(folder: Path, name: str, parts: tuple[str, ...]) -> Path | None:
    """The folder itself or the one called `name` in it, as archives have it: whichever holds `parts`."""
    for place in (folder, folder / name):
        if all((place / part).is_dir() for part in parts):
            return place
    return None


# ----- CelebAMask-HQ ----------------------------------------------------------------------------------------


def _celeba_numbers(root: Path, split: str) -> list[int]:
    """The faces of a split, in order. The list that comes with the set gives the number of each in CelebA."""
    there = sorted(int(path.stem) for path in (root / "CelebA-HQ-img").glob("*.jpg") if path.stem.isdigit())
    if not there:
        raise FileNotFoundError(f"{root / 'CelebA-HQ-img'} holds no images 0.jpg, 1.jpg and so on")
    if split == "all":
        return there
    table = root / "CelebA-HQ-to-CelebA-mapping.txt"
    if not table.exists():
        raise FileNotFoundError(
            f'{table} is missing, which says what is "{split}"; split="all" takes every face'
        )
    rows = (line.split() for line in table.read_text(encoding="utf-8").splitlines()[1:])
    original = {int(row[0]): int(row[1]) for row in rows if row}
    return [number for number in there if original.get(number, -1) in _CELEBA_SPLITS[split]]


def _merge_all(folder: Path, out: Path, numbers: list[int], progress: bool | None) -> tuple[Path, ...]:
    """The label maps of the faces as files; those that an earlier call left are taken as they are."""

    def merge(number: int) -> Path:
        path = out / f"{number}.png"
        if not path.exists():
            unfinished = path.with_suffix(".part")
            Image.fromarray(merge_masks(folder, number)).save(unfinished, format="png")
            unfinished.replace(path)
        return path

    bar = {"desc": "merging masks", "unit": "face", "delay": 1, "disable": not shows_progress(progress)}
    with ThreadPoolExecutor() as pool:
        return tuple(tqdm(pool.map(merge, numbers), total=len(numbers), **bar))


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _loader(published: Published) -> Callable[..., ImageSet | StreamedSet | UnpairedSet]:
    if published.name == "CelebAMask-HQ":
        return partial(load_celeba_masks, published)
    return partial(load_pairs if published.direction else load_domains, published)


LOADERS = {published.name: _loader(published) for published in SETS}
