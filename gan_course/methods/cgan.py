"""Conditional DCGAN: both players are told the label.

Mirza, Osindero: Conditional Generative Adversarial Nets, 2014 (arXiv:1411.1784), with the networks of
DCGAN. The label enters as a one-hot vector: beside the noise in the generator, and as one constant
plane per class beside the image in the discriminator.
"""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import (
    Batch,
    Method,
    check_labels,
    check_noise,
    check_positive,
    check_power_of_two,
    draw,
    evaluating,
    option,
)
from gan_course.methods.dcgan import Discriminator, Generator, initialise


@dataclasses.dataclass(frozen=True)
class ConditionalDCGANConfig:
    """Digits of 32 x 32 pixels in ten classes."""

    image_size: int = option(32, "height and width of an image in pixels: a power of two from 16 to 256")
    channels: int = option(1, "channels of an image: 1 grey, 3 colour")
    num_classes: int = option(10, "number of labels")
    noise_size: int = option(100, "length of the noise vector z")
    noise: str = option("uniform", "distribution of z: uniform on [-1, 1) or normal")
    ngf: int = option(64, "features of the generator's last hidden layer; each earlier one has twice as many")
    ndf: int = option(64, "features of the discriminator's first layer; each later one has twice as many")
    discriminator_label: bool = option(
        True, "tell the discriminator the label (without it, labels mean nothing)"
    )
    game: str = option("non_saturating", "the losses: " + ", ".join(losses.GAMES))
    learning_rate: float = option(0.0002, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    init_std: float = option(0.02, "standard deviation of the initial weights")


class ConditionalGenerator(nn.Module):
    """Noise [N, noise_size] and labels [N] -> images in [-1, 1]: G(z | y), section 3.2."""

    def __init__(self, config: ConditionalDCGANConfig) -> None:
        super().__init__()
        self.num_classes = config.num_classes
        in_features = config.noise_size + config.num_classes
        self.dcgan = Generator(in_features, config.channels, config.image_size, config.ngf)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        one_hot = F.one_hot(labels, self.num_classes).to(noise.dtype)
        return self.dcgan(torch.cat([noise, one_hot], dim=1))


class ConditionalDiscriminator(nn.Module):
    """Images and labels [N] -> scores [N]: D(x | y), section 3.2."""

    def __init__(self, config: ConditionalDCGANConfig) -> None:
        super().__init__()
        self.num_classes = config.num_classes if config.discriminator_label else 0
        self.dcgan = Discriminator(config.channels + self.num_classes, config.image_size, config.ndf)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        if self.num_classes == 0:
            return self.dcgan(x)
        one_hot = F.one_hot(labels, self.num_classes).to(x.dtype)
        planes = one_hot[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.dcgan(torch.cat([x, planes], dim=1))


class ConditionalDCGAN(Method):
    """min over G, max over D of E[log D(x|y)] + E[log(1 - D(G(z|y)|y))] (equation 2).

    The generator is asked for the labels of the batch, so that real and generated images of a step
    have the same labels and the discriminator can win by the image alone.
    """

    name = "cgan"
    paper = "Mirza and Osindero 2014, Conditional Generative Adversarial Nets (with DCGAN's networks)"
    config_class = ConditionalDCGANConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    loss_weights = losses.WATCHED
    needs = ("image", "label")

    def __init__(self, config: ConditionalDCGANConfig) -> None:
        super().__init__(config)
        check_power_of_two(config.image_size)
        check_positive(config, "channels", "num_classes", "noise_size", "ngf", "ndf")
        check_noise(config.noise)
        self.game = losses.game(config.game)
        self.generator = ConditionalGenerator(config)
        self.discriminator = ConditionalDiscriminator(config)
        initialise(self.generator, config.init_std)
        initialise(self.discriminator, config.init_std)

    def forward_generators(self, batch: Batch) -> Batch:
        return {"fake": self.generator(self.draw_noise(len(batch["image"])), batch["label"])}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        labels = batch["label"]
        if player == "discriminator":
            real_scores = self.discriminator(batch["image"], labels)
            fake_scores = self.discriminator(outputs["fake"].detach(), labels)
            return {
                "discriminator": self.game.discriminator(real_scores, fake_scores),
                **losses.watched(self.game, real_scores, fake_scores),
            }
        return {"generator": self.game.generator(self.discriminator(outputs["fake"], labels))}

    def draw_noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        return draw(self.config.noise, (count, self.config.noise_size), rng, self.device)

    def sample(self, count, *, labels=None, noise=None, rng=None) -> Tensor:
        """As `Method.sample`; without `labels`, the classes in turn: 0, 1, 2, ..., 0, 1, ..."""
        if labels is None:
            labels = torch.arange(count) % self.config.num_classes
        labels = check_labels(labels, count, self.config.num_classes)
        noise = self.noise_for(count, noise, rng)
        with evaluating(self.generator):
            return self.generator(noise, labels.to(self.device))

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        betas = (self.config.beta1, 0.999)
        return torch.optim.Adam(
            self.parameters_of(player), lr=self.config.learning_rate, betas=betas, fused=True
        )
