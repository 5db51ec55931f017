"""pix2pixHD: label maps to large images, with discriminators on several scales.

Wang, Liu, Zhu, Tao, Kautz, Catanzaro: High-Resolution Image Synthesis and Semantic Manipulation with
Conditional GANs, CVPR 2018 (arXiv:1711.11585). The order of layers, and what the paper leaves open, are
those of the authors' PyTorch code.

The paper trains for 200 epochs with one image a step, the learning rate constant for the first half and
falling linearly to zero over the second: `batch_size=1, epochs=200, decay=0.5`.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from gan_course import losses
from gan_course.methods.base import Batch, Method, check_inputs, check_positive, evaluating, option
from gan_course.nn import perceptual
from gan_course.nn.blocks import check_choice
from gan_course.nn.label_maps import edges_between, one_hot, paint
from gan_course.nn.multiscale import MultiscaleDiscriminator, divided, halving, smallest_size
from gan_course.nn.patchgan import initialise
from gan_course.nn.resnet import ResidualBlock, ResNetGenerator, check_sides

EDGES = ("instance", "label", "none")

LOCAL = {"image_size": 1024, "ngf": 32, "enhancers": 1}
"""The paper's second stage, the local enhancer: `methods.build("pix2pixhd", **LOCAL)`."""


@dataclasses.dataclass(frozen=True)
class Pix2PixHDConfig:
    """The global generator with three discriminators, for the 35 classes of Cityscapes."""

    image_size: int = option(512, "height and width of an image in pixels")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    label_nc: int = option(35, "classes of the label maps; 0: start from pictures, not from label maps")
    input_channels: int = option(3, "channels of the input pictures, where label_nc is 0")
    edges: str = option("instance", "edges drawn beside the input: of instance or label maps, or none")
    ngf: int = option(64, "features of the generator at full size; 32 with one local enhancer")
    halvings: int = option(4, "strided layers of the global generator")
    blocks: int = option(9, "residual blocks of the global generator")
    enhancers: int = option(0, "local enhancers around the global generator; each doubles the size")
    enhancer_blocks: int = option(3, "residual blocks of a local enhancer")
    ndf: int = option(64, "features of a discriminator's first layer")
    discriminator_layers: int = option(3, "strided layers of a discriminator")
    scales: int = option(3, "discriminators, each on images of half the size")
    game: str = option("least_squares", "the losses: " + ", ".join(losses.GAMES))
    feature_weight: float = option(10.0, "weight of feature matching; 0: none")
    perceptual: str = option("none", "network of the perceptual loss: none, vgg19 (a download) or faces")
    perceptual_weight: float = option(10.0, "weight of the perceptual loss, where there is one")
    learning_rate: float = option(0.0002, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")
    init_std: float = option(0.02, "standard deviation of the initial weights")

    @property
    def condition_channels(self) -> int:
        """Channels of what the generator starts from: classes or picture, and the edges."""
        return (self.label_nc or self.input_channels) + (self.edges != "none")


# ---- the generator -----------------------------------------------------------------------------------


class Enhancer(nn.Module):
    """A local enhancer without its last layer: twice the size of what the generator inside it works at.

    The condition [N, C, H, W] -> 2 features [N, 2 features, H/2, W/2], to which the inner generator's maps
    are added; residual blocks; -> [N, features, H, W] (section 3.2, figure 3).
    """

    def __init__(self, in_channels: int, features: int, blocks: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, features, 7),
            nn.InstanceNorm2d(features),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, 2 * features, 3, stride=2, padding=1),
            nn.InstanceNorm2d(2 * features),
            nn.ReLU(inplace=True),
        )
        self.up = nn.Sequential(
            *(ResidualBlock(2 * features) for _ in range(blocks)),
            nn.ConvTranspose2d(2 * features, features, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm2d(features),
            nn.ReLU(inplace=True),
        )

    def forward(self, condition: Tensor, inner: Tensor) -> Tensor:
        return self.up(self.down(condition) + inner)


class Generator(nn.Module):
    """A condition [N, C, H, W] -> images [N, channels, H, W] in [-1, 1], from coarse to fine.

    `coarse` is the global generator without its last layer; it sees the condition at the coarsest level of
    a pyramid. Each of the `enhancers` doubles the size, seeing the condition one level finer; `last` makes
    the image. Without enhancers this is the paper's G1, with one G1 and G2.

    Raises ValueError for a condition whose sides do not leave whole numbers when they are halved.
    """

    def __init__(self, config: Pix2PixHDConfig) -> None:
        super().__init__()
        channels, count = config.condition_channels, config.enhancers
        whole = ResNetGenerator(channels, 1, config.ngf * 2**count, config.blocks, config.halvings)
        self.coarse = nn.Sequential(*list(whole)[:-3])
        self.enhancers = nn.ModuleList(
            Enhancer(channels, config.ngf * 2 ** (count - k), config.enhancer_blocks)
            for k in range(1, count + 1)
        )
        self.last = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(config.ngf, config.channels, 7), nn.Tanh())
        self.halve = halving()
        self.halvings = config.halvings + count

    def forward(self, condition: Tensor) -> Tensor:
        check_sides(*condition.shape[-2:], halvings=self.halvings)
        levels = [condition]
        for _ in self.enhancers:
            levels.append(self.halve(levels[-1]))
        h = self.coarse(levels.pop())
        for enhancer in self.enhancers:
            h = enhancer(levels.pop(), h)
        return self.last(h)


