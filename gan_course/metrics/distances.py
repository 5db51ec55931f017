"""Distances between two sets of feature vectors, and the Inception score: plain functions, in float64.

They know nothing of images or networks; `features.py` makes the arrays. A set is [N, d], a tensor or an
array; what comes back are Python numbers.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


class Estimate(NamedTuple):
    """A mean over subsets, and the standard deviation from subset to subset."""

    mean: float
    std: float


def vectors(values: ArrayLike | Tensor, name: str, at_least: int) -> Tensor:
    """Feature vectors [N, d] as float64 on the CPU.

    Raises ValueError naming the set where it has another shape, fewer than `at_least` vectors, or
    numbers that are not finite.
    """
    found = torch.as_tensor(values).detach().to("cpu", torch.float64)
    if found.dim() != 2:
        raise ValueError(f"{name} must be feature vectors [N, d], not an array of shape {tuple(found.shape)}")
    if len(found) < at_least:
        raise ValueError(f"{name}: there must be {at_least} vectors or more, not {len(found)}")
    broken = (~found.isfinite()).any(dim=1).nonzero()
    if len(broken):
        raise ValueError(
            f"{name}: numbers that are not finite in {len(broken)} of {len(found)} vectors, "
            f"the first in vector {broken[0].item()}"
        )
    return found


def pair(x: ArrayLike | Tensor, y: ArrayLike | Tensor, at_least: int) -> tuple[Tensor, Tensor]:
    """Two sets of feature vectors of one length. Raises ValueError as `vectors`, and where lengths differ."""
    x, y = vectors(x, "the first set", at_least), vectors(y, "the second set", at_least)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"the two sets must have features of one size, not {x.shape[1]} and {y.shape[1]}; "
            f"their shapes are {tuple(x.shape)} and {tuple(y.shape)}"
        )
    return x, y


def frechet_distance(x: ArrayLike | Tensor, y: ArrayLike | Tensor) -> float:
    """The squared Fréchet distance of two Gaussians that have the moments of x [N, d] and y [M, d].

    |m_x - m_y|^2 + tr(S_x) + tr(S_y) - 2 tr((S_x S_y)^(1/2)), with S the unbiased covariances (Dowson and
    Landau 1982; Heusel et al. 2017, equation 6). On Inception features it is called FID.

    No covariance is formed. Where X and Y are the centred sets and R_x, R_y their QR factors, S_x is
    R_x^T R_x / (N - 1), and the eigenvalues of (S_x S_y)^(1/2) are the singular values of R_x R_y^T: real
    and never negative, whatever the rank, where a matrix square root may come out complex.

    The estimate is biased upwards, the more the fewer vectors there are: compare like with like.

    Raises ValueError for fewer than two vectors, features of unequal size, or numbers that are not finite.
    """
    x, y = pair(x, y, at_least=2)
    mean_x, mean_y = x.mean(dim=0), y.mean(dim=0)
    spread_x, spread_y = spread(x - mean_x), spread(y - mean_y)
    overlap = torch.linalg.svdvals(spread_x @ spread_y.T).sum()
    distance = (mean_x - mean_y).square().sum() + spread_x.square().sum() + spread_y.square().sum()
    return max(0.0, (distance - 2 * overlap).item())


def spread(centred: Tensor) -> Tensor:
    """R with R^T R the unbiased covariance of centred vectors [N, d]: [min(N, d), d]."""
    return torch.linalg.qr(centred, mode="r").R / (len(centred) - 1) ** 0.5


def kernel_distance(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    degree: int = 3,
    seed: int = 0,
) -> Estimate:
    """The squared maximum mean discrepancy with the kernel (a.b / d + 1)^degree, over subsets.

    The unbiased estimate: zero on average where both sets come from one distribution, so that it may be
    negative (Gretton et al. 2012, equation 3; Binkowski et al. 2018, section 4). On Inception features
    it is called KID.

    Args:
        x, y: features [N, d] and [M, d].
        subsets: how many pairs of subsets are compared.
        subset_size: vectors in each, drawn without replacement; no more than the smaller set has.
        degree: of the polynomial.
        seed: of the drawing.

    Raises:
        ValueError: a set has fewer vectors than `subset_size`, or as `frechet_distance`.
    """
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"subsets is {subsets}, subset_size {subset_size}; there must be 1 and 2 or more")
    x, y = pair(x, y, at_least=2)
    if min(len(x), len(y)) < subset_size:
        raise ValueError(
            f"subset_size is {subset_size}, but the sets have {len(x)} and {len(y)} vectors; "
            f"it must be {min(len(x), len(y))} or less"
        )
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(subsets):
        rows = [torch.from_numpy(rng.permutation(len(of))[:subset_size]) for of in (x, y)]
        draws.append(squared_discrepancy(x[rows[0]], y[rows[1]], degree))
    return Estimate(float(np.mean(draws)), float(np.std(draws)))


def squared_discrepancy(x: Tensor, y: Tensor, degree: int = 3) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy, of all of x and y (float64)."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / x.shape[1] + 1).pow(degree)

    within = [
        (k.sum() - k.trace()) / (len(k) * (len(k) - 1))  # a vector is not compared with itself
        for k in (kernel(x, x), kernel(y, y))
    ]
    return (within[0] + within[1] - 2 * kernel(x, y).mean()).item()


def inception_score(probabilities: ArrayLike | Tensor, splits: int = 10, seed: int = 0) -> Estimate:
    """exp of the mean KL divergence from p(class | image) to its mean over images (Salimans et al. 2016).

    Between 1 and the number of classes. It looks at generated images only.

    Args:
        probabilities: [N, classes], each row summing to 1.
        splits: parts that are scored by themselves; the images are shuffled first, since sorted ones
            would put a single class into a part.
        seed: of the shuffling.

    Raises:
        ValueError: rows are no probabilities, or there are fewer rows than splits.
    """
    if splits < 1:
        raise ValueError(f"splits is {splits}; it must be 1 or more")
    p = vectors(probabilities, "the probabilities", at_least=splits)
    sums = p.sum(dim=1)
    if p.min() < 0 or (sums - 1).abs().max() > 1e-4:
        worst = sums[(sums - 1).abs().argmax()].item()
        raise ValueError(
            f"the probabilities must be 0 or more and sum to 1 in each row; the smallest is "
            f"{p.min().item():g}, and a row sums to {worst:g} (are they logits?)"
        )
    p = p[torch.from_numpy(np.random.default_rng(seed).permutation(len(p)))]
    scores = [score_of_one(part) for part in p.tensor_split(splits)]
    return Estimate(float(np.mean(scores)), float(np.std(scores)))


def score_of_one(p: Tensor) -> float:
    """The Inception score of all rows together."""
    mean = p.mean(dim=0, keepdim=True)
    divergence = (torch.xlogy(p, p) - torch.xlogy(p, mean)).sum(dim=1)
    return divergence.mean().exp().item()
