"""SEAN: label maps to images, the style of every region chosen by itself.

Zhu, Abdal, Qin, Wonka: SEAN: Image Synthesis with Semantic Region-Adaptive Normalization, CVPR 2020
(arXiv:1911.12861). The order of layers and of their parameters is that of the authors' PyTorch code; what
they compute in loops over images, labels and layers is a matrix product here.
"""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import Batch, Method, check_inputs, check_positive, draw, evaluating, option
from gan_course.nn import perceptual
from gan_course.nn.label_maps import edges_between, one_hot, paint
from gan_course.nn.multiscale import MultiscaleDiscriminator, divided
from gan_course.nn.norms import SPADE, SpectralNorm, raw_weight, spectral_norm

DOUBLINGS = 5
"""How often the generator doubles its maps on the way from the smallest to the image."""
WIDTHS = (16, 16, 16, 16, 8, 4, 2, 1)
"""In multiples of ngf: the maps that enter the first block, then those that leave each."""
DOUBLED_BEFORE = (1, 3, 4, 5, 6)
"""The blocks, counted from 0, whose maps are doubled before they enter."""
STYLED = 6
"""How many blocks, from the first, are given styles; the rest normalise by the label map alone."""


@dataclasses.dataclass(frozen=True)
class SEANConfig:
    """SEAN for CelebAMask-HQ at 256 x 256 (section 5 and the authors' code)."""

    image_size: int = option(256, "height and width of an image in pixels: a multiple of 32, 64 or more")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    label_nc: int = option(19, "number of classes of the label maps")
    instance: bool = option(False, "use instance maps: the edges between objects are one more input")
    ngf: int = option(64, "features of the generator's last hidden layer")
    ndf: int = option(64, "features of the first layer of the discriminators")
    style_size: int = option(512, "length of the style code of a region")
    encoder_features: int = option(32, "features of the style encoder's first layer")
    spade_features: int = option(128, "features that SPADE's gamma and beta are computed from")
    scales: int = option(2, "discriminators, each at half the size of the one before")
    discriminator_layers: int = option(3, "strided convolutions of each discriminator")
    game: str = option("hinge", "the losses: " + ", ".join(losses.GAMES))
    feature_weight: float = option(10.0, "weight of the feature matching term; 0: none")
    perceptual: str = option("none", "network of the perceptual loss: none, vgg19 (a download) or faces")
    perceptual_weight: float = option(10.0, "weight of the perceptual loss, where there is one")
    generator_learning_rate: float = option(0.0001, "Adam's step size, generator and style encoder")
    discriminator_learning_rate: float = option(0.0004, "Adam's step size, discriminators")
    beta1: float = option(0.0, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta: the paper's; the authors' code has 0.9")

    @property
    def map_channels(self) -> int:
        """Planes of the map as networks read it: one for each label, one for edges where there are some."""
        return self.label_nc + self.instance


# ---- regions -----------------------------------------------------------------------------------------


def thinned(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [N, C, H, W] at a smaller size that divides theirs: of every cell, its first pixel.

    The nearest neighbour as torch and the authors have it.
    """
    return maps[:, :, :: maps.shape[2] // size[0], :: maps.shape[3] // size[1]]


def pool_regions(features: Tensor, masks: Tensor) -> Tensor:
    """Means over regions: features [N, C, H, W] and masks [N, regions, H, W] -> [N, regions, C].

    One product of masks with features, for all images and regions at once. A region that is not in the
    image gets zeros.
    """
    masks = masks.flatten(2)
    sums = masks @ features.flatten(2).transpose(1, 2)
    return sums / masks.sum(2, keepdim=True).clamp(min=1)


def convolve_regions(layer: nn.Conv2d, styles: Tensor, masks: Tensor) -> Tensor:
    """The convolution of the map that shows at each pixel the style of its region, without that map.

    That map is sum_r masks[:, r] * styles[:, r]. Convolution is linear, so it may be done on the styles
    first, which gives each image kernels of its own for its masks: with 19 regions in place of 512
    features, a small part of the work.

    Args:
        layer: a convolution of stride 1 over C channels.
        styles: [N, regions, C].
        masks: [N, regions, H, W], 0 or 1, at most one region a pixel.

    Returns:
        [N, features, H, W].
    """
    count, regions, height, width = masks.shape
    kernels = torch.einsum("ocij,nrc->norij", layer.weight, styles)
    side_by_side = masks.reshape(1, count * regions, height, width)
    bias = layer.bias.repeat(count)
    maps = F.conv2d(side_by_side, kernels.flatten(0, 1), bias, padding=layer.padding, groups=count)
    return maps.view(count, -1, height, width)


# ---- networks ----------------------------------------------------------------------------------------


class StyleEncoder(nn.Module):
    """Images [N, C, H, W] and masks [N, regions, H, W] -> styles [N, regions, style_size] (figure 4A, left).

    A bottleneck of convolutions makes features of half the image's height and width, in (-1, 1); the style
    of a region is their mean over the region.
    """

    def __init__(self, config: SEANConfig) -> None:
        super().__init__()
        ngf = config.encoder_features

        def normalised(layer: nn.Module) -> list[nn.Module]:
            return [layer, nn.InstanceNorm2d(layer.out_channels), nn.LeakyReLU(0.2)]

        self.model = nn.Sequential(
            nn.ReflectionPad2d(1),
            *normalised(nn.Conv2d(config.channels, ngf, 3)),
            *normalised(nn.Conv2d(ngf, 2 * ngf, 3, stride=2, padding=1)),
            *normalised(nn.Conv2d(2 * ngf, 4 * ngf, 3, stride=2, padding=1)),
            *normalised(nn.ConvTranspose2d(4 * ngf, 8 * ngf, 3, stride=2, padding=1, output_padding=1)),
            nn.ReflectionPad2d(1),
            nn.Conv2d(8 * ngf, config.style_size, 3),
            nn.Tanh(),
        )

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        features = self.model(images)
        return pool_regions(features, thinned(masks, features.shape[2:]))


class RegionLinear(nn.Module):
    """A linear layer for each region: [N, regions, size] -> the same shape, all in one batched product.

    `weight` [regions, size, size] and `bias` [regions, size] hold the layers one after the other.
    """

    def __init__(self, regions: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(regions, size, size))
        self.bias = nn.Parameter(torch.zeros(regions, size))

    def forward(self, styles: Tensor) -> Tensor:
        mapped = torch.baddbmm(self.bias[:, None], styles.transpose(0, 1), self.weight.transpose(1, 2))
        return mapped.transpose(0, 1)


class SEANNorm(nn.Module):
    """Batch norm whose gain and offset depend on the label of a place and on its region's style (section 3).

    (1 + gamma) * normalised (x + noise) + beta. gamma = a * gamma of the styles + (1 - a) * gamma of the
    labels with a = sigmoid of a learned number, and so for beta (equation 2). The noise is one plane an
    image, with a learned strength for each feature, 0 at first (section 4.2). Without `styled` the labels
    decide alone: SPADE with noise.

    Called with x [N, features, H, W], the label map of that size [N, labels, H, W] and styles
    [N, regions, style_size]; the regions are the first planes of the label map.
    """

    def __init__(self, features: int, config: SEANConfig, styled: bool) -> None:
        super().__init__()
        self.blending_gamma = nn.Parameter(torch.zeros(1))
        self.blending_beta = nn.Parameter(torch.zeros(1))
        self.noise_strength = nn.Parameter(torch.zeros(features))
        self.of_labels = SPADE(features, config.map_channels, config.spade_features, "none")
        self.norm = nn.BatchNorm2d(features, affine=False)
        if styled:
            self.of_styles = RegionLinear(config.label_nc, config.style_size)
            self.style_gamma = nn.Conv2d(config.style_size, features, 3, padding=1)
            self.style_beta = nn.Conv2d(config.style_size, features, 3, padding=1)

    def forward(
        self, x: Tensor, labels: Tensor, styles: Tensor, rng: torch.Generator | None = None
    ) -> Tensor:
        plane = draw("normal", (len(x), 1, *x.shape[2:]), rng, x.device)
        normalised = self.norm(x + self.noise_strength[:, None, None] * plane)
        shared = self.of_labels.shared(labels)
        gamma, beta = self.of_labels.gamma(shared), self.of_labels.beta(shared)
        if hasattr(self, "of_styles"):
            mapped = F.relu(self.of_styles(styles))
            masks = labels[:, : styles.shape[1]]
            style_gamma = convolve_regions(self.style_gamma, mapped, masks)
            style_beta = convolve_regions(self.style_beta, mapped, masks)
            gamma = torch.lerp(gamma, style_gamma, torch.sigmoid(self.blending_gamma).to(gamma.dtype))
            beta = torch.lerp(beta, style_beta, torch.sigmoid(self.blending_beta).to(beta.dtype))
        return normalised * (1 + gamma) + beta


class Block(nn.Module):
    """[N, before, H, W] -> [N, after, H, W]: twice norm, LeakyReLU, convolution, around them a shortcut.

    Where the number of features changes, the shortcut is a norm and a 1 x 1 convolution, with nothing in
    between. Convolutions are spectrally normalised (figure 4B).
    """

    def __init__(self, before: int, after: int, config: SEANConfig, styled: bool) -> None:
        super().__init__()
        middle = min(before, after)
        self.conv_0 = spectral_norm(nn.Conv2d(before, middle, 3, padding=1))
        self.conv_1 = spectral_norm(nn.Conv2d(middle, after, 3, padding=1))
        if before != after:
            self.conv_s = spectral_norm(nn.Conv2d(before, after, 1, bias=False))
        self.norm_0 = SEANNorm(before, config, styled)
        self.norm_1 = SEANNorm(middle, config, styled)
        if before != after:
            self.norm_s = SEANNorm(before, config, styled)

    def forward(self, x: Tensor, *condition: Tensor | torch.Generator | None) -> Tensor:
        h = self.conv_0(F.leaky_relu(self.norm_0(x, *condition), 0.2))
        h = self.conv_1(F.leaky_relu(self.norm_1(h, *condition), 0.2))
        shortcut = self.conv_s(self.norm_s(x, *condition)) if hasattr(self, "conv_s") else x
        return shortcut + h


class Generator(nn.Module):
    """Label maps [N, labels, H, W] and styles [N, regions, style_size] -> images in [-1, 1] (figure 4A).

    Begins with the label map at a 32nd of its height and width. `rng` is where noise is drawn from.
    """

    def __init__(self, config: SEANConfig) -> None:
        super().__init__()
        widths = [config.ngf * width for width in WIDTHS]
        self.fc = nn.Conv2d(config.map_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            Block(widths[k], widths[k + 1], config, styled=k < STYLED) for k in range(len(widths) - 1)
        )
        self.conv_img = nn.Conv2d(widths[-1], config.channels, 3, padding=1)

    def forward(self, labels: Tensor, styles: Tensor, rng: torch.Generator | None = None) -> Tensor:
        height, width = labels.shape[2:]
        x = self.fc(thinned(labels, (height // 2**DOUBLINGS, width // 2**DOUBLINGS)))
        for k, block in enumerate(self.blocks):
            if k in DOUBLED_BEFORE:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(x, thinned(labels, x.shape[2:]), styles, rng)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


@torch.no_grad()
def initialise(network: nn.Module, gain: float = 0.02) -> None:
    """Normal weights after Glorot and Bengio 2010, times `gain`, and no biases, as in the authors' code."""
    for module in network.modules():
        if isinstance(module, RegionLinear):
            size = module.weight.shape[1]
            module.weight.normal_(0, gain * math.sqrt(2 / (size + size)))
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            weight = raw_weight(module)
            nn.init.xavier_normal_(weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if weight is not getattr(module, "weight", None):  # parametrised
                for step in module.parametrizations.weight:
                    if isinstance(step, SpectralNorm):
                        step.warm_up(weight)


# ---- the method --------------------------------------------------------------------------------------


class SEAN(Method):
    """Images from label maps; what each region looks like comes from another image, region by region.

    In training an image lends its own styles, and the generator must rebuild it. Afterwards they may come
    from anywhere: `encode_styles` reads them, `with_styles_of` exchanges those of some regions, `translate`
    makes the image.

    The generator runs once a step, so the discriminator, which moves second, sees the images from before
    the generator's move; the authors make new ones for it. The authors add a perceptual distance by a
    network trained on ImageNet, of the same weight as feature matching.
    """

    name = "sean"
    paper = "Zhu et al. 2020, SEAN: Image Synthesis with Semantic Region-Adaptive Normalization"
    config_class = SEANConfig
    players = {"generator": ("style_encoder", "generator"), "discriminator": ("discriminator",)}
    sampling_networks = ("style_encoder", "generator")

    def __init__(self, config: SEANConfig) -> None:
        super().__init__(config)
        check(config)
        self.game = losses.game(config.game)
        self.nested_game = losses.over_scales(self.game, "mean")
        self.features = perceptual.features(config.perceptual)  # no module, hence no network of the method
        self.style_encoder = StyleEncoder(config)
        self.generator = Generator(config)
        self.discriminator = MultiscaleDiscriminator(
            config.map_channels + config.channels,
            config.ndf,
            config.discriminator_layers,
            config.scales,
            spectral=True,
            flat=False,
        )
        for network in self.networks.values():
            initialise(network)

    @property
    def needs(self) -> tuple[str, ...]:
        return ("image", "label_map", *(("instance_map",) if self.config.instance else ()))

    @property
    def translates(self) -> tuple[str, ...]:
        """The label map, and the image that lends its styles."""
        return ("label_map", "image", *(("instance_map",) if self.config.instance else ()))

    @property
    def loss_weights(self) -> dict[str, float]:
        return losses.WATCHED | {
            "feature matching": self.config.feature_weight,
            "perceptual": self.config.perceptual_weight,
        }

    def planes_of(self, batch: Batch) -> Tensor:
        """The maps as networks read them: [N, map_channels, H, W], zeros and ones."""
        planes = one_hot(batch["label_map"], self.config.label_nc)
        if not self.config.instance:
            return planes
        return torch.cat([planes, edges_between(batch["instance_map"])], dim=1)

    # ---- one step ----

    def forward_generators(self, batch: Batch) -> Batch:
        """Every image rebuilt from its label map and its own styles; and the label maps as planes."""
        planes = self.planes_of(batch)
        styles = self.style_encoder(batch["image"], planes[:, : self.config.label_nc])
        return {"fake": self.generator(planes, styles), "planes": planes}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        real, fake, planes = batch["image"], outputs["fake"], outputs["planes"]
        if player == "generator":
            return self.generator_loss(real, fake, planes)
        # one call for both kinds: instance norm mixes no two images
        both = torch.cat([fake.detach().to(real.dtype), real])
        on_fake, on_real = divided(self.judge(torch.cat([planes, planes]), both))
        return {
            "discriminator": self.nested_game.discriminator(on_real, on_fake),
            **losses.watched(self.game, losses.all_scores(on_real), losses.all_scores(on_fake)),
        }

    def generator_loss(self, real: Tensor, fake: Tensor, planes: Tensor) -> dict[str, Tensor]:
        """The terms of the generator, which the style encoder shares."""
        on_fake = self.judge(planes, fake)
        terms = {"generator": self.nested_game.generator(on_fake)}
        if self.config.feature_weight:
            with torch.no_grad():
                on_real = self.judge(planes, real)
            terms["feature matching"] = losses.feature_matching(on_real, on_fake)
        if self.features is not None:
            terms["perceptual"] = self.features.distance(fake, real)
        return terms

    def judge(self, planes: Tensor, images: Tensor) -> losses.Nested:
        """What the discriminators say of images beside their label maps."""
        return self.discriminator(torch.cat([planes, images.to(planes.dtype)], dim=1))

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        rates = {
            "generator": self.config.generator_learning_rate,
            "discriminator": self.config.discriminator_learning_rate,
        }
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(self.parameters_of(player), lr=rates[player], betas=betas, fused=True)

    # ---- use ----

    def encode_styles(self, images: Tensor, label_maps: Tensor) -> Tensor:
        """The style of each region of each image: [N, label_nc, style_size], in (-1, 1).

        Args:
            images: [N, C, H, W] in [-1, 1].
            label_maps: their classes, integers [N, H, W].

        Regions that an image does not have get zeros. Raises ValueError for a label map that does not fit.
        """
        label_maps = self.checked(label_maps, "label_map")
        if len(images) != len(label_maps) or images.shape[2:] != label_maps.shape[1:]:
            raise ValueError(
                f"images of shape {tuple(images.shape)} and label maps of shape {tuple(label_maps.shape)} "
                "must be as many and of one height and width"
            )
        with evaluating(self.style_encoder):
            return self.style_encoder(
                images.to(self.device), one_hot(label_maps.to(self.device), self.config.label_nc)
            )

    def mean_style(self, images: Tensor, label_maps: Tensor) -> Tensor:
        """The mean style of each region over the images that have it: [label_nc, style_size]."""
        codes = self.encode_styles(images, label_maps)
        present = codes.any(dim=2, keepdim=True)
        return codes.sum(0) / present.sum(0).clamp(min=1)

    def translate(
        self,
        label_map: Tensor,
        instance_map: Tensor | None = None,
        style: Tensor | None = None,
        *,
        style_image: Tensor | None = None,
        style_label_map: Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Images in [-1, 1], [N, C, H, W], from label maps and the styles of their regions.

        Args:
            label_map: classes, integers [N, H, W].
            instance_map: numbers of instances [N, H, W], where the method was built with instance maps.
            style: codes [N, label_nc, style_size] or, one set for all, [label_nc, style_size].
            style_image: in place of codes, images [N, C, H, W] that lend their styles.
            style_label_map: the regions of style_image; `label_map` where it is not given.
            rng: where the noise inside the generator comes from.

        Raises ValueError where no style is given, or a map does not fit.
        """
        label_map = self.checked(label_map, "label_map").to(self.device)
        batch = {"label_map": label_map}
        if self.config.instance:
            if instance_map is None:
                raise ValueError("this sean was built with instance maps: it needs an instance_map too")
            batch["instance_map"] = torch.as_tensor(instance_map).to(self.device)
        if (style is None) == (style_image is None):
            raise ValueError(
                "sean needs to know what the regions look like: give either style, codes from encode_styles, "
                "or style_image, images that lend theirs"
            )
        if style is None:
            regions = label_map if style_label_map is None else style_label_map
            style = self.encode_styles(style_image, regions)
        size = (self.config.label_nc, self.config.style_size)
        if style.shape not in (size, (len(label_map), *size)):
            raise ValueError(
                f"style has shape {tuple(style.shape)}; {len(label_map)} label maps need "
                f"{(len(label_map), *size)}, or {size} for all"
            )
        with evaluating(self.generator):
            styles = style.to(self.device).expand(len(label_map), *size)
            return self.generator(self.planes_of(batch), styles, rng)

    def checked(self, maps: Tensor, name: str) -> Tensor:
        """The maps as int64 [N, H, W].

        Raises ValueError unless they are integers below label_nc with sides that are multiples of 32.
        """
        maps = torch.as_tensor(maps)
        if maps.dim() != 3 or maps.is_floating_point():
            raise ValueError(
                f"{name} must be integers [N, H, W], not {maps.dtype} of shape {tuple(maps.shape)}"
            )
        if any(side % 2**DOUBLINGS or side == 0 for side in maps.shape[1:]):
            raise ValueError(f"{name} is {tuple(maps.shape[1:])} pixels; both sides must be multiples of 32")
        if maps.numel() and not 0 <= int(maps.min()) <= int(maps.max()) < self.config.label_nc:
            raise ValueError(
                f"{name} holds labels from {int(maps.min())} to {int(maps.max())}; "
                f"this model knows 0 to {self.config.label_nc - 1}"
            )
        return maps.long()

    def sample(self, count, *, inputs=None, labels=None, noise=None, rng=None) -> Tensor:
        """As `Method.sample`: the label maps of `inputs`, each in the styles of its own image."""
        given = check_inputs(self, count, inputs)
        return self.translate(
            given["label_map"], given.get("instance_map"), style_image=given["image"], rng=rng
        )

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        return check_inputs(self, count, examples)

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Rows of label map, output in the image's own styles, output in the styles of the next, image."""
        real, maps = preview["image"], preview["label_map"]
        noise = [torch.Generator().manual_seed(0) for _ in range(2)]  # the same in every picture
        own = self.sample(len(real), inputs=preview, rng=noise[0])
        other = self.translate(
            maps,
            preview.get("instance_map"),
            self.encode_styles(real, maps).roll(-1, 0),
            rng=noise[1],
        )
        painted = paint(maps, self.config.label_nc, self.config.channels)
        return torch.stack([painted, own, other, real], dim=1).flatten(0, 1), 4


def with_styles_of(codes: Tensor, other: Tensor, labels: list[int] | tuple[int, ...]) -> Tensor:
    """The codes [..., label_nc, style_size] with those of the given classes taken from `other`."""
    mixed = codes.clone()
    mixed[..., list(labels), :] = other[..., list(labels), :]
    return mixed


def check(config: SEANConfig) -> None:
    """Raises ValueError for a configuration that no network can be made of."""
    if config.image_size < 64 or config.image_size % 32:
        raise ValueError(
            f"image_size is {config.image_size}; the generator doubles a 32nd of it five times, and batch "
            "norm needs more than one pixel, so it must be a multiple of 32, 64 or more"
        )
    check_positive(config, "channels", "label_nc", "ngf", "ndf", "style_size", "encoder_features")
    check_positive(config, "spade_features", "scales", "discriminator_layers")
    for name in ("feature_weight", "perceptual_weight"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
