"""PatchGAN: a discriminator that judges every patch of an image by itself.

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017
(arXiv:1611.07004), section 3.2.2 and appendix 6.1.2; built as in the authors' PyTorch code, which
CycleGAN shares.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from gan_course.nn.blocks import check_choice

NORMS = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,  # without gain and offset, without running statistics
    "none": lambda features: nn.Identity(),
}
"""The normalisations of the translation papers, each made from a number of features."""


class PatchGAN(nn.Sequential):
    """Images [N, in_channels, H, W] -> a map of scores [N, 1, h, w], one for each (overlapping) patch.

    4 x 4 convolutions with LeakyReLU of slope 0.2: `layers` of stride 2 with ndf, 2 ndf, 4 ndf, ...
    features (at most 8 ndf), one of stride 1, and one of stride 1 to a single channel. No norm after
    the first convolution. Nothing squashes the scores, and no patch knows of what is outside it.

    Args:
        in_channels: of what is judged; input and output side by side in a conditional game.
        ndf: features of the first layer.
        layers: number of strided convolutions, hence the size of a patch (`receptive_field`): 1 gives
            16 x 16 pixels, 2 gives 34, 3 gives the paper's 70, 4 gives 142, 5 gives 286. 0 is the
            PixelGAN: three 1 x 1 convolutions that judge each pixel's colour alone.
        norm: "batch", "instance" or "none".

    Raises:
        ValueError: a size below 1, or an unknown norm; when called, an image too small for one patch
            score, with the smallest that would do.
    """

    def __init__(self, in_channels: int, ndf: int = 64, layers: int = 3, norm: str = "batch") -> None:
        check_choice("the discriminator's norm", norm, NORMS)
        if in_channels < 1 or ndf < 1 or layers < 0:
            raise ValueError(
                f"a PatchGAN of {in_channels} channels, {ndf} features and {layers} layers: channels and "
                "features must be 1 or more, layers 0 or more"
            )
        built = (
            pixel_layers(in_channels, ndf, norm)
            if layers == 0
            else patch_layers(in_channels, ndf, layers, norm)
        )
        super().__init__(*built)

    def forward(self, x: Tensor) -> Tensor:
        if output_size(self, min(x.shape[-2:])) < 1:
            height, width = x.shape[-2:]
            raise ValueError(
                f"an image of {height} x {width} is too small for patches of {receptive_field(self)} pixels: "
                f"both sides must be {smallest_size(self)} or more, or the discriminator have fewer layers"
            )
        return super().forward(x)


def patch_layers(in_channels: int, ndf: int, layers: int, norm: str) -> list[nn.Module]:
    """4 x 4 convolutions: `layers` of stride 2, then two of stride 1."""
    bias = norm != "batch"  # batch norm takes the mean away and has an offset of its own
    features = [ndf * min(2**k, 8) for k in range(layers + 1)]  # 64, 128, 256, 512 with 3 layers
    built: list[nn.Module] = [
        nn.Conv2d(in_channels, ndf, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for k in range(1, layers + 1):
        stride = 2 if k < layers else 1
        built += [
            nn.Conv2d(features[k - 1], features[k], 4, stride=stride, padding=1, bias=bias),
            NORMS[norm](features[k]),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return [*built, nn.Conv2d(features[-1], 1, 4, stride=1, padding=1)]


def pixel_layers(in_channels: int, ndf: int, norm: str) -> list[nn.Module]:
    """1 x 1 convolutions: the score of a pixel depends on that pixel."""
    bias = norm != "batch"
    return [
        nn.Conv2d(in_channels, ndf, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(ndf, 2 * ndf, 1, bias=bias),
        NORMS[norm](2 * ndf),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(2 * ndf, 1, 1, bias=bias),
    ]


def initialise(network: nn.Module, std: float = 0.02) -> None:
    """Weights N(0, std), biases 0; gains of norms, where they have one, N(1, std), offsets 0.

    Generators and discriminators alike, in pix2pix (appendix 6.2), CycleGAN and pix2pixHD.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# ---- how far a score sees ----------------------------------------------------------------------------


def receptive_field(module: nn.Module) -> int:
    """Side in pixels of the square of the input that one entry of the output depends on.

    Args:
        module: convolutions and poolings in a chain, in the order in which they are applied; what else
            it holds must work entry by entry. (Instance norm does not: through its mean and variance
            every entry depends, a little, on all of the image. The rule counts convolutions only.)

    Computed from the last layer back: r entries of a layer's output depend on (r - 1) stride + kernel
    entries of its input. Raises ValueError for a layer that enlarges.
    """
    field = 1
    for kernel, stride, _ in reversed(list(windows(module))):
        field = (field - 1) * stride + kernel
    return field


def output_size(module: nn.Module, size: int) -> int:
    """Side of the map of scores for an image of this side; 0 or less where it is too small."""
    for kernel, stride, padding in windows(module):
        size = (size + 2 * padding - kernel) // stride + 1
    return size


def smallest_size(module: nn.Module) -> int:
    """Side of the smallest image that gets a score."""
    return next(size for size in range(1, receptive_field(module) + 1) if output_size(module, size) >= 1)


def windows(module: nn.Module) -> Iterator[tuple[int, int, int]]:
    """(kernel, stride, padding) of each convolution and pooling in the module, in order.

    A dilated kernel counts with its holes.
    """
    for layer in module.modules():
        if isinstance(layer, nn.ConvTranspose2d | nn.Upsample):
            raise ValueError(
                f"{type(layer).__name__} enlarges: the rule for receptive fields is for what does not"
            )
        if isinstance(layer, nn.Conv2d):
            yield layer.dilation[0] * (layer.kernel_size[0] - 1) + 1, layer.stride[0], layer.padding[0]
        elif isinstance(layer, nn.AvgPool2d | nn.MaxPool2d):
            kernel, stride, padding = (
                value if isinstance(value, int) else value[0]
                for value in (layer.kernel_size, layer.stride, layer.padding)
            )
            yield kernel, stride, padding
