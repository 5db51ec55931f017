"""Adversarial games on scores alone, and penalties.

A *score* is what the discriminator says before any squashing: a real number per image (or a map of
them), large for "real". A game is two functions of scores, so it can be tested in a line, drawn as
a curve, and used with any pair of networks.

Sources: minimax and non-saturating, Goodfellow et al. 2014, equation 1 and section 3; least squares,
Mao et al. 2017, equation 2 with a = 0, b = c = 1; hinge, Lim and Ye 2017 and Miyato et al. 2018,
equations 16 and 17; Wasserstein, Arjovsky et al. 2017, equation 2; gradient penalty, Gulrajani et al.
2017, equation 3; label smoothing, Salimans et al. 2016, section 3.4; R1 penalty, Mescheder et al. 2018,
equation 9; feature matching, Wang et al. 2018, section 3.2.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Game(NamedTuple):
    """The two costs of an adversarial game, both to be minimised.

    Scores may have any shape; costs are scalars, means over all their entries. Half-precision scores
    are averaged in float32.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """(scores of real images, scores of generated images) -> cost of the discriminator."""
    generator: Callable[[Tensor], Tensor]
    """scores of generated images -> cost of the generator."""
    output: Callable[[Tensor], Tensor]
    """scores -> D(x) as the paper of the game writes it: a probability where there is one."""
    boundary: float
    """The value of `output` halfway between real and generated."""


def _full_precision(scores: Tensor) -> Tensor:
    return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores


def binary_cross_entropy_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """-E[log D(x)] - E[log(1 - D(G(z)))] with D = sigmoid(score).

    Written with softplus, which is exact for every finite score: log(sigmoid(s)) computed in two
    steps is -infinity, and its gradient nothing, as soon as the sigmoid rounds to 0 or 1.
    """
    real_scores, fake_scores = _full_precision(real_scores), _full_precision(fake_scores)
    return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()


def minimax_generator(fake_scores: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))]: the generator's half of the value function. Flat where D is sure of fakes."""
    return -F.softplus(_full_precision(fake_scores)).mean()


def non_saturating_generator(fake_scores: Tensor) -> Tensor:
    """-E[log D(G(z))]: same fixed point, steepest where the discriminator is sure of fakes."""
    return F.softplus(-_full_precision(fake_scores)).mean()


def least_squares_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2]."""
    real_scores, fake_scores = _full_precision(real_scores), _full_precision(fake_scores)
    return 0.5 * ((real_scores - 1).square().mean() + fake_scores.square().mean())


def least_squares_generator(fake_scores: Tensor) -> Tensor:
    """1/2 E[(D(G(z)) - 1)^2]."""
    return 0.5 * (_full_precision(fake_scores) - 1).square().mean()


def hinge_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
    real_scores, fake_scores = _full_precision(real_scores), _full_precision(fake_scores)
    return F.relu(1 - real_scores).mean() + F.relu(1 + fake_scores).mean()


def wasserstein_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)], for a critic kept 1-Lipschitz by other means."""
    return _full_precision(fake_scores).mean() - _full_precision(real_scores).mean()


def mean_score_generator(fake_scores: Tensor) -> Tensor:
    """-E[D(G(z))]: the generator of the hinge and Wasserstein games."""
    return -_full_precision(fake_scores).mean()


def _probability(scores: Tensor) -> Tensor:
    return torch.sigmoid(_full_precision(scores))


GAMES: dict[str, Game] = {
    "minimax": Game(binary_cross_entropy_discriminator, minimax_generator, _probability, 0.5),
    "non_saturating": Game(binary_cross_entropy_discriminator, non_saturating_generator, _probability, 0.5),
    "least_squares": Game(least_squares_discriminator, least_squares_generator, _full_precision, 0.5),
    "hinge": Game(hinge_discriminator, mean_score_generator, _full_precision, 0.0),
    "wasserstein": Game(wasserstein_discriminator, mean_score_generator, _full_precision, 0.0),
}


