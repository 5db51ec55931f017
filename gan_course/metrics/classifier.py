"""Small classifiers of digits and faces: judges of conditional samples, and features to compare images by."""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from gan_course import data
from gan_course.data.faces import TAG_GROUPS
from gan_course.methods.base import evaluating, option

MAP = 32  # pixels of the first feature maps: larger images are folded down to it


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """A network for the embedded digits."""

    channels: int = option(1, "channels of an image")
    num_classes: int = option(10, "number of logits: classes, or places of all tags together")
    features: int = option(16, "channels after the first convolution")
    feature_size: int = option(128, "length of the feature vector before the last layer")
    image_size: int = option(32, "height and width of an image in pixels: 32 or a multiple of it")
    groups: tuple[int, ...] = option((), "places of each kind of tag; none: the classes are one group")

    def __post_init__(self) -> None:
        if self.image_size < MAP or self.image_size % MAP:
            raise ValueError(f"image_size is {self.image_size}; it must be {MAP} or a multiple of it")
        if self.groups and sum(self.groups) != self.num_classes:
            raise ValueError(
                f"groups is {self.groups}; the places must sum to num_classes, {self.num_classes}"
            )


class Classifier(nn.Module):
    """Images [N, channels, image_size, image_size] in [-1, 1] -> logits [N, num_classes].

    Three pairs of 3 x 3 convolutions with batch norm, halving the map after each pair. An image larger
    than 32 pixels is folded first: blocks of k x k pixels become k * k channels, and nothing is lost.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        fold = config.image_size // MAP
        self.fold = nn.PixelUnshuffle(fold)
        widths = [fold**2 * config.channels, config.features, 2 * config.features, 4 * config.features]
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
        wanted = (self.config.channels, self.config.image_size, self.config.image_size)
        if tuple(images.shape[1:]) != wanted:
            raise ValueError(
                f"the classifier reads images [N, {', '.join(map(str, wanted))}], not {tuple(images.shape)}"
            )
        return self.embed(self.convolutions(self.fold(images)))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))

    def answers(self, logits: Tensor) -> tuple[Tensor, ...]:
        """The logits [N, places] of each group of tags; one group where there are only classes."""
        return logits.split(list(self.config.groups) or self.config.num_classes, dim=1)


def in_batches(function, images: Tensor, batch_size: int = 500) -> Tensor:
    """`function` of all images, without gradients, a batch at a time."""
    with torch.no_grad():
        return torch.cat([function(part) for part in images.split(batch_size)])


def choose(classifier: Classifier, logits: Tensor) -> Tensor:
    """What logits [N, num_classes] say: the class [N], or with groups the tag of each kind [N, kinds]."""
    chosen = torch.stack([answer.argmax(dim=1) for answer in classifier.answers(logits)], dim=1)
    return chosen if classifier.config.groups else chosen[:, 0]


def predict(classifier: Classifier, images: Tensor) -> Tensor:
    """What the classifier reads in each image: the class [N], or with groups the tags [N, kinds]; int64."""
    with evaluating(classifier):
        return choose(classifier, in_batches(classifier, images))


def joint_probabilities(classifier: Classifier, logits: Tensor) -> Tensor:
    """Logits [N, num_classes] -> probabilities of every combination of tags [N, product of the groups].

    The kinds are taken for independent given the image: p(hair, eyes | x) = p(hair | x) p(eyes | x). With
    one group these are the probabilities of the classes.
    """
    first, *others = [answer.double().softmax(dim=1) for answer in classifier.answers(logits)]
    for other in others:
        first = (first[:, :, None] * other[:, None, :]).flatten(1)
    return first


def embed(classifier: Classifier, images: Tensor) -> Tensor:
    """The feature vector of each image: [N, feature_size]."""
    with evaluating(classifier):
        return in_batches(classifier.features, images)


def accuracy_by_class(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """The share of each class's images read as that class: [num_classes], NaN where a class is absent."""
    right = torch.bincount(labels[predicted == labels], minlength=num_classes)
    return right / torch.bincount(labels, minlength=num_classes)


def tag_numbers(tags: Tensor) -> Tensor:
    """One-hot groups of a face [N, 15] -> the number of the tag of each kind [N, 4], int64."""
    return torch.stack([tags[:, places].argmax(dim=1) for places in TAG_GROUPS.values()], dim=1)


def jiggle(images: Tensor, rng: torch.Generator, background: float = -1.0) -> Tensor:
    """Each image turned by up to 15 degrees, scaled by up to 15%, sheared and shifted by up to 3 pixels.

    What comes in from outside the image has the value `background`.
    """
    count = len(images)
    draws = torch.rand(count, 5, generator=rng) * 2 - 1
    angle, scale, shear = draws[:, 0] * math.radians(15), 1 + 0.15 * draws[:, 1], 0.2 * draws[:, 2]
    shift = draws[:, 3:] * 3 * 2 / images.shape[-1]
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cos, -sin + shear, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images - background, grid, align_corners=False) + background


def targets(batch: dict[str, Tensor]) -> Tensor:
    """What a classifier is to answer: [N, kinds] int64, one kind where there are classes."""
    return batch["label"][:, None] if "label" in batch else tag_numbers(batch["tags"])


def config_for(images: data.ImageSet, features: int) -> ClassifierConfig:
    """A network for the labels or the tags of a set. Raises ValueError where it has neither."""
    sizes = {"channels": images.channels, "image_size": images.image_size, "features": features}
    if "label" in images.tensors:
        return ClassifierConfig(**sizes, num_classes=images.num_classes)
    if "tags" in images.tensors:
        groups = tuple(places.stop - places.start for places in TAG_GROUPS.values())
        return ClassifierConfig(**sizes, num_classes=sum(groups), groups=groups)
    raise ValueError(f"a classifier needs labels or tags; the data set {images.name} has neither")


def train_classifier(
    images: data.ImageSet,
    *,
    epochs: int = 40,
    batch_size: int = 64,
    learning_rate: float = 0.002,
    features: int = 16,
    seed: int = 0,
    progress: bool = False,
) -> Classifier:
    """A classifier trained on `images`, which have labels or the tags of faces.

    It sees jiggled copies, so that 5,000 images suffice; what comes in at their borders has the
    commonest value of the images' first corner. Raises ValueError where there are neither labels nor tags.
    """
    config = config_for(images, features)
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    background = images.tensors["image"][..., 0, 0].flatten().mode().values.item() / 127.5 - 1
    classifier = Classifier(config).to(memory_format=torch.channels_last).train()
    steps = epochs * (len(images) // batch_size)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    batches = data.batches(images, batch_size, seed)
    for _, batch in zip(tqdm(range(steps), disable=not progress), batches, strict=False):
        seen = jiggle(batch["image"], rng, background)
        with torch.autocast("cpu", torch.bfloat16):
            logits = classifier(seen.contiguous(memory_format=torch.channels_last))
        answers, wanted = classifier.answers(logits.float()), targets(batch).unbind(1)
        costs = [F.cross_entropy(a, w, label_smoothing=0.05) for a, w in zip(answers, wanted, strict=True)]
        optimizer.zero_grad()
        torch.stack(costs).sum().backward()
        optimizer.step()
        schedule.step()
    return classifier.eval()
