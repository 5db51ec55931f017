"""Wasserstein GAN with gradient penalty and auxiliary classifiers: images made to order by tags.

Auxiliary classifiers: Odena, Olah, Shlens: Conditional Image Synthesis with Auxiliary Classifier GANs,
ICML 2017 (arXiv:1610.09585). Critic: Arjovsky, Chintala, Bottou 2017 (arXiv:1701.07875). Penalty:
Gulrajani et al.: Improved Training of Wasserstein GANs, 2017 (arXiv:1704.00028). The networks and the
three experiments are those of a course homework on tagged cartoon faces.
"""

import dataclasses
import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course import losses
from gan_course.methods.base import (
    Batch,
    Method,
    check_noise,
    check_positive,
    check_power_of_two,
    draw,
    evaluating,
    option,
)
from gan_course.methods.dcgan import Generator, initialise


class Variant(NamedTuple):
    """What an experiment does with the tags."""

    joint: bool
    """One classifier for all tag places at once, rather than one for each kind of tag."""
    adversarial_weight: float
    """Weight of the adversarial term in the cost of either player."""
    classify_fakes: bool
    """The discriminator also learns to read the tags of generated images."""


VARIANTS = {
    "joint_real": Variant(joint=True, adversarial_weight=0.5, classify_fakes=False),
    "joint_both": Variant(joint=True, adversarial_weight=0.5, classify_fakes=True),
    "separate": Variant(joint=False, adversarial_weight=1.0, classify_fakes=True),
    "separate_real": Variant(joint=False, adversarial_weight=1.0, classify_fakes=False),
}
"""The homework's three experiments, and the third with classifiers that learn from real images only."""


@dataclasses.dataclass(frozen=True)
class ACGANConfig:
    """The homework's final experiment, at 128 x 128."""

    image_size: int = option(128, "height and width of an image in pixels: a power of two from 16 to 256")
    channels: int = option(3, "channels of an image: 1 grey, 3 colour")
    noise_size: int = option(100, "length of the noise vector z")
    noise: str = option("normal", "distribution of z: normal or uniform on [-1, 1)")
    tag_sizes: tuple[int, ...] = option((6, 4, 3, 2), "places of each kind of tag: hair, eyes, skin, glasses")
    ngf: int = option(64, "features of the generator's last hidden layer; each earlier one has twice as many")
    ndf: int = option(64, "features of the discriminator's first layer; each later one has twice as many")
    bottleneck: int = option(1024, "features that the classifiers share")
    classifier_features: int = option(128, "features of a classifier's hidden layer")
    variant: str = option("separate", "the experiment: " + ", ".join(VARIANTS))
    game: str = option("wasserstein", "the losses: " + ", ".join(losses.GAMES))
    penalty: float = option(10.0, "weight lambda of the gradient penalty, in the Wasserstein game only")
    critic_steps: int = option(5, "moves of the discriminator to one of the generator")
    class_weight: float = option(1.0, "weight of the generator's classification term")
    reading_weight: float = option(1.0, "weight of the discriminator's classification terms")
    class_noise: float = option(
        0.0, "standard deviation of noise on what the classifiers read, so that faint patterns are no answer"
    )
    class_channel_dropout: float = option(
        0.0,
        "share of images that the classifiers read with one colour missing, so that they learn all colours",
    )
    learning_rate: float = option(0.0001, "Adam's step size, both players")
    beta1: float = option(0.5, "Adam's first beta")
    beta2: float = option(0.9, "Adam's second beta")
    init_std: float = option(0.02, "standard deviation of the initial convolution weights")


