"""BigGAN, and SAGAN on the way to it: attention, classes in every layer, and size.

Brock, Donahue, Simonyan: Large Scale GAN Training for High Fidelity Natural Image Synthesis, ICLR 2019
(arXiv:1809.11096). Attention: Zhang, Goodfellow, Metaxas, Odena: Self-Attention Generative Adversarial
Networks, ICML 2019 (arXiv:1805.08318). Projection: Miyato, Koyama: cGANs with Projection Discriminator,
ICLR 2018 (arXiv:1802.05637). The order of layers is that of the authors' PyTorch code.
"""

import dataclasses
import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import (
    Batch,
    Method,
    check_labels,
    check_positive,
    draw,
    evaluating,
    option,
)
from gan_course.nn.attention import SelfAttention
from gan_course.nn.init import check_kind, initialise, orthogonality_penalty
from gan_course.nn.norms import ConditionalBatchNorm2d, raw_weight, spectral_norm

GENERATOR_FEATURES = {
    16: (4, 4, 4),
    32: (4, 4, 4, 4),
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
}
"""By image size, in multiples of ch: the maps of 4 x 4, then those after each block (appendix B); 16 is
the course's own, for a processor."""
DISCRIMINATOR_FEATURES = {
    16: (4, 4, 4),
    32: (4, 4, 4, 4),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
}
"""By image size, in multiples of ch: the maps after each block."""
DISCRIMINATOR_HALVINGS = {16: 2, 32: 2, 64: 4, 128: 5, 256: 6}
"""By image size: how many of the discriminator's blocks, from the first, halve their maps."""

NORMALISED = ("both", "discriminator", "none")

SAGAN = {
    "noise_size": 128,
    "ch": 64,
    "shared_size": 0,
    "skip_z": False,
    "initialisation": "xavier",
    "orthogonal_penalty": 0.0,
    "critic_steps": 1,
    "generator_learning_rate": 0.0001,
    "discriminator_learning_rate": 0.0004,
    "beta2": 0.9,
}
"""What makes a SAGAN of a BigGAN: `methods.build("biggan", **SAGAN)`."""


