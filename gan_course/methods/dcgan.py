"""DCGAN: the first convolutional GAN that trained reliably.

Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks, ICLR 2016 (arXiv:1511.06434).

The networks below are the paper's. Tricks of other papers are options, off by default: they exchange
layers (gan_course/nn/blocks.py) or change the game (gan_course/losses.py).
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
from gan_course.nn import blocks


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

    kernel_size: int = option(4, "of the layers that halve or double: 3, 4, 5 or 6")
    upsampling: str = option("transposed", "how the generator doubles: " + ", ".join(blocks.UPSAMPLING))
    generator_norm: str = option("batch", "generator's normalisation: " + ", ".join(blocks.NORMS))
    discriminator_norm: str = option("batch", "discriminator's: " + ", ".join([*blocks.NORMS, "spectral"]))
    generator_activation: str = option("relu", "generator's: " + ", ".join(blocks.ACTIVATIONS))
    discriminator_activation: str = option("leaky_relu", "discriminator's: " + ", ".join(blocks.ACTIVATIONS))
    generator_dropout: float = option(0.0, "share of each hidden layer of the generator dropped in training")
    discriminator_dropout: float = option(0.0, "the same in the discriminator")
    label_smoothing: float = option(0.0, "how far below 1 the discriminator's label of real images is")
    label_swapping: float = option(
        0.0, "probability that in a move the discriminator is told real for generated and vice versa"
    )
    instance_noise: float = option(
        0.0, "standard deviation of the noise on every image that the discriminator sees"
    )
    instance_noise_steps: int = option(
        0, "discriminator's moves over which this noise falls linearly to zero; 0: it stays"
    )
    r1: float = option(
        0.0, "weight gamma of the R1 penalty; needs a discriminator_norm other than batch, e.g. none"
    )
    discriminator_learning_rate: float = option(
        0.0, "the discriminator's own step size (two time scales); 0: learning_rate"
    )


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
    """Weights N(0, std) (section 4); gains of norms N(1, std), offsets 0, as in the authors' code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
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
        check_tricks(config)
        game = losses.label_smoothed(losses.game(config.game), config.label_smoothing)
        self.game = losses.label_swapped(game, config.label_swapping)
        self.loss_weights = losses.WATCHED | {"R1": config.r1 / 2}  # Mescheder et al. 2018, equation 9
        self.generator = blocks.vary(
            Generator(config.noise_size, config.channels, config.image_size, config.ngf),
            kernel_size=config.kernel_size,
            upsampling=config.upsampling,
            norm=config.generator_norm,
            activation=config.generator_activation,
            dropout=config.generator_dropout,
        )
        spectral = config.discriminator_norm == "spectral"
        self.discriminator = blocks.vary(
            Discriminator(config.channels, config.image_size, config.ndf),
            kernel_size=config.kernel_size,
            norm="none" if spectral else config.discriminator_norm,
            activation=config.discriminator_activation,
            dropout=config.discriminator_dropout,
        )
        initialise(self.generator, config.init_std)
        initialise(self.discriminator, config.init_std)
        if spectral:
            blocks.normalise_spectrally(self.discriminator)
        if config.instance_noise > 0:
            self.register_buffer("moves", torch.zeros(()))  # of the discriminator: the noise falls with them

    def forward_generators(self, batch: Batch) -> Batch:
        return {"fake": self.generator(self.draw_noise(len(batch["image"])))}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        if player == "discriminator":
            # real and fake go through separately: each gets the batch statistics of its own kind
            penalised = self.config.r1 > 0 and torch.is_grad_enabled()
            real = self.veiled(batch["image"]).detach().requires_grad_(penalised)
            real_scores = self.discriminator(real)
            fake_scores = self.discriminator(self.veiled(outputs["fake"].detach()))
            terms = {"discriminator": self.game.discriminator(real_scores, fake_scores)}
            if penalised:
                terms["R1"] = losses.r1_penalty(real_scores, real)
            return terms | losses.watched(self.game, real_scores, fake_scores)
        return {"generator": self.game.generator(self.discriminator(self.veiled(outputs["fake"])))}

    def veiled(self, images: Tensor) -> Tensor:
        """Images as the discriminator sees them: under instance noise (Sønderby et al. 2017), if any."""
        if self.config.instance_noise == 0:
            return images
        level = self.config.instance_noise
        if self.config.instance_noise_steps > 0:
            level = level * torch.clamp(1 - self.moves / self.config.instance_noise_steps, min=0)
        return images + level * torch.randn_like(images)

    def constrain(self, player: str) -> None:
        if player == "discriminator" and self.config.instance_noise > 0:
            self.moves += 1

    def draw_noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        return draw(self.config.noise, (count, self.config.noise_size), rng, self.device)

    def sample(self, count, *, labels=None, noise=None, rng=None) -> Tensor:
        if labels is not None:
            raise ValueError("dcgan takes no labels: it was never told any; use cgan")
        noise = self.noise_for(count, noise, rng)
        with evaluating(self.generator):
            return self.generator(noise)

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        rate, betas = self.config.learning_rate, (self.config.beta1, 0.999)
        if player == "discriminator":
            rate = self.config.discriminator_learning_rate or rate
        return torch.optim.Adam(self.parameters_of(player), lr=rate, betas=betas, fused=True)


def check_tricks(config: DCGANConfig) -> None:
    """Raises ValueError for a trick's value that the functions it goes to cannot name as an option."""
    for name in ("instance_noise", "instance_noise_steps", "r1", "discriminator_learning_rate"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
    allowed_norms = {"generator": [*blocks.NORMS], "discriminator": [*blocks.NORMS, "spectral"]}
    for player, norms in allowed_norms.items():
        blocks.check_choice(f"{player}_norm", getattr(config, f"{player}_norm"), norms)
        blocks.check_choice(
            f"{player}_activation", getattr(config, f"{player}_activation"), blocks.ACTIVATIONS
        )
        dropout = getattr(config, f"{player}_dropout")
        if not 0 <= dropout < 1:
            raise ValueError(f"{player}_dropout is {dropout}; it must be at least 0 and below 1")
    if config.r1 > 0 and config.discriminator_norm == "batch":
        others = ", ".join(norm for norm in allowed_norms["discriminator"] if norm != "batch")
        raise ValueError(
            f"r1 is {config.r1}, and batch norm mixes the images whose gradients it penalises one by one; "
            f"discriminator_norm must be one of {others}"
        )