class TaggedDiscriminator(nn.Module):
    """Images -> scores [N], and for each kind of tag log-probabilities [N, places].

    Strided convolutions halve the image down to 4 x 4, with LeakyReLU of slope 0.2 and no batch norm:
    the penalty speaks of the gradient at one image, and batch norm would let the others in. The score
    has no sigmoid. With `joint`, one classifier speaks of all places: its one entry is logits.
    """

    def __init__(self, config: ACGANConfig, joint: bool) -> None:
        super().__init__()
        halvings = int(math.log2(config.image_size)) - 2
        features = [config.channels, *(config.ndf * 2**k for k in range(halvings))]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(features):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.critic = nn.Sequential(nn.Conv2d(features[-1], 1, 4), nn.Flatten(0))
        self.bottleneck = nn.Sequential(
            nn.Conv2d(features[-1], config.bottleneck, 4), nn.LeakyReLU(0.2), nn.Flatten()
        )
        sizes = (sum(config.tag_sizes),) if joint else config.tag_sizes
        self.classifiers = nn.ModuleList(
            nn.Sequential(
                nn.Linear(config.bottleneck, config.classifier_features),
                nn.LeakyReLU(0.2),
                nn.Linear(config.classifier_features, places),
                nn.Identity() if joint else nn.LogSoftmax(dim=1),
            )
            for places in sizes
        )

    def forward(self, x: Tensor, classify: bool = True) -> tuple[Tensor, list[Tensor]]:
        features = self.features(x)
        scores = self.critic(features)
        if not classify:
            return scores, []
        shared = self.bottleneck(features)
        return scores, [classifier(shared) for classifier in self.classifiers]


def classification_loss(answers: list[Tensor], tags: Tensor) -> Tensor:
    """-E[log P(tags | x)], summed over the kinds of tags (Odena et al. 2017, equation 3).

    Args:
        answers: log-probabilities [N, places] of each kind, or one tensor of logits [N, all places]
            from a joint classifier, which takes each place for a yes or no of its own.
        tags: one-hot groups side by side, [N, all places].
    """
    if len(answers) == 1:
        return F.binary_cross_entropy_with_logits(answers[0].float(), tags, reduction="none").sum(1).mean()
    groups = tags.split([answer.shape[1] for answer in answers], dim=1)
    chosen = [(answer.float() * group).sum(1) for answer, group in zip(answers, groups, strict=True)]
    return -torch.stack(chosen).sum(0).mean()


