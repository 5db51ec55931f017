"""pix2pix: from one picture of a thing to another, learned from pairs.

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017
(arXiv:1611.07004). Where the paper is silent, as the authors' PyTorch code does it. The discriminator
is in gan_course/nn/patchgan.py.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import (
    Batch,
    Method,
    check_inputs,
    check_positive,
    check_power_of_two,
    evaluating,
    option,
)
from gan_course.nn.blocks import check_choice
from gan_course.nn.patchgan import NORMS, PatchGAN, initialise, smallest_size
from gan_course.nn.transposed import ConvTranspose2d


class Objective(NamedTuple):
    """What the generator is told to minimise: a row of the paper's table 1."""

    adversarial: bool
    """The opinion of the discriminator counts. Where it does not, the discriminator learns and is watched."""
    conditional: bool
    """The discriminator sees the input beside the output."""
    l1: bool
    """The distance to the target counts."""


OBJECTIVES = {
    "l1+cgan": Objective(adversarial=True, conditional=True, l1=True),
    "l1+gan": Objective(adversarial=True, conditional=False, l1=True),
    "cgan": Objective(adversarial=True, conditional=True, l1=False),
    "gan": Objective(adversarial=True, conditional=False, l1=False),
    "l1": Objective(adversarial=False, conditional=True, l1=True),
}

DIRECTIONS = {"AtoB": ("input", "image"), "BtoA": ("image", "input")}
"""What of a batch is translated, and into what."""


