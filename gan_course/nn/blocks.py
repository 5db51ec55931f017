"""One layer, built otherwise: the choices in which convolutional GANs differ, each by itself.

`vary` takes the players of a paper as they stand there and exchanges single layers, so that a trick is
an option, the paper's file keeps the paper's networks, and two variants differ in what was chosen and
in nothing else.
"""

import itertools
import math
from collections.abc import Callable, Collection

from torch import nn

from gan_course.nn.norms import spectral_norm

KERNEL_SIZES = (3, 4, 5, 6)
"""Of the layers that halve or double a map. An even one meets each place equally often with stride 2."""


# ---- resampling --------------------------------------------------------------------------------------


def halving(before: int, after: int, kernel_size: int) -> nn.Conv2d:
    """[N, before, H, W] -> [N, after, H/2, W/2] by a strided convolution without bias, H and W even."""
    return nn.Conv2d(before, after, kernel_size, stride=2, padding=(kernel_size - 1) // 2, bias=False)


def transposed(before: int, after: int, kernel_size: int) -> nn.ConvTranspose2d:
    """[N, before, H, W] -> [N, after, 2H, 2W] by a transposed convolution without bias.

    2H = 2(H - 1) - 2 padding + kernel_size + output_padding has a solution for every kernel size; odd
    ones need a row and a column more at the end.
    """
    padding, more = (kernel_size - 1) // 2, kernel_size % 2
    return nn.ConvTranspose2d(
        before, after, kernel_size, stride=2, padding=padding, output_padding=more, bias=False
    )


def same_size(before: int, after: int, kernel_size: int) -> list[nn.Module]:
    """[N, before, H, W] -> [N, after, H, W]; an even kernel looks one place further right and down."""
    left, right = (kernel_size - 1) // 2, kernel_size // 2
    if left == right:
        return [nn.Conv2d(before, after, kernel_size, padding=left, bias=False)]
    padding = nn.ZeroPad2d((left, right, left, right))
    return [padding, nn.Conv2d(before, after, kernel_size, bias=False)]


def nearest(before: int, after: int, kernel_size: int) -> nn.Sequential:
    """Every entry becomes 2 x 2 equal ones, then a convolution (Odena et al. 2016)."""
    return nn.Sequential(nn.Upsample(scale_factor=2), *same_size(before, after, kernel_size))


def bilinear(before: int, after: int, kernel_size: int) -> nn.Sequential:
    """Between the entries, straight lines; then a convolution (Odena et al. 2016)."""
    enlarge = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(enlarge, *same_size(before, after, kernel_size))


def pixel_shuffle(before: int, after: int, kernel_size: int) -> nn.Sequential:
    """A convolution makes four maps of the small size for each large one; they are interleaved.

    Shi et al. 2016, section 2.2. It has four times the weights of the other kinds.
    """
    return nn.Sequential(*same_size(before, 4 * after, kernel_size), nn.PixelShuffle(2))


UPSAMPLING: dict[str, Callable[[int, int, int], nn.Module]] = {
    "transposed": transposed,
    "nearest": nearest,
    "bilinear": bilinear,
    "pixel_shuffle": pixel_shuffle,
}


# ---- normalisation and activation --------------------------------------------------------------------


def group_norm(features: int) -> nn.GroupNorm:
    """Groups of 8 neighbouring features (Wu and He 2018), or of fewer where 8 does not divide them."""
    return nn.GroupNorm(features // math.gcd(features, 8), features)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda features: nn.InstanceNorm2d(features, affine=True),
    "layer": lambda features: nn.GroupNorm(1, features),
    "group": group_norm,
    "none": lambda features: nn.Identity(),
}
"""Each with a gain and an offset of its own for every feature, except "none"."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.2, inplace=True),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def normalise_spectrally(network: nn.Module) -> None:
    """Divides the weight of every convolution by its largest singular value (Miyato et al. 2018).

    To be called after the weights were initialised: from then on they are computed.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            spectral_norm(module)


# ---- one network, varied -----------------------------------------------------------------------------


def vary(
    network: nn.Sequential,
    *,
    kernel_size: int,
    norm: str,
    activation: str,
    upsampling: str = "transposed",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Exchanges layers of a DCGAN player, in place. A layer that is as wanted stays the very same.

    Args:
        network: convolutions, batch norms and activations in one flat sequence; the convolutions of
            stride 2 double (transposed) or halve the maps.
        kernel_size: of those, one of `KERNEL_SIZES`.
        norm: in place of batch norm, one of `NORMS`. Where none is left, the convolution before it gets
            a bias, which batch norm made useless.
        activation: in place of ReLU and LeakyReLU, one of `ACTIVATIONS`.
        upsampling: in place of transposed convolutions of stride 2, one of `UPSAMPLING`.
        dropout: share of the entries set to zero after each activation, in [0, 1).

    Returns:
        `network`. The places of its layers, hence the names of their parameters, stay.

    Raises:
        ValueError: a choice is unknown; the message lists the known.
    """
    check_choice("kernel_size", kernel_size, KERNEL_SIZES)
    check_choice("upsampling", upsampling, UPSAMPLING)
    check_choice("the normalisation", norm, NORMS)
    check_choice("the activation", activation, ACTIVATIONS)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; it must be at least 0 and below 1")
    for index, layer in enumerate(list(network)):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.stride == (2, 2):
            network[index] = resampling(layer, kernel_size, upsampling)
        elif isinstance(layer, nn.BatchNorm2d) and norm != "batch":
            network[index] = NORMS[norm](layer.num_features)
        elif isinstance(layer, nn.ReLU | nn.LeakyReLU):
            network[index] = activated(layer, activation, dropout)
    for before, after in itertools.pairwise(network):
        if isinstance(after, nn.Identity):
            (convolution,) = (m for m in before.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
            convolution.bias = nn.Parameter(convolution.weight.new_zeros(convolution.out_channels))
    return network


def resampling(layer: nn.Conv2d | nn.ConvTranspose2d, kernel_size: int, upsampling: str) -> nn.Module:
    """What halves or doubles the map in place of `layer`."""
    doubles = isinstance(layer, nn.ConvTranspose2d)
    if layer.kernel_size == (kernel_size, kernel_size) and (upsampling == "transposed" or not doubles):
        return layer
    build = UPSAMPLING[upsampling] if doubles else halving
    return build(layer.in_channels, layer.out_channels, kernel_size)


def activated(layer: nn.Module, activation: str, dropout: float) -> nn.Module:
    """What stands in place of the activation `layer`."""
    wanted = ACTIVATIONS[activation]()
    kept = layer if type(layer) is type(wanted) else wanted
    return nn.Sequential(kept, nn.Dropout(dropout)) if dropout > 0 else kept


def check_choice(name: str, value: object, allowed: Collection) -> None:
    """Raises ValueError listing what is allowed."""
    if value not in allowed:
        listed = ", ".join(map(str, allowed))
        raise ValueError(f"{name} is {value!r}; it must be one of {listed}")
