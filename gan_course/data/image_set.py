"""A set of images, in memory or read from disk as needed, and the endless stream of batches that training
takes."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gan_course.data import cache

# What a set may hold: number of dimensions and dtype of each tensor.
_KINDS = {
    "image": (4, torch.uint8),  # [N, C, H, W]
    "label": (1, torch.int64),  # [N]
    "tags": (2, torch.uint8),  # [N, T], one-hot groups side by side
    "label_map": (3, torch.uint8),  # [N, H, W], class ids
    "instance_map": (3, torch.int32),  # [N, H, W], ids of objects
    "drawing": (4, torch.uint8),  # [N, 1, H, W], black lines on white
    "input": (4, torch.uint8),  # [N, channels, H, W], the picture that "image" is to be made from
}
_PICTURES = ("image", "drawing", "input")
_SPATIAL = ("image", "drawing", "input", "label_map", "instance_map")
_ORDER, _FLIPS, _CROPS = 1, 2, 3  # keep the streams of random numbers apart
_SECOND = 2**31  # added to the seed of a second domain, so that its order is another


@dataclass(frozen=True, repr=False)
class ImageSet:
    """Images held as uint8 tensors, with all that is known about each.

    `tensors` maps "image" to uint8 [N, C, H, W] and, where the set has them, "label" to int64 [N], "tags"
    to uint8 [N, T], "label_map" to uint8 [N, H, W], "instance_map" to int32 [N, H, W], "drawing" to uint8
    [N, 1, H, W] and "input" (what a paired translation starts from) to uint8 [N, channels, H, W]. Images are
    square.

    `class_names` names the values of "label", `tag_names` the columns of "tags", `map_names` the class ids
    of "label_map"; each is empty where the set has no such tensor. `credit` names authors and licence.
    """

    name: str
    tensors: dict[str, Tensor]
    class_names: tuple[str, ...] = ()
    tag_names: tuple[str, ...] = ()
    map_names: tuple[str, ...] = ()
    credit: str = ""

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
            if key in _SPATIAL and tensor.shape[-2:] != (self.image_size, self.image_size):
                raise ValueError(
                    f'data set "{self.name}": "{key}" is {tensor.shape[-1]}x{tensor.shape[-2]} pixels; '
                    f"expected {self.image_size}x{self.image_size}"
                )

    def __len__(self) -> int:
        return len(self.tensors["image"])

    def __repr__(self) -> str:
        return _summary(self, list(self.tensors))

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
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
        """Where the tensors are."""
        return self.tensors["image"].device

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the content: names, shapes and values of all tensors."""
        return cache.content_digest(self.tensors)

    def to(self, device: str | torch.device) -> "ImageSet":
        """The same set with its tensors on `device`."""
        return replace(self, tensors={key: tensor.to(device) for key, tensor in self.tensors.items()})

    def select(self, indices) -> "ImageSet":
        """The set of the images at `indices`: a slice, a list, or a tensor of positions or booleans."""
        return replace(self, tensors={key: tensor[indices] for key, tensor in self.tensors.items()})

    def batch(self, indices) -> dict[str, Tensor]:
        """The images at `indices`, ready for a network: see `as_batch` for dtypes and ranges."""
        if isinstance(indices, Tensor):
            indices = indices.to(self.device)
        return as_batch({key: tensor[indices] for key, tensor in self.tensors.items()})


@dataclass(frozen=True, repr=False)
class StreamedSet:
    """Images that are too many for memory: read from disk when a batch asks for them.

    It has the properties of an ImageSet but no `tensors`. `read(i)` returns the stored tensors of image i,
    each as one entry of an ImageSet's; `digest` covers names and sizes of the files, not their content.
    """

    name: str
    count: int
    image_size: int
    channels: int
    digest: str
    read: Callable[[int], dict[str, Tensor]]
    class_names: tuple[str, ...] = ()
    tag_names: tuple[str, ...] = ()
    map_names: tuple[str, ...] = ()
    credit: str = ""
    workers: int = 2

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.read(int(index))

    def __repr__(self) -> str:
        return _summary(self, ["read from disk"])

    @property
    def num_classes(self) -> int:
        """How many values "label" can take; 0 for a set without labels."""
        return len(self.class_names)

    def batch(self, indices) -> dict[str, Tensor]:
        """The images at `indices`, ready for a network: see `as_batch` for dtypes and ranges."""
        return as_batch(torch.utils.data.default_collate([self[index] for index in torch.as_tensor(indices)]))


