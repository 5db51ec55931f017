"""The residual generator of image-to-image translation.

Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer and Super-Resolution, ECCV 2016
(arXiv:1603.08155), with instance norm (Ulyanov et al. 2016, arXiv:1607.08022) and reflection padding, as
Zhu et al. 2017 (arXiv:1703.10593), appendix 7.2, have it. The order of layers is that of the authors'
PyTorch code.
"""

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """[N, features, H, W] -> the same shape: two 3 x 3 convolutions whose result is added to their input.

    Padding reflects the map at its border, so H and W are 2 or more. No activation after the sum, so
    that what comes in can reach the output untouched.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(features, features, 3),
            nn.InstanceNorm2d(features),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(features, features, 3),
            nn.InstanceNorm2d(features),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResNetGenerator(nn.Sequential):
    """Images [N, in_channels, H, W] -> images [N, out_channels, H, W] in [-1, 1].

    A 7 x 7 convolution to ngf maps; `halvings` strided convolutions that double the maps; `blocks`
    residual blocks; as many transposed convolutions; a 7 x 7 convolution and tanh. Instance norm without
    gain and offset, over the image's own places in training and in use alike: no image of a batch knows
    of the others, and two batches joined into one give the very same results.

    The convolutions in front of a norm keep the biases of the authors' networks, though the norm takes
    them away again: with them, the weights have one shape and number with theirs.

    Args:
        ngf: maps after the first convolution, at full size.
        blocks: residual blocks; the paper takes 6 for images of 128 pixels, 9 from 256 on.
        halvings: how often the maps are halved; 2 in the paper.

    Raises:
        ValueError: a number below 1 (of blocks, halvings: below 0); when called, an image whose sides
            are no multiples of 2^halvings, hence would come out in another size, or too small.
    """

    def __init__(
        self, in_channels: int, out_channels: int, ngf: int = 64, blocks: int = 9, halvings: int = 2
    ) -> None:
        if min(in_channels, out_channels, ngf) < 1 or min(blocks, halvings) < 0:
            raise ValueError(
                f"a generator from {in_channels} to {out_channels} channels with {ngf} features, {blocks} "
                f"blocks and {halvings} halvings: channels and features must be 1 or more, the rest 0 or more"
            )
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, ngf, 7),
            nn.InstanceNorm2d(ngf),
            nn.ReLU(inplace=True),
        ]
        for k in range(halvings):
            before, after = ngf * 2**k, ngf * 2 ** (k + 1)
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                nn.InstanceNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        layers += [ResidualBlock(ngf * 2**halvings) for _ in range(blocks)]
        for k in reversed(range(halvings)):
            before, after = ngf * 2 ** (k + 1), ngf * 2**k
            layers += [
                nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1),
                nn.InstanceNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, out_channels, 7), nn.Tanh()]
        super().__init__(*layers)
        self.halvings = halvings

    def forward(self, x: Tensor) -> Tensor:
        check_sides(*x.shape[-2:], halvings=self.halvings)
        return super().forward(x)


def check_sides(height: int, width: int, halvings: int = 2) -> None:
    """Raises ValueError for an image that a ResNetGenerator cannot give back in its own size.

    Each halving must leave no rest, and the smallest maps be 2 places wide and high, for a reflection at
    their border; the image itself 4, for the wider one.
    """
    step = 2**halvings
    smallest = max(2 * step, 4)
    if height % step or width % step or min(height, width) < smallest:
        raise ValueError(
            f"an image of {height} x {width}: both sides must be multiples of {step}, and {smallest} or "
            f"more, as its maps are halved {halvings} times"
        )


def apart(network: nn.Module, *groups: Tensor) -> list[Tensor]:
    """The network's answer to each group [n, C, H, W], from one call on all of them.

    The same as one call each where no layer looks across the images of a batch: instance norm does not,
    batch norm does.
    """
    if len(groups) == 1:
        return [network(groups[0])]
    sizes = [len(group) for group in groups]
    return list(network(torch.cat(groups)).split(sizes))
