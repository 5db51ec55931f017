"""The generative adversarial network of 2014: two fully connected networks.

Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio: Generative Adversarial
Nets, NeurIPS 2014 (arXiv:1406.2661). Sizes and optimizer of the authors' MNIST experiment.
"""

import dataclasses
import math

import torch
from torch import Tensor, nn

from gan_course import losses
from gan_course.methods.base import Batch, Method, check_noise, check_positive, draw, evaluating, option


@dataclasses.dataclass(frozen=True)
class GANConfig:
    """The MNIST experiment of the paper."""

    data_shape: tuple[int, ...] = option((1, 28, 28), "shape of one sample: 1 28 28 for digits, 2 for points")
    noise_size: int = option(100, "length of the noise vector z")
    noise: str = option("uniform", "distribution of z: uniform on [-1, 1) or normal")
    generator_features: int = option(1200, "rectified units in each of the generator's two hidden layers")
    discriminator_features: int = option(240, "maxout units in each of the discriminator's two hidden layers")
    maxout_pieces: int = option(5, "linear pieces of one maxout unit")
    input_dropout: float = option(0.2, "share of the discriminator's inputs dropped")
    hidden_dropout: float = option(0.5, "share of the discriminator's hidden units dropped")
    output: str = option("tanh", "last activation of the generator: tanh for images, linear for points")
    game: str = option("non_saturating", "the losses: " + ", ".join(losses.GAMES))
    optimizer: str = option("sgd", "sgd with momentum, as in the paper, or adam")
    # the paper's 0.1 is for images in [0, 1]; for images in [-1, 1] it ends in numbers that are not finite
    learning_rate: float = option(0.03, "step size (with adam, try 0.0002)")
    discriminator_learning_rate: float = option(0.0, "the discriminator's own step size; 0: learning_rate")
    beta1: float = option(0.5, "momentum of sgd, or adam's first beta")
    init_range: float = option(0.05, "r: the generator's weights start uniform on [-r, r]")
    discriminator_init_range: float = option(
        0.0, "the same for the discriminator; 0: a tenth of the generator's, as in the paper's experiment"
    )


class Maxout(nn.Module):
    """The largest of several linear functions (Goodfellow et al. 2013, Maxout networks)."""

    def __init__(self, in_features: int, out_features: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(in_features, out_features * pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(dim=2)


class Generator(nn.Module):
    """Noise [N, noise_size] -> samples [N, *data_shape]."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        features = config.generator_features
        self.data_shape = config.data_shape
        self.layers = nn.Sequential(
            nn.Linear(config.noise_size, features),
            nn.ReLU(),
            nn.Linear(features, features),
            nn.ReLU(),
            nn.Linear(features, math.prod(config.data_shape)),
        )
        # the paper's sigmoid on [0, 1] is this tanh once images are scaled to [-1, 1]
        self.output = nn.Tanh() if config.output == "tanh" else nn.Identity()

    def forward(self, noise: Tensor) -> Tensor:
        return self.output(self.layers(noise)).unflatten(1, self.data_shape)


class Discriminator(nn.Module):
    """Samples [N, *data_shape] -> scores [N]; D(x) is the sigmoid of the score."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        features, pieces = config.discriminator_features, config.maxout_pieces
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(config.input_dropout),
            Maxout(math.prod(config.data_shape), features, pieces),
            nn.Dropout(config.hidden_dropout),
            Maxout(features, features, pieces),
            nn.Dropout(config.hidden_dropout),
            nn.Linear(features, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


def initialise(network: nn.Module, limit: float) -> None:
    """Weights uniform on [-limit, limit], biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -limit, limit)
            nn.init.zeros_(module.bias)


class GAN(Method):
    """min over G, max over D of E[log D(x)] + E[log(1 - D(G(z)))] (equation 1)."""

    name = "gan"
    paper = "Goodfellow et al. 2014, Generative Adversarial Nets"
    config_class = GANConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}  # algorithm 1
    loss_weights = losses.WATCHED

    def __init__(self, config: GANConfig) -> None:
        super().__init__(config)
        self.game = losses.game(config.game)
        check_positive(config, "noise_size", "generator_features", "discriminator_features", "maxout_pieces")
        check_noise(config.noise)
        if config.output not in ("tanh", "linear"):
            raise ValueError(f"output is {config.output!r}; it must be tanh or linear")
        if config.optimizer not in ("sgd", "adam"):
            raise ValueError(f"optimizer is {config.optimizer!r}; it must be sgd or adam")
        for name in ("discriminator_learning_rate", "discriminator_init_range"):
            if getattr(config, name) < 0:
                raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        initialise(self.generator, config.init_range)
        initialise(self.discriminator, config.discriminator_init_range or config.init_range / 10)

    def forward_generators(self, batch: Batch) -> Batch:
        return {"fake": self.generator(self.draw_noise(len(batch["image"])))}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        if player == "discriminator":
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
            raise ValueError("gan takes no labels: it was never told any; use cgan")
        noise = self.noise_for(count, noise, rng)
        with evaluating(self.generator):
            return self.generator(noise)

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        parameters, rate = self.parameters_of(player), self.config.learning_rate
        if player == "discriminator":
            rate = self.config.discriminator_learning_rate or rate
        if self.config.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=rate, betas=(self.config.beta1, 0.999), fused=True)
        return torch.optim.SGD(parameters, lr=rate, momentum=self.config.beta1)
