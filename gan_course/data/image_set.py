"""A set of images in memory, and the endless stream of batches that training reads from it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

# What a set may hold: number of dimensions and dtype of each tensor.
_KINDS = {
    "image": (4, torch.uint8),  # [N, C, H, W]
    "label": (1, torch.int64),  # [N]
    "tags": (2, torch.uint8),  # [N, T], one-hot groups side by side
    "label_map": (3, torch.uint8),  # [N, H, W], class ids
    "drawing": (4, torch.uint8),  # [N, 1, H, W], black lines on white
}
_PICTURES = ("image", "drawing")
_SPATIAL = ("image", "drawing", "label_map")
_ORDER, _FLIPS = 1, 2  # keep the two streams of random numbers apart


@dataclass(frozen=True)
class ImageSet:
    """Images held as uint8 tensors, with all that is known about each.

    `tensors` maps "image" to uint8 [N, C, H, W] and, where the set has them, "label" to int64 [N], "tags" to uint8
    [N, T], "label_map" to uint8 [N, H, W] and "drawing" to uint8 [N, 1, H, W].

    `class_names` names the values of "label", `tag_names` the columns of "tags", `map_names` the class ids of
    "label_map"; each is empty where the set has no such tensor. `credit` names authors and licence.
    """

    name: str
    tensors: dict[str, Tensor] = field(repr=False)
    class_names: tuple[str, ...] = ()
    tag_names: tuple[str, ...] = ()
    map_names: tuple[str, ...] = ()
    credit: str = field(default="", repr=False)

    def __post_init__(self):
        if "image" not in self.tensors:
            raise ValueError(
                f'data set "{self.name}": there is no tensor "image", only {sorted(self.tensors)}'
            )
        for key, tensor in self.tensors.items():
            if key not in _KINDS:
                raise ValueError(
                    f'data set "{self.name}": unknown tensor "{key}"; known are {", ".join(_KINDS)}'
                )
            dimensions, dtype = _KINDS[key]
            if tensor.ndim != dimensions or tensor.dtype != dtype or len(tensor) != len(self):
                raise ValueError(
                    f'data set "{self.name}": "{key}" is {tensor.dtype} of shape {list(tensor.shape)}; '
                    f"expected {dtype} with {dimensions} dimensions and {len(self)} entries"
                )
            if key in _SPATIAL and tensor.shape[-2:] != self.tensors["image"].shape[-2:]:
                raise ValueError(
                    f'data set "{self.name}": "{key}" is {tensor.shape[-1]}x{tensor.shape[-2]} pixels, '
                    f"but the images are {self.tensors['image'].shape[-1]}x{self.tensors['image'].shape[-2]}"
                )

    def __len__(self) -> int:
        return len(self.tensors["image"])

    @property
    def image_size(self) -> int:
        """Height of the images in pixels (all sets of the course are square)."""
        return self.tensors["image"].shape[-2]

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.tensors["image"].shape[1]

    @property
    def num_classes(self) -> int:
        """How many values "label" can take; 0 for a set without labels."""
        return len(self.class_names)

    @property
    def device(self) -> torch.device:
        return self.tensors["image"].device

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the content: names, shapes and values of all tensors."""
        hasher = hashlib.sha256()
        for key in sorted(self.tensors):
            tensor = self.tensors[key].cpu().contiguous()
            hasher.update(f"{key} {tensor.dtype} {list(tensor.shape)}\n".encode())
            hasher.update(tensor.numpy().tobytes())
        return hasher.hexdigest()

    def to(self, device: str | torch.device) -> "ImageSet":
        """The same set with its tensors on `device`."""
        return replace(self, tensors={key: tensor.to(device) for key, tensor in self.tensors.items()})

    def select(self, indices) -> "ImageSet":
        """The set of the images at `indices` (a slice, a list, or a tensor of positions or booleans)."""
        return replace(self, tensors={key: tensor[indices] for key, tensor in self.tensors.items()})

    def batch(self, indices) -> dict[str, Tensor]:
        """The images at `indices`, ready for a network: see `as_batch` for dtypes and ranges."""
        if isinstance(indices, Tensor):
            indices = indices.to(self.device)
        return as_batch({key: tensor[indices] for key, tensor in self.tensors.items()})


def as_batch(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors as a network reads them.

    "image" and "drawing" become float32 in [-1, 1] (0 -> -1, 255 -> 1), "tags" float32 zeros and ones, "label" and
    "label_map" int64.
    """
    batch = {}
    for key, tensor in tensors.items():
        if key in _PICTURES:
            batch[key] = tensor.float() / 127.5 - 1
        elif key == "tags":
            batch[key] = tensor.float()
        else:
            batch[key] = tensor.long()
    return batch


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of epoch `epoch`: a permutation of 0..count-1 that depends on nothing but its three arguments."""
    return torch.from_numpy(np.random.default_rng([seed, epoch, _ORDER]).permutation(count))


def batch_indices(count: int, batch_size: int, seed: int, start_step: int = 0) -> Iterator[Tensor]:
    """Endless stream of index tensors [batch_size]; the last, incomplete batch of an epoch is dropped.

    Step k yields the same indices whether the stream started at 0 or at k.
    """
    steps_per_epoch = count // batch_size
    epoch, step = divmod(start_step, steps_per_epoch)
    while True:
        order = epoch_order(count, seed, epoch)
        for start in range(step * batch_size, steps_per_epoch * batch_size, batch_size):
            yield order[start : start + batch_size]
        epoch, step = epoch + 1, 0


def _flip_some(batch: dict[str, Tensor], seed: int, step: int) -> dict[str, Tensor]:
    """Mirror each image with probability 1/2, and its map and drawing with it. A pure function of (seed, step)."""
    count = len(batch["image"])
    coins = torch.from_numpy(np.random.default_rng([seed, step, _FLIPS]).random(count) < 0.5).to(
        batch["image"].device
    )
    flipped = {}
    for key, tensor in batch.items():
        if key in _SPATIAL:
            shape = (count,) + (1,) * (tensor.ndim - 1)
            tensor = torch.where(coins.view(shape), tensor.flip(-1), tensor)
        flipped[key] = tensor
    return flipped


def batches(
    images: ImageSet,
    batch_size: int = 64,
    seed: int = 0,
    start_step: int = 0,
    device: str | torch.device = "cpu",
    flip: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """Endless iterator of batches in random order, without replacement within an epoch.

    The batch of step k is a pure function of (images, batch_size, seed, k): a run resumed with `start_step=k` reads
    exactly what an uninterrupted one would. `flip` mirrors half of the images left to right, label maps and drawings
    with them. Raises ValueError for a batch larger than the set.
    """
    if not 1 <= batch_size <= len(images):
        raise ValueError(
            f'batch_size is {batch_size}, but data set "{images.name}" has {len(images)} images; '
            f"choose a batch size from 1 to {len(images)}"
        )
    if start_step < 0 or seed < 0:
        raise ValueError(
            f"start_step and seed must not be negative, got start_step={start_step}, seed={seed}"
        )
    return _batches(images, batch_size, seed, start_step, device, flip)


def _batches(images, batch_size, seed, start_step, device, flip):
    images = images.to(device)
    for step, indices in enumerate(batch_indices(len(images), batch_size, seed, start_step), start_step):
        batch = images.batch(indices)
        yield _flip_some(batch, seed, step) if flip else batch
