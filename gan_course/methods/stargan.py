"""StarGAN: one generator for many domains, told by a label where to go.

Choi, Choi, Kim, Ha, Kim, Choo: StarGAN: Unified Generative Adversarial Networks for Multi-Domain
Image-to-Image Translation, CVPR 2018 (arXiv:1711.09020). The networks are those of its appendix (tables 4
and 5); the order of layers is that of the authors' PyTorch code.

The paper trains for 200,000 moves of the discriminator with 16 images each, the learning rate constant for
the first half and falling linearly to zero over the second: `batch_size=16, steps=200000, decay=0.5`.
"""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import (
    Batch,
    Method,
    check_inputs,
    check_labels,
    check_positive,
    evaluating,
    option,
)
from gan_course.nn.resnet import check_sides

SHOWN_DOMAINS = 8  # columns of a sample grid, at most


@dataclasses.dataclass(frozen=True)
class StarGANConfig:
    """StarGAN for five attributes of CelebA at 128 x 128 (section 5 and appendix)."""

    image_size: int = option(128, "height and width of an image in pixels: a multiple of 2^layers and of 4")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    num_classes: int = option(
        0, "number of labels, where each image is of one domain; 0: domains are attributes, yes or no each"
    )
    attributes: tuple[int, ...] = option(
        (0, 1, 2, 3, 4), "places of the tags that are translated, where num_classes is 0"
    )
    ngf: int = option(64, "features of the generator's first layer")
    blocks: int = option(6, "residual blocks of the generator")
    ndf: int = option(64, "features of the discriminator's first layer; each later one has twice as many")
    layers: int = option(6, "strided layers of the discriminator")
    running_statistics: bool = option(
        False,
        "in use, normalise by averages over training, as the authors' code and weights do; False: every "
        "image by its own statistics, in use as in training",
    )
    penalty: float = option(10.0, "weight lambda_gp of the gradient penalty")
    class_weight: float = option(1.0, "weight lambda_cls of the classification terms")
    reconstruction: float = option(10.0, "weight lambda_rec of the reconstruction term")
    critic_steps: int = option(5, "moves of the discriminator to one of the generator")
    learning_rate: float = option(0.0001, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    beta2: float = option(0.999, "Adam's second beta")

    @property
    def domains(self) -> int:
        """Length k of a label: its classes one-hot, or its attributes."""
        return self.num_classes or len(self.attributes)


class ResidualBlock(nn.Module):
    """[N, features, H, W] -> the same shape: two convolutions whose result is added to their input."""

    def __init__(self, features: int, running_statistics: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            normalisation(features, running_statistics),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            normalisation(features, running_statistics),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def normalisation(features: int, running_statistics: bool) -> nn.InstanceNorm2d:
    """Instance norm with gain and offset."""
    return nn.InstanceNorm2d(features, affine=True, track_running_stats=running_statistics)


class Generator(nn.Module):
    """Images [N, C, H, W] and labels [N, k] -> images [N, C, H, W] in [-1, 1] (table 4).

    Each entry of the label becomes a plane of that value beside the image's channels. Padding is zero
    and must be: a constant plane that is padded by reflection stays constant, a convolution turns it into
    a constant, and the instance norm behind takes constants away, so the label would be lost.
    """

    def __init__(self, config: StarGANConfig) -> None:
        super().__init__()
        ngf, running = config.ngf, config.running_statistics
        layers: list[nn.Module] = [
            nn.Conv2d(config.channels + config.domains, ngf, 7, padding=3, bias=False),
            normalisation(ngf, running),
            nn.ReLU(inplace=True),
        ]
        for features in (ngf, 2 * ngf):
            layers += [
                nn.Conv2d(features, 2 * features, 4, stride=2, padding=1, bias=False),
                normalisation(2 * features, running),
                nn.ReLU(inplace=True),
            ]
        layers += [ResidualBlock(4 * ngf, running) for _ in range(config.blocks)]
        for features in (4 * ngf, 2 * ngf):
            layers += [
                nn.ConvTranspose2d(features, features // 2, 4, stride=2, padding=1, bias=False),
                normalisation(features // 2, running),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.Conv2d(ngf, config.channels, 7, padding=3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        planes = labels[:, :, None, None].expand(-1, -1, *x.shape[-2:])
        return self.main(torch.cat([x, planes.to(x.dtype)], dim=1))


class Discriminator(nn.Module):
    """Images -> scores [N, 1, h, w], and logits of the domains [N, k] (table 5).

    Strided convolutions with LeakyReLU of slope 0.01 and no norm, since the gradient penalty speaks of
    one image at a time. The classifier sees all of the image.
    """

    def __init__(self, config: StarGANConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = config.channels
        for k in range(config.layers):
            layers += [nn.Conv2d(before, config.ndf * 2**k, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
            before = config.ndf * 2**k
        self.main = nn.Sequential(*layers)
        self.score = nn.Conv2d(before, 1, 3, padding=1, bias=False)
        side = config.image_size // 2**config.layers
        self.classify = nn.Conv2d(before, config.domains, side, bias=False)

    def forward(self, x: Tensor, to_classify: int | None = None) -> tuple[Tensor, Tensor]:
        """Scores of all images, logits of the first `to_classify` of them; None: of all."""
        features = self.main(x)
        read = features[:to_classify]
        answers = self.classify(read).flatten(1) if len(read) else read.new_empty(0, 0)
        return self.score(features), answers


class StarGAN(Method):
    """A generator that turns an image of any domain into any other, and a critic that names domains."""

    name = "stargan"
    paper = "Choi et al. 2018, StarGAN: Unified GANs for Multi-Domain Image-to-Image Translation"
    config_class = StarGANConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}

    def __init__(self, config: StarGANConfig) -> None:
        super().__init__(config)
        check(config)
        self.game = losses.GAMES["wasserstein"]
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)

    @property
    def needs(self) -> tuple[str, ...]:
        return ("image", "label") if self.config.num_classes else ("image", "tags")

    @property
    def translates(self) -> tuple[str, ...]:
        """The images, and their own labels, which are dealt out anew where no others are given."""
        return self.needs

    @property
    def turns(self) -> str:
        return f"alternating:{self.config.critic_steps}"

    @property
    def loss_weights(self) -> dict[str, float]:
        return losses.WATCHED | {
            "gradient penalty": self.config.penalty,
            "classes of x": self.config.class_weight,
            "classes of G(x)": self.config.class_weight,
            "reconstruction": self.config.reconstruction,
        }

    # ---- labels --------------------------------------------------------------------------------------

    def labels_of(self, batch: Batch) -> Tensor:
        """The label vectors of a batch, [N, k] float: classes one-hot, or the chosen attributes.

        Raises ValueError for an attribute that the tags do not have.
        """
        if self.config.num_classes:
            return F.one_hot(batch["label"], self.config.num_classes).float()  # a check would read numbers
        tags = batch["tags"]
        if max(self.config.attributes) >= tags.shape[1]:
            raise ValueError(
                f"attributes is {self.config.attributes}; the data have tags 0 to {tags.shape[1] - 1}"
            )
        return tags[:, list(self.config.attributes)]

    def vectors(self, labels: Tensor, count: int) -> Tensor:
        """Labels as `translate` takes them -> [N, k] float, on the method's device.

        Raises ValueError unless they are `count` classes, or `count` rows of attributes in [0, 1].
        """
        if self.config.num_classes:
            classes = check_labels(labels, count, self.config.num_classes)
            return F.one_hot(classes, self.config.num_classes).float().to(self.device)
        rows = torch.as_tensor(labels, dtype=torch.float32)
        if rows.shape != (count, self.config.domains) or not bool(((rows >= 0) & (rows <= 1)).all()):
            raise ValueError(
                f"{count} images need labels of shape ({count}, {self.config.domains}) with entries from 0 "
                f"to 1, one column an attribute, not a tensor of shape {tuple(rows.shape)}"
            )
        return rows.to(self.device)

    # ---- the game ------------------------------------------------------------------------------------

    def forward_generators(self, batch: Batch) -> Batch:
        """Every image in the domain of another image of the batch: {"fake", "target" [N, k]}.

        Dealing out the batch's own labels draws targets as the data are distributed, and no combination
        of attributes that no image has. The way back is made in the generator's turn only, since it is
        not for the discriminator to see.
        """
        labels = self.labels_of(batch)
        target = labels[torch.randperm(len(labels), device=labels.device)]
        return {"fake": self.generator(batch["image"], target), "target": target}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """The terms of equations 5 and 6, the adversarial one as in equation 8."""
        real, fake, labels = batch["image"], outputs["fake"], self.labels_of(batch)
        if player == "generator":
            scores, answers = self.discriminator(fake)
            back = self.generator(fake, labels)
            return {
                "generator": self.game.generator(scores),
                "classes of G(x)": self.classification_loss(answers, outputs["target"]),
                "reconstruction": (back - real).abs().mean(),
            }
        # one call for both kinds: without a norm, no image knows of the others
        fake = fake.detach().to(real.dtype)
        scores, answers = self.discriminator(torch.cat([real, fake]), len(real))
        real_scores, fake_scores = scores.chunk(2)
        return {
            "discriminator": self.game.discriminator(real_scores, fake_scores),
            "gradient penalty": losses.gradient_penalty(lambda x: self.discriminator(x, 0)[0], real, fake),
            "classes of x": self.classification_loss(answers, labels),
            **losses.watched(self.game, real_scores, fake_scores),
        }

    def classification_loss(self, answers: Tensor, labels: Tensor) -> Tensor:
        """-E[log P(label | image)] (equations 2 and 3).

        Args:
            answers: logits [N, k].
            labels: [N, k]: one-hot classes, of which softmax picks one; or attributes, each a yes or no
                of its own, whose costs are summed.
        """
        if self.config.num_classes:
            return F.cross_entropy(answers.float(), labels)
        return F.binary_cross_entropy_with_logits(answers.float(), labels, reduction="none").sum(1).mean()

    # ---- use -----------------------------------------------------------------------------------------

    def translate(self, images: Tensor, labels: Tensor) -> Tensor:
        """The images in the domains that `labels` name, without touching any training state.

        Args:
            images: [N, C, H, W] in [-1, 1]; H and W multiples of 4.
            labels: int64 [N] classes; for attributes [N, k] zeros and ones (or between: half a change).

        Raises ValueError for other shapes or values.
        """
        if images.dim() != 4 or images.shape[1] != self.config.channels:
            raise ValueError(
                f"images are a tensor of shape {tuple(images.shape)}; "
                f"this stargan takes [N, {self.config.channels}, H, W]"
            )
        check_sides(*images.shape[-2:])
        target = self.vectors(labels, len(images))
        with evaluating(self.generator):
            return self.generator(images.to(self.device), target)

    def sample(self, count, *, inputs=None, labels=None, noise=None, rng=None) -> Tensor:
        """`count` images of `inputs` translated; without `labels`, each to the next one's domain."""
        inputs = check_inputs(self, count, inputs)
        if labels is not None:
            return self.translate(inputs["image"], labels)
        target = self.labels_of(inputs).roll(-1, dims=0)
        with evaluating(self.generator):
            return self.generator(inputs["image"], target)

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        """The examples, and what to make of each: {"image", "targets" [M, k]}, M at most 8.

        The targets are the k domains where each example is of exactly one; else the different labels
        among the examples.
        """
        examples = check_inputs(self, count, examples)
        labels = self.labels_of(examples)
        if (labels.sum(dim=1) == 1).all():
            targets = torch.eye(self.config.domains, device=labels.device)
        else:
            targets = torch.unique(labels, dim=0)
        return {"image": examples["image"], "targets": targets[:SHOWN_DOMAINS]}

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """Rows of an image and its translations to every domain of the preview."""
        images, targets = preview["image"], preview["targets"]
        with evaluating(self.generator):
            translated = [self.generator(images, target.expand(len(images), -1)) for target in targets]
        return torch.stack([images, *translated], dim=1).flatten(0, 1), 1 + len(targets)

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(
            self.parameters_of(player), lr=self.config.learning_rate, betas=betas, fused=True
        )


def check(config: StarGANConfig) -> None:
    """Raises ValueError for a configuration that no network can be made of."""
    check_positive(config, "channels", "ngf", "ndf", "layers", "critic_steps")
    for name in ("num_classes", "blocks", "penalty", "class_weight", "reconstruction"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 or more")
    if config.num_classes == 1:
        raise ValueError("num_classes is 1; translation needs two domains or more")
    places = config.attributes
    if not config.num_classes and (not places or min(places) < 0 or len(set(places)) < len(places)):
        raise ValueError(f"attributes is {places}; it must be different places of the tags, counted from 0")
    step = max(4, 2**config.layers)
    if config.image_size % step or config.image_size < max(step, 8):
        raise ValueError(
            f"image_size is {config.image_size}; with {config.layers} layers it must be a multiple of "
            f"{step}, and 8 or more"
        )
