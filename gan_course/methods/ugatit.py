"""U-GAT-IT: unpaired translation guided by attention, with a norm that learns what to keep.

Kim, Kim, Kang, Lee: U-GAT-IT: Unsupervised Generative Attentional Networks with Adaptive Layer-Instance
Normalization for Image-to-Image Translation, ICLR 2020 (arXiv:1907.10830). Class activation maps: Zhou,
Khosla, Lapedriza, Oliva, Torralba: Learning Deep Features for Discriminative Localization, CVPR 2016
(arXiv:1512.04150).

The authors published the method twice, in TensorFlow and in PyTorch, and the two differ. Here the paper
decides; where it is silent, the PyTorch networks do, whose parameters have the same order here. `PYTORCH`
and `TENSORFLOW` are the options that give the one and the other.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
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
    evaluating,
    option,
)
from gan_course.nn.blocks import check_choice, group_norm
from gan_course.nn.init import initialise
from gan_course.nn.norms import LIN, AdaIN, AdaLIN, raw_weight, spectral_norm

NORMS = ("adalin", "adain", "instance", "layer", "group")
ATTENTION = ("both", "generators", "discriminators", "none")
VARIANCES = ("population", "sample")
REWEIGHTING = ("normalised", "stored")
INITIALISATIONS = ("normal", "torch")
DIRECTIONS = ("AtoB", "BtoA")
LOCAL_HALVINGS_LESS = 2
"""The local discriminators halve the image twice less than the global ones: 3 times, not 5."""

PYTORCH = {
    "initialisation": "torch",
    "rho": 0.9,
    "variance": "sample",
    "reweighting": "stored",
}
"""The authors' PyTorch code: `methods.build("ugatit", **PYTORCH)`."""
TENSORFLOW = {"biases": True, "cam_classifiers": 1, "rho": 0.9}
"""The authors' TensorFlow code: `methods.build("ugatit", **TENSORFLOW)`. It also keeps rho below 0.9, and
adds the bias of the auxiliary classifier to the weights that it gives to the maps."""


