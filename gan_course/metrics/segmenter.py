"""A small segmenter of faces: which class has each pixel? The judge of images made from label maps."""

import dataclasses
import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gan_course import data
from gan_course.data import faces, pairs
from gan_course.methods.base import evaluating, option
from gan_course.metrics.classifier import in_batches
from gan_course.metrics.segmentation import SegmentationScore, segmentation_score

FOLD = 8  # the map is halved three times
SHIPPED = "face-segmenter"
TAKEN_BACK = 1 / 3  # of the classes' weights, after the training; the best of a few shares on training faces


@dataclasses.dataclass(frozen=True)
class SegmenterConfig:
    """A network for faces of 64 pixels and their 13 classes."""

    channels: int = option(3, "channels of an image")
    num_classes: int = option(13, "classes of a label map")
    features: int = option(12, "channels of the largest feature maps; doubled at each halving")
    image_size: int = option(64, "height and width in pixels of the images that it was trained on")

    def __post_init__(self) -> None:
        if self.image_size < FOLD or self.image_size % FOLD:
            raise ValueError(f"image_size is {self.image_size}; it must be a multiple of {FOLD}")
        if self.num_classes < 2:
            raise ValueError(f"num_classes is {self.num_classes}; there must be 2 at least")


class Segmenter(nn.Module):
    """Images [N, channels, H, W] in [-1, 1] -> logits [N, num_classes, H, W].

    Fully convolutional (Long et al. 2015), with the shape of a U-Net (Ronneberger et al. 2015): three
    halvings, and on the way back up each level sees what the level of the same size saw on the way down.
    """

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.features, 2 * config.features, 4 * config.features, 6 * config.features]
        before = [config.channels, *widths[:-1]]
        self.down = nn.ModuleList(_pair(a, b, b) for a, b in zip(before, widths, strict=True))
        self.up = nn.ModuleList(
            _pair(below + own, own, own) for below, own in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(config.features, config.num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        size = tuple(images.shape[1:])
        if images.ndim != 4 or size[0] != self.config.channels or size[1] % FOLD or size[2] % FOLD:
            raise ValueError(
                f"the segmenter reads images [N, {self.config.channels}, H, W] with sides that are multiples "
                f"of {FOLD}, not {tuple(images.shape)}"
            )
        levels = []
        for number, block in enumerate(self.down):
            images = block(F.max_pool2d(images, 2) if number else images)
            levels.append(images)
        below = levels.pop()
        for block in self.up:
            wider = F.interpolate(below, scale_factor=2, mode="nearest")
            below = block(torch.cat([wider, levels.pop()], dim=1))
        return self.head(below)


def _pair(channels: int, middle: int, out: int) -> nn.Sequential:
    """Two 3 x 3 convolutions with batch norm."""
    layers: list[nn.Module] = []
    for before, after in ((channels, middle), (middle, out)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def predict_maps(segmenter: Segmenter, images: Tensor) -> Tensor:
    """The class that the segmenter reads in each pixel: [N, C, H, W] in [-1, 1] -> int64 [N, H, W]."""
    with evaluating(segmenter):
        return in_batches(lambda part: segmenter(part).argmax(dim=1), images, 100)


def segment(images: Tensor) -> Tensor:
    """Label maps of faces, read by the segmenter that ships with the package.

    Args:
        images: [N, 3, H, W] in [-1, 1]. It was trained on 64 x 64 pixels: other sizes are read at that, and
            the answer is brought back to theirs.

    Returns:
        int64 [N, H, W], the 13 classes of `data.faces.map_names()`.
    """
    segmenter = _shipped(images.device)
    size = segmenter.config.image_size
    if images.shape[-2:] == (size, size):
        return predict_maps(segmenter, images)
    read = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    maps = predict_maps(segmenter, read)
    return F.interpolate(maps[:, None].float(), size=images.shape[-2:], mode="nearest")[:, 0].long()


def segmentation_of(
    images: Tensor, label_maps: Tensor, map_names: Sequence[str] | None = None
) -> SegmentationScore:
    """Do faces show what their label maps asked for, as the shipped segmenter reads them?

    Compare with the score of real faces: the segmenter's own errors are in both.

    Args:
        images: faces [N, 3, H, W] in [-1, 1].
        label_maps: [N, H, W], what was asked for.
        map_names: names of the classes in `label_maps` where they are split by colour
            (`data.pairs.split_classes`); by default the 13 classes of faces.
    """
    plain = faces.map_names()
    if map_names is not None:
        label_maps = pairs.merge_classes(label_maps, map_names)
    return segmentation_score(segment(images), label_maps.long(), len(plain))


@functools.cache
def _shipped(device: torch.device) -> Segmenter:
    from gan_course import weights  # which builds segmenters, and so cannot be imported before them

    segmenter, _ = weights.load(SHIPPED)
    return segmenter.to(device)


def class_weights(label_maps: Tensor, num_classes: int) -> Tensor:
    """What a pixel of each class counts: [num_classes], falling with the square root of its share.

    An earring is three pixels of 4,096: unweighted, a segmenter does well by never seeing one.
    """
    counts = torch.bincount(label_maps.flatten().long(), minlength=num_classes).double()
    weights = 1 / counts.clamp(min=1).sqrt()
    return (weights * counts.sum() / (weights * counts).sum()).float()


def train_segmenter(
    images: data.ImageSet,
    *,
    epochs: int = 4,
    batch_size: int = 32,
    learning_rate: float = 0.005,
    features: int = 12,
    noise: float = 0.1,
    seed: int = 0,
    progress: bool = False,
) -> Segmenter:
    """A segmenter trained on images with label maps, some of them mirrored, all with some noise.

    Rare classes count more than their pixels (`class_weights`), lest they are never seen. Generated images
    are never as clean as real ones: `noise` is the largest standard deviation of what is added, on the scale
    of [-1, 1]. Raises ValueError for a set without label maps.
    """
    if "label_map" not in images.tensors:
        raise ValueError(f"a segmenter needs label maps; the data set {images.name} has none")
    config = SegmenterConfig(
        channels=images.channels,
        num_classes=len(images.map_names),
        features=features,
        image_size=images.image_size,
    )
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    segmenter = Segmenter(config).to(memory_format=torch.channels_last).train()
    steps = epochs * (len(images) // batch_size)
    optimizer = torch.optim.AdamW(segmenter.parameters(), lr=learning_rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    weights = class_weights(images.tensors["label_map"], config.num_classes)
    batches = data.batches(images, batch_size, seed, flip=True)
    for _, batch in zip(tqdm(range(steps), disable=not progress), batches, strict=False):
        strength = noise * torch.rand(batch_size, 1, 1, 1, generator=rng)
        seen = batch["image"] + strength * torch.randn(batch["image"].shape, generator=rng)
        with torch.autocast("cpu", torch.bfloat16):
            logits = segmenter(seen.contiguous(memory_format=torch.channels_last))
        optimizer.zero_grad()
        F.cross_entropy(logits.float(), batch["label_map"], weights).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():  # what is weighted too much is read too often; of these classes some is taken back
        segmenter.head.bias -= TAKEN_BACK * weights.log()
    return segmenter.eval()
