"""DCGAN: the first convolutional GAN that trained reliably.

Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks, ICLR 2016 (arXiv:1511.06434).
"""

import dataclasses
import itertools
import math

import torch
from torch import Tensor, nn

from gan_course import losses
from gan_course.methods.base import (
    Batch,
    Method,
    check_noise,
    check_positive,
    check_power_of_two,
    draw,
    evaluating,
    option,
)


@dataclasses.dataclass(frozen=True)
class DCGANConfig:
    """Section 4 of the paper, at 64 x 64."""

    image_size: int = option(64, "height and width of an image in pixels: a power of two from 16 to 256")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    noise_size: int = option(100, "length of the noise vector z")
    noise: str = option("uniform", "distribution of z: uniform on [-1, 1), as in the paper, or normal")
    ngf: int = option(64, "features of the generator's last hidden layer; each earlier one has twice as many")
    ndf: int = option(64, "features of the discriminator's first layer; each later one has twice as many")
    game: str = option("non_saturating", "the losses: " + ", ".join(losses.GAMES))
    learning_rate: float = option(0.0002, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta; 0.9 made training oscillate (section 4)")
    init_std: float = option(0.02, "standard deviation of the initial weights")


class Generator(nn.Sequential):
    """Noise [N, noise_size] -> images [N, channels, image_size, image_size] in [-1, 1] (figure 1).

    4 x 4 maps are doubled by transposed convolutions until the image is reached. No pooling, no fully
    connected hidden layer; batch norm and ReLU after every layer but the last, which is a tanh.
    """

    def __init__(self, in_features: int, channels: int, image_size: int, ngf: int) -> None:
        doublings = int(math.log2(image_size)) - 2
        features = [ngf * 2**k for k in reversed(range(doublings))]  # 512, 256, 128, 64 at 64 x 64
        layers = [
            nn.Unflatten(1, (in_features, 1, 1)),
            nn.ConvTranspose2d(in_features, features[0], 4, stride=1, padding=0, bias=False),
            nn.BatchNorm2d(features[0]),
            nn.ReLU(inplace=True),
        ]
        for before, after in itertools.pairwise(features):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(features[-1], channels, 4, stride=2, padding=1, bias=False), nn.Tanh()]
        super().__init__(*layers)


class Discriminator(nn.Sequential):
    """Images [N, channels, image_size, image_size] -> scores [N]; D(x) is the sigmoid of the score.

    Strided convolutions halve the image down to 4 x 4. Batch norm everywhere but at the first and the
    last layer; LeakyReLU of slope 0.2.
    """

    def __init__(self, channels: int, image_size: int, ndf: int) -> None:
        halvings = int(math.log2(image_size)) - 2
        features = [ndf * 2**k for k in range(halvings)]  # 64, 128, 256, 512 at 64 x 64
        layers = [
            nn.Conv2d(channels, features[0], 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for before, after in itertools.pairwise(features):
            layers += [
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [nn.Conv2d(features[-1], 1, 4, stride=1, padding=0, bias=False), nn.Flatten(0)]
        super().__init__(*layers)


def initialise(network: nn.Module, std: float) -> None:
    """Weights N(0, std) (section 4); batch-norm gains N(1, std), offsets 0, as in the authors' code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)


class DCGAN(Method):
    """Two convolutional players of the game of 2014."""

    name = "dcgan"
    paper = "Radford et al. 2016, Deep Convolutional Generative Adversarial Networks"
    config_class = DCGANConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    loss_weights = losses.WATCHED

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__(config)
        check_power_of_two(config.image_size)
        check_positive(config, "channels", "noise_size", "ngf", "ndf")
        check_noise(config.noise)
        self.game = losses.game(config.game)
        self.generator = Generator(config.noise_size, config.channels, config.image_size, config.ngf)
        self.discriminator = Discriminator(config.channels, config.image_size, config.ndf)
        initialise(self.generator, config.init_std)
        initialise(self.discriminator, config.init_std)

    def forward_generators(self, batch: Batch) -> Batch:
        return {"fake": self.generator(self.draw_noise(len(batch["image"])))}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        if player == "discriminator":
            # real and fake go through separately: each gets the batch statistics of its own kind
            real_scores = self.discriminator(batch["image"])
            fake_scores = self.discriminator(outputs["fake"].detach())
            return {
                "discriminator": self.game.discriminator(real_scores, fake_scores),
                **losses.watched(self.game, real_scores, fake_scores),
            }
        return {"generator": self.game.generator(self.discriminator(outputs["fake"]))}

    def draw_noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        return draw(self.config.noise, (count, self.config.noise_size), rng, self.device)

    def sample(self, count, *, labels=None, noise=None, rng=None) -> Tensor:
        if labels is not None:
            raise ValueError("dcgan takes no labels: it was never told any; use cgan")
        noise = self.noise_for(count, noise, rng)
        with evaluating(self.generator):
            return self.generator(noise)

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        betas = (self.config.beta1, 0.999)
        return torch.optim.Adam(
            self.parameters_of(player), lr=self.config.learning_rate, betas=betas, fused=True
        )
