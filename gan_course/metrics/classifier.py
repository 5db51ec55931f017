"""A small classifier of digits: the judge of conditional samples, and features to compare images by."""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gan_course import data
from gan_course.methods.base import evaluating, option


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """A network for the embedded digits."""

    channels: int = option(1, "channels of an image")
    num_classes: int = option(10, "number of classes")
    features: int = option(16, "channels after the first convolution")
    feature_size: int = option(128, "length of the feature vector before the last layer")


class Classifier(nn.Module):
    """Images [N, channels, 32, 32] in [-1, 1] -> logits [N, num_classes].

    Three pairs of 3 x 3 convolutions with batch norm, halving the map after each pair.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels, config.features, 2 * config.features, 4 * config.features]
        layers: list[nn.Module] = []
        for before, after in zip(widths[:-1], widths[1:], strict=True):  # noqa: RUF007 - reads as a table
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.embed = nn.Sequential(nn.Linear(widths[-1] * 16, config.feature_size), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(config.feature_size, config.num_classes))

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees: [N, feature_size]."""
        if tuple(images.shape[1:]) != (self.config.channels, 32, 32):
            raise ValueError(
                f"the classifier reads images [N, {self.config.channels}, 32, 32], not {tuple(images.shape)}"
            )
        return self.embed(self.convolutions(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def in_batches(function, images: Tensor, batch_size: int = 500) -> Tensor:
    """`function` of all images, without gradients, a batch at a time."""
    with torch.no_grad():
        return torch.cat([function(part) for part in images.split(batch_size)])


def predict(classifier: Classifier, images: Tensor) -> Tensor:
    """The class that the classifier reads in each image: [N] int64."""
    with evaluating(classifier):
        return in_batches(classifier, images).argmax(dim=1)


def embed(classifier: Classifier, images: Tensor) -> Tensor:
    """The feature vector of each image: [N, feature_size]."""
    with evaluating(classifier):
        return in_batches(classifier.features, images)


def accuracy_by_class(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """The share of each class's images read as that class: [num_classes], NaN where a class is absent."""
    right = torch.bincount(labels[predicted == labels], minlength=num_classes)
    return right / torch.bincount(labels, minlength=num_classes)


def jiggle(images: Tensor, rng: torch.Generator) -> Tensor:
    """Each image turned by up to 15 degrees, scaled by up to 15%, sheared and shifted by up to 3 pixels."""
    count = len(images)
    draws = torch.rand(count, 5, generator=rng) * 2 - 1
    angle, scale, shear = draws[:, 0] * math.radians(15), 1 + 0.15 * draws[:, 1], 0.2 * draws[:, 2]
    shift = draws[:, 3:] * 3 * 2 / images.shape[-1]
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cos, -sin + shear, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1  # outside is background, -1


def train_classifier(
    images: data.ImageSet,
    *,
    epochs: int = 40,
    batch_size: int = 64,
    learning_rate: float = 0.002,
    seed: int = 0,
    progress: bool = False,
) -> Classifier:
    """A classifier trained on `images` (32 x 32, with labels), with jiggled copies so that 5,000 suffice.

    Raises ValueError where the images have no labels.
    """
    if "label" not in images.tensors:
        raise ValueError(f"a classifier needs labels; the data set {images.name} has none")
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    config = ClassifierConfig(channels=images.channels, num_classes=images.num_classes)
    classifier = Classifier(config).to(memory_format=torch.channels_last).train()
    steps = epochs * (len(images) // batch_size)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    batches = data.batches(images, batch_size, seed)
    for _, batch in zip(tqdm(range(steps), disable=not progress), batches, strict=False):
        with torch.autocast("cpu", torch.bfloat16):
            logits = classifier(jiggle(batch["image"], rng).contiguous(memory_format=torch.channels_last))
        cost = F.cross_entropy(logits.float(), batch["label"], label_smoothing=0.05)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        schedule.step()
    return classifier.eval()
