"""SPADE and CLADE: a label map goes in, a photograph comes out; the map steers every norm.

SPADE: Park, Liu, Wang, Zhu: Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019
(arXiv:1903.07291). CLADE: Tan et al.: Efficient Semantic Image Synthesis via Class-Adaptive Normalization,
TPAMI 2022 (arXiv:2012.04644). The order of layers is that of the authors' PyTorch code.
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import Batch, Method, check_inputs, check_positive, draw, evaluating, option
from gan_course.nn import norms, perceptual
from gan_course.nn.blocks import check_choice
from gan_course.nn.label_maps import edges_between, one_hot, paint
from gan_course.nn.multiscale import MultiscaleDiscriminator
from gan_course.nn.norms import SpectralNorm, ZeroConvolution, raw_weight, spectral_norm

STEERED = ("spade", "clade")
DOUBLINGS = {"normal": 5, "more": 6, "most": 7}
"""How many times the maps are doubled, by the name of the option in the authors' code."""
UNKNOWN = 255
"""The label of pixels that nobody labelled, in a data set that has such pixels."""


@dataclasses.dataclass(frozen=True)
class SPADEConfig:
    """SPADE for ADE20k at 256 x 256 (section 4 and appendix A)."""

    image_size: int = option(256, "width of an image in pixels, a multiple of 32 (of 64: more, 128: most)")
    aspect_ratio: float = option(1.0, "width of an image divided by its height")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    label_nc: int = option(151, "number of labels (ADE20k: 150 classes, and one for all else)")
    contain_dontcare: bool = option(False, "one more label for pixels of value 255, which nobody labelled")
    instance: bool = option(False, "use instance maps: the edges between objects are one more input")
    norm: str = option("spade", "what the label map steers: " + ", ".join(STEERED))
    statistics: str = option("batch", "what activations are normalised over: batch or instance")
    positions: bool = option(False, "CLADE's intra-class positional encoding")
    ngf: int = option(64, "features of the generator's last block; the first have 16 times as many")
    most_features: int = option(0, "no block has more features than this; 0: no such limit")
    spade_features: int = option(128, "features that SPADE's gamma and beta are computed from")
    upsampling_layers: str = option("normal", "how often the maps are doubled: normal 5, more 6, most 7")
    vae: bool = option(False, "an encoder gives the style: the generator starts from its z, not the map")
    noise_size: int = option(256, "length of the style vector z, with vae")
    ndf: int = option(64, "features of the first layer of the discriminators and of the encoder")
    scales: int = option(2, "discriminators, each at half the size of the one before")
    discriminator_layers: int = option(3, "strided convolutions of each discriminator")
    game: str = option("hinge", "the losses: " + ", ".join(losses.GAMES))
    feature_weight: float = option(10.0, "weight of the feature matching term; 0: none")
    perceptual: str = option("none", "network of the perceptual loss: none, vgg19 (a download) or faces")
    perceptual_weight: float = option(10.0, "weight of the perceptual loss, where there is one")
    kl_weight: float = option(0.05, "weight of the Kullback-Leibler term, with vae")
    generator_learning_rate: float = option(0.0001, "Adam's step size, generator and encoder")
    discriminator_learning_rate: float = option(0.0004, "Adam's step size, discriminators")
    beta1: float = option(0.0, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta; the authors' code takes 0.9")
    exact_parity: bool = option(
        False, "draw again after the generator's move, for the discriminators, as the authors' code does"
    )

    @property
    def label_channels(self) -> int:
        """Labels, that for unknown pixels included."""
        return self.label_nc + self.contain_dontcare

    @property
    def map_channels(self) -> int:
        """Planes of the map as networks read it: one for each label, one for edges where there are some."""
        return self.label_channels + self.instance

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return round(self.image_size / self.aspect_ratio), self.image_size

    @property
    def smallest_map(self) -> tuple[int, int]:
        """Height and width of the maps that the generator starts from."""
        height, width = self.size
        doublings = DOUBLINGS[self.upsampling_layers]
        return height >> doublings, width >> doublings


# ---- the label map -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Layout:
    """A label map at one resolution, in each of the forms that some layer reads.

    `classes` int64 [N, H, W]; `edges` float [N, 1, H, W] and `positions` float [N, 2, H, W], or None.
    """

    classes: Tensor
    labels: int
    edges: Tensor | None = None
    positions: Tensor | None = None

    @functools.cached_property
    def planes(self) -> Tensor:
        """One-hot [N, labels, H, W], with the edges as one plane more where there are some."""
        planes = one_hot(self.classes, self.labels)
        return planes if self.edges is None else torch.cat([planes, self.edges.to(planes)], dim=1)

    def at(self, size: tuple[int, int]) -> "Layout":
        """The same at a size (height, width), by the nearest pixel."""
        rows, columns = (
            torch.arange(new, device=self.classes.device) * old // new
            for new, old in zip(size, self.classes.shape[1:], strict=True)
        )
        pick = lambda maps: None if maps is None else maps[..., rows[:, None], columns]  # noqa: E731
        return Layout(pick(self.classes), self.labels, pick(self.edges), pick(self.positions))


def positions_within(regions: Tensor) -> Tensor:
    """Where in its region each pixel lies: [N, H, W] of ids -> float [N, 2, H, W], (down, right).

    Offsets from the region's centre of mass, each divided by its largest absolute value within the
    region, so that they run from -1 to 1 at most (CLADE-ICPE). A region is all that has one id
    in one image; the authors' script also takes a class apart into its connected pieces.
    """
    count, height, width = regions.shape
    ids = regions - regions.amin()
    own = ids + (ids.amax() + 1) * torch.arange(count, device=ids.device)[:, None, None]
    _, number = own.unique(return_inverse=True)
    number = number.flatten()
    found = int(number.max()) + 1
    sizes = torch.bincount(number, minlength=found)
    down = torch.arange(height, device=ids.device)[:, None].expand(count, height, width)
    right = torch.arange(width, device=ids.device).expand(count, height, width)
    maps = []
    for place in (down, right):
        place = place.flatten().float()
        centre = torch.zeros(found, device=ids.device).index_add_(0, number, place) / sizes
        offset = place - centre[number]
        largest = torch.zeros(found, device=ids.device).scatter_reduce_(0, number, offset.abs(), "amax")
        maps.append((offset / largest.clamp(min=1e-5)[number]).view(count, height, width))
    return torch.stack(maps, dim=1)


# ---- networks ----------------------------------------------------------------------------------------


def norm(features: int, config: SPADEConfig, statistics: str) -> nn.Module:
    """A norm that the label map steers, SPADE or CLADE."""
    if config.norm == "spade":
        return norms.SPADE(features, config.map_channels, config.spade_features, statistics)
    return norms.CLADE(features, config.label_channels, config.instance, config.positions, statistics)


class Block(nn.Module):
    """[N, before, H, W] and a layout of that size -> [N, after, H, W] (figure 4; appendix A).

    Norm, leaky ReLU, convolution, twice; where the number of features changes, norm and a 1 x 1
    convolution around them. Weights of convolutions are spectrally normalised, those inside the norms not.
    The first norm and the shortcut's see the same x: it is normalised once for both.
    """

    def __init__(self, before: int, after: int, config: SPADEConfig) -> None:
        super().__init__()
        middle = min(before, after)
        extra = int(config.norm == "clade" and config.instance)  # CLADE puts the edges beside its result
        self.conv_0 = spectral_norm(nn.Conv2d(before + extra, middle, 3, padding=1))
        self.conv_1 = spectral_norm(nn.Conv2d(middle + extra, after, 3, padding=1))
        shortcut = before != after
        self.conv_s = spectral_norm(nn.Conv2d(before + extra, after, 1, bias=False)) if shortcut else None
        self.norm_0 = norm(before, config, config.statistics)
        self.norm_1 = norm(middle, config, config.statistics)
        self.norm_s = norm(before, config, "none") if shortcut else None
        self.reads = ("planes",) if config.norm == "spade" else ("classes", "edges", "positions")

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        maps = [getattr(layout, form) for form in self.reads]
        normalised = self.norm_0.normalise(x)
        h = self.conv_0(leaky_relu(self.norm_0.modulate(normalised, *maps)))
        h = self.conv_1(leaky_relu(self.norm_1(h, *maps)))
        if self.conv_s is not None:
            x = self.conv_s(self.norm_s.modulate(normalised, *maps))
        return x + h


def leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


class Generator(nn.Module):
    """Label maps [N, H, W] -> images in [-1, 1], [N, channels, H, W] (figure 4; appendix A).

    It starts from the map at its smallest size, or with `vae` from a style z, and doubles the maps
    (nearest neighbour) between blocks until they have the size of the image. The label map is made
    smaller once for each size, and all norms of that size share it.

    Called with label maps int64 [N, H, W], and what the configuration asks for: edges [N, 1, H, W],
    noise [N, noise_size], positions [N, 2, H, W].
    """

    def __init__(self, config: SPADEConfig) -> None:
        super().__init__()
        self.config = config
        most = config.most_features or 16 * config.ngf
        widths = [min(most, config.ngf * k) for k in (16, 8, 4, 2, 1)]
        height, width = config.smallest_map
        if config.vae:
            self.fc: nn.Module = nn.Linear(config.noise_size, widths[0] * height * width)
        else:
            self.fc = nn.Conv2d(config.map_channels, widths[0], 3, padding=1)
        self.head_0 = Block(widths[0], widths[0], config)
        self.middle_0 = Block(widths[0], widths[0], config)
        self.middle_1 = Block(widths[0], widths[0], config)
        self.up_0 = Block(widths[0], widths[1], config)
        self.up_1 = Block(widths[1], widths[2], config)
        self.up_2 = Block(widths[2], widths[3], config)
        self.up_3 = Block(widths[3], widths[4], config)
        last = widths[4]
        if config.upsampling_layers == "most":
            last = widths[4] // 2
            self.up_4 = Block(widths[4], last, config)
        self.conv_img = nn.Conv2d(last, config.channels, 3, padding=1)

    def forward(
        self,
        label_map: Tensor,
        edges: Tensor | None = None,
        noise: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        height, width = self.config.smallest_map
        whole = Layout(label_map, self.config.label_channels, edges, positions)
        layouts = [
            whole.at((height << k, width << k)) for k in range(DOUBLINGS[self.config.upsampling_layers])
        ]
        layouts.append(whole)
        x = self.fc(layouts[0].planes if noise is None else noise).view(label_map.shape[0], -1, height, width)
        level = 0
        for block, doubling in self.blocks():
            if doubling:
                x, level = doubled(x), level + 1
            x = block(x, layouts[level])
        return torch.tanh(self.conv_img(leaky_relu(x)))

    def blocks(self) -> list[tuple[Block, bool]]:
        """The blocks in order, each with whether the maps are doubled before it."""
        between = self.config.upsampling_layers != "normal"
        blocks = [(self.head_0, False), (self.middle_0, True), (self.middle_1, between)]
        blocks += [(block, True) for block in (self.up_0, self.up_1, self.up_2, self.up_3)]
        return [*blocks, (self.up_4, True)] if self.config.upsampling_layers == "most" else blocks


def doubled(x: Tensor) -> Tensor:
    """Twice as high and wide; each value becomes four."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Encoder(nn.Module):
    """Images -> mean and log-variance of their style, each [N, noise_size] (appendix A).

    Strided convolutions, spectrally normalised, with instance norm and leaky ReLU, down to 4 x 4. Images
    are brought to 256 x 256 first (smaller ones to the power of two below their width).
    """

    def __init__(self, config: SPADEConfig) -> None:
        super().__init__()
        self.side = min(256, 1 << (config.image_size.bit_length() - 1))
        halvings = self.side.bit_length() - 3  # down to 4 x 4
        features = [config.channels, *(config.ndf * min(2**k, 8) for k in range(halvings))]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(features):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [spectral_norm(convolution), nn.InstanceNorm2d(after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.mean = nn.Linear(features[-1] * 16, config.noise_size)
        self.log_variance = nn.Linear(features[-1] * 16, config.noise_size)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[-2:] != (self.side, self.side):
            images = F.interpolate(images, (self.side, self.side), mode="bilinear")
        h = self.layers(images).flatten(1)
        return self.mean(h), self.log_variance(h)


@torch.no_grad()
def initialise(network: nn.Module, gain: float = 0.02) -> None:
    """Weights of convolutions and linear layers normal, of standard deviation gain * sqrt(2 / (fan in + fan
    out)) (Glorot and Bengio 2010), biases 0. What starts at zero by design stays there."""
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or isinstance(module, ZeroConvolution):
            continue
        weight = raw_weight(module)
        nn.init.xavier_normal_(weight, gain)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
        if weight is not getattr(module, "weight", None) and not weight.is_meta:  # spectrally normalised
            module.parametrizations.weight[0].warm_up(weight)


# ---- costs -------------------------------------------------------------------------------------------


def divide(outputs: losses.Nested) -> tuple[losses.Nested, losses.Nested]:
    """What discriminators said of [first; second], apart: halves of every map along the batch."""
    halves = [[one.chunk(2) for one in maps] for maps in outputs]
    first, second = ([[half[side] for half in maps] for maps in halves] for side in (0, 1))
    return first, second


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)), summed over the style's places and over the batch, as in the
    authors' code."""
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()


# ---- the method --------------------------------------------------------------------------------------


class SPADE(Method):
    """The hinge game at several scales, with a generator that hears of the label map in every norm.

    The generator moves first. Its images serve both players; the authors' code draws them again after
    the generator's move (`exact_parity`).
    """

    name = "spade"
    paper = "Park et al. 2019, Semantic Image Synthesis with Spatially-Adaptive Normalization (SPADE, CLADE)"
    config_class = SPADEConfig
    players = {"generator": ("generator",), "discriminator": ("discriminator",)}

    def __init__(self, config: SPADEConfig) -> None:
        super().__init__(config)
        check(config)
        self.game = losses.game(config.game)
        self.nested_game = losses.over_scales(self.game, "mean")
        self.features = perceptual.features(config.perceptual)  # no module, hence no network of the method
        self.generator = Generator(config)
        self.discriminator = MultiscaleDiscriminator(
            config.map_channels + config.channels,
            config.ndf,
            config.discriminator_layers,
            config.scales,
            spectral=True,
        )
        if config.vae:
            self.encoder = Encoder(config)
            self.players = {"generator": ("generator", "encoder"), "discriminator": ("discriminator",)}
            self.sampling_networks = ("generator", "encoder")
        for network in self.networks.values():
            initialise(network)

    @property
    def translates(self) -> tuple[str, ...]:
        return ("label_map", "instance_map") if self.config.instance else ("label_map",)

    @property
    def needs(self) -> tuple[str, ...]:
        return ("image", *self.translates)

    @property
    def loss_weights(self) -> dict[str, float]:
        return losses.WATCHED | {
            "feature matching": self.config.feature_weight,
            "perceptual": self.config.perceptual_weight,
            "KL divergence": self.config.kl_weight,
        }

    # ---- what the networks read ----

    def read(self, inputs: Batch) -> Batch:
        """What the generator is called with, less the noise: label_map, and edges and positions where the
        configuration has them."""
        label_map = self.labels_of(inputs["label_map"])
        found = {"label_map": label_map}
        objects = inputs.get("instance_map") if self.config.instance else None
        if objects is not None:
            self.check_size("instance_map", objects)
            found["edges"] = edges_between(objects)
        if self.config.positions:
            found["positions"] = positions_within(label_map if objects is None else objects.long())
        return found

    def labels_of(self, label_map: Tensor) -> Tensor:
        """Labels int64 [N, H, W], 255 as the last of them where the configuration has a label for it.

        Raises ValueError for another size. What labels there are is not looked at: the processor would have
        to wait for the device.
        """
        self.check_size("label_map", label_map)
        label_map = label_map.long()
        if self.config.contain_dontcare:
            label_map = label_map.masked_fill(label_map == UNKNOWN, self.config.label_nc)
        return label_map

    def check_size(self, name: str, maps: Tensor) -> None:
        """Raises ValueError unless the maps are integers [N, height, width] of the model's size."""
        height, width = self.config.size
        if maps.dim() != 3 or maps.shape[1:] != (height, width) or maps.is_floating_point():
            raise ValueError(
                f"{name} is a tensor of {maps.dtype} and shape {tuple(maps.shape)}; this model takes "
                f"integers of shape (N, {height}, {width})"
            )

    def planes(self, found: Batch) -> Tensor:
        """The map as the discriminators read it, [N, map_channels, H, W]."""
        return Layout(found["label_map"], self.config.label_channels, found.get("edges")).planes

    # ---- one step ----

    def forward_generators(self, batch: Batch) -> Batch:
        found = self.read(batch)
        check_batch(len(found["label_map"]), self.config)
        outputs = {"planes": self.planes(found)}
        noise = None
        if self.config.vae:
            mean, log_variance = self.encoder(batch["image"])
            noise = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            outputs |= {"mean": mean, "log_variance": log_variance}
        return outputs | {"fake": self.generator(**found, noise=noise)}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        if player == "generator":
            return self.generator_loss(batch["image"], outputs)
        if self.config.exact_parity:
            with torch.no_grad(), collecting(*(self.networks[n] for n in self.players["generator"])):
                outputs = self.forward_generators(batch)
        fake, real = self.judge_both(outputs["planes"], outputs["fake"].detach(), batch["image"])
        return {
            "discriminator": self.nested_game.discriminator(real, fake),
            **losses.watched(self.game, losses.all_scores(real), losses.all_scores(fake)),
        }

    def generator_loss(self, real_images: Tensor, outputs: Batch) -> dict[str, Tensor]:
        """The generator's terms."""
        planes = outputs["planes"]
        if self.config.exact_parity:
            with collecting(self.discriminator):
                fake, real = self.judge_both(planes, outputs["fake"], real_images)
        else:
            fake = self.judge(planes, outputs["fake"])
            with torch.no_grad():
                real = self.judge(planes, real_images) if self.config.feature_weight else None
        terms = {"generator": self.nested_game.generator(fake)}
        if self.config.feature_weight:
            terms["feature matching"] = losses.feature_matching(real, fake)
        if self.features is not None:
            terms["perceptual"] = self.features.distance(outputs["fake"], real_images)
        if self.config.vae:
            terms["KL divergence"] = kl_divergence(outputs["mean"], outputs["log_variance"])
        return terms

    def judge(self, planes: Tensor, images: Tensor) -> losses.Nested:
        """What the discriminators say of images beside their label maps."""
        return self.discriminator(torch.cat([planes, images.to(planes.dtype)], dim=1))

    def judge_both(self, planes: Tensor, fake: Tensor, real: Tensor) -> tuple[losses.Nested, losses.Nested]:
        """The same of generated and of real images, in one call: instance norm mixes no two images."""
        both = torch.cat([fake.to(real.dtype), real])
        return divide(self.judge(torch.cat([planes, planes]), both))

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        rates = {
            "generator": self.config.generator_learning_rate,
            "discriminator": self.config.discriminator_learning_rate,
        }
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(self.parameters_of(player), lr=rates[player], betas=betas, fused=True)

    # ---- use ----

    def draw_noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        return draw("normal", (count, self.config.noise_size if self.config.vae else 0), rng, self.device)

    def sample(self, count, *, inputs=None, labels=None, noise=None, rng=None) -> Tensor:
        """As `Method.sample`; `inputs` hold "label_map" [count, H, W], and "instance_map" where the model was
        built for it; `noise` are styles, with vae."""
        inputs = check_inputs(self, count, inputs)
        noise = self.noise_for(count, noise, rng)
        return self.translate(**inputs, style=noise if self.config.vae else None)

    def translate(
        self,
        label_map: Tensor,
        instance_map: Tensor | None = None,
        style: Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Images in [-1, 1] for label maps, [N, channels, H, W], without touching any training state.

        Args:
            label_map: integers [N, H, W].
            instance_map: ids of objects [N, H, W], for a model built with `instance`.
            style: with vae, images [N or 1, channels, H, W] whose style is taken, or styles
                [N or 1, noise_size]; None draws styles from `rng`.

        Raises ValueError for maps of another size, unknown labels, a missing instance map, or a style
        that the model cannot take.
        """
        if self.config.instance and instance_map is None:
            raise ValueError("this model was built with instance maps: give `instance_map` too")
        maps = {"label_map": label_map, "instance_map": instance_map}
        maps = {name: torch.as_tensor(value) for name, value in maps.items() if value is not None}
        self.check_size("label_map", maps["label_map"])
        if self.config.instance and len(maps["instance_map"]) != len(maps["label_map"]):
            raise ValueError(
                f"{len(maps['label_map'])} label maps need as many instance maps, not "
                f"{len(maps['instance_map'])}"
            )
        known = self.labels_of(maps["label_map"])
        check_labels_known(known, self.config)
        maps = {name: value.to(self.device) for name, value in maps.items()}
        with evaluating(*(self.networks[name] for name in self.sampling_networks)):
            noise = self.style_for(len(known), style, rng)
            return self.generator(**self.read(maps), noise=noise)

    def style_for(self, count: int, style: Tensor | None, rng: torch.Generator | None) -> Tensor | None:
        """z [count, noise_size] for `translate`; None for a model without styles."""
        if not self.config.vae:
            if style is not None:
                raise ValueError("this model has no styles: build it with vae to give it one")
            return None
        if style is None:
            return self.draw_noise(count, rng)
        style = style.to(self.device)
        if style.dim() == 4:
            if style.shape[1] != self.config.channels:
                raise ValueError(
                    f"a style image has {style.shape[1]} channels; this model takes {self.config.channels}"
                )
            style = self.encoder(style)[0]
        if style.dim() != 2 or style.shape[1] != self.config.noise_size or len(style) not in (1, count):
            raise ValueError(
                f"style is a tensor of shape {tuple(style.shape)}; {count} label maps take images, or styles "
                f"of shape ({count}, {self.config.noise_size}), or one for all"
            )
        return style.expand(count, -1)

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        """`examples` are `count` rows of data: maps and the images that belong to them."""
        inputs = check_inputs(self, count, examples)
        return inputs | {"image": examples["image"], "noise": self.draw_noise(count, rng)}

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Rows of three: the map, painted; what is made of it; the image that it belongs to."""
        inputs = {name: preview[name] for name in self.translates}
        count = len(preview["image"])
        made = self.sample(count, inputs=inputs, noise=preview["noise"])
        painted = paint(self.labels_of(inputs["label_map"]), self.config.label_channels, self.config.channels)
        rows = torch.stack([part.to(made) for part in (painted, made, preview["image"])], dim=1)
        return rows.flatten(0, 1), 3


# ---- helpers -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def collecting(*networks: nn.Module) -> Iterator[None]:
    """Within: batch norm and spectral normalisation collect, though it may be another player's move.

    `Method.moving` lets them rest; the authors' code never does.
    """
    modules = [module for network in networks for module in network.modules()]
    collectors = [m for m in modules if getattr(m, "running_mean", None) is not None]
    spectral = [m for m in modules if isinstance(m, SpectralNorm)]
    before = [m.track_running_stats for m in collectors], [m.training for m in spectral]
    for module in collectors:
        module.track_running_stats = True
    for module in spectral:
        module.training = True
    try:
        yield
    finally:
        for module, value in zip(collectors, before[0], strict=True):
            module.track_running_stats = value
        for module, value in zip(spectral, before[1], strict=True):
            module.training = value


def check_labels_known(label_map: Tensor, config: SPADEConfig) -> None:
    """Raises ValueError unless each label is one that the model knows."""
    if not label_map.numel():
        return
    lowest, highest = int(label_map.min()), int(label_map.max())
    if lowest < 0 or highest >= config.label_channels:
        unknown = "; pixels of label 255 need contain_dontcare" if highest == UNKNOWN else ""
        raise ValueError(
            f"label_map holds labels from {lowest} to {highest}; this model knows 0 to "
            f"{config.label_nc - 1}{unknown}"
        )


def check_batch(count: int, config: SPADEConfig) -> None:
    """Raises ValueError for a training batch of which batch norm sees one number a feature."""
    if config.statistics == "batch" and count == 1 and config.smallest_map == (1, 1):
        raise ValueError(
            f"images of {config.image_size} pixels start from maps of 1 x 1, and a batch of one image has no "
            "variance there: take a batch of two or more, or images of twice the size"
        )


def check(config: SPADEConfig) -> None:
    """Raises ValueError for a configuration that no network can be made of."""
    positive = ("image_size", "channels", "label_nc", "ngf", "spade_features", "noise_size", "ndf", "scales")
    check_positive(config, *positive, "discriminator_layers")
    check_choice("norm", config.norm, STEERED)
    check_choice("upsampling_layers", config.upsampling_layers, DOUBLINGS)
    check_choice("statistics", config.statistics, ("batch", "instance"))
    for name in ("most_features", "feature_weight", "perceptual_weight", "kl_weight"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
    if not config.aspect_ratio > 0:
        raise ValueError(f"aspect_ratio is {config.aspect_ratio}; it must be above 0")
    if config.positions and config.norm != "clade":
        raise ValueError("positions are an option of CLADE; take norm clade, or positions off")
    height, width = config.size
    # instance norm of a single pixel would be 0
    multiple = 1 << DOUBLINGS[config.upsampling_layers]
    smallest = multiple * (2 if config.statistics == "instance" else 1)
    if height % multiple or width % multiple or min(height, width) < smallest:
        raise ValueError(
            f"images of {height} x {width} pixels cannot be made by doubling: with upsampling_layers "
            f"{config.upsampling_layers!r} and {config.statistics} statistics, height and width must be "
            f"multiples of {multiple}, {smallest} at least"
        )
    if config.upsampling_layers == "most" and config.ngf < 2:
        raise ValueError("ngf is 1; the last block of upsampling_layers 'most' needs 2 or more")