class ACGAN(Method):
    """A critic that measures a distance, and classifiers that read the tags, on one body."""

    name = "acgan"
    paper = "Odena et al. 2017, Auxiliary Classifier GANs (with the critic of Gulrajani et al. 2017)"
    config_class = ACGANConfig
    players = {"discriminator": ("discriminator",), "generator": ("generator",)}
    needs = ("image", "tags")

    def __init__(self, config: ACGANConfig) -> None:
        super().__init__(config)
        check_power_of_two(config.image_size)
        check_positive(config, "channels", "noise_size", "ngf", "ndf", "bottleneck", "classifier_features")
        check_positive(config, "critic_steps")
        check_noise(config.noise)
        if config.class_noise < 0:
            raise ValueError(f"class_noise is {config.class_noise}; it must be 0 or more")
        if not 0 <= config.class_channel_dropout <= 1:
            raise ValueError(
                f"class_channel_dropout is {config.class_channel_dropout}; it must be from 0 to 1"
            )
        if config.variant not in VARIANTS:
            raise ValueError(f"variant is {config.variant!r}; it must be one of {', '.join(VARIANTS)}")
        if len(config.tag_sizes) < 2 or min(config.tag_sizes) < 2:
            raise ValueError(
                f"tag_sizes is {config.tag_sizes}; it needs two kinds or more, of two places or more each"
            )
        self.variant = VARIANTS[config.variant]
        self.game = losses.game(config.game)
        self.penalised = config.game == "wasserstein" and config.penalty > 0
        in_features = config.noise_size + sum(config.tag_sizes)
        self.generator = Generator(in_features, config.channels, config.image_size, config.ngf)
        self.discriminator = TaggedDiscriminator(config, self.variant.joint)
        initialise(self.generator, config.init_std)
        initialise(self.discriminator, config.init_std)

    @property
    def turns(self) -> str:
        return f"alternating:{self.config.critic_steps}"

    @property
    def loss_weights(self) -> dict[str, float]:
        return losses.WATCHED | {
            "discriminator": self.variant.adversarial_weight,
            "generator": self.variant.adversarial_weight,
            "gradient penalty": self.config.penalty,
            "classes of G(z)": self.config.class_weight,
            "classes of x": self.config.reading_weight,
            "classes of D(G(z))": self.config.reading_weight,
        }

    def forward_generators(self, batch: Batch) -> Batch:
        """Images with the tags of the batch, so that real and generated differ in nothing else."""
        noise = self.draw_noise(len(batch["image"]))
        return {"fake": self.generator(torch.cat([noise, batch["tags"]], dim=1))}

    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        real, fake, tags = batch["image"], outputs["fake"], batch["tags"]
        if player == "generator":
            scores, answers = self.score_and_read(fake, fake)
            return {
                "generator": self.game.generator(scores),
                "classes of G(z)": classification_loss(answers, tags),
            }
        # one call for both kinds: without batch norm, no image knows of the others
        fake = fake.detach().to(real.dtype)
        both = torch.cat([real, fake])
        scores, answers = self.score_and_read(both, both if self.variant.classify_fakes else real)
        real_scores, fake_scores = scores.chunk(2)
        on_real = [answer[: len(real)] for answer in answers]
        terms = {"discriminator": self.game.discriminator(real_scores, fake_scores)}
        if self.penalised:
            terms["gradient penalty"] = losses.gradient_penalty(
                lambda x: self.discriminator(x, classify=False)[0], real, fake
            )
        terms["classes of x"] = classification_loss(on_real, tags)
        if self.variant.classify_fakes:
            on_fake = [answer[len(real) :] for answer in answers]
            terms["classes of D(G(z))"] = classification_loss(on_fake, tags)
        return terms | losses.watched(self.game, real_scores, fake_scores)

    def score_and_read(self, images: Tensor, to_read: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores of `images`, and the tags that the classifiers read in `to_read`, the first of them."""
        if self.config.class_noise == self.config.class_channel_dropout == 0:
            scores, answers = self.discriminator(images)
            return scores, [answer[: len(to_read)] for answer in answers]
        scores, answers = self.discriminator(torch.cat([images, self.veiled(to_read)]))
        return scores[: len(images)], [answer[len(images) :] for answer in answers]

    def veiled(self, images: Tensor) -> Tensor:
        """Images as the classifiers see them: under noise, some with one channel all grey."""
        count, channels = images.shape[:2]
        noisy = images + self.config.class_noise * torch.randn_like(images)
        lost = torch.randint(channels, (count, 1), device=images.device)
        losing = torch.rand(count, 1, device=images.device) < self.config.class_channel_dropout
        kept = (torch.arange(channels, device=images.device) != lost) | ~losing
        return noisy * kept[:, :, None, None]

    def draw_noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        return draw(self.config.noise, (count, self.config.noise_size), rng, self.device)

    def draw_tags(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Tags drawn evenly, each kind by itself: [count, kinds] int64, as `sample` takes them."""
        columns = [torch.randint(places, (count,), generator=rng) for places in self.config.tag_sizes]
        return torch.stack(columns, dim=1)

    def one_hot(self, labels: Tensor) -> Tensor:
        """Tags as numbers [N, kinds] -> one-hot groups side by side [N, all places].

        Raises ValueError naming the kind whose number is out of range.
        """
        kinds = len(self.config.tag_sizes)
        if labels.dim() != 2 or labels.shape[1] != kinds or labels.is_floating_point():
            raise ValueError(
                f"tags are integers [N, {kinds}], one column a kind, "
                f"not a tensor of {labels.dtype} and shape {tuple(labels.shape)}"
            )
        for kind, places in enumerate(self.config.tag_sizes):
            column = labels[:, kind]
            if len(column) and not 0 <= int(column.min()) <= int(column.max()) < places:
                raise ValueError(
                    f"tags of kind {kind} run from {int(column.min())} to {int(column.max())}; "
                    f"this model knows 0 to {places - 1}"
                )
        columns = labels.long().unbind(1)
        return torch.cat(
            [F.one_hot(c, places) for c, places in zip(columns, self.config.tag_sizes, strict=True)], dim=1
        )

    def sample(self, count, *, labels=None, noise=None, rng=None) -> Tensor:
        """As `Method.sample`; `labels` are tags as numbers, [count, kinds]; without them, drawn evenly."""
        labels = self.draw_tags(count, rng) if labels is None else torch.as_tensor(labels)
        if len(labels) != count:
            raise ValueError(f"{count} samples need {count} rows of tags, not {len(labels)}")
        noise = self.noise_for(count, noise, rng)
        tags = self.one_hot(labels).to(noise)
        with evaluating(self.generator):
            return self.generator(torch.cat([noise, tags], dim=1))

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        return {"noise": self.draw_noise(count, rng), "labels": self.draw_tags(count, rng)}

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(
            self.parameters_of(player), lr=self.config.learning_rate, betas=betas, fused=True
        )
