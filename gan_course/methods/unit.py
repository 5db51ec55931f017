"""UNIT: two domains, one latent space; an image of either is a code that both can decode.

Liu, Breuel, Kautz: Unsupervised Image-to-Image Translation Networks, NIPS 2017 (arXiv:1703.00848). The
layers are those of the authors' later PyTorch code, published with MUNIT.

The authors train for a million steps with one image of each domain a step, and halve the learning rate
every 100,000 steps.
"""

import dataclasses

import torch
from torch import Tensor, nn

from gan_course import losses
from gan_course.methods.base import Batch, Method, check_inputs, evaluating, option
from gan_course.methods.munit import (
    DOMAINS,
    GAMES,
    Discriminator,
    ResidualBlock,
    check_images,
    discriminator_terms,
    domain_invariant_distance,
    doubling_layers,
    halving_layers,
    initialise,
    summed_game,
)
from gan_course.methods.munit import check as check_sizes
from gan_course.nn import perceptual
from gan_course.nn.blocks import check_choice
from gan_course.nn.multiscale import divided


@dataclasses.dataclass(frozen=True)
class UNITConfig:
    """UNIT at 256 x 256 (the authors' configuration; sharing as in section 3 of the paper)."""

    image_size: int = option(256, "height and width of an image in pixels")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    ngf: int = option(64, "features of the encoders' first layers and of the decoders' last")
    halvings: int = option(2, "strided convolutions of an encoder")
    blocks: int = option(4, "residual blocks of an encoder, and of a decoder")
    shared_blocks: int = option(
        1,
        "last blocks of the encoders, and first of the decoders, that both domains share; "
        "0: none, as in the authors' later code",
    )
    ndf: int = option(64, "features of the discriminators' first layer")
    layers: int = option(4, "strided convolutions of a discriminator")
    scales: int = option(3, "discriminators of a domain, each at half the size of the one before")
    game: str = option("least_squares", "the losses: " + ", ".join(GAMES))
    adversarial_weight: float = option(1.0, "weight of the adversarial terms")
    image_weight: float = option(10.0, "weight of the reconstruction of images")
    kl_weight: float = option(0.01, "weight of the divergence of codes from the standard normal")
    cycle_weight: float = option(10.0, "weight of the cycle terms")
    cycle_kl_weight: float = option(0.01, "weight of the divergence of the codes of translations")
    perceptual: str = option(
        "none", "network of the domain-invariant perceptual loss: none, vgg19 (a download) or faces"
    )
    perceptual_weight: float = option(1.0, "weight of the perceptual loss, where there is one")
    learning_rate: float = option(0.0001, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")
    weight_decay: float = option(0.0001, "Adam's weight decay, both players")

    @property
    def features(self) -> int:
        """Channels of a code."""
        return self.ngf * 2**self.halvings

    @property
    def own_blocks(self) -> int:
        """Residual blocks of an encoder, and of a decoder, that belong to one domain alone."""
        return self.blocks - self.shared_blocks


# ---- networks ----------------------------------------------------------------------------------------


def residual_blocks(features: int, count: int) -> list[nn.Module]:
    return [ResidualBlock(features) for _ in range(count)]


class Encoder(nn.Sequential):
    """Images [N, C, H, W] -> the mean of their code [N, 4 ngf, H/4, W/4], up to the shared blocks."""

    def __init__(self, config: UNITConfig) -> None:
        super().__init__(
            *halving_layers(config.channels, config.ngf, config.halvings),
            *residual_blocks(config.features, config.own_blocks),
        )


class Decoder(nn.Sequential):
    """Codes, after the shared blocks -> images in [-1, 1]."""

    def __init__(self, config: UNITConfig) -> None:
        super().__init__(
            *residual_blocks(config.features, config.own_blocks),
            *doubling_layers(config.channels, config.ngf, config.halvings),
        )


def kl_term(mean: Tensor) -> Tensor:
    """The mean of the squares of a code's mean, [N, ...] -> a scalar.

    The code given an image is normal with variance 1, and the prior is standard normal, so
    KL = 1/2 sum_i mean_i^2 (equations 3 and 5). This is twice that for each number of the code, as the
    authors weight it.
    """
    return (mean.float() if mean.dtype in (torch.bfloat16, torch.float16) else mean).square().mean()


# ---- the method --------------------------------------------------------------------------------------


class UNIT(Method):
    """Two variational autoencoders with one latent space, and a discriminator for each domain.

    Networks whose name ends in _a belong to domain A. That two images of one thing have one code is
    enforced by the layers next to the code, which both domains share, and by the cycle.

    Both players look at the same translations of a step; the authors draw the noise on the codes again for
    the generators. All is encoded and decoded once; only the translations are encoded again, in the
    generators' turn.
    """

    name = "unit"
    paper = "Liu et al. 2017, Unsupervised Image-to-Image Translation Networks"
    config_class = UNITConfig
    players = {
        "discriminator": ("discriminator_a", "discriminator_b"),
        "generator": ("encoder_a", "encoder_b", "shared_encoder", "shared_decoder", "decoder_a", "decoder_b"),
    }
    sampling_networks = players["generator"]
    needs = ("image_a", "image_b")
    translates = ("image_a", "image_b")

    def __init__(self, config: UNITConfig) -> None:
        super().__init__(config)
        check(config)
        self.game = summed_game(config.game)
        self.features = perceptual.features(config.perceptual)  # no module, hence no network of the method
        self.encoder_a = Encoder(config)
        self.encoder_b = Encoder(config)
        if config.shared_blocks:
            self.shared_encoder = nn.Sequential(*residual_blocks(config.features, config.shared_blocks))
            self.shared_decoder = nn.Sequential(*residual_blocks(config.features, config.shared_blocks))
        else:
            own = ("encoder_a", "encoder_b", "decoder_a", "decoder_b")
            self.players = self.players | {"generator": own}
            self.sampling_networks = own
        self.decoder_a = Decoder(config)
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
            "KL": config.kl_weight,
            "cycles": config.cycle_weight,
            "KL of cycles": config.cycle_kl_weight,
            "perceptual": config.perceptual_weight,
        }

    # ---- codes ----

    def means(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The means of the codes of images of A and of B, [N, features, h, w] each.

        The shared layers see both at once: their norms let no image know of the others.
        """
        front = torch.cat([self.encoder_a(a), self.encoder_b(b)])
        mean_a, mean_b = self.shared("encoder", front).split([len(a), len(b)])
        return mean_a, mean_b

    def shared(self, kind: str, codes: Tensor) -> Tensor:
        """What the shared layers of encoder or decoder make of codes, of either domain."""
        return self.networks[f"shared_{kind}"](codes) if self.config.shared_blocks else codes

    # ---- one step ----

    def forward_generators(self, batch: Batch) -> Batch:
        """Means of the codes, the images rebuilt from noisy codes, and the translations of the same codes.

        `fake_b` are images of A decoded as B. A decoder makes rebuilt and translated images in one call.
        """
        mean_a, mean_b = self.means(batch["image_a"], batch["image_b"])
        means = torch.cat([mean_a, mean_b])
        codes = self.shared("decoder", means + torch.randn_like(means))
        rebuilt_a, fake_a = self.decoder_a(codes).chunk(2)
        fake_b, rebuilt_b = self.decoder_b(codes).chunk(2)
        rebuilt = {"rebuilt_a": rebuilt_a, "rebuilt_b": rebuilt_b}
        return rebuilt | {"fake_a": fake_a, "fake_b": fake_b, "mean_a": mean_a, "mean_b": mean_b}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """The terms of equation 2, each summed over the domains."""
        if player == "generator":
            return self.generator_loss(batch, outputs)
        judged = []
        for domain in "ab":
            real = batch[f"image_{domain}"]
            both = torch.cat([real, outputs[f"fake_{domain}"].detach().to(real.dtype)])
            judged.append(divided(self.networks[f"discriminator_{domain}"](both)))
        return discriminator_terms(self.game, *judged)

    def generator_loss(self, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """The terms of encoders and decoders."""
        a, b = batch["image_a"], batch["image_b"]
        scores = self.discriminator_a(outputs["fake_a"]), self.discriminator_b(outputs["fake_b"])
        distance = losses.mean_distance
        terms = {
            "generator": self.game.generator(scores[0]) + self.game.generator(scores[1]),
            "images": distance(outputs["rebuilt_a"], a) + distance(outputs["rebuilt_b"], b),
            "KL": kl_term(outputs["mean_a"]) + kl_term(outputs["mean_b"]),
        }
        if self.config.cycle_weight or self.config.cycle_kl_weight:
            mean_b, mean_a = self.means(outputs["fake_a"], outputs["fake_b"])  # of what they were made from
            terms["KL of cycles"] = kl_term(mean_a) + kl_term(mean_b)
        if self.config.cycle_weight:
            means = torch.cat([mean_a, mean_b])
            codes = self.shared("decoder", means + torch.randn_like(means))
            code_a, code_b = codes.chunk(2)
            terms["cycles"] = distance(self.decoder_a(code_a), a) + distance(self.decoder_b(code_b), b)
        if self.features is not None:
            terms["perceptual"] = domain_invariant_distance(self.features, outputs["fake_a"], b)
            terms["perceptual"] += domain_invariant_distance(self.features, outputs["fake_b"], a)
        return terms

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

    def encode(self, images: Tensor, domain: str) -> Tensor:
        """The means of the codes of images of domain "a" or "b": [N, features, h, w].

        Raises ValueError for another domain, or images that do not fit.
        """
        check_choice("domain", domain, ("a", "b"))
        check_images(self, images)
        with evaluating(*self.networks.values()):
            return self.shared("encoder", self.networks[f"encoder_{domain}"](images.to(self.device)))

    def decode(self, codes: Tensor, domain: str) -> Tensor:
        """Images in [-1, 1] of domain "a" or "b" from codes [N, features, h, w].

        Raises ValueError for another domain.
        """
        check_choice("domain", domain, ("a", "b"))
        with evaluating(*self.networks.values()):
            return self.networks[f"decoder_{domain}"](self.shared("decoder", codes.to(self.device)))

    def translate(self, images: Tensor, direction: str = "AtoB") -> Tensor:
        """The images decoded as images of the other domain, without touching any training state.

        The code is the mean: nothing is drawn.

        Args:
            images: [N, C, H, W] in [-1, 1], of domain A for "AtoB", of B for "BtoA".
            direction: "AtoB" or "BtoA".

        Returns [N, C, H, W]. Raises ValueError for another direction, or images that do not fit.
        """
        check_choice("direction", direction, DOMAINS)
        source, target = DOMAINS[direction]
        return self.decode(self.encode(images, source), target)

    def sample(
        self, count, *, inputs=None, labels=None, noise=None, rng=None, direction: str = "AtoB"
    ) -> Tensor:
        """`count` images of `inputs` translated in `direction`, [count, C, H, W]."""
        inputs = check_inputs(self, count, inputs)
        check_choice("direction", direction, DOMAINS)
        return self.translate(inputs[f"image_{DOMAINS[direction][0]}"], direction)

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        return check_inputs(self, count, examples)

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Rows of a, a -> b, a -> b -> a, b, b -> a, b -> a -> b."""
        a, b = preview["image_a"], preview["image_b"]
        to_b, to_a = self.translate(a, "AtoB"), self.translate(b, "BtoA")
        columns = [a, to_b, self.translate(to_b, "BtoA"), b, to_a, self.translate(to_a, "AtoB")]
        return torch.stack(columns, dim=1).flatten(0, 1), len(columns)


def check(config: UNITConfig) -> None:
    """Raises ValueError for a configuration that no network can be made of."""
    check_sizes(config)
    if not 0 <= config.shared_blocks <= config.blocks:
        raise ValueError(
            f"shared_blocks is {config.shared_blocks}; from 0 to all {config.blocks} blocks can be shared"
        )
