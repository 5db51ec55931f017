"""What images are compared by: networks that turn an image into a vector, and say what they read in it.

A distance between images is a distance between features, so its name carries the features' name:
FID-digits, FID-faces and FID-inception are three different numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_course.data.faces import TAG_GROUPS
from gan_course.methods.base import evaluating
from gan_course.metrics.classifier import Classifier, choose, joint_probabilities

BATCH = 250  # images that go through a network at once
BATCH_INCEPTION = 50  # of 299 x 299 pixels
BLACK = -1.0


class Embedded(NamedTuple):
    """What a network makes of images, on the CPU."""

    features: Tensor
    """[N, d]."""
    probabilities: Tensor
    """Of the classes, or of every combination of tags: [N, classes]."""
    read: Tensor | None
    """The class or tag of each kind that it reads: [N, kinds] int64; None where classes mean nothing here."""


@dataclass(frozen=True)
class Features:
    """A named way of turning images into feature vectors.

    `extract` maps images [N, C, H, W] of the 256 levels in [-1, 1] to what it makes of them. `kinds` names
    the columns of what it reads.
    """

    name: str
    extract: Callable[[Tensor], Embedded]
    kinds: tuple[str, ...] = ()
    batch_size: int = BATCH

    def __call__(self, images: Tensor) -> Embedded:
        """Features of images [N, C, H, W] in [-1, 1], rounded first to the 256 levels of a stored image."""
        stored = ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
        with torch.no_grad():
            return join([self.extract(part) for part in stored.split(self.batch_size)])


def join(parts: list[Embedded]) -> Embedded:
    """What was made of several batches, as of one."""
    features, probabilities, read = zip(*parts, strict=True)
    return Embedded(
        torch.cat(features), torch.cat(probabilities), None if read[0] is None else torch.cat(read)
    )


def from_classifier(name: str, classifier: Classifier, kinds: tuple[str, ...]) -> Features:
    """The features of a trained classifier, and what it reads; images are brought to the size it needs."""
    device = next(classifier.parameters()).device

    def extract(images: Tensor) -> Embedded:
        seen = fitted(images, classifier.config.channels, classifier.config.image_size, name).to(device)
        with evaluating(classifier):
            features = classifier.features(seen)
            logits = classifier.head(features)
        read = choose(classifier, logits).view(len(logits), -1)
        return Embedded(features.cpu(), joint_probabilities(classifier, logits.cpu()), read.cpu())

    return Features(name, extract, kinds)


def fitted(images: Tensor, channels: int, size: int, name: str) -> Tensor:
    """Images as a network wants them: grey becomes colour, and the size is changed.

    Digits of 28 pixels get their margin of 2, as in the data sets; other sizes are interpolated. Raises
    ValueError for colour images where the network reads grey ones.
    """
    if images.shape[1] != channels:
        if images.shape[1] != 1:
            raise ValueError(
                f"the features {name!r} read images with {channels} channel, not {images.shape[1]}; "
                f"take others"
            )
        images = images.expand(-1, channels, -1, -1)
    if images.shape[-1] == size:
        return images
    if (images.shape[-1], size) == (28, 32):
        return F.pad(images, (2, 2, 2, 2), value=BLACK)
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def digits(device: torch.device | str = "cpu") -> Features:
    """The 128 features of the shipped classifier of digits."""
    return from_classifier("digits", shipped("digit-classifier", device), ("digit",))


def faces(device: torch.device | str = "cpu") -> Features:
    """The 128 features of the shipped classifier of faces, which reads their four kinds of tags."""
    return from_classifier("faces", shipped("face-classifier", device), tuple(TAG_GROUPS))


def avataaars(device: torch.device | str = "cpu") -> Features:
    """The 128 features of the shipped classifier of faces in the style avataaars."""
    return from_classifier("avataaars", shipped("avataaars-classifier", device), tuple(TAG_GROUPS))


def shipped(name: str, device: torch.device | str) -> Classifier:
    from gan_course import weights  # which needs this package

    return weights.load(name)[0].to(device)


def inception(device: torch.device | str = "cpu") -> Features:
    """The 2,048 features and 1,008 classes of the Inception network that FID is named for.

    Its weights (91 MB) are downloaded on the first use, by torch-fidelity. Grey images are shown as
    colour ones. Raises ConnectionError where they cannot be had.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        network = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], verbose=False)
    except OSError as error:
        raise ConnectionError(
            f"the weights of Inception cannot be downloaded ({error}); "
            f"the features 'digits' and 'faces' need no network"
        ) from error
    network.to(device)

    def extract(images: Tensor) -> Embedded:
        stored = ((images + 1) * 127.5).round().to(device, torch.uint8)
        features, logits = network(stored.expand(-1, 3, -1, -1))
        return Embedded(features.cpu(), logits.cpu().double().softmax(dim=1), None)

    return Features("inception", extract, batch_size=BATCH_INCEPTION)


EXTRACTORS: dict[str, Callable[..., Features]] = {
    "digits": digits,
    "faces": faces,
    "avataaars": avataaars,
    "inception": inception,
}


def features(name: str, device: torch.device | str = "cpu") -> Features:
    """The features of that name: digits, faces (of the style adventurer), avataaars or inception.

    Raises ValueError for another name, ConnectionError where Inception's weights cannot be downloaded.
    """
    if name not in EXTRACTORS:
        raise ValueError(f"unknown features {name!r}; known features: {', '.join(EXTRACTORS)}")
    return EXTRACTORS[name](device)