@dataclasses.dataclass(frozen=True)
class Pix2PixConfig:
    """Sections 3 and 6 of the paper, at 256 x 256."""

    image_size: int = option(
        256, "height and width of both pictures in pixels: a power of two from 4 to 1024"
    )
    input_channels: int = option(3, "channels of the entry `input` of a batch: 1 grey, 3 colour")
    channels: int = option(3, "channels of the entry `image` of a batch")
    direction: str = option("AtoB", "AtoB: from `input` to `image`; BtoA: from `image` to `input`")
    objective: str = option("l1+cgan", "what the generator minimises: " + ", ".join(OBJECTIVES))
    game: str = option("non_saturating", "the adversarial losses: " + ", ".join(losses.GAMES))
    l1_weight: float = option(100.0, "weight lambda of the distance to the target (equation 4)")
    discriminator_weight: float = option(0.5, "factor of the discriminator's cost (section 3.3)")
    ngf: int = option(64, "features of the generator's first layer; deeper ones have up to 8 times as many")
    ndf: int = option(
        64, "features of the discriminator's first layer; later ones have up to 8 times as many"
    )
    skips: bool = option(
        True, "connections from each layer of the encoder to its mirror image in the decoder"
    )
    discriminator_layers: int = option(
        3,
        "strided layers of the discriminator: 1 for patches of 16 pixels, 2: 34, 3: 70, 5: 286, 0: 1 pixel",
    )
    norm: str = option("batch", "normalisation in both players: " + ", ".join(NORMS))
    dropout: float = option(0.5, "share of entries dropped in the innermost part of the decoder: the noise")
    dropout_layers: int = option(3, "layers with dropout, from the decoder's second on, where it has so many")
    learning_rate: float = option(0.0002, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    init_std: float = option(0.02, "standard deviation of the initial weights")


class UNet(nn.Module):
    """Pictures [N, in_channels, H, W] -> pictures [N, out_channels, H, W] in [-1, 1] (appendix 6.1.1).

    The encoder halves the maps `halvings` times, with ngf, 2 ngf, 4 ngf, 8 ngf, 8 ngf, ... features; the
    decoder doubles them as often. With `skips`, each layer of the decoder but the first reads, beside what
    the layer before it made, the encoder's map of the same size.

    LeakyReLU of slope 0.2 in the encoder, ReLU in the decoder, each before the convolution; no norm after
    the first, the innermost and the last convolution: the innermost map is 1 x 1 where the picture has
    2**halvings pixels a side, and a single number has no variance. Dropout in `dropout_layers` layers of
    the decoder after its first (the authors' code: log2 of the image size, less 5; 3 at 256 x 256).

    Raises ValueError when called with sides that are no multiples of 2**halvings.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        halvings: int,
        ngf: int = 64,
        norm: str = "batch",
        skips: bool = True,
        dropout: float = 0.5,
        dropout_layers: int = 3,
    ) -> None:
        super().__init__()
        self.halvings, self.skips = halvings, skips
        bias = norm != "batch"  # batch norm takes the mean away and has an offset of its own
        features = [ngf * min(2**k, 8) for k in range(halvings)]  # 64, 128, 256, 512, 512, ... at ngf 64
        downs = [nn.Sequential(nn.Conv2d(in_channels, ngf, 4, stride=2, padding=1, bias=bias))]
        for k in range(1, halvings):
            innermost = k == halvings - 1
            downs.append(
                nn.Sequential(
                    nn.LeakyReLU(0.2, inplace=True),
                    nn.Conv2d(features[k - 1], features[k], 4, stride=2, padding=1, bias=bias),
                    *([] if innermost else [NORMS[norm](features[k])]),
                )
            )
        ups = []
        for k in reversed(range(1, halvings)):
            first = k == halvings - 1
            before = features[k] if first or not skips else 2 * features[k]
            drops = dropout > 0 and halvings - 1 - dropout_layers <= k < halvings - 1
            ups.append(
                nn.Sequential(
                    nn.ReLU(inplace=True),
                    ConvTranspose2d(before, features[k - 1], 4, stride=2, padding=1, bias=bias),
                    NORMS[norm](features[k - 1]),
                    *([nn.Dropout(dropout)] if drops else []),
                )
            )
        before = 2 * ngf if skips else ngf
        ups.append(
            nn.Sequential(
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(before, out_channels, 4, stride=2, padding=1),
                nn.Tanh(),
            )
        )
        self.downs, self.ups = nn.ModuleList(downs), nn.ModuleList(ups)

    def forward(self, x: Tensor) -> Tensor:
        side = 2**self.halvings
        if x.shape[-2] % side or x.shape[-1] % side:
            raise ValueError(
                f"a picture of {x.shape[-2]} x {x.shape[-1]} pixels cannot be halved {self.halvings} times: "
                f"both sides must be multiples of {side}"
            )
        maps = []
        for down in self.downs:
            x = down(x)
            maps.append(x)
        # The LeakyReLU of the next layer has changed each map in place by the time it is used again. It may:
        # the decoder's ReLU follows, and a ReLU of a LeakyReLU is the ReLU.
        x = maps.pop()
        for up in self.ups:
            x = up(x)
            if self.skips and maps:
                x = torch.cat([maps.pop(), x], dim=1)
        return x


class Pix2Pix(Method):
    """A U-Net against a discriminator of patches, held to the target by an L1 distance.

    The discriminator moves first; the generator answers it with the same output, computed once.
    """

    name = "pix2pix"
    paper = "Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks"
    config_class = Pix2PixConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    needs = ("input", "image")
    translates = ("input",)

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__(config)
        check(config)
        self.objective, self.game = OBJECTIVES[config.objective], losses.game(config.game)
        source, target = DIRECTIONS[config.direction]
        self.translates = (source,)
        of = {"input": config.input_channels, "image": config.channels}
        self.generator = UNet(
            of[source],
            of[target],
            int(math.log2(config.image_size)),
            config.ngf,
            config.norm,
            config.skips,
            config.dropout,
            config.dropout_layers,
        )
        initialise(self.generator, config.init_std)
        self.loss_weights = losses.WATCHED | {
            "discriminator": config.discriminator_weight,
            "L1": config.l1_weight if self.objective.l1 else 0.0,
        }
        seen = of[target] + (of[source] if self.objective.conditional else 0)
        self.discriminator = PatchGAN(seen, config.ndf, config.discriminator_layers, config.norm)
        initialise(self.discriminator, config.init_std)
        if config.image_size < smallest_size(self.discriminator):
            raise ValueError(
                f"image_size is {config.image_size}; with {config.discriminator_layers} strided layers the "
                f"discriminator needs {smallest_size(self.discriminator)} pixels or more: take fewer "
                "discriminator_layers"
            )

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is translated, and the target, in the direction of the configuration."""
        source, target = DIRECTIONS[self.config.direction]
        return batch[source], batch[target]

    def forward_generators(self, batch: Batch) -> Batch:
        return {"fake": self.generator(self.pair(batch)[0])}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """Equations 1 (or 2, where the discriminator does not see the input) and 3.

        The cost of the discriminator is given whole, the L1 distance as a mean over pixels and channels;
        `loss_weights` halve the one and multiply the other by lambda (equation 4).
        """
        (source, real), fake = self.pair(batch), outputs["fake"]
        if player == "discriminator":
            real_scores, fake_scores = self.scores(source, real, fake.detach())
            terms = {"discriminator": self.game.discriminator(real_scores, fake_scores)}
            return terms | losses.watched(self.game, real_scores, fake_scores)
        terms = {"L1": F.l1_loss(fake.to(real.dtype), real)}
        if self.objective.adversarial:
            terms["generator"] = self.game.generator(self.discriminator(self.judged(source, fake)))
        return terms

    def scores(self, source: Tensor, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of targets and of outputs, [N, 1, h, w] each."""
        real, fake = self.judged(source, real), self.judged(source, fake)
        if self.config.norm != "batch":  # no image knows of the others: one call for both kinds
            return self.discriminator(torch.cat([real, fake])).chunk(2)
        fake_scores = self.discriminator(fake)  # first, as the authors do
        return self.discriminator(real), fake_scores

    def judged(self, source: Tensor, image: Tensor) -> Tensor:
        """What the discriminator sees of a pair."""
        return torch.cat([source, image], dim=1) if self.objective.conditional else image

    # ---- using it ------------------------------------------------------------------------------------

    def translate(
        self,
        images: Tensor,
        *,
        dropout: bool = False,
        batch_statistics: bool = False,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Pictures to translate -> translations, both [N, C, H, W] in [-1, 1].

        Neither argument touches the training state: no gradient, no running statistics. The paper uses
        its networks as they were trained (section 3.4): dropout=True, batch_statistics=True, and pictures
        one at a time, since with batch statistics the pictures of one call depend on each other.

        Args:
            images: sides that are multiples of `image_size`.
            dropout: keep dropping entries, so that two calls on one picture differ: the only noise that
                this generator has. Without, one picture has one translation.
            batch_statistics: let batch norm use mean and variance of the pictures at hand in place of those
                gathered in training, which are no good where the batches were of one or two pictures. The
                other norms gather none, and always do that picture by picture.
            rng: where the dropout comes from. None: torch's own.

        Raises ValueError for pictures of other channels, sides or type.
        """
        wanted = self.generator.downs[0][0].in_channels
        if images.dim() != 4 or images.shape[1] != wanted or not images.is_floating_point():
            raise ValueError(
                f"this model translates floats in [-1, 1] of shape [N, {wanted}, H, W], "
                f"not {images.dtype} of shape {list(images.shape)}"
            )
        with evaluating(self.generator), self.moving(), drawing_from(rng, self.device):
            for module in self.generator.modules():
                if isinstance(module, nn.Dropout):
                    module.train(dropout)
                elif isinstance(module, nn.BatchNorm2d):
                    module.train(batch_statistics)
            return self.generator(images.to(self.device))

    def sample(self, count, *, inputs=None, labels=None, noise=None, rng=None) -> Tensor:
        """As `Method.sample`: the translations of `inputs`, one for each, without dropout."""
        if labels is not None or (noise is not None and noise.numel()):
            raise ValueError("pix2pix takes neither labels nor noise: what it makes is decided by its input")
        (source,) = self.translates
        return self.translate(check_inputs(self, count, inputs)[source])

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        if examples is None:
            raise ValueError("the sample grid of pix2pix needs examples: rows of data to translate")
        return {name: examples[name] for name in self.needs}

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Input, output and target side by side, several such threes in a row."""
        source, target = self.pair(preview)
        pictures = [source, self.translate(source), target.to(self.device)]
        pictures = [as_picture(p.to(self.device), target.shape[1]) for p in pictures]
        columns = 3 * max(1, round(math.sqrt(len(source) / 3)))
        return torch.stack(pictures, dim=1).flatten(0, 1), columns

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        betas = (self.config.beta1, 0.999)
        return torch.optim.Adam(
            self.parameters_of(player), lr=self.config.learning_rate, betas=betas, fused=True
        )


def check(config: Pix2PixConfig) -> None:
    """Raises ValueError for a value that cannot be, naming it and what would be right."""
    check_power_of_two(config.image_size, smallest=4, largest=1024)
    check_positive(config, "input_channels", "channels", "ngf", "ndf")
    check_choice("direction", config.direction, DIRECTIONS)
    check_choice("objective", config.objective, OBJECTIVES)
    check_choice("norm", config.norm, NORMS)
    for name in ("discriminator_layers", "dropout_layers", "l1_weight"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
    if config.discriminator_weight <= 0:
        raise ValueError(f"discriminator_weight is {config.discriminator_weight}; it must be above 0")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout is {config.dropout}; it must be at least 0 and below 1")


@contextlib.contextmanager
def drawing_from(rng: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Within: layers that draw at random draw as `rng` decides, and leave torch's own generator as it was."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices, enabled=rng is not None):
        if rng is not None:
            torch.manual_seed(int(torch.randint(2**31, (), generator=rng, device=rng.device)))
        yield


def as_picture(images: Tensor, channels: int) -> Tensor:
    """Images with so many channels, to be shown beside others: grey where they have another number."""
    if images.shape[1] == channels:
        return images
    return images.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