@dataclasses.dataclass(frozen=True)
class BigGANConfig:
    """BigGAN for ImageNet at 128 x 128 (appendix C)."""

    image_size: int = option(128, "height and width of an image in pixels: 16, 32, 64, 128 or 256")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    num_classes: int = option(1000, "number of labels; 0: images without labels")
    noise_size: int = option(120, "length of the noise vector z: equal parts for the blocks and one more")
    ch: int = option(96, "features that the width of every layer is a multiple of")
    shared_size: int = option(
        128, "length of the class embedding that all norms share; 0: each its own, as in SAGAN"
    )
    skip_z: bool = option(True, "give each block a part of z; False: all of z enters below")
    attention: int = option(64, "side of the maps that attend to themselves, half the image at most; 0: none")
    spectral_normalisation: str = option("both", "whose weights are normalised: " + ", ".join(NORMALISED))
    initialisation: str = option("orthogonal", "initial weights: orthogonal, xavier or normal")
    orthogonal_penalty: float = option(0.0001, "weight beta of the orthogonal regularisation of G; 0: none")
    game: str = option("hinge", "the losses: " + ", ".join(losses.GAMES))
    critic_steps: int = option(2, "moves of the discriminator to one of the generator")
    generator_learning_rate: float = option(0.00005, "Adam's step size, generator")
    discriminator_learning_rate: float = option(0.0002, "Adam's step size, discriminator")
    beta1: float = option(0.0, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")

    @property
    def classes(self) -> int:
        """Rows of the embeddings: images without labels are all of one class."""
        return max(1, self.num_classes)

    @property
    def parts(self) -> int:
        """Parts that z is cut into: one for the first layer and one for each block."""
        return len(GENERATOR_FEATURES[self.image_size]) if self.skip_z else 1

    @property
    def attention_side(self) -> int:
        """Side of the maps that attention works on; 0: none."""
        return min(self.attention, self.image_size // 2)


Normalise = Callable[[nn.Module], nn.Module]


def normaliser(on: bool) -> Normalise:
    """Spectral normalisation with the authors' epsilon, or nothing."""
    return functools.partial(spectral_norm, eps=1e-6) if on else lambda module: module


class GeneratorBlock(nn.Module):
    """[N, before, H, W] and a condition -> [N, after, 2H, 2W] (figure 15b).

    Conditional batch norm, ReLU, doubling, convolution, conditional batch norm, ReLU, convolution; and
    a 1 x 1 convolution around them. That one commutes with doubling, so it is done on the small maps.
    """

    def __init__(
        self, before: int, after: int, norm: Callable[[int], nn.Module], normalise: Normalise
    ) -> None:
        super().__init__()
        self.conv1 = normalise(nn.Conv2d(before, after, 3, padding=1))
        self.conv2 = normalise(nn.Conv2d(after, after, 3, padding=1))
        self.shortcut = normalise(nn.Conv2d(before, after, 1))
        self.norm1 = norm(before)
        self.norm2 = norm(after)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(doubled(F.relu(self.norm1(x, condition))))
        h = self.conv2(F.relu(self.norm2(h, condition)))
        return h + doubled(self.shortcut(x))


def doubled(x: Tensor) -> Tensor:
    """Twice as high and wide; each value becomes four."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Generator(nn.Module):
    """z [N, noise_size] and labels [N] -> images in [-1, 1] (table 4; figure 15a)."""

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        self.parts = config.parts
        part = config.noise_size // self.parts
        features = [config.ch * k for k in GENERATOR_FEATURES[config.image_size]]
        normalise = normaliser(config.spectral_normalisation == "both")
        # no spectral normalisation on the embeddings: the authors found that it cripples the generator
        if config.shared_size:
            self.shared = nn.Embedding(config.classes, config.shared_size)
            condition_size = config.shared_size + (part if config.skip_z else 0)

        def norm(features: int) -> nn.Module:
            if config.shared_size:
                gain, bias = (normalise(nn.Linear(condition_size, features, bias=False)) for _ in range(2))
            else:
                gain, bias = (nn.Embedding(config.classes, features) for _ in range(2))
            return ConditionalBatchNorm2d(features, gain, bias)

        self.linear = normalise(nn.Linear(part, features[0] * 4 * 4))
        self.blocks = nn.ModuleList()
        for k in range(len(features) - 1):
            block = nn.ModuleList([GeneratorBlock(features[k], features[k + 1], norm, normalise)])
            if 4 * 2 ** (k + 1) == config.attention_side:
                block.append(SelfAttention(features[k + 1], normalise))
            self.blocks.append(block)
        self.output = nn.Sequential(
            nn.BatchNorm2d(features[-1]),
            nn.ReLU(),
            normalise(nn.Conv2d(features[-1], config.channels, 3, padding=1)),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        first, *later = noise.chunk(self.parts, dim=1)
        condition = self.shared(labels) if hasattr(self, "shared") else labels
        h = self.linear(first).unflatten(1, (-1, 4, 4))
        for k, (block, *attention) in enumerate(self.blocks):
            h = block(h, torch.cat([condition, later[k]], dim=1) if later else condition)
            for layer in attention:
                h = layer(h)
        return self.output(h)


class DiscriminatorBlock(nn.Module):
    """[N, before, H, W] -> [N, after, H, W], or half as high and wide (figure 15c).

    ReLU, convolution, ReLU, convolution, mean-pooling; the first block of a network starts without the
    ReLU, since an image's negative half says as much as its positive one. Around them a 1 x 1
    convolution where sizes differ, which commutes with pooling and is done after it.
    """

    def __init__(self, before: int, after: int, first: bool, halve: bool, normalise: Normalise) -> None:
        super().__init__()
        self.first = first
        self.pool = nn.AvgPool2d(2) if halve else nn.Identity()
        self.conv1 = normalise(nn.Conv2d(before, after, 3, padding=1))
        self.conv2 = normalise(nn.Conv2d(after, after, 3, padding=1))
        differs = halve or before != after
        self.shortcut = normalise(nn.Conv2d(before, after, 1)) if differs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        # never in place: the shortcut needs x as it came
        h = x if self.first else F.relu(x)
        h = self.conv2(F.relu(self.conv1(h)))
        return self.pool(h) + self.shortcut(self.pool(x))


class Discriminator(nn.Module):
    """Images and labels [N] -> scores [N]: linear(h) + <embed(y), h>, h the features summed over places.

    The inner product is the projection of Miyato and Koyama 2018, equation 3.
    """

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        normalise = normaliser(config.spectral_normalisation != "none")
        features = [config.channels, *(config.ch * k for k in DISCRIMINATOR_FEATURES[config.image_size])]
        side = config.image_size
        self.blocks = nn.ModuleList()
        for k in range(len(features) - 1):
            halve = k < DISCRIMINATOR_HALVINGS[config.image_size]
            side = side // 2 if halve else side
            made = DiscriminatorBlock(features[k], features[k + 1], k == 0, halve, normalise)
            block = nn.ModuleList([made])
            if halve and side == config.attention_side:
                block.append(SelfAttention(features[k + 1], normalise))
            self.blocks.append(block)
        self.linear = normalise(nn.Linear(features[-1], 1))
        self.embed = normalise(nn.Embedding(config.classes, features[-1]))

    def features(self, x: Tensor) -> Tensor:
        """h [N, features], in float32: ReLU of the last maps, summed over places."""
        for block in self.blocks:
            for layer in block:
                x = layer(x)
        return F.relu(x).sum(dim=(2, 3), dtype=torch.float32)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = self.features(x)
        return self.linear(h).squeeze(1) + (self.embed(labels) * h).sum(1)


class BigGAN(Method):
    """The hinge game, played by large networks that are told the class."""

    name = "biggan"
    paper = "Brock et al. 2019, Large Scale GAN Training for High Fidelity Natural Image Synthesis"
    config_class = BigGANConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__(config)
        check(config)
        self.game = losses.game(config.game)
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        initialise(self.generator, config.initialisation)
        initialise(self.discriminator, config.initialisation)

    @property
    def needs(self) -> tuple[str, ...]:
        return ("image", "label") if self.config.num_classes else ("image",)

    @property
    def turns(self) -> str:
        return f"alternating:{self.config.critic_steps}"

    @property
    def loss_weights(self) -> dict[str, float]:
        return losses.WATCHED | {"orthogonality": self.config.orthogonal_penalty}

    def labels_of(self, batch: Batch) -> Tensor:
        """The labels of the batch [N]; all 0 where images have none."""
        if self.config.num_classes:
            return batch["label"]
        return torch.zeros(len(batch["image"]), dtype=torch.long, device=self.device)

    def forward_generators(self, batch: Batch) -> Batch:
        """Images with the labels of the batch, so that real and generated differ in nothing else."""
        labels = self.labels_of(batch)
        return {"fake": self.generator(self.draw_noise(len(labels)), labels)}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        real, fake, labels = batch["image"], outputs["fake"], self.labels_of(batch)
        if player == "generator":
            terms = {"generator": self.game.generator(self.discriminator(fake, labels))}
            if self.config.orthogonal_penalty:
                terms["orthogonality"] = orthogonality_penalty(self.regularised_weights())
            return terms
        # one call for both kinds: without batch norm, no image knows of the others
        images = torch.cat([real, fake.detach().to(real.dtype)])
        real_scores, fake_scores = self.discriminator(images, torch.cat([labels, labels])).chunk(2)
        return {
            "discriminator": self.game.discriminator(real_scores, fake_scores),
            **losses.watched(self.game, real_scores, fake_scores),
        }

    def regularised_weights(self) -> list[nn.Parameter]:
        """The generator's weight matrices as stored, its embeddings left out (section 3.1, equation 3)."""
        layers = (m for m in self.generator.modules() if isinstance(m, nn.Conv2d | nn.Linear))
        return [raw_weight(layer) for layer in layers]

    def draw_noise(
        self, count: int, rng: torch.Generator | None = None, truncation: float | None = None
    ) -> Tensor:
        """Standard normal noise; with `truncation`, of absolute value at most that."""
        shape = (count, self.config.noise_size)
        if truncation is None:
            return draw("normal", shape, rng, self.device)
        return truncated_normal(shape, truncation, rng, self.device)

    def sample(self, count, *, labels=None, noise=None, rng=None, truncation=None) -> Tensor:
        """As `Method.sample`; without `labels`, the classes in turn: 0, 1, 2, ..., 0, 1, ...

        Args:
            truncation: draw the noise from a normal truncated at this absolute value (section 3.1): the
                smaller, the more typical the images and the less they vary.
        """
        if noise is not None and truncation is not None:
            raise ValueError("noise and truncation are both given: truncation is about noise to be drawn")
        if noise is None:
            noise = self.draw_noise(count, rng, truncation)
        noise = self.noise_for(count, noise, rng)
        labels = self.labels_for(count, labels).to(self.device)
        with evaluating(self.generator):
            return self.generator(noise, labels)

    def labels_for(self, count: int, labels: Tensor | None) -> Tensor:
        """The labels that `sample` was given, or the classes in turn, [count] int64.

        Raises ValueError unless they are `count` integers that the model knows.
        """
        if labels is None:
            return torch.arange(count) % self.config.classes
        if not self.config.num_classes:
            raise ValueError("this biggan was built without classes and takes no labels")
        return check_labels(labels, count, self.config.num_classes)

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        rates = {
            "generator": self.config.generator_learning_rate,
            "discriminator": self.config.discriminator_learning_rate,
        }
        betas = (self.config.beta1, self.config.beta2)
        # the epsilon of the authors' code
        return torch.optim.Adam(
            self.parameters_of(player), lr=rates[player], betas=betas, eps=1e-6, fused=True
        )


def truncated_normal(
    shape: tuple[int, ...], threshold: float, rng: torch.Generator | None, device: torch.device
) -> Tensor:
    """Standard normal noise; what falls outside [-threshold, threshold] is drawn again until it does not.

    Raises ValueError unless the threshold is above 0.
    """
    if not threshold > 0:
        raise ValueError(f"truncation is {threshold}; it must be above 0")
    noise = draw("normal", shape, rng, device)
    while (outside := noise.abs() > threshold).any():
        noise[outside] = draw("normal", (int(outside.sum()),), rng, device)
    return noise


def check(config: BigGANConfig) -> None:
    """Raises ValueError for a configuration that no network can be made of."""
    if config.image_size not in GENERATOR_FEATURES:
        sizes = ", ".join(map(str, GENERATOR_FEATURES))
        raise ValueError(f"image_size is {config.image_size}; it must be one of {sizes}")
    check_positive(config, "channels", "noise_size", "ch", "critic_steps")
    check_kind(config.initialisation)
    for name in ("num_classes", "shared_size", "attention", "orthogonal_penalty"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
    if config.spectral_normalisation not in NORMALISED:
        raise ValueError(
            f"spectral_normalisation is {config.spectral_normalisation!r}; "
            f"it must be one of {', '.join(NORMALISED)}"
        )
    if config.skip_z and not config.shared_size:
        raise ValueError(
            "skip_z needs a shared embedding, which the parts of z are joined to: "
            "take a shared_size of 1 or more, or skip_z off"
        )
    if config.noise_size % config.parts:
        raise ValueError(
            f"noise_size is {config.noise_size}; at {config.image_size} pixels z is cut into {config.parts} "
            f"equal parts, so it must be a multiple of {config.parts}"
        )
    allowed = [8 * 2**k for k in range(config.image_size.bit_length()) if 8 * 2**k <= config.image_size // 2]
    if config.attention and config.attention_side not in allowed:
        raise ValueError(
            f"attention is {config.attention}; at {config.image_size} pixels it must be 0 or one of "
            f"{', '.join(map(str, allowed))}"
        )
