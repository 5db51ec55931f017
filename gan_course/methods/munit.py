"""MUNIT: what an image shows and how it is drawn, apart; one content, many styles.

Huang, Liu, Belongie, Kautz: Multimodal Unsupervised Image-to-Image Translation, ECCV 2018
(arXiv:1804.04732). The layers are those of the authors' PyTorch code.

The authors train for a million steps with one image of each domain a step, and halve the learning rate
every 100,000 steps.
"""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import Batch, Method, check_inputs, check_positive, draw, evaluating, option
from gan_course.nn import perceptual
from gan_course.nn.blocks import check_choice
from gan_course.nn.multiscale import divided
from gan_course.nn.norms import AdaIN, rescaled

GAMES = ("least_squares", "non_saturating")
STYLE_HALVINGS = 4
"""Strided convolutions of a style encoder; from the third on they add no more features."""
DOMAINS = {"AtoB": ("a", "b"), "BtoA": ("b", "a")}


@dataclasses.dataclass(frozen=True)
class MUNITConfig:
    """MUNIT for edges and handbags at 256 x 256 (section 5.1 and the authors' configuration)."""

    image_size: int = option(256, "height and width of an image in pixels")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    ngf: int = option(64, "features of the encoders' first layers and of the decoders' last")
    halvings: int = option(2, "strided convolutions of a content encoder")
    blocks: int = option(4, "residual blocks of a content encoder, and of a decoder")
    style_size: int = option(8, "length of a style code")
    mlp_features: int = option(256, "features of the layers between style code and AdaIN")
    ndf: int = option(64, "features of the discriminators' first layer")
    layers: int = option(4, "strided convolutions of a discriminator")
    scales: int = option(3, "discriminators of a domain, each at half the size of the one before")
    game: str = option("least_squares", "the losses: " + ", ".join(GAMES))
    adversarial_weight: float = option(1.0, "weight of the adversarial terms")
    image_weight: float = option(10.0, "weight of the reconstruction of images")
    style_weight: float = option(1.0, "weight of the reconstruction of styles")
    content_weight: float = option(1.0, "weight of the reconstruction of contents")
    cycle_weight: float = option(0.0, "weight of the style-augmented cycle; 10 for seasons and animals")
    perceptual: str = option(
        "none", "network of the domain-invariant perceptual loss: none, vgg19 (a download) or faces"
    )
    perceptual_weight: float = option(1.0, "weight of the perceptual loss, where there is one")
    learning_rate: float = option(0.0001, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")
    weight_decay: float = option(0.0001, "Adam's weight decay, both players")


# ---- layers ------------------------------------------------------------------------------------------


def convolution(before: int, after: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """Keeps the size, or halves it with stride 2; the border is mirrored."""
    padding = (kernel_size - 1) // 2
    return nn.Conv2d(before, after, kernel_size, stride, padding, padding_mode="reflect")


def relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


class LayerNorm(nn.Module):
    """gamma * (x - mean) / (standard deviation + eps) + beta, over all maps of an image together.

    As the authors have it: the standard deviation is the unbiased one, eps is added to it and not to its
    square, gamma and beta are one a map, and gamma starts anywhere in [0, 1). No image knows of the others.
    """

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.rand(features))
        self.beta = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(
            x.float() if x.dtype != torch.float64 else x, (1, 2, 3), keepdim=True
        )
        scale = self.gamma[:, None, None] / (deviation + self.eps)
        return rescaled(x, scale, self.beta[:, None, None] - mean * scale)


class ResidualBlock(nn.Module):
    """x + convolution, instance norm, ReLU, convolution, instance norm."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(features, features, 3),
            nn.InstanceNorm2d(features),
            relu(),
            convolution(features, features, 3),
            nn.InstanceNorm2d(features),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class StyledBlock(nn.Module):
    """The same with adaptive instance norms, whose numbers are called in: [N, 4, features].

    Offset and gain of the first norm, offset and gain of the second.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv_0 = convolution(features, features, 3)
        self.conv_1 = convolution(features, features, 3)
        self.norm = AdaIN()

    def forward(self, x: Tensor, numbers: Tensor) -> Tensor:
        beta_0, gamma_0, beta_1, gamma_1 = numbers.unbind(1)
        h = F.relu(self.norm(self.conv_0(x), gamma_0, beta_0))
        return x + self.norm(self.conv_1(h), gamma_1, beta_1)


def halving_layers(channels: int, ngf: int, halvings: int) -> list[nn.Module]:
    """The front of a content encoder: [N, channels, H, W] -> [N, ngf * 2^halvings, H / 2^halvings, ...]."""
    layers: list[nn.Module] = [convolution(channels, ngf, 7), nn.InstanceNorm2d(ngf), relu()]
    for k in range(halvings):
        features = ngf * 2 ** (k + 1)
        layers += [convolution(features // 2, features, 4, stride=2), nn.InstanceNorm2d(features), relu()]
    return layers


def doubling_layers(channels: int, ngf: int, halvings: int) -> list[nn.Module]:
    """The back of a decoder: the front of an encoder backwards, layer norm in place of instance norm.

    Instance norm would take away the means and deviations that AdaIN has just put there (section 5.1).
    """
    layers: list[nn.Module] = []
    for k in reversed(range(halvings)):
        features = ngf * 2**k
        layers += [nn.Upsample(scale_factor=2), convolution(2 * features, features, 5)]
        layers += [LayerNorm(features), relu()]
    return [*layers, convolution(ngf, channels, 7), nn.Tanh()]


# ---- networks ----------------------------------------------------------------------------------------


class StyleEncoder(nn.Sequential):
    """Images [N, C, H, W] -> style codes [N, style_size] (figure 3).

    No norm: it would take away the means and deviations that are the style.
    """

    def __init__(self, config: MUNITConfig) -> None:
        ngf = config.ngf
        features = [ngf * min(2**k, 4) for k in range(STYLE_HALVINGS + 1)]
        layers: list[nn.Module] = [convolution(config.channels, ngf, 7), relu()]
        for k in range(STYLE_HALVINGS):
            layers += [convolution(features[k], features[k + 1], 4, stride=2), relu()]
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(features[-1], config.style_size, 1), nn.Flatten()
        )


class ContentEncoder(nn.Sequential):
    """Images [N, C, H, W] -> content codes [N, 4 ngf, H/4, W/4] with two halvings (figure 3)."""

    def __init__(self, config: MUNITConfig) -> None:
        features = config.ngf * 2**config.halvings
        super().__init__(
            *halving_layers(config.channels, config.ngf, config.halvings),
            *(ResidualBlock(features) for _ in range(config.blocks)),
        )


class Decoder(nn.Module):
    """Content codes [N, features, h, w] and style codes [N, style_size] -> images in [-1, 1] (figure 3).

    A small fully connected network makes of the style all that the adaptive instance norms need.
    """

    def __init__(self, config: MUNITConfig) -> None:
        super().__init__()
        features, hidden = config.ngf * 2**config.halvings, config.mlp_features
        self.blocks = nn.ModuleList(StyledBlock(features) for _ in range(config.blocks))
        self.back = nn.Sequential(*doubling_layers(config.channels, config.ngf, config.halvings))
        self.mlp = nn.Sequential(
            nn.Linear(config.style_size, hidden),
            relu(),
            nn.Linear(hidden, hidden),
            relu(),
            nn.Linear(hidden, config.blocks * 4 * features),
        )

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        numbers = self.mlp(style).view(style.shape[0], len(self.blocks), 4, -1)
        h = content
        for block, own in zip(self.blocks, numbers.unbind(1), strict=True):
            h = block(h, own)
        return self.back(h)


class Discriminator(nn.Module):
    """Images -> for each scale a list of one map of scores [N, 1, h, w] (section 5.1).

    Strided convolutions with LeakyReLU of slope 0.2 and no norm; each scale has weights of its own.
    """

    def __init__(self, channels: int, ndf: int, layers: int, scales: int) -> None:
        super().__init__()
        features = [channels, *(ndf * 2**k for k in range(layers))]
        self.scales = nn.ModuleList()
        for _ in range(scales):
            scale: list[nn.Module] = []
            for k in range(layers):
                scale += [convolution(features[k], features[k + 1], 4, stride=2)]
                scale += [nn.LeakyReLU(0.2, inplace=True)]
            self.scales.append(nn.Sequential(*scale, nn.Conv2d(features[-1], 1, 1)))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, images: Tensor) -> losses.Nested:
        outputs = []
        for level, scale in enumerate(self.scales):
            if level > 0:
                images = self.halve(images)
            outputs.append([scale(images)])
        return outputs


@torch.no_grad()
def initialise(network: nn.Module, kind: str) -> None:
    """Weights of convolutions and linear layers "kaiming" (He et al. 2015, normal, by the inputs) or "normal"
    of standard deviation 0.02; biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if kind == "kaiming":
                nn.init.kaiming_normal_(module.weight)
            else:
                nn.init.normal_(module.weight, 0.0, 0.02)
            nn.init.zeros_(module.bias)


# ---- costs -------------------------------------------------------------------------------------------


def summed_game(name: str) -> losses.Game:
    """The game summed over the scales; least squares without the factor 1/2, as in the authors' code."""
    game = losses.over_scales(losses.game(name), "sum")
    if name != "least_squares":
        return game
    return game._replace(
        discriminator=lambda real, fake: 2 * game.discriminator(real, fake),
        generator=lambda fake: 2 * game.generator(fake),
    )


def discriminator_terms(game: losses.Game, *judged: tuple[losses.Nested, losses.Nested]) -> dict[str, Tensor]:
    """The terms of the discriminators, from what each of them says of (real, generated) images."""
    real = [scale for pair in judged for scale in pair[0]]
    fake = [scale for pair in judged for scale in pair[1]]
    return {
        "discriminator": torch.stack([game.discriminator(*pair) for pair in judged]).sum(),
        **losses.watched(game, losses.all_scores(real), losses.all_scores(fake)),
    }


def domain_invariant_distance(features: perceptual.FrozenFeatures, x: Tensor, y: Tensor) -> Tensor:
    """E (F(x) - F(y))^2, each of the network's last maps instance-normalised (section 5.1).

    Without their means and deviations, which go with the domain, the maps tell what is where. `y` is the
    target: no gradient reaches it.
    """
    with torch.no_grad():
        target = F.instance_norm(features(y)[-1])
    return F.mse_loss(F.instance_norm(features(x)[-1]), target)


# ---- the method --------------------------------------------------------------------------------------


class MUNIT(Method):
    """Encoders take content and style of an image apart, decoders put any two together.

    Networks whose name ends in _a belong to domain A: they read and make its images, and
    `discriminator_a` judges them. An image is translated by decoding its content in the other domain
    with a style from there: of an image, or drawn from a normal distribution.

    Each step draws styles once: both players look at the same translations, where the authors draw again
    for the generators. All is encoded and decoded once; only the translations are encoded again, in the
    generators' turn.
    """

    name = "munit"
    paper = "Huang et al. 2018, Multimodal Unsupervised Image-to-Image Translation"
    config_class = MUNITConfig
    players = {
        "discriminator": ("discriminator_a", "discriminator_b"),
        "generator": (
            *("style_encoder_a", "content_encoder_a", "decoder_a"),
            *("style_encoder_b", "content_encoder_b", "decoder_b"),
        ),
    }
    sampling_networks = players["generator"]
    needs = ("image_a", "image_b")
    translates = ("image_a", "image_b")

    def __init__(self, config: MUNITConfig) -> None:
        super().__init__(config)
        check(config)
        self.game = summed_game(config.game)
        self.features = perceptual.features(config.perceptual)  # no module, hence no network of the method
        self.style_encoder_a = StyleEncoder(config)
        self.content_encoder_a = ContentEncoder(config)
        self.decoder_a = Decoder(config)
        self.style_encoder_b = StyleEncoder(config)
        self.content_encoder_b = ContentEncoder(config)
        self.decoder_b = Decoder(config)
        self.discriminator_a = Discriminator(config.channels, config.ndf, config.layers, config.scales)
        self.discriminator_b = Discriminator(config.channels, config.ndf, config.layers, config.scales)
        for player, networks in self.players.items():
            for name in networks:
                initialise(self.networks[name], "kaiming" if player == "generator" else "normal")

    @property
    def loss_weights(self) -> dict[str, float]:
        config = self.config
        return losses.WATCHED | {
            "discriminator": config.adversarial_weight,
            "generator": config.adversarial_weight,
            "images": config.image_weight,
            "styles": config.style_weight,
            "contents": config.content_weight,
            "cycles": config.cycle_weight,
            "perceptual": config.perceptual_weight,
        }

    # ---- one step ----

    def forward_generators(self, batch: Batch) -> Batch:
        """All codes, the images rebuilt from their own codes, and the translations.

        `drawn_a` are styles of A drawn at random, [N, style_size]; `fake_a` are the contents of B in
        those styles, `rebuilt_a` the images of A with their own. A decoder makes both in one call: its
        norms let no image know of the others.
        """
        outputs = {}
        for domain in "ab":
            images = batch[f"image_{domain}"]
            outputs[f"content_{domain}"] = self.networks[f"content_encoder_{domain}"](images)
            outputs[f"style_{domain}"] = self.networks[f"style_encoder_{domain}"](images)
            outputs[f"drawn_{domain}"] = self.draw_noise(len(images))
        for domain, other in ("ab", "ba"):
            contents = torch.cat([outputs[f"content_{domain}"], outputs[f"content_{other}"]])
            styles = torch.cat([outputs[f"style_{domain}"], outputs[f"drawn_{domain}"].to(contents.dtype)])
            rebuilt, fake = self.networks[f"decoder_{domain}"](contents, styles).chunk(2)
            outputs |= {f"rebuilt_{domain}": rebuilt, f"fake_{domain}": fake}
        return outputs

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """The terms of equation 5, each summed over the domains."""
        if player == "generator":
            return self.generator_loss(batch, outputs)
        judged = []
        for domain in "ab":
            real = batch[f"image_{domain}"]
            both = torch.cat([real, outputs[f"fake_{domain}"].detach().to(real.dtype)])
            judged.append(divided(self.networks[f"discriminator_{domain}"](both)))
        return discriminator_terms(self.game, *judged)

    def generator_loss(self, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """The terms of encoders and decoders. The codes that are to be found again move too."""
        terms: dict[str, list[Tensor]] = {"generator": [], "images": [], "styles": [], "contents": []}
        contents = {}
        for domain, other in ("ab", "ba"):
            fake = outputs[f"fake_{domain}"]
            scores = self.networks[f"discriminator_{domain}"](fake)
            style = self.networks[f"style_encoder_{domain}"](fake)
            contents[other] = self.networks[f"content_encoder_{domain}"](fake)
            terms["generator"].append(self.game.generator(scores))
            distances = {
                "images": (outputs[f"rebuilt_{domain}"], batch[f"image_{domain}"]),
                "styles": (style, outputs[f"drawn_{domain}"]),
                "contents": (contents[other], outputs[f"content_{other}"]),
            }
            for name, pair in distances.items():
                terms[name].append(losses.mean_distance(*pair))
        if self.config.cycle_weight:
            terms["cycles"] = []
            for domain in "ab":
                back = self.networks[f"decoder_{domain}"](contents[domain], outputs[f"style_{domain}"])
                terms["cycles"].append(losses.mean_distance(back, batch[f"image_{domain}"]))
        if self.features is not None:
            terms["perceptual"] = [
                domain_invariant_distance(self.features, outputs[f"fake_{domain}"], batch[f"image_{other}"])
                for domain, other in ("ab", "ba")
            ]
        return {name: torch.stack(values).sum() for name, values in terms.items()}

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        config = self.config
        return torch.optim.Adam(
            self.parameters_of(player),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )

    # ---- use ----

    def draw_noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Style codes [count, style_size], standard normal."""
        return draw("normal", (count, self.config.style_size), rng, self.device)

    def encode(self, images: Tensor, domain: str) -> tuple[Tensor, Tensor]:
        """Content codes [N, features, h, w] and style codes [N, style_size] of images of domain "a" or "b".

        Raises ValueError for another domain, or images that do not fit.
        """
        check_images(self, images)
        check_choice("domain", domain, ("a", "b"))
        encoders = [self.networks[f"{kind}_encoder_{domain}"] for kind in ("content", "style")]
        with evaluating(*encoders):
            content, style = (encoder(images.to(self.device)) for encoder in encoders)
        return content, style

    def translate(
        self,
        images: Tensor,
        direction: str = "AtoB",
        style: Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """The images' contents in the other domain, without touching any training state.

        Args:
            images: [N, C, H, W] in [-1, 1], of domain A for "AtoB", of B for "BtoA".
            direction: "AtoB" or "BtoA".
            style: images [N or 1, C, H, W] of the domain that is translated to, whose style is taken, or
                style codes [N or 1, style_size]; None draws styles from `rng`.

        Returns [N, C, H, W]. Raises ValueError for another direction, or images or styles that do not fit.
        """
        check_choice("direction", direction, DOMAINS)
        source, target = DOMAINS[direction]
        check_images(self, images)
        styles = self.style_for(len(images), style, target, rng)
        encoder, decoder = self.networks[f"content_encoder_{source}"], self.networks[f"decoder_{target}"]
        with evaluating(encoder, decoder):
            return decoder(encoder(images.to(self.device)), styles)

    def style_for(self, count: int, style: Tensor | None, domain: str, rng: torch.Generator | None) -> Tensor:
        """Style codes [count, style_size] for `translate`."""
        if style is None:
            return self.draw_noise(count, rng)
        codes = self.encode(style, domain)[1] if style.dim() == 4 else style.to(self.device)
        if codes.dim() != 2 or codes.shape[1] != self.config.style_size or len(codes) not in (1, count):
            raise ValueError(
                f"style is a tensor of shape {tuple(style.shape)}; {count} images take style codes of shape "
                f"({count}, {self.config.style_size}), or images, or one of either for all"
            )
        return codes.expand(count, -1)

    def sample(
        self, count, *, inputs=None, labels=None, noise=None, rng=None, direction: str = "AtoB"
    ) -> Tensor:
        """`count` images of `inputs` translated in `direction`; `noise` are styles [count, style_size]."""
        inputs = check_inputs(self, count, inputs)
        check_choice("direction", direction, DOMAINS)
        styles = self.noise_for(count, noise, rng)
        return self.translate(inputs[f"image_{DOMAINS[direction][0]}"], direction, styles)

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        return check_inputs(self, count, examples) | {"noise": self.draw_noise(count, rng)}

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Rows of a, a in a style drawn at random, a in the style of b, b, b in a style drawn, b as a."""
        a, b, drawn = preview["image_a"], preview["image_b"], preview["noise"]
        to_b = [self.translate(a, "AtoB", style) for style in (drawn, b)]
        to_a = [self.translate(b, "BtoA", style) for style in (drawn, a)]
        return torch.stack([a, *to_b, b, *to_a], dim=1).flatten(0, 1), 6


def check_images(method: Method, images: Tensor) -> None:
    """Raises ValueError unless these are images that the method's encoders can read."""
    if images.dim() != 4 or images.shape[1] != method.config.channels:
        raise ValueError(
            f"images are a tensor of shape {tuple(images.shape)}; "
            f"this {method.name} takes [N, {method.config.channels}, H, W]"
        )
    step, least = 2**method.config.halvings, smallest_side(method.config)
    if any(side % step or side < least for side in images.shape[2:]):
        height, width = images.shape[2:]
        raise ValueError(
            f"an image of {height} x {width}: both sides must be multiples of {step}, and {least} or more"
        )


def smallest_side(config) -> int:
    """Of an image that can be encoded: mirroring a border takes two pixels, a deviation more than one."""
    return max(2 ** (config.halvings + 1), 2**STYLE_HALVINGS)


def check(config) -> None:
    """Raises ValueError for a configuration that no network can be made of."""
    check_positive(config, "channels", "ngf", "halvings", "blocks", "ndf", "layers", "scales")
    check_choice("game", config.game, GAMES)
    if isinstance(config, MUNITConfig):
        check_positive(config, "style_size", "mlp_features")
    for field in dataclasses.fields(config):
        if field.name.endswith("weight") and getattr(config, field.name) < 0:
            raise ValueError(f"{field.name} is {getattr(config, field.name)}; it must be 0 or more")
    step = 2**config.halvings
    least = max(smallest_side(config), 2 ** (config.layers + config.scales - 1))
    if config.image_size % step or config.image_size < least:
        raise ValueError(
            f"image_size is {config.image_size}; it must be a multiple of {step}, and {least} or more for "
            f"{config.scales} discriminators with {config.layers} strided layers each"
        )
