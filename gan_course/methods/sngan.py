"""Spectral normalisation: a discriminator whose slope is bounded layer by layer.

Miyato, Kataoka, Koyama, Yoshida: Spectral Normalization for Generative Adversarial Networks, ICLR 2018
(arXiv:1802.05957), with the standard networks of its table 3. Normalisation, penalty and game are
options, so that five games can be compared on the very same networks.
"""

import dataclasses
import itertools

import torch
from torch import Tensor, nn

from gan_course import losses
from gan_course.methods.base import Batch, Method, check_noise, check_positive, draw, evaluating, option
from gan_course.nn.init import initialise
from gan_course.nn.norms import spectral_norm


@dataclasses.dataclass(frozen=True)
class SNGANConfig:
    """The paper's network for CIFAR-10, trained by setting C of its table 1."""

    image_size: int = option(32, "height and width of an image in pixels: a multiple of 8 from 16; 32 or 48")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    noise_size: int = option(128, "length of the noise vector z")
    noise: str = option("normal", "distribution of z: normal or uniform on [-1, 1)")
    ngf: int = option(64, "features of the generator's last hidden layer; each earlier one has twice as many")
    ndf: int = option(64, "features of the discriminator's first layers; each later pair has twice as many")
    spectral_normalisation: bool = option(True, "divide each weight of D by its largest singular value")
    game: str = option("hinge", "the losses: " + ", ".join(losses.GAMES))
    penalty: float = option(0.0, "weight lambda of the gradient penalty; 0: none")
    critic_steps: int = option(1, "moves of the discriminator to one of the generator")
    learning_rate: float = option(0.0002, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")


class Generator(nn.Sequential):
    """Noise [N, noise_size] -> images [N, channels, image_size, image_size] in [-1, 1] (table 3a).

    A linear layer makes maps of an eighth of the image's size, three transposed convolutions double
    them, a 3 x 3 convolution and a tanh make the image. As in the authors' code, batch norm and ReLU
    follow the linear layer too.
    """

    def __init__(self, config: SNGANConfig) -> None:
        side = config.image_size // 8
        features = [config.ngf * 2**k for k in (3, 2, 1, 0)]  # 512, 256, 128, 64
        layers = [
            nn.Linear(config.noise_size, features[0] * side * side),
            nn.Unflatten(1, (features[0], side, side)),
            nn.BatchNorm2d(features[0]),
            nn.ReLU(inplace=True),
        ]
        for before, after in itertools.pairwise(features):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, nn.Conv2d(features[-1], config.channels, 3, padding=1), nn.Tanh())


class Discriminator(nn.Sequential):
    """Images [N, channels, image_size, image_size] -> scores [N] (table 3b).

    Pairs of a 3 x 3 convolution and a 4 x 4 one that halves the image, three times; one more 3 x 3
    convolution and a linear layer. LeakyReLU of slope 0.1; no batch norm. Every weight is normalised
    where `spectral_normalisation` is on.
    """

    def __init__(self, config: SNGANConfig) -> None:
        normalise = spectral_norm if config.spectral_normalisation else lambda module: module
        layers: list[nn.Module] = []
        before = config.channels
        for features in (config.ndf, 2 * config.ndf, 4 * config.ndf):
            layers += [
                normalise(nn.Conv2d(before, features, 3, padding=1)),
                nn.LeakyReLU(0.1, inplace=True),
                normalise(nn.Conv2d(features, features, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.1, inplace=True),
            ]
            before = features
        layers += [normalise(nn.Conv2d(before, 2 * before, 3, padding=1)), nn.LeakyReLU(0.1, inplace=True)]
        places = (config.image_size // 8) ** 2
        super().__init__(*layers, nn.Flatten(), normalise(nn.Linear(2 * before * places, 1)), nn.Flatten(0))


class SNGAN(Method):
    """Any game of scores, between a plain generator and a discriminator of bounded slope."""

    name = "sngan"
    paper = "Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks"
    config_class = SNGANConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}

    def __init__(self, config: SNGANConfig) -> None:
        super().__init__(config)
        if config.image_size < 16 or config.image_size % 8:
            raise ValueError(f"image_size is {config.image_size}; it must be a multiple of 8, 16 or more")
        check_positive(config, "channels", "noise_size", "ngf", "ndf", "critic_steps")
        check_noise(config.noise)
        if config.penalty < 0:
            raise ValueError(f"penalty is {config.penalty}; it must be 0 or more")
        self.game = losses.game(config.game)
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        initialise(self.generator, "normal")
        initialise(self.discriminator, "normal")

    @property
    def turns(self) -> str:
        return f"alternating:{self.config.critic_steps}"

    @property
    def loss_weights(self) -> dict[str, float]:
        return losses.WATCHED | {"gradient penalty": self.config.penalty}

    def forward_generators(self, batch: Batch) -> Batch:
        return {"fake": self.generator(self.draw_noise(len(batch["image"])))}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        real, fake = batch["image"], outputs["fake"]
        if player == "generator":
            return {"generator": self.game.generator(self.discriminator(fake))}
        # one call for both kinds: without batch norm, no image knows of the others
        fake = fake.detach().to(real.dtype)
        real_scores, fake_scores = self.discriminator(torch.cat([real, fake])).chunk(2)
        terms = {"discriminator": self.game.discriminator(real_scores, fake_scores)}
        if self.config.penalty:
            terms["gradient penalty"] = losses.gradient_penalty(self.discriminator, real, fake)
        return terms | losses.watched(self.game, real_scores, fake_scores)

    def draw_noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        return draw(self.config.noise, (count, self.config.noise_size), rng, self.device)

    def sample(self, count, *, labels=None, noise=None, rng=None) -> Tensor:
        if labels is not None:
            raise ValueError("sngan takes no labels: it was never told any; use cgan or biggan")
        noise = self.noise_for(count, noise, rng)
        with evaluating(self.generator):
            return self.generator(noise)

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(
            self.parameters_of(player), lr=self.config.learning_rate, betas=betas, fused=True
        )