@dataclass(frozen=True, repr=False)
class UnpairedSet:
    """Two ways of drawing, no pairs: the images of domain A and those of domain B.

    As long as the longer of the two. A batch holds "image_a" and "image_b". Raises ValueError where the two
    differ in size or channels.
    """

    a: ImageSet | StreamedSet
    b: ImageSet | StreamedSet

    def __post_init__(self):
        for name in ("image_size", "channels"):
            if getattr(self.a, name) != getattr(self.b, name):
                raise ValueError(
                    f'the domains must have one {name}: "{self.a.name}" has {getattr(self.a, name)}, '
                    f'"{self.b.name}" has {getattr(self.b, name)}'
                )

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def __repr__(self) -> str:
        return f"UnpairedSet({self.a!r}, {self.b!r})"

    @property
    def name(self) -> str:
        """The names of both domains."""
        return f"{self.a.name} and {self.b.name}"

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.a.image_size

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.a.channels

    @property
    def class_names(self) -> tuple[str, ...]:
        """None: the domains are not labels."""
        return ()

    map_names = tag_names = class_names

    @property
    def num_classes(self) -> int:
        """0: the domains are not labels."""
        return 0

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the digests of both domains."""
        return hashlib.sha256(f"{self.a.digest} {self.b.digest}".encode()).hexdigest()

    def batch(self, indices) -> dict[str, Tensor]:
        """{"image_a", "image_b"} at `indices`; the shorter domain starts again at its end."""
        indices = torch.as_tensor(indices)
        a, b = (domain.batch(indices % len(domain))["image"] for domain in (self.a, self.b))
        return {"image_a": a, "image_b": b}


def _summary(images: ImageSet | StreamedSet, parts: list[str]) -> str:
    size = f"{images.channels}x{images.image_size}x{images.image_size}"
    return f'{type(images).__name__}("{images.name}": {len(images):,} images of {size}; {", ".join(parts)})'


def as_batch(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors as a network reads them.

    "image", "drawing" and "input" become float32 in [-1, 1] (0 -> -1, 255 -> 1), "tags" float32 zeros and
    ones, "label", "label_map" and "instance_map" int64.
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


def centre(images: ImageSet | StreamedSet | UnpairedSet, size: int) -> ImageSet | StreamedSet | UnpairedSet:
    """The set with the middle `size` pixels of each image, and of all that belongs to it."""
    if isinstance(images, UnpairedSet):
        return UnpairedSet(centre(images.a, size), centre(images.b, size))
    start = (images.image_size - size) // 2
    cut = partial(_cut, inner=slice(start, start + size))
    if isinstance(images, StreamedSet):
        return replace(images, image_size=size, read=lambda index: cut(images.read(index)))
    return replace(images, tensors=cut(images.tensors))


def _cut(tensors: dict[str, Tensor], inner: slice) -> dict[str, Tensor]:
    return {k: tensor[..., inner, inner] if k in _SPATIAL else tensor for k, tensor in tensors.items()}


def paint(label_map: Tensor, palette: Tensor) -> Tensor:
    """Label maps [N, H, W] as pictures uint8 [N, 3, H, W]: class k gets the colour palette[k] (uint8
    [classes, 3])."""
    return palette[label_map.long()].movedim(-1, 1).contiguous()


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of epoch `epoch`: a permutation of 0..count-1 that depends on nothing but its three
    arguments."""
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