# ---- what it starts from -----------------------------------------------------------------------------


def check_ids(label_map: Tensor, classes: int) -> None:
    """Raises ValueError unless the label map [N, H, W] holds integers below `classes`."""
    if label_map.dim() != 3 or label_map.is_floating_point():
        raise ValueError(
            f"a label map is [N, H, W] of integers, not {label_map.dtype} of shape {tuple(label_map.shape)}"
        )
    if label_map.numel() and not 0 <= int(label_map.min()) <= int(label_map.max()) < classes:
        raise ValueError(
            f"the label map holds ids from {int(label_map.min())} to {int(label_map.max())}; "
            f"this model knows 0 to {classes - 1}"
        )


# ---- the game ----------------------------------------------------------------------------------------


class Pix2PixHD(Method):
    """One generator against discriminators on an image pyramid, and their features as a target.

    Both players move at once, each by its gradient where both still stand, as in the authors' code.
    """

    name = "pix2pixhd"
    paper = (
        "Wang et al. 2018, High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs"
    )
    config_class = Pix2PixHDConfig
    players = {"generator": ("generator",), "discriminator": ("discriminator",)}
    turns = "simultaneous"

    def __init__(self, config: Pix2PixHDConfig) -> None:
        super().__init__(config)
        check(config)
        self.game = losses.game(config.game)
        self.game_over_scales = losses.over_scales(self.game, "sum")
        self.generator = Generator(config)
        self.discriminator = MultiscaleDiscriminator(
            config.condition_channels + config.channels,
            config.ndf,
            config.discriminator_layers,
            config.scales,
        )
        initialise(self.generator, config.init_std)
        initialise(self.discriminator, config.init_std)
        self.features = perceptual.features(config.perceptual)  # no module, hence no network of the method

    @property
    def translates(self) -> tuple[str, ...]:
        """What the image is made from, and whose edges are drawn."""
        source = "label_map" if self.config.label_nc else "input"
        return (source, "instance_map") if self.config.edges == "instance" else (source,)

    @property
    def needs(self) -> tuple[str, ...]:
        return ("image", *self.translates)

    @property
    def loss_weights(self) -> dict[str, float]:
        """As in the authors' code, which halves the discriminator's cost in every game, the generator's in
        none; `losses` has the halves of the least-squares paper, and no others.

        They multiply feature matching by 4 / (layers + 1): as if there were four maps to a scale.
        """
        halved = self.config.game == "least_squares"
        return losses.WATCHED | {
            "generator": 2.0 if halved else 1.0,
            "discriminator": 1.0 if halved else 0.5,
            "feature matching": self.config.feature_weight * 4 / (self.config.discriminator_layers + 1),
            "perceptual": self.config.perceptual_weight,
        }

    def condition(self, batch: Batch) -> Tensor:
        """What the players are told: one-hot classes or a picture, and the edges; [N, C, H, W]."""
        classes = self.config.label_nc
        planes = one_hot(batch["label_map"], classes) if classes else batch["input"]
        if self.config.edges == "none":
            return planes
        ids = batch["instance_map"] if self.config.edges == "instance" else batch["label_map"]
        return torch.cat([planes, edges_between(ids).to(planes.dtype)], dim=1)

    def forward_generators(self, batch: Batch) -> Batch:
        """{"fake": the images made, "condition": what they were made from}."""
        condition = self.condition(batch)
        return {"fake": self.generator(condition), "condition": condition}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """The terms of section 3.2: the game and feature matching; and the perceptual loss.

        The game is added over the scales, feature matching averaged. What the discriminators make of the
        real image is a target for the generator: no gradient reaches it.
        """
        condition, fake = outputs["condition"], outputs["fake"]
        real = batch["image"].to(fake.dtype)
        if player == "generator":
            of_fake = self.judge(condition, fake)
            terms = {"generator": self.game_over_scales.generator(of_fake)}
            if self.config.feature_weight:
                with torch.no_grad():
                    of_real = self.judge(condition, real)
                terms["feature matching"] = losses.feature_matching(of_real, of_fake)
            if self.features is not None:
                terms["perceptual"] = self.features.distance(fake, real)
            return terms
        # one call for both kinds: with instance norm, no image knows of the others
        images = torch.cat([real, fake.detach()])
        of_real, of_fake = divided(self.judge(torch.cat([condition, condition]), images))
        scores = losses.all_scores(of_real), losses.all_scores(of_fake)
        return {
            "discriminator": self.game_over_scales.discriminator(of_real, of_fake),
            **losses.watched(self.game, *scores),
        }

    def judge(self, condition: Tensor, images: Tensor) -> losses.Nested:
        """What the discriminators say of images, given what they were to be made from."""
        return self.discriminator(torch.cat([condition.to(images.dtype), images], dim=1))

    # ---- use ---------------------------------------------------------------------------------------------

    def translate(self, source: Tensor, instance_map: Tensor | None = None) -> Tensor:
        """Images in [-1, 1], [N, channels, H, W], from label maps or pictures of any size that fits.

        Args:
            source: label maps, int64 [N, H, W]; pictures [N, input_channels, H, W] where label_nc is 0.
            instance_map: ids of objects, integers [N, H, W], where the edges are those of instances.

        Raises:
            ValueError: an unknown class, an instance map that is missing or none too many, or sides that
                cannot be halved often enough.
        """
        wants = "instance_map" in self.translates
        if wants != (instance_map is not None):
            raise ValueError(
                f"this pix2pixhd was built with edges {self.config.edges!r} and takes "
                f"{'an' if wants else 'no'} instance_map"
            )
        inputs = {self.translates[0]: source}
        if wants:
            inputs["instance_map"] = instance_map
        return self.sample(len(source), inputs=inputs)

    def sample(self, count, *, inputs=None, labels=None, noise=None, rng=None) -> Tensor:
        """`count` images made from the rows of `inputs`; pix2pixHD takes no noise."""
        inputs = check_inputs(self, count, inputs)
        if self.config.label_nc:
            check_ids(inputs["label_map"], self.config.label_nc)
            inputs["label_map"] = inputs["label_map"].long()
        with evaluating(self.generator):
            return self.generator(self.condition(inputs))

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        return check_inputs(self, count, examples) | {"image": examples["image"]}

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Rows of input, output and target."""
        target = preview["image"]
        shown = [self.shown(preview), self.sample(len(target), inputs=preview), target]
        return torch.stack([picture.expand(-1, 3, -1, -1) for picture in shown], dim=1).flatten(0, 1), 3

    def shown(self, inputs: Batch) -> Tensor:
        """What the images start from as pictures [N, 3, H, W] in [-1, 1]: classes get colours."""
        if not self.config.label_nc:
            return inputs["input"][:, :3] if self.config.input_channels >= 3 else inputs["input"][:, :1]
        return paint(inputs["label_map"], self.config.label_nc, self.config.channels)

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        """Adam over what learns: `generator.coarse.requires_grad_(False)` leaves the coarse part as it is."""
        learning = [p for p in self.parameters_of(player) if p.requires_grad]
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(learning, lr=self.config.learning_rate, betas=betas, fused=True)


def enlarge(method: Pix2PixHD, **fields: Any) -> Pix2PixHD:
    """A method for images of twice the size: a new local enhancer around what `method`'s generator knows.

    The paper trains it in two steps (section 3.2): first the enhancer alone, then all together.

        fine = enlarge(coarse)
        fine.generator.coarse.requires_grad_(False)  # then train; then requires_grad_(True), and train on

    Args:
        method: trained at the smaller size.
        fields: of the configuration, to be other than the old ones; `image_size`, `ngf` and `enhancers`
            follow from those of `method`.

    Raises ValueError for an odd ngf, which cannot be halved.
    """
    old = method.config
    if old.ngf % 2:
        raise ValueError(f"ngf is {old.ngf}; to be halved for an enhancer it must be even")
    grown = {"image_size": 2 * old.image_size, "ngf": old.ngf // 2, "enhancers": old.enhancers + 1}
    new = Pix2PixHD(dataclasses.replace(old, **fields, **grown)).to(method.device)
    new.generator.coarse.load_state_dict(method.generator.coarse.state_dict())
    new.generator.enhancers[:-1].load_state_dict(method.generator.enhancers.state_dict())
    return new


def check(config: Pix2PixHDConfig) -> None:
    """Raises ValueError for a configuration that no network can be made of."""
    check_positive(config, "channels", "ngf", "halvings", "ndf", "discriminator_layers", "scales")
    check_choice("edges", config.edges, EDGES)
    if config.label_nc < 0 or (config.label_nc == 0 and config.input_channels < 1):
        raise ValueError(
            f"label_nc is {config.label_nc} and input_channels {config.input_channels}: there must be a "
            "class or a channel to start from"
        )
    if config.label_nc == 0 and config.edges == "label":
        raise ValueError(
            "edges is 'label', and with label_nc 0 there are no label maps: take instance or none"
        )
    for name in ("blocks", "enhancers", "enhancer_blocks", "feature_weight", "perceptual_weight"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
    halved = config.halvings + config.enhancers
    if config.image_size % 2**halved or config.image_size < 2 * 2**halved:
        raise ValueError(
            f"image_size is {config.image_size}; the generator halves it {halved} times, so it must be a "
            f"multiple of {2**halved}, and {2 * 2**halved} or more"
        )
    if config.image_size < smallest_size(config.scales):
        raise ValueError(
            f"image_size is {config.image_size}; {config.scales} scales need {smallest_size(config.scales)} "
            "pixels or more"
        )
