"""Distances between images as a frozen network sees them.

Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer and Super-Resolution, ECCV 2016
(arXiv:1603.08155), section 3.2; with the layers and weights that pix2pixHD's and SPADE's authors take
(Wang et al. 2018, appendix; Park et al. 2019, appendix A).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gan_course.losses import mean_distance
from gan_course.nn.blocks import check_choice

VGG19_LAYERS = (1, 6, 11, 20, 29)
"""ReLU 1_1, 2_1, 3_1, 4_1 and 5_1: the first activation after each change of size."""
VGG19_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
FACES_LAYERS = (5, 12, 19)
"""The last activation before each pooling."""
FACES_WEIGHTS = VGG19_WEIGHTS[-3:]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def perceptual_distance(
    features_of: Callable[[Tensor], Sequence[Tensor]], x: Tensor, y: Tensor, weights: Sequence[float]
) -> Tensor:
    """sum_i w_i E|F_i(x) - F_i(y)| over the maps F_i of a network.

    Args:
        features_of: images -> maps of several layers. Its own weights should be frozen.
        x: images [N, C, H, W], which the gradient reaches.
        y: images of the same shape, the target: no gradient reaches them.
        weights: w_i, one a map.

    Raises ValueError where there are more or fewer maps than weights.
    """
    with torch.no_grad():
        targets = features_of(y.detach())
    maps = features_of(x)
    if len(maps) != len(weights):
        raise ValueError(f"{len(weights)} weights for {len(maps)} maps; give one for each")
    distances = [mean_distance(a, b) for a, b in zip(maps, targets, strict=True)]
    return sum(weight * distance for weight, distance in zip(weights, distances, strict=True))


class FrozenFeatures:
    """The maps of some layers of a network that never learns.

    No nn.Module, so that a method can hold one that is neither trained nor saved with it. It follows the
    images to their device.

    Args:
        layers: the network, up to its last layer of interest.
        kept: numbers of the layers whose maps are compared, ascending.
        weights: of the maps in a distance.
        smallest: images have at least so many pixels a side.
        prepare: what is done to images [N, 3, H, W] in [-1, 1] before the first layer.
    """

    def __init__(
        self,
        layers: nn.Sequential,
        kept: Sequence[int],
        weights: Sequence[float],
        smallest: int,
        prepare: Callable[[Tensor], Tensor] = lambda images: images,
    ) -> None:
        self.layers = layers[: kept[-1] + 1].eval().requires_grad_(False)
        self.kept, self.weights, self.smallest, self.prepare = kept, weights, smallest, prepare

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Images [N, C, H, W] in [-1, 1], grey or colour -> the maps, finest first.

        Raises ValueError for images that are too small for the network.
        """
        if min(images.shape[-2:]) < self.smallest:
            height, width = images.shape[-2:]
            raise ValueError(
                f"the network of the perceptual distance reads images from {self.smallest} x {self.smallest} "
                f"pixels on, not {height} x {width}"
            )
        self.layers.to(images.device)
        h, maps = self.prepare(images.expand(-1, 3, -1, -1)), []
        for number, layer in enumerate(self.layers):
            h = layer(h)
            if number in self.kept:
                maps.append(h)
        return maps

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """The perceptual distance with this network's weights; `y` is the target."""
        return perceptual_distance(self, x, y, self.weights)


def vgg19(normalise: bool = False) -> FrozenFeatures:
    """VGG19 (Simonyan and Zisserman 2015), trained on ImageNet: torchvision's, 548 MB at the first use.

    Args:
        normalise: bring images to the mean and the spread that the network was trained on. The authors of
            pix2pixHD and of SPADE do not, so that is not the default: their weights would mean another
            thing.

    Raises ConnectionError where the weights cannot be downloaded.
    """
    from torchvision.models import VGG19_Weights
    from torchvision.models import vgg19 as build

    try:
        network = build(weights=VGG19_Weights.IMAGENET1K_V1)
    except OSError as error:
        raise ConnectionError(
            f"the weights of VGG19 cannot be downloaded ({error}); "
            f"the features 'faces' need no network, and 'none' no features"
        ) from error
    prepare = {"prepare": as_imagenet} if normalise else {}
    return FrozenFeatures(network.features, VGG19_LAYERS, VGG19_WEIGHTS, smallest=16, **prepare)


def as_imagenet(images: Tensor) -> Tensor:
    """Images in [-1, 1] with the mean and the spread of ImageNet's colours."""
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((images + 1) / 2 - mean) / std


def faces() -> FrozenFeatures:
    """The convolutions of the shipped classifier of faces, which read colours and glasses at 64 pixels.

    Sides must be even, since it folds 2 x 2 pixels into channels.
    """
    from gan_course import weights  # which needs the methods

    classifier, _ = weights.load("face-classifier")
    return FrozenFeatures(
        classifier.convolutions, FACES_LAYERS, FACES_WEIGHTS, smallest=8, prepare=classifier.fold
    )


NETWORKS: dict[str, Callable[[], FrozenFeatures]] = {"vgg19": vgg19, "faces": faces}


def features(name: str) -> FrozenFeatures | None:
    """The features of that name: vgg19 or faces; none where the name is "none".

    Raises ValueError for another name, ConnectionError where weights cannot be downloaded.
    """
    check_choice("perceptual", name, ("none", *NETWORKS))
    return None if name == "none" else NETWORKS[name]()