def batches(
    images: ImageSet | StreamedSet | UnpairedSet,
    batch_size: int = 64,
    seed: int = 0,
    start_step: int = 0,
    device: str | torch.device = "cpu",
    flip: bool = False,
    crop_size: int = 0,
) -> Iterator[dict[str, Tensor]]:
    """Endless iterator of batches in random order, each image once an epoch at most.

    The batch of step k is a pure function of (images, batch_size, seed, k): a run resumed with
    `start_step=k` reads exactly what an uninterrupted one would. An incomplete last batch is dropped.
    `crop_size` cuts a random square of so many pixels out of each image, 0 takes it whole; `flip` mirrors
    each image left to right with probability 1/2: both with its input, label map and drawing. Each domain of
    an UnpairedSet has an order of its own. Raises ValueError for a batch larger than the set, or a crop
    larger than the images.
    """
    smallest = min((images.a, images.b), key=len) if isinstance(images, UnpairedSet) else images
    if not 1 <= batch_size <= len(smallest):
        raise ValueError(
            f'batch_size is {batch_size}, but data set "{smallest.name}" has {len(smallest)} images; '
            f"choose a batch size from 1 to {len(smallest)}"
        )
    if start_step < 0 or seed < 0:
        raise ValueError(
            f"start_step and seed must not be negative, got start_step={start_step}, seed={seed}"
        )
    if not 0 <= crop_size <= images.image_size:
        raise ValueError(
            f'crop_size is {crop_size}, but the images of "{images.name}" have {images.image_size} pixels a '
            f"side; choose a crop from 1 to {images.image_size}, or 0 for none"
        )
    changes = {"flip": flip, "crop_size": crop_size % images.image_size}  # the whole image is no crop
    if isinstance(images, UnpairedSet):
        return _unpaired(images, batch_size, seed, start_step, torch.device(device), changes)
    return _batches(images, batch_size, seed, start_step, torch.device(device), **changes)


def _unpaired(images, batch_size, seed, start_step, device, changes):
    streams = [
        _batches(domain, batch_size, own_seed, start_step, device, **changes)
        for domain, own_seed in ((images.a, seed), (images.b, seed + _SECOND))
    ]
    for a, b in zip(*streams, strict=True):
        yield {"image_a": a["image"], "image_b": b["image"]}


def _batches(images, batch_size, seed, start_step, device, flip, crop_size):
    order = batch_indices(len(images), batch_size, seed, start_step)
    if isinstance(images, StreamedSet):
        loader = DataLoader(
            images,
            batch_sampler=order,
            num_workers=images.workers,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # the global one belongs to the training
        )
        ready = (
            as_batch({key: tensor.to(device, non_blocking=True) for key, tensor in b.items()}) for b in loader
        )
    else:
        resident = images.to(device)
        ready = (resident.batch(indices) for indices in order)
    for step, batch in enumerate(ready, start_step):
        cropped = _crop(batch, crop_size, seed, step) if crop_size else batch
        yield _flip_some(cropped, seed, step) if flip else cropped


def _crop(batch: dict[str, Tensor], crop_size: int, seed: int, step: int) -> dict[str, Tensor]:
    """A square out of each image, the same out of its input, map and drawing. A pure function of (seed,
    step)."""
    count, room = len(batch["image"]), batch["image"].shape[-1] - crop_size
    corners = np.random.default_rng([seed, step, _CROPS]).integers(0, room + 1, size=(count, 2)).tolist()
    cropped = dict(batch)
    for key in _SPATIAL:
        if key in batch:
            squares = [
                whole[..., top : top + crop_size, left : left + crop_size]
                for whole, (top, left) in zip(batch[key], corners, strict=True)
            ]
            cropped[key] = torch.stack(squares)
    return cropped


def _flip_some(batch: dict[str, Tensor], seed: int, step: int) -> dict[str, Tensor]:
    """Mirror each image with probability 1/2, and its map and drawing with it. A pure function of (seed,
    step)."""
    count = len(batch["image"])
    coins = torch.from_numpy(np.random.default_rng([seed, step, _FLIPS]).random(count) < 0.5)
    coins = coins.to(batch["image"].device)
    flipped = dict(batch)
    for key in _SPATIAL:
        if key in batch:
            mask = coins.view(count, *(1 for _ in range(batch[key].ndim - 1)))
            flipped[key] = torch.where(mask, batch[key].flip(-1), batch[key])
    return flipped
