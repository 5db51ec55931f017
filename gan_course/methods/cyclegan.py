"""CycleGAN: two ways of drawing, no pairs, and the demand that there and back again is no change.

Zhu, Park, Isola, Efros: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks,
ICCV 2017 (arXiv:1703.10593). Attention, as an option: Emami, Aliabadi, Dong, Chinnam: SPA-GAN: Spatial
Attention GAN for Image-to-Image Translation, 2019 (arXiv:1908.06616).

The paper trains for 200 epochs with one image of each domain a step, the learning rate constant for the
first half and falling linearly to zero over the second: `batch_size=1, epochs=200, decay=0.5`.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import Batch, Method, check_inputs, check_positive, evaluating, option
from gan_course.nn.history import HistoryPool
from gan_course.nn.patchgan import PatchGAN, initialise, smallest_size
from gan_course.nn.resnet import ResNetGenerator, apart, check_sides

ATTENTION = ("none", "spa")
DIRECTIONS = {"AtoB": "ab", "BtoA": "ba"}


@dataclasses.dataclass(frozen=True)
class CycleGANConfig:
    """CycleGAN at 256 x 256 (section 4 and appendix 7)."""

    image_size: int = option(256, "height and width of an image in pixels: a multiple of 4")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    ngf: int = option(64, "features of a generator's first layer")
    blocks: int = option(0, "residual blocks of a generator; 0: the paper's, 6 below 256 pixels, else 9")
    ndf: int = option(64, "features of a discriminator's first layer")
    layers: int = option(3, "strided layers of a discriminator: 3 judge patches of 70 x 70, 1 of 16 x 16")
    cycle: float = option(10.0, "weight lambda of the cycle terms; 0: there is no way back")
    identity: float = option(
        0.5,
        "weight of the identity terms, in parts of lambda: 0.5 for paintings -> photographs in the paper and "
        "always in the authors' code; 0: none",
    )
    history: int = option(50, "generated images kept for each discriminator; 0: only the newest are shown")
    attention: str = option(
        "none", "what multiplies a generator's input: none, or the discriminator's attention (spa)"
    )
    learning_rate: float = option(0.0002, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")
    init_std: float = option(0.02, "standard deviation of the initial weights")

    @property
    def depth(self) -> int:
        """Residual blocks of a generator."""
        return self.blocks or (9 if self.image_size >= 256 else 6)


class AttentiveDiscriminator(PatchGAN):
    """A PatchGAN that can also say where it looks."""

    def forward(self, x: Tensor, attention: bool = False) -> Tensor:
        """Scores [N, 1, h, w], or with `attention` a map [N, 1, H, W] in [0, 1], as in SPA-GAN.

        The map is the sum over the features of the absolute activations of the second-to-last layer,
        divided by its largest value in the image and enlarged bilinearly to the image's size.
        """
        if not attention:
            return super().forward(x)
        *layers, _ = self
        h = x
        for layer in layers:
            h = layer(h)
        strength = h.abs().sum(dim=1, keepdim=True, dtype=torch.float32)
        share = strength / strength.amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        return F.interpolate(share, size=x.shape[-2:], mode="bilinear", align_corners=False)


class CycleGAN(Method):
    """Two generators that undo each other, and two discriminators that know one domain each.

    `discriminator_b` judges images of domain B, those of `generator_ab` among them. (In the authors' code
    it is called D_A, after the generator.)
    """

    name = "cyclegan"
    paper = "Zhu et al. 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
    config_class = CycleGANConfig
    # the authors' order: both generators first, then both discriminators
    players = {
        "generator": ("generator_ab", "generator_ba"),
        "discriminator": ("discriminator_a", "discriminator_b"),
    }
    needs = ("image_a", "image_b")
    translates = ("image_a", "image_b")

    def __init__(self, config: CycleGANConfig) -> None:
        super().__init__(config)
        check(config)
        self.game = losses.GAMES["least_squares"]
        self.generator_ab = ResNetGenerator(config.channels, config.channels, config.ngf, config.depth)
        self.generator_ba = ResNetGenerator(config.channels, config.channels, config.ngf, config.depth)
        build = AttentiveDiscriminator if self.attends else PatchGAN
        self.discriminator_a = build(config.channels, config.ndf, config.layers, norm="instance")
        self.discriminator_b = build(config.channels, config.ndf, config.layers, norm="instance")
        smallest = smallest_size(self.discriminator_a)
        if config.image_size < smallest:
            raise ValueError(
                f"image_size is {config.image_size}; a discriminator with {config.layers} strided layers "
                f"needs {smallest} or more: take larger images or fewer layers"
            )
        for network in self.networks.values():
            initialise(network, config.init_std)
        self.pools = {"a": HistoryPool(config.history), "b": HistoryPool(config.history)}

    @property
    def attends(self) -> bool:
        """Whether generators see their input through a discriminator's attention."""
        return self.config.attention == "spa"

    @property
    def sampling_networks(self) -> tuple[str, ...]:
        """The generators, and the discriminators where they lend their attention."""
        return (*self.players["generator"], *(self.players["discriminator"] if self.attends else ()))

    @property
    def loss_weights(self) -> dict[str, float]:
        cycle, identity = self.config.cycle, self.config.cycle * self.config.identity
        return losses.WATCHED | {
            # the paper halves the discriminator's squares and not the generator's; the game halves both
            "generator": 2.0,
            "cycle_a": cycle,
            "cycle_b": cycle,
            "identity_a": identity,
            "identity_b": identity,
        }

    def get_extra_state(self) -> dict[str, Any]:
        """The histories, which are neither parameters nor buffers: a checkpoint holds them too."""
        return {domain: pool.state_dict() for domain, pool in self.pools.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        for domain, pool in self.pools.items():
            pool.load_state_dict(state[domain])

    # ---- generators ----------------------------------------------------------------------------------

    def attended(self, images: Tensor, domain: str) -> Tensor:
        """The images times the attention of their domain's discriminator; as they are, without attention.

        The attention is taken as given: no gradient reaches the discriminator through it.
        """
        if not self.attends:
            return images
        discriminator = self.networks[f"discriminator_{domain}"]
        with torch.no_grad():
            attention = discriminator(images, attention=True)
        return images * attention.to(images.dtype)

    def forward_generators(self, batch: Batch) -> Batch:
        """Translations, the way back from them, and what each generator does to its own target domain.

        `fake_b` = G_AB(a), `cycle_a` = G_BA(G_AB(a)) and `identity_b` = G_AB(b), and so with A and B
        exchanged; [N, C, H, W] each. The translation and the identity of a generator are made in one
        call: instance norm keeps them apart. Identities are left out where their weight is 0, the ways
        back where that of the cycle is.
        """
        a, b = self.attended(batch["image_a"], "a"), self.attended(batch["image_b"], "b")
        to_b, to_a = ((a, b), (b, a)) if self.config.identity * self.config.cycle else ((a,), (b,))
        fake_b, *identity_b = apart(self.generator_ab, *to_b)
        fake_a, *identity_a = apart(self.generator_ba, *to_a)
        outputs = {"fake_b": fake_b, "fake_a": fake_a}
        if self.config.cycle:
            outputs["cycle_a"] = self.generator_ba(self.attended(fake_b, "b"))
            outputs["cycle_b"] = self.generator_ab(self.attended(fake_a, "a"))
        if identity_a:
            outputs |= {"identity_a": identity_a[0], "identity_b": identity_b[0]}
        return outputs

    # ---- costs ---------------------------------------------------------------------------------------

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """The terms of equation 3, each of both directions; the identity terms are those of section 5.2.

        The discriminator's fakes come from the histories (section 4): every call exchanges images there.
        """
        if player == "generator":
            scores = (self.discriminator_b(outputs["fake_b"]), self.discriminator_a(outputs["fake_a"]))
            terms = {"generator": self.game.generator(scores[0]) + self.game.generator(scores[1])}
            for name in ("cycle_a", "cycle_b", "identity_a", "identity_b"):
                if name in outputs:
                    terms[name] = (outputs[name] - batch[f"image_{name[-1]}"]).abs().mean()
            return terms
        real_a, fake_a = self.judge("a", batch, outputs)
        real_b, fake_b = self.judge("b", batch, outputs)
        cost = self.game.discriminator(real_a, fake_a) + self.game.discriminator(real_b, fake_b)
        real, fake = torch.cat([real_a, real_b]), torch.cat([fake_a, fake_b])
        return {"discriminator": cost, **losses.watched(self.game, real, fake)}

    def judge(self, domain: str, batch: Batch, outputs: Batch) -> list[Tensor]:
        """A discriminator's scores of real images and of the history's, in one call."""
        real = batch[f"image_{domain}"]
        fake = self.pools[domain](outputs[f"fake_{domain}"].to(real.dtype))
        return apart(self.networks[f"discriminator_{domain}"], real, fake)

    # ---- use -----------------------------------------------------------------------------------------

    def translate(self, images: Tensor, direction: str = "AtoB") -> Tensor:
        """The images in the other domain's manner, without touching any training state.

        Args:
            images: [N, C, H, W] in [-1, 1], of domain A for "AtoB", of B for "BtoA". H and W may differ
                from those of the training: multiples of 4.
            direction: "AtoB" or "BtoA".

        Raises ValueError for another direction, number of channels or size.
        """
        source, generator = self.route(images, direction)
        with evaluating(*self.networks.values()):
            return generator(self.attended(images.to(self.device), source))

    def attend(self, images: Tensor, direction: str = "AtoB") -> Tensor:
        """Where the discriminator of the images' domain looks: maps [N, 1, H, W] in [0, 1].

        They are what `translate` multiplies the images with. Raises ValueError as `translate` does, and
        for a method without attention.
        """
        source, _ = self.route(images, direction)
        if not self.attends:
            raise ValueError('this cyclegan was built without attention; build it with attention="spa"')
        discriminator = self.networks[f"discriminator_{source}"]
        with evaluating(discriminator):
            return discriminator(images.to(self.device), attention=True)

    def route(self, images: Tensor, direction: str) -> tuple[str, torch.nn.Module]:
        """The domain that the images are of, and the generator that leads out of it."""
        if direction not in DIRECTIONS:
            raise ValueError(f"direction is {direction!r}; it must be one of {', '.join(DIRECTIONS)}")
        if images.dim() != 4 or images.shape[1] != self.config.channels:
            raise ValueError(
                f"images are a tensor of shape {tuple(images.shape)}; "
                f"this cyclegan takes [N, {self.config.channels}, H, W]"
            )
        check_sides(*images.shape[-2:])
        return DIRECTIONS[direction][0], self.networks[f"generator_{DIRECTIONS[direction]}"]

    def sample(
        self, count, *, inputs=None, labels=None, noise=None, rng=None, direction: str = "AtoB"
    ) -> Tensor:
        """`count` images of `inputs` translated in `direction`, [count, C, H, W]."""
        inputs = check_inputs(self, count, inputs)
        return self.translate(inputs[f"image_{direction[0].lower()}"], direction)

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        return check_inputs(self, count, examples)

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Rows of a, a -> b, a -> b -> a, b, b -> a, b -> a -> b."""
        a, b = preview["image_a"], preview["image_b"]
        to_b, to_a = self.translate(a, "AtoB"), self.translate(b, "BtoA")
        columns = [a, to_b, self.translate(to_b, "BtoA"), b, to_a, self.translate(to_a, "AtoB")]
        return torch.stack(columns, dim=1).flatten(0, 1), len(columns)

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(
            self.parameters_of(player), lr=self.config.learning_rate, betas=betas, fused=True
        )


def check(config: CycleGANConfig) -> None:
    """Raises ValueError for a configuration that no network can be made of."""
    check_positive(config, "channels", "ngf", "ndf", "layers")
    if config.image_size < 8 or config.image_size % 4:
        raise ValueError(f"image_size is {config.image_size}; it must be a multiple of 4, and 8 or more")
    for name in ("blocks", "cycle", "identity", "history"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
    if config.attention not in ATTENTION:
        raise ValueError(f"attention is {config.attention!r}; it must be one of {', '.join(ATTENTION)}")
