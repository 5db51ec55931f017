"""A folder of pictures or label maps through a trained method: gan-course translate."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import to_pil_image, to_tensor
from tqdm.auto import tqdm

from gan_course.data import folders
from gan_course.methods import Method
from gan_course.progress import shows_progress
from gan_course.training.files import replacing

DIRECTIONS = ("AtoB", "BtoA")
HEAT = 0.5  # how far the colours of an attention map cover the picture under it


def translate_folder(
    method: Method,
    source: Path | str,
    out: Path | str,
    direction: str = "AtoB",
    batch_size: int = 16,
    progress: bool | None = None,
) -> list[Path]:
    """Translates every image of a folder, or every label map where the method starts from those.

    A result lies in `out` under the name of its source, as PNG, and beside it NAME.attention.png where the
    method has attention maps: the source, covered where the network attends. What is there already is left
    as it is, so that a call that was stopped goes on.

    Args:
        method: a trained method that translates.
        source: folder of images, or of label maps (one channel of class ids); subfolders too. They are
            brought to the method's size as training images are: a centre square, resized.
        out: folder for the results.
        direction: "AtoB" or "BtoA", for a method of two domains.
        batch_size: images at a time.
        progress: show a progress bar. None: on a terminal or in a notebook.

    Returns:
        The results, in the order of the sources.

    Raises:
        ValueError: the method does not translate, or an image or a direction cannot be used.
        FileNotFoundError: there is no such folder, or no image in it.
    """
    source, out = Path(source), Path(out)
    if not method.translates:
        raise ValueError(f"{method.name} makes images from noise; draw them with: gan-course sample")
    if "instance_map" in method.translates or "image" in method.translates:
        raise ValueError(
            f"this {method.name} starts from {' and '.join(method.translates)}; "
            "a folder gives one picture each: call its `translate` in Python"
        )
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is {direction!r}; it must be {' or '.join(DIRECTIONS)}")
    files = folders.find_layout(source).images
    results = [out / file.relative_to(source).with_suffix(".png") for file in files]
    waiting = [k for k, result in enumerate(results) if not result.exists()]
    bar = tqdm(total=len(files), initial=len(files) - len(waiting), unit="image",
               disable=not shows_progress(progress))  # fmt: skip
    with bar:
        for start in range(0, len(waiting), batch_size):
            chosen = waiting[start : start + batch_size]
            inputs = torch.stack([read(method, files[k]) for k in chosen]).to(method.device)
            for k, image, heat in zip(chosen, *translated(method, inputs, direction), strict=True):
                if heat is not None:
                    write(results[k].with_suffix(".attention.png"), heat)
                write(results[k], image)  # the last, since it says that this one is done
            bar.update(len(chosen))
    return results


def read(method: Method, file: Path) -> Tensor:
    """What the method starts from: a picture [C, H, W] in [-1, 1], or class ids [H, W]."""
    size = (method.config.image_size, method.config.image_size)
    if "label_map" in method.translates:
        ids = Image.fromarray(folders.read_label_map(file, method.config.label_nc))
        return torch.from_numpy(np.array(ImageOps.fit(ids, size, Image.Resampling.NEAREST))).long()
    channels = getattr(method.config, "input_channels", method.config.channels)
    picture = Image.fromarray(folders.read_image(file, channels))
    return to_tensor(ImageOps.fit(picture, size, Image.Resampling.BILINEAR)) * 2 - 1


def translated(method: Method, inputs: Tensor, direction: str) -> tuple[list[Tensor], list[Tensor | None]]:
    """The translations, and the sources covered by the method's attention; None where it has none."""
    if "image_a" not in method.translates:
        return list(method.translate(inputs)), [None] * len(inputs)
    images = list(method.translate(inputs, direction=direction))
    if not getattr(method, "attends", False):
        return images, [None] * len(images)
    return images, list(covered(inputs, method.attend(inputs, direction=direction)))


def covered(images: Tensor, heat: Tensor) -> Tensor:
    """Images [N, C, H, W] in [-1, 1] under heat maps [N, 1, H, W] in [0, 1]: [N, 3, H, W] in [-1, 1]."""
    colours = torch.from_numpy(matplotlib.colormaps["inferno"](heat[:, 0].cpu().numpy())[..., :3])
    colours = colours.permute(0, 3, 1, 2).to(images) * 2 - 1
    return images.expand(-1, 3, -1, -1).lerp(colours, HEAT)


def write(file: Path, image: Tensor) -> None:
    """An image [C, H, W] in [-1, 1] as PNG, complete or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        to_pil_image(((image.float() + 1) / 2).clamp(0, 1).cpu()).save(temporary, format="PNG")