@dataclasses.dataclass(frozen=True)
class UGATITConfig:
    """Full U-GAT-IT for images of 256 x 256 pixels (section 4 and appendix)."""

    image_size: int = option(256, "height and width of an image in pixels: a multiple of 4")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    light: bool = option(False, "light version: gamma and beta from the mean of each map, not from all of it")
    ngf: int = option(64, "features of the first layer of a generator")
    ndf: int = option(64, "features of the first layer of a discriminator")
    blocks: int = option(4, "residual blocks before the attention, and again after it")
    discriminator_layers: int = option(
        6, "layers of a global discriminator before its last, two less in a local one; 0: up to 6, as fit"
    )
    norm: str = option("adalin", "norm of the decoder: " + ", ".join(NORMS))
    attention: str = option("both", "which networks have the attention module: " + ", ".join(ATTENTION))
    cam_classifiers: int = option(
        2, "auxiliary classifiers of a network: 2, one for each pooling, or 1 for both"
    )
    reweighting: str = option(
        "normalised", "weights that weigh the maps in a discriminator: normalised as in the logits, or stored"
    )
    rho: float = option(1.0, "first value of rho in the residual blocks: 1 is instance norm")
    variance: str = option("population", "variance in AdaLIN: population, or sample (divided by one less)")
    biases: bool = option(False, "biases wherever the TensorFlow code has them, and gains in instance norm")
    initialisation: str = option("normal", "initial weights: normal (deviation 0.02), or torch's own")
    adversarial_weight: float = option(1.0, "weight of the adversarial losses")
    cycle_weight: float = option(10.0, "weight of the cycle loss")
    identity_weight: float = option(10.0, "weight of the identity loss")
    cam_weight: float = option(1000.0, "weight of the generators' CAM loss")
    learning_rate: float = option(0.0001, "Adam's step size, both players")
    weight_decay: float = option(0.0001, "weight of the squared parameters in Adam, both players")
    beta1: float = option(0.5, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")

    @property
    def maps(self) -> int:
        """Feature maps between encoder and decoder, a quarter as high and wide as the image."""
        return 4 * self.ngf

    @property
    def adaptive(self) -> bool:
        """Whether gamma and beta of the residual blocks are made from the image."""
        return self.norm in ("adalin", "adain")

    @property
    def global_halvings(self) -> int:
        """How often a global discriminator halves the image."""
        return (self.discriminator_layers or most_layers(self.image_size)) - 1


# ---- attention ---------------------------------------------------------------------------------------


class Attention(nn.Module):
    """An auxiliary classifier, and its weights put to use (section 2.1.1; figure 1).

    The classifier says from the mean of each map, and from its maximum, which domain the image is from:
    one linear layer for each pooling. Its weights tell how much each map matters to that decision; each
    map is multiplied by them, once for the mean and once for the maximum, and a 1 x 1 convolution mixes
    the 2C maps to C again.

    Args:
        maps: number C of feature maps.
        classifiers: 2, or 1 that both poolings share.
        bias: a bias in the classifiers.
        activation: after the mixing.
        normalise: what to do to the classifiers' weights (spectral normalisation, in discriminators).
        stored: weigh the maps by the weights as stored, not as normalised.
    """

    def __init__(
        self,
        maps: int,
        activation: nn.Module,
        classifiers: int = 2,
        bias: bool = False,
        normalise: Callable[[nn.Module], nn.Module] = lambda module: module,
        stored: bool = False,
    ) -> None:
        super().__init__()
        self.mean = normalise(nn.Linear(maps, 1, bias=bias))
        if classifiers == 2:
            self.maximum = normalise(nn.Linear(maps, 1, bias=bias))
        self.mix = nn.Conv2d(2 * maps, maps, 1)
        self.activation = activation
        self.classifiers = classifiers
        self.stored = stored

    def weights(self) -> tuple[Tensor, Tensor]:
        """What the mean and the maximum of each map count: each [1, C], as the logits use them."""
        mean = self.mean.weight  # read once: reading a normalised weight iterates its power method
        return mean, self.maximum.weight if self.classifiers == 2 else mean

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps [N, C, H, W] -> maps of the same shape, and logits [N, 2], from means and from maxima."""
        of_mean, of_maximum = self.weights()
        second = self.maximum if self.classifiers == 2 else self.mean
        logits = [
            F.linear(x.mean(dim=(2, 3)), of_mean, self.mean.bias),
            F.linear(x.amax(dim=(2, 3)), of_maximum, second.bias),
        ]
        if self.stored:
            of_mean, of_maximum = raw_weight(self.mean), raw_weight(second)
        # a 1 x 1 convolution of [w x, w' x] is one of x, with the weights multiplied beforehand
        for_mean, for_maximum = self.mix.weight.flatten(1).chunk(2, dim=1)
        mixing = for_mean * of_mean + for_maximum * of_maximum
        mixed = F.conv2d(x, mixing[:, :, None, None], self.mix.bias)
        return self.activation(mixed), torch.cat(logits, dim=1)

    def class_activation(self, x: Tensor) -> Tensor:
        """Where the logits come from: [N, 2, H, W], the maps of Zhou et al. 2016, equation 2.

        The mean of the first over all places is the first logit, but for the classifier's bias.
        """
        return F.conv2d(x, torch.cat(self.weights())[:, :, None, None])


# ---- generator ---------------------------------------------------------------------------------------


class Translated(NamedTuple):
    """What a generator makes of images."""

    image: Tensor
    """[N, channels, H, W] in [-1, 1]."""
    logits: Tensor | None
    """Of the auxiliary classifier, [N, 2]: large where the image came from the source domain. None
    without attention."""
    heat: Tensor | None
    """Sum of the maps after the attention, [N, 1, H / 4, W / 4]. None without attention."""


class Generator(nn.Module):
    """Images [N, channels, H, W] in [-1, 1] -> images of the other domain (appendix, generator).

    Encoder: a 7 x 7 convolution, two that halve, residual blocks, all with instance norm. Attention.
    Decoder: residual blocks whose norm takes its gamma and beta from the attended maps, two doublings
    with a learned norm, a 7 x 7 convolution, tanh. Borders are reflected.
    """

    def __init__(self, config: UGATITConfig) -> None:
        super().__init__()
        maps, bias = config.maps, config.biases
        if config.attention in ("both", "generators"):
            self.attention = Attention(maps, nn.ReLU(inplace=True), config.cam_classifiers, bias)
        else:
            self.attention = None
        if config.adaptive:
            self.gamma = nn.Linear(maps, maps, bias=bias)
            self.beta = nn.Linear(maps, maps, bias=bias)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.blocks))
        self.encoder = encoder(config)
        if config.adaptive:
            self.style = style(config)
        self.decoder = decoder(config)
        self.adaptive = config.adaptive

    def forward(self, x: Tensor) -> Translated:
        x = self.encoder(x)
        logits = heat = None
        if self.attention is not None:
            x, logits = self.attention(x)
            heat = x.sum(dim=1, keepdim=True)
        gamma_beta = ()
        if self.adaptive:
            code = self.style(x)
            gamma_beta = (self.gamma(code), self.beta(code))
        for block in self.blocks:
            x = block(x, *gamma_beta)
        return Translated(self.decoder(x), logits, heat)


def reflecting(before: int, after: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A convolution over the image continued by its mirror image; stride 1 keeps the size, 2 halves it."""
    padding = (kernel - 1) // 2
    return nn.Conv2d(before, after, kernel, stride, padding, bias=bias, padding_mode="reflect")


class EncoderBlock(nn.Module):
    """x + two 3 x 3 convolutions with instance norm, a ReLU between them."""

    def __init__(self, maps: int, bias: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            reflecting(maps, maps, 3, bias=bias),
            nn.InstanceNorm2d(maps, affine=bias),
            nn.ReLU(inplace=True),
            reflecting(maps, maps, 3, bias=bias),
            nn.InstanceNorm2d(maps, affine=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def encoder(config: UGATITConfig) -> nn.Sequential:
    """[N, channels, H, W] -> [N, maps, H / 4, W / 4]."""
    layers: list[nn.Module] = []
    shapes = [
        (config.channels, config.ngf, 7, 1),
        (config.ngf, 2 * config.ngf, 3, 2),
        (2 * config.ngf, 4 * config.ngf, 3, 2),
    ]
    for before, after, kernel, stride in shapes:
        layers += [
            reflecting(before, after, kernel, stride, config.biases),
            nn.InstanceNorm2d(after, affine=config.biases),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, *(EncoderBlock(config.maps, config.biases) for _ in range(config.blocks)))


def style(config: UGATITConfig) -> nn.Sequential:
    """Attended maps -> what gamma and beta are made from, [N, maps].

    The light version reads the mean of each map; the full one every value of every map, by a linear layer
    that has most of the network's parameters and binds it to one size of image.
    """
    places = (config.image_size // 4) ** 2
    reading = (
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(config.maps, config.maps, bias=config.biases)]
        if config.light
        else [nn.Flatten(), nn.Linear(places * config.maps, config.maps, bias=config.biases)]
    )
    return nn.Sequential(
        *reading,
        nn.ReLU(inplace=True),
        nn.Linear(config.maps, config.maps, bias=config.biases),
        nn.ReLU(inplace=True),
    )


class DecoderBlock(nn.Module):
    """x + two 3 x 3 convolutions with the decoder's norm, a ReLU between them.

    All blocks are given the same gamma and beta, where the norm takes any.
    """

    def __init__(self, config: UGATITConfig) -> None:
        super().__init__()
        self.conv1 = reflecting(config.maps, config.maps, 3, bias=config.biases)
        self.norm1 = block_norm(config)
        self.conv2 = reflecting(config.maps, config.maps, 3, bias=config.biases)
        self.norm2 = block_norm(config)

    def forward(self, x: Tensor, *gamma_beta: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x), *gamma_beta), inplace=True)
        return x + self.norm2(self.conv2(h), *gamma_beta)


def block_norm(config: UGATITConfig) -> nn.Module:
    """The norm of the decoder's residual blocks."""
    if config.norm == "adalin":
        return AdaLIN(config.maps, config.rho, unbiased=config.variance == "sample")
    return AdaIN() if config.norm == "adain" else plain_norm(config.norm, config.maps)


def rising_norm(config: UGATITConfig, maps: int) -> nn.Module:
    """The norm of the decoder's doublings: with a gain and an offset of its own."""
    if config.norm == "adalin":
        return LIN(maps, unbiased=config.variance == "sample")
    return plain_norm(config.norm, maps)


def plain_norm(kind: str, maps: int) -> nn.Module:
    """A norm with a gain and an offset for each map; "adain" without its style is instance norm."""
    if kind == "layer":
        return nn.GroupNorm(1, maps)
    return group_norm(maps) if kind == "group" else nn.InstanceNorm2d(maps, affine=True)


def decoder(config: UGATITConfig) -> nn.Sequential:
    """[N, maps, H / 4, W / 4] -> images [N, channels, H, W] in [-1, 1]."""
    layers: list[nn.Module] = []
    for before, after in ((4 * config.ngf, 2 * config.ngf), (2 * config.ngf, config.ngf)):
        layers += [
            nn.Upsample(scale_factor=2),
            reflecting(before, after, 3, bias=config.biases),
            rising_norm(config, after),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, reflecting(config.ngf, config.channels, 7, bias=config.biases), nn.Tanh())


# ---- discriminator -----------------------------------------------------------------------------------


class Judged(NamedTuple):
    """What a discriminator makes of images."""

    scores: Tensor
    """[N, 1, h, w], one for each patch, large for real."""
    logits: Tensor | None
    """Of the auxiliary classifier, [N, 2], large for real. None without attention."""
    heat: Tensor | None
    """Sum of the maps after the attention, [N, 1, h + 1, w + 1]. None without attention."""


class Discriminator(nn.Module):
    """Images [N, channels, H, W] -> scores of their patches (appendix, discriminators).

    4 x 4 convolutions with LeakyReLU of slope 0.2 and reflected borders: `halvings` of stride 2 and one
    of stride 1, attention, one more of stride 1 to a single channel. 5 halvings see 286 x 286 pixels, 3
    see 70 x 70. Every weight is spectrally normalised, but for that of the 1 x 1 convolution.
    """

    def __init__(self, config: UGATITConfig, halvings: int) -> None:
        super().__init__()
        maps = config.ndf * 2**halvings
        if config.attention in ("both", "discriminators"):
            self.attention = Attention(
                maps,
                nn.LeakyReLU(0.2, inplace=True),
                config.cam_classifiers,
                config.biases,
                spectral_norm,
                stored=config.reweighting == "stored",
            )
        else:
            self.attention = None
        self.head = patches(maps, 1, bias=config.biases)
        features = [config.channels, *(config.ndf * 2**k for k in range(halvings + 1))]
        layers: list[nn.Module] = []
        for k in range(halvings + 1):
            layers += [
                patches(features[k], features[k + 1], stride=2 if k < halvings else 1),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.encoder = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Judged:
        x = self.encoder(x)
        logits = heat = None
        if self.attention is not None:
            x, logits = self.attention(x)
            heat = x.sum(dim=1, keepdim=True)
        return Judged(self.head(x), logits, heat)


def patches(before: int, after: int, stride: int = 1, bias: bool = True) -> nn.Module:
    """A spectrally normalised 4 x 4 convolution with reflected borders: stride 1 takes one off the size."""
    return spectral_norm(nn.Conv2d(before, after, 4, stride, padding=1, bias=bias, padding_mode="reflect"))


def smallest_size(layers: int) -> int:
    """Side of the smallest image that a global discriminator of so many layers takes.

    After its halvings, one convolution takes one pixel off a side, and to reflect the border of what is
    left, two must remain.
    """
    return 3 * 2 ** (layers - 1)


def most_layers(image_size: int) -> int:
    """Layers of the deepest global discriminator that the image is large enough for: 4 to 6."""
    return max(4, min(6, int(math.log2(image_size / 3)) + 1))


# ---- the method --------------------------------------------------------------------------------------


class UGATIT(Method):
    """Two generators, and for each domain a global and a local discriminator.

    `discriminator_global_a` and `discriminator_local_a` judge images of domain A, among them those that
    `generator_ba` makes.

    The discriminators move first, then the generators, on the same translations: the authors' code makes
    them again for its second half, with generators that have not changed in between. A step is therefore
    6 passes of images through generators, not 8: there and back, and each domain to itself.
    """

    name = "ugatit"
    paper = "Kim et al. 2020, U-GAT-IT: Unsupervised Generative Attentional Networks with AdaLIN"
    config_class = UGATITConfig
    players = {
        "discriminator": (
            "discriminator_global_a",
            "discriminator_global_b",
            "discriminator_local_a",
            "discriminator_local_b",
        ),
        "generator": ("generator_ab", "generator_ba"),
    }
    sampling_networks = ("generator_ab", "generator_ba")
    needs = ("image_a", "image_b")
    translates = ("image_a", "image_b")
    game = losses.GAMES["least_squares"]

    def __init__(self, config: UGATITConfig) -> None:
        super().__init__(config)
        check(config)
        self.generator_ab = Generator(config)
        self.generator_ba = Generator(config)
        for place, halvings in (
            ("global", config.global_halvings),
            ("local", config.global_halvings - LOCAL_HALVINGS_LESS),
        ):
            for domain in ("a", "b"):
                setattr(self, f"discriminator_{place}_{domain}", Discriminator(config, halvings))
        if config.initialisation == "normal":
            for network in self.networks.values():
                initialise(network, "normal")

    @property
    def loss_weights(self) -> dict[str, float]:
        adversarial = ("discriminator", "discriminator CAM", "generator", "generator CAM")
        return (
            losses.WATCHED
            | dict.fromkeys(self.stages, 0.0)
            | dict.fromkeys(adversarial, self.config.adversarial_weight)
            | {
                "cycle": self.config.cycle_weight,
                "identity": self.config.identity_weight,
                "CAM": self.config.cam_weight,
            }
        )

    @property
    def stages(self) -> tuple[str, ...]:
        """The places of a decoder that have a rho: its residual blocks, and its two doublings."""
        if self.config.norm != "adalin":
            return ()
        return (*(f"rho block {k + 1}" for k in range(self.config.blocks)), "rho up 1", "rho up 2")

    # ---- the two players -----------------------------------------------------------------------------

    def forward_generators(self, batch: Batch) -> Batch:
        """The translations, and what the auxiliary classifiers say of the images that they are made from."""
        there, back = self.generator_ab(batch["image_a"]), self.generator_ba(batch["image_b"])
        outputs = {"fake_b": there.image, "fake_a": back.image}
        if there.logits is not None:
            outputs |= {"logits_ab": there.logits, "logits_ba": back.logits}
        return outputs

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        if player == "discriminator":
            return self.discriminator_loss(batch, outputs)
        return self.generator_loss(batch, outputs)

    def discriminator_loss(self, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """Least squares, of the scores and of the auxiliary classifiers' logits (section 2.2)."""
        scores, logits = [], []
        for domain in ("a", "b"):
            real, fake = batch[f"image_{domain}"], outputs[f"fake_{domain}"].detach()
            # real and translated together: no norm in a discriminator mixes them
            for judged in self.judge(domain, torch.cat([real, fake.to(real.dtype)])):
                scores.append(judged.scores.chunk(2))
                if judged.logits is not None:
                    logits.append(judged.logits.chunk(2))
        terms = {"discriminator": summed(distance(real, 1) + distance(fake, 0) for real, fake in scores)}
        if logits:
            terms["discriminator CAM"] = summed(
                distance(real, 1) + distance(fake, 0) for real, fake in logits
            )
        real, fake = (torch.cat([part[kind].flatten() for part in scores]) for kind in (0, 1))
        return terms | losses.watched(self.game, real, fake)

    def generator_loss(self, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """The four losses of section 2.2, each summed over both directions."""
        image_a, image_b = batch["image_a"], batch["image_b"]
        judged = [*self.judge("a", outputs["fake_a"]), *self.judge("b", outputs["fake_b"])]
        terms = {"generator": summed(distance(of.scores, 1) for of in judged)}
        if judged[0].logits is not None:
            terms["generator CAM"] = summed(distance(of.logits, 1) for of in judged)

        # each generator's way back, and the images of the domain that it translates to, in one call
        to_a = self.generator_ba(torch.cat([outputs["fake_b"].to(image_a.dtype), image_a]))
        to_b = self.generator_ab(torch.cat([outputs["fake_a"].to(image_b.dtype), image_b]))
        (cycled_a, same_a), (cycled_b, same_b) = to_a.image.chunk(2), to_b.image.chunk(2)
        terms["cycle"] = absolute(cycled_a, image_a) + absolute(cycled_b, image_b)
        terms["identity"] = absolute(same_a, image_a) + absolute(same_b, image_b)
        if to_a.logits is not None:
            of_a, of_b = to_a.logits.chunk(2)[1], to_b.logits.chunk(2)[1]
            apart = [(outputs["logits_ba"], of_a), (outputs["logits_ab"], of_b)]
            terms["CAM"] = summed(cross_entropy(source, target) for source, target in apart)
        return terms | self.mixtures()

    def judge(self, domain: str, images: Tensor) -> list[Judged]:
        """What both discriminators of the domain make of the images."""
        return [self.networks[f"discriminator_{place}_{domain}"](images) for place in ("global", "local")]

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            self.parameters_of(player),
            lr=self.config.learning_rate,
            betas=(self.config.beta1, self.config.beta2),
            weight_decay=self.config.weight_decay,
            fused=True,
        )

    # ---- rho -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def constrain(self, player: str) -> None:
        """After a move of the generators: rho back to [0, 1] (section 2.1.1)."""
        if player == "generator":
            for rho in self.rhos():
                rho.clamp_(0, 1)

    def rhos(self) -> list[nn.Parameter]:
        """Every rho of both generators."""
        networks = (self.networks[name] for name in self.sampling_networks)
        return [m.rho for net in networks for m in net.modules() if isinstance(m, AdaLIN | LIN)]

    def mixtures(self) -> dict[str, Tensor]:
        """The mean rho of each of the `stages`, over both generators: what to watch."""
        rows = []
        for name in self.sampling_networks:
            norms = [m for m in self.networks[name].modules() if isinstance(m, AdaLIN | LIN)]
            means = [norm.rho.detach().mean() for norm in norms]
            of_blocks = [
                (first + second) / 2 for first, second in zip(means[:-2:2], means[1:-2:2], strict=True)
            ]
            rows.append([*of_blocks, *means[-2:]])
        by_stage = zip(*rows, strict=True)
        return {name: torch.stack(means).mean() for name, means in zip(self.stages, by_stage, strict=True)}

    # ---- use -----------------------------------------------------------------------------------------

    def translate(self, images: Tensor, direction: str = "AtoB") -> Tensor:
        """Images [N, channels, H, W] in [-1, 1] of one domain -> the same in the other.

        Raises ValueError for a direction that is none, or a size that the generators cannot take.
        """
        return self.look(images, direction).image

    @property
    def attends(self) -> bool:
        """Whether the generators have attention maps to show."""
        return self.config.attention in ("both", "generators")

    def attend(self, images: Tensor, direction: str = "AtoB", network: str = "generator") -> Tensor:
        """Heat maps [N, 1, H, W]: 0 where a network attends least in the image, 1 where most.

        The sum of the maps that leave the attention module, enlarged, as the authors show it.

        Args:
            images: [N, channels, H, W] in [-1, 1].
            direction: AtoB or BtoA.
            network: "generator": the images are from the source domain. "global" or "local": what these
                discriminators of the target domain attend to in the images, real ones or translations.

        Raises ValueError for another network or direction, or a network without attention.
        """
        check_choice("network", network, ("generator", "global", "local"))
        if network == "generator":
            heat = self.look(images, direction).heat
        else:
            self.check_images(images, direction)
            judge = self.networks[f"discriminator_{network}_{direction[-1].lower()}"]
            with evaluating(judge):
                heat = judge(images.to(self.device)).heat
        if heat is None:
            raise ValueError(
                f"attention is {self.config.attention!r}: the {network} of this model has no attention module"
            )
        low, high = heat.amin(dim=(2, 3), keepdim=True), heat.amax(dim=(2, 3), keepdim=True)
        heat = (heat - low) / (high - low).clamp(min=torch.finfo(heat.dtype).tiny)
        return F.interpolate(heat, size=images.shape[-2:], mode="bilinear", align_corners=False)

    def look(self, images: Tensor, direction: str) -> Translated:
        """All that the direction's generator makes of images, in evaluation mode and without gradients."""
        self.check_images(images, direction)
        generator = self.generator_ab if direction == "AtoB" else self.generator_ba
        with evaluating(generator):
            return generator(images.to(self.device))

    def check_images(self, images: Tensor, direction: str) -> None:
        """Raises ValueError for a direction that is none, or images that the networks cannot take."""
        check_choice("direction", direction, DIRECTIONS)
        size, side = self.config.image_size, images.shape[-2:]
        if not self.config.light and self.config.adaptive and tuple(side) != (size, size):
            raise ValueError(
                f"the full version is bound to images of {size} x {size} pixels, not {side[0]} x {side[1]}; "
                "the light version takes others"
            )
        if min(side) < 8 or side[0] % 4 or side[1] % 4:
            raise ValueError(f"images are {side[0]} x {side[1]}; both sides must be multiples of 4 from 8")

    def sample(self, count, *, inputs=None, labels=None, noise=None, rng=None) -> Tensor:
        """As `Method.sample`: the images of domain A in `inputs`, translated to domain B."""
        return self.translate(check_inputs(self, count, inputs)["image_a"], "AtoB")

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        return check_inputs(self, count, examples)

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Rows of an image of A, its translation, the way back, and the same for an image of B."""
        columns = []
        for name, there, back in (("image_a", "AtoB", "BtoA"), ("image_b", "BtoA", "AtoB")):
            images = preview[name].to(self.device)
            translated = self.translate(images, there)
            columns += [images, translated, self.translate(translated, back)]
        return torch.stack(columns, dim=1).flatten(0, 1), len(columns)


def exact(values: Tensor) -> Tensor:
    """In float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def distance(scores: Tensor, label: float) -> Tensor:
    """E[(score - label)^2]."""
    return (exact(scores) - label).square().mean()


def absolute(made: Tensor, wanted: Tensor) -> Tensor:
    """E[|made - wanted|], over pixels."""
    return F.l1_loss(exact(made), exact(wanted))


def cross_entropy(source_logits: Tensor, target_logits: Tensor) -> Tensor:
    """-E[log eta] - E[log(1 - eta)], the generators' CAM loss (section 2.2).

    eta, the probability that an image is from the source domain, is the sigmoid of a logit.
    """
    return F.softplus(-exact(source_logits)).mean() + F.softplus(exact(target_logits)).mean()


def summed(terms) -> Tensor:
    """The sum of scalar terms."""
    return torch.stack(list(terms)).sum()


def check(config: UGATITConfig) -> None:
    """Raises ValueError for a configuration that no networks can be made of."""
    check_positive(config, "channels", "ngf", "ndf", "blocks")
    check_choice("norm", config.norm, NORMS)
    check_choice("attention", config.attention, ATTENTION)
    check_choice("cam_classifiers", config.cam_classifiers, (2, 1))
    check_choice("reweighting", config.reweighting, REWEIGHTING)
    check_choice("variance", config.variance, VARIANCES)
    check_choice("initialisation", config.initialisation, INITIALISATIONS)
    check_choice("discriminator_layers", config.discriminator_layers, (0, 4, 5, 6, 7, 8))
    if not config.adversarial_weight > 0:
        raise ValueError(
            f"adversarial_weight is {config.adversarial_weight}; it must be above 0: "
            "the discriminators have no other loss"
        )
    for name in ("cycle_weight", "identity_weight", "cam_weight", "weight_decay"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
    if not 0 <= config.rho <= 1:
        raise ValueError(f"rho is {config.rho}; it must be from 0 to 1")
    size, layers = config.image_size, config.discriminator_layers or 4
    if size < smallest_size(4) or size % 4:
        raise ValueError(f"image_size is {size}; it must be a multiple of 4, and {smallest_size(4)} or more")
    if size < smallest_size(layers):
        raise ValueError(
            f"image_size is {size}: a global discriminator of {layers} layers needs {smallest_size(layers)} "
            f"pixels or more; take discriminator_layers {most_layers(size)}, or 0 for as many as fit"
        )


# ---- the authors' weights ----------------------------------------------------------------------------

ORIGINAL_NAMES = {
    "genA2B": "generator_ab",
    "genB2A": "generator_ba",
    "disGA": "discriminator_global_a",
    "disGB": "discriminator_global_b",
    "disLA": "discriminator_local_a",
    "disLB": "discriminator_local_b",
}
"""The networks in a file of the authors' PyTorch code, and what they are called here."""


def load_original(method: UGATIT, saved: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Gives a method the weights that the authors' PyTorch code saved.

    Args:
        method: of the same size, full or light, built with `PYTORCH`, whose formulas the weights were
            trained under.
        saved: network name -> state, as `torch.load(path, weights_only=True)` reads it from their file.
            Networks that it lacks are left as they are.

    Raises ValueError where a network there is none of these, or has other shapes.
    """
    for name, state in saved.items():
        if name not in ORIGINAL_NAMES:
            raise ValueError(f"the saved weights hold {name!r}; known are {', '.join(ORIGINAL_NAMES)}")
        network = method.networks[ORIGINAL_NAMES[name]]
        own = network.state_dict()
        ours, theirs = list(own.items()), list(state.items())
        for (key, value), (original, weight) in zip(ours, theirs, strict=False):
            if value.shape != weight.shape:
                raise ValueError(
                    f"{original} of {name} has the shape {tuple(weight.shape)}, {key} here "
                    f"{tuple(value.shape)}: build the method with the size and version of the weights"
                )
        if len(ours) != len(theirs):
            raise ValueError(f"{name} holds {len(theirs)} tensors, this method {len(ours)}: versions differ")
        network.load_state_dict({key: weight for (key, _), (_, weight) in zip(ours, theirs, strict=True)})
