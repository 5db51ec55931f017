"""Discriminators on an image pyramid: the same patches, seen from nearer and from farther away.

Wang, Liu, Zhu, Tao, Kautz, Catanzaro: High-Resolution Image Synthesis and Semantic Manipulation with
Conditional GANs, CVPR 2018 (arXiv:1711.11585), section 3.2: pix2pixHD. Park, Liu, Wang, Zhu: Semantic Image
Synthesis with Spatially-Adaptive Normalization, CVPR 2019 (arXiv:1903.07291), appendix A: SPADE. Layers are
those of the authors' PyTorch code.
"""

from torch import Tensor, nn

from gan_course.nn.blocks import check_choice
from gan_course.nn.norms import spectral_norm
from gan_course.nn.patchgan import NORMS, receptive_field

MOST_FEATURES = 512
SMALLEST = 2  # pixels a side at the coarsest scale: instance norm of a single pixel would be 0


class MultiscaleDiscriminator(nn.Module):
    """Images [N, in_channels, H, W] -> for each scale, the maps after each of its layers.

    The result is a list (one entry a scale, the full size first) of lists (one map a layer); the last map of
    each inner list are the scores [N, 1, h, w], which nothing squashes. Each scale is a network of its own
    with weights of its own; all have the same layers: 4 x 4 convolutions with padding 2 and LeakyReLU of
    slope 0.2, `layers` of stride 2 with ndf, 2 ndf, 4 ndf, ... features (at most 512), one of stride 1 with
    twice the features before, and one of stride 1 to the scores. No norm after the first and the last.

    * pix2pixHD: `MultiscaleDiscriminator(39)`, with 36 channels of input beside the image. (The authors'
      code numbers the scales from the coarsest; here number 0 is the finest.)
    * SPADE: `MultiscaleDiscriminator(154, scales=2, spectral=True)`. Its authors count the convolution of
      stride 1 too and call this 4 layers.
    * SEAN: `MultiscaleDiscriminator(22, scales=2, spectral=True, flat=False)`. 3 layers, all strided.

    Args:
        in_channels: of what is judged: condition and image side by side.
        ndf: features of the first layer.
        layers: number of convolutions of stride 2.
        scales: levels of the pyramid; each has half the height and width of the one before.
        norm: "instance" (the papers'), "batch" or "none".
        spectral: divide the weights of the layers between the first and the last by their largest singular
            value; as in SPADE, these layers then have no bias, which the norm would take away again.
        flat: whether there is the convolution of stride 1 before the scores.

    Raises:
        ValueError: a size below 1, or an unknown norm; when called, an image too small for the pyramid, with
            the smallest that would do.
    """

    def __init__(
        self,
        in_channels: int,
        ndf: int = 64,
        layers: int = 3,
        scales: int = 3,
        norm: str = "instance",
        spectral: bool = False,
        flat: bool = True,
    ) -> None:
        super().__init__()
        check_choice("the discriminator's norm", norm, NORMS)
        sizes = {"in_channels": in_channels, "ndf": ndf, "layers": layers, "scales": scales}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more")
        self.scales = nn.ModuleList(
            nn.Sequential(*stages(in_channels, ndf, layers, norm, spectral, flat)) for _ in range(scales)
        )
        self.halve = halving()

    def forward(self, images: Tensor) -> list[list[Tensor]]:
        smallest = smallest_size(len(self.scales))
        if min(images.shape[-2:]) < smallest:
            height, width = images.shape[-2:]
            raise ValueError(
                f"an image of {height} x {width} is too small for {len(self.scales)} scales: both sides must "
                f"be {smallest} or more, or the discriminators fewer"
            )
        outputs = []
        for level, scale in enumerate(self.scales):
            if level > 0:
                images = self.halve(images)
            maps = [images]
            for stage in scale:
                maps.append(stage(maps[-1]))
            outputs.append(maps[1:])
        return outputs

    def receptive_fields(self) -> list[int]:
        """By scale: side of the square of the full-size image, in pixels, that one score depends on.

        The pooling that makes the pyramid counts (`patchgan.receptive_field` says what else does).
        """
        chains = [
            nn.Sequential(*(halving() for _ in range(level)), scale)
            for level, scale in enumerate(self.scales)
        ]
        return [receptive_field(chain) for chain in chains]


def halving() -> nn.AvgPool2d:
    """From one level of the pyramid to the next: means of 3 x 3 pixels, those beyond the border not
    counted."""
    return nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)


def smallest_size(scales: int) -> int:
    """Side of the smallest image that a pyramid of so many scales can be made of."""
    return (SMALLEST - 1) * 2 ** (scales - 1) + 1


def stages(
    in_channels: int, ndf: int, layers: int, norm: str, spectral: bool, flat: bool
) -> list[nn.Sequential]:
    """The layers of one scale, each with what follows it up to the map that is kept."""
    strides = [2] * layers + [1] * flat
    features = [min(ndf * 2**k, MOST_FEATURES) for k in range(len(strides))]
    built = [nn.Sequential(nn.Conv2d(in_channels, ndf, 4, stride=2, padding=2), leaky())]
    for k in range(1, len(strides)):
        layer = nn.Conv2d(features[k - 1], features[k], 4, strides[k], padding=2, bias=not spectral)
        layer = spectral_norm(layer) if spectral else layer
        built.append(nn.Sequential(layer, NORMS[norm](features[k]), leaky()))
    return [*built, nn.Sequential(nn.Conv2d(features[-1], 1, 4, padding=2))]


def leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)


def divided(outputs: list[list[Tensor]]) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Outputs for a batch of two halves, such as real images and then generated ones -> those of each half.

    Raises ValueError where a map has an odd number of rows.
    """
    if len(outputs[0][0]) % 2:
        raise ValueError(f"a batch of {len(outputs[0][0])} has no two halves")
    halves = [[m.chunk(2) for m in maps] for maps in outputs]
    first, second = ([[pair[k] for pair in maps] for maps in halves] for k in (0, 1))
    return first, second