def game(name: str) -> Game:
    """The game of that name. Raises ValueError naming the known games."""
    if name not in GAMES:
        raise ValueError(f"unknown game {name!r}; known games: {', '.join(GAMES)}")
    return GAMES[name]


def label_smoothed(game: Game, amount: float) -> Game:
    """The game in which the discriminator's label for real images is 1 - amount in place of 1.

    One-sided (Salimans et al. 2016, section 3.4): generated images keep the label 0. With another label
    for them the best discriminator would call likely what the generator makes, where no data are.

    Args:
        game: one with labels: minimax, non-saturating or least squares.
        amount: in [0, 1); 0 is the game itself.

    Raises ValueError for another game or amount.
    """
    if not 0 <= amount < 1:
        raise ValueError(f"label_smoothing is {amount}; it must be at least 0 and below 1")
    if amount == 0:
        return game
    labelled = {
        binary_cross_entropy_discriminator: _cross_entropy,
        least_squares_discriminator: _half_square,
    }
    if game.discriminator not in labelled:
        raise ValueError(
            f"label_smoothing is {amount}, and the game has no labels to smooth; "
            "game must be one of minimax, non_saturating, least_squares"
        )
    cost = labelled[game.discriminator]

    def discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return cost(real_scores, 1 - amount) + cost(fake_scores, 0.0)

    return game._replace(discriminator=discriminator)


def _cross_entropy(scores: Tensor, label: float) -> Tensor:
    """-E[label log D + (1 - label) log(1 - D)] with D = sigmoid(score)."""
    scores = _full_precision(scores)
    return (F.softplus(scores) - label * scores).mean()


def _half_square(scores: Tensor, label: float) -> Tensor:
    """1/2 E[(D - label)^2]."""
    return 0.5 * (_full_precision(scores) - label).square().mean()


def label_swapped(game: Game, probability: float) -> Game:
    """The game in which now and then the discriminator is told that real is generated and vice versa.

    One coin for a whole move (Chintala et al. 2016, trick 6). A coin for each image would, for the
    cross-entropy, be label smoothing of both kinds in the mean, with noise added.

    Args:
        game: any.
        probability: of a swap, in [0, 1]; 0 is the game itself, 1 swaps always.

    Raises ValueError for a probability that is none.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"label_swapping is {probability}; it must be a probability, from 0 to 1")
    if probability == 0:
        return game

    def discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        # both costs are computed, on scores only: asking the coin would make the machine wait for the device
        swap = torch.rand((), device=real_scores.device) < probability
        return torch.where(
            swap,
            game.discriminator(fake_scores, real_scores),
            game.discriminator(real_scores, fake_scores),
        )

    return game._replace(discriminator=discriminator)


WATCHED = dict.fromkeys(("D(x)", "D(G(z))", "D accuracy"), 0.0)
"""The terms of `watched` with the weight 0: logged, never minimised."""


def watched(game: Game, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
    """How the discriminator is doing: its mean output on either kind, and how often it is right.

    "D accuracy" is the mean of the shares of real and of generated images on their side of the game's
    boundary: 1 when it errs never, 0.5 when it knows nothing.
    """
    real, fake = game.output(real_scores.detach()), game.output(fake_scores.detach())
    right = (real > game.boundary).float().mean() + (fake < game.boundary).float().mean()
    return {"D(x)": real.mean(), "D(G(z))": fake.mean(), "D accuracy": right / 2}


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator | None = None,
) -> Tensor:
    """E[(||gradient of the critic at x_hat|| - 1)^2], x_hat between a real and a generated sample.

    Args:
        critic: maps [N, ...] to scores of any shape with N first; must not mix samples (no batch norm).
        real, fake: [N, ...] of one shape. The fakes are treated as constants.
        rng: where the mixing coefficients come from, one per sample, uniform on [0, 1).

    Returns:
        A scalar whose gradient reaches the critic's parameters only, and is finite even where the
        critic's own gradient is zero.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real {tuple(real.shape)} and fake {tuple(fake.shape)} must have one shape")
    alpha_shape = (real.shape[0],) + (1,) * (real.dim() - 1)
    alpha = torch.rand(alpha_shape, generator=rng, device=real.device, dtype=real.dtype)
    between = torch.lerp(fake.detach(), real.detach(), alpha).requires_grad_(True)
    scores = critic(between)
    (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    # vector_norm has a zero subgradient at zero, where sqrt(sum(g^2)) would give NaN
    norms = torch.linalg.vector_norm(_full_precision(gradient).flatten(1), dim=1)
    return (norms - 1).square().mean()


def r1_penalty(real_scores: Tensor, real: Tensor) -> Tensor:
    """E[||gradient of D at x||^2] over real x only; the R1 penalty is gamma / 2 times this.

    Args:
        real_scores: of any shape with N first, computed from `real` by a discriminator that does not mix
            samples (no batch norm).
        real: [N, ...], which required a gradient when the scores were computed: the pass that the
            discriminator's cost needs anyway serves the penalty too.

    Returns:
        A scalar whose gradient reaches the discriminator's parameters.
    """
    (gradient,) = torch.autograd.grad(real_scores.sum(), real, create_graph=True)
    return _full_precision(gradient).flatten(1).square().sum(1).mean()


# ---- discriminators on several scales ------------------------------------------------------------------

Nested = list[list[Tensor]]
"""What a multiscale discriminator says: for each scale a list of maps, the scores last
(gan_course/nn/multiscale.py)."""


def over_scales(game: Game, reduction: str) -> Game:
    """The game played on every scale at once: its costs take the nested outputs of such a discriminator.

    Args:
        game: played on the scores of each scale, its cost being the mean over the scale's patches.
        reduction: "sum" over the scales (Wang et al. 2018, section 3.2: pix2pixHD) or their "mean" (SPADE:
            the authors' code; Park et al. 2019 do not say).

    Raises ValueError for another reduction.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f"the costs of several scales are reduced by {reduction!r}; take sum or mean")

    def reduced(costs: list[Tensor]) -> Tensor:
        together = torch.stack(costs)
        return together.sum() if reduction == "sum" else together.mean()

    def discriminator(real: Nested, fake: Nested) -> Tensor:
        return reduced([game.discriminator(r[-1], f[-1]) for r, f in zip(real, fake, strict=True)])

    def generator(fake: Nested) -> Tensor:
        return reduced([game.generator(maps[-1]) for maps in fake])

    return game._replace(discriminator=discriminator, generator=generator)


def all_scores(outputs: Nested) -> Tensor:
    """The scores of all patches of all scales in a row, for `watched`: large scales have more of them."""
    return torch.cat([maps[-1].flatten() for maps in outputs])


def feature_matching(real_features: Nested, fake_features: Nested) -> Tensor:
    """E|D_i(x) - D_i(G(z))|: means of each map, summed over the layers i and averaged over the scales.

    The scores, each scale's last map, are left out. The real features are a target: no gradient reaches
    what they were computed from. Wang et al. 2018, section 3.2, have the sum over layers for one scale; their
    code averages over the scales, as that of Park et al. 2019 does, where the paper adds.

    Args:
        real_features, fake_features: nested outputs of one discriminator for an image and for what was
            generated in its place.

    Raises ValueError where the two are not of one form, which would compare maps of different layers.
    """
    shapes = [
        [[tuple(m.shape) for m in maps] for maps in nested] for nested in (real_features, fake_features)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(f"features of real images are {shapes[0]}, those of generated ones {shapes[1]}")
    by_scale = []
    for real, fake in zip(real_features, fake_features, strict=True):
        pairs = zip(real[:-1], fake[:-1], strict=True)
        by_scale.append(torch.stack([mean_distance(f, r.detach()) for r, f in pairs]).sum())
    return torch.stack(by_scale).mean()


def mean_distance(a: Tensor, b: Tensor) -> Tensor:
    """E|a - b|: the mean absolute difference of two tensors of one shape, in float32."""
    return F.l1_loss(_full_precision(a), _full_precision(b))
