"""How far apart two distributions are: KL and its relatives, on grids, in closed form and from samples.

Densities on a grid are tensors of any shape, one value for each cell; `dx` is the size of a cell (length,
area, volume), and `dx=1` makes them probabilities of discrete outcomes. Everything is measured in nats,
works in the precision of its input (float64 is the right one for grids) and can be differentiated with
respect to p and q.

Sources:
    Kullback & Leibler (1951), On information and sufficiency.
    Ali & Silvey (1966), A general class of coefficients of divergence of one distribution from another.
    Lin (1991), Divergence measures based on the Shannon entropy.
    Nguyen, Wainwright & Jordan (2010), Estimating divergence functionals and the likelihood ratio by convex
        risk minimization.
    Goodfellow et al. (2014), Generative adversarial nets.
    Nowozin, Cseke & Tomioka (2016), f-GAN.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

TOLERANCE = 1e-3  # how far from 1 a density may integrate

# ---- densities on a grid ---------------------------------------------------------------------------


def kl(p: Tensor, q: Tensor, dx: float = 1.0, tolerance: float = TOLERANCE) -> Tensor:
    """KL(p || q), the integral of p log(p / q) (Kullback & Leibler 1951).

    Cells with p = 0 add nothing (0 log 0 = 0); a cell with q = 0 < p makes it infinite.

    Args:
        p, q: densities on one grid, of equal shape, non-negative, integrating to 1.
        dx: size of a grid cell.
        tolerance: how far from 1 the integrals may be.

    Returns:
        a scalar in [0, inf], in nats.

    Raises:
        ValueError: a negative or NaN density, shapes that differ, or an integral that is not 1.
    """
    p, q = _densities("kl", p, q, dx, tolerance)
    return _kl(p, q, dx)


def reverse_kl(p: Tensor, q: Tensor, dx: float = 1.0, tolerance: float = TOLERANCE) -> Tensor:
    """KL(q || p): the same as `kl` with the arguments exchanged, so that p stays the data in both."""
    p, q = _densities("reverse_kl", p, q, dx, tolerance)
    return _kl(q, p, dx)


def jensen_shannon(p: Tensor, q: Tensor, dx: float = 1.0, tolerance: float = TOLERANCE) -> Tensor:
    """JS(p, q) = KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2 (Lin 1991, with equal weights).

    Symmetric, and in [0, log 2] whatever the supports. Arguments and errors as in `kl`.
    """
    p, q = _densities("jensen_shannon", p, q, dx, tolerance)
    middle = (p + q) / 2
    return (_kl(p, middle, dx) + _kl(q, middle, dx)) / 2


def total_variation(p: Tensor, q: Tensor, dx: float = 1.0, tolerance: float = TOLERANCE) -> Tensor:
    """Half the integral of |p - q|: the largest difference in the probability of any event, in [0, 1]."""
    p, q = _densities("total_variation", p, q, dx, tolerance)
    return (p - q).abs().sum() * dx / 2


def wasserstein_1(p: Tensor, q: Tensor, dx: float = 1.0, tolerance: float = TOLERANCE) -> Tensor:
    """The earth mover's distance on a line: the integral of |F_p - F_q| (Villani 2003, section 2.2).

    Not an f-divergence: it looks at how far mass must be moved, not at the ratio of the densities.

    Args and errors as in `kl`, but the grid is one-dimensional. The unit is that of dx.
    """
    p, q = _densities("wasserstein_1", p, q, dx, tolerance)
    if p.ndim != 1:
        raise ValueError(f"wasserstein_1: a grid on a line, of shape [n], got shape {list(p.shape)}")
    return (torch.cumsum(p - q, dim=0) * dx).abs().sum() * dx


def _kl(p: Tensor, q: Tensor, dx: float) -> Tensor:
    # Cells with p = 0 are left out rather than multiplied by zero: 0 * log 0 is NaN, and so is its gradient.
    inside = p > 0
    return (p[inside] * (p[inside].log() - q[inside].log())).sum() * dx


def _densities(caller: str, p: Tensor, q: Tensor, dx: float, tolerance: float) -> tuple[Tensor, Tensor]:
    p, q = torch.as_tensor(p), torch.as_tensor(q)
    if p.shape != q.shape:
        shapes = f"{list(p.shape)} and {list(q.shape)}"
        raise ValueError(f"{caller}: p and q live on one grid, got shapes {shapes}")
    if not dx > 0:
        raise ValueError(f"{caller}: dx is the size of a grid cell, above 0, got {dx}")
    for name, density in (("p", p), ("q", q)):
        low = density.detach().min().item()
        if not low >= 0:  # written so that NaN is refused too
            raise ValueError(f"{caller}: a density is nowhere negative or NaN, {name} has {low:g}")
        integral = density.detach().sum().item() * dx
        if not abs(integral - 1) <= tolerance:
            raise ValueError(
                f"{caller}: {name} integrates to {integral:.6g} with dx = {dx:g}, not to 1 within "
                f"{tolerance:g}; widen or refine the grid, or check dx"
            )
    return p, q


# ---- closed forms ----------------------------------------------------------------------------------


def kl_gaussians(mean_p: Tensor, std_p: Tensor, mean_q: Tensor, std_q: Tensor) -> Tensor:
    """KL(p || q) of Gaussians with independent components.

    For one component: log(std_q / std_p) + (std_p^2 + (mean_p - mean_q)^2) / (2 std_q^2) - 1/2.

    Args:
        mean_p, std_p, mean_q, std_q: scalars, or [..., d], summed over d. They broadcast.

    Returns:
        [...], in nats.

    Raises:
        ValueError: a standard deviation that is not positive.
    """
    mean_p, std_p, mean_q, std_q = torch.broadcast_tensors(
        *map(torch.as_tensor, (mean_p, std_p, mean_q, std_q))
    )
    for name, std in (("std_p", std_p), ("std_q", std_q)):
        if not (std > 0).all():
            raise ValueError(f"kl_gaussians: {name} must be positive, got {std.min().item():g}")
    components = min(mean_p.ndim, 1)
    p, q = Independent(Normal(mean_p, std_p), components), Independent(Normal(mean_q, std_q), components)
    return kl_divergence(p, q)


def kl_multivariate_gaussians(
    mean_p: Tensor, covariance_p: Tensor, mean_q: Tensor, covariance_q: Tensor
) -> Tensor:
    """KL(p || q) of Gaussians with full covariance.

    Args:
        mean_p, mean_q: [..., d].
        covariance_p, covariance_q: [..., d, d], symmetric and positive definite.

    Raises:
        ValueError: a covariance that is not positive definite (raised by torch.distributions).
    """
    return kl_divergence(
        MultivariateNormal(mean_p, covariance_matrix=covariance_p),
        MultivariateNormal(mean_q, covariance_matrix=covariance_q),
    )


# ---- f-divergences ---------------------------------------------------------------------------------


class FDivergence(NamedTuple):
    """D_f(p || q), the integral of q f(p / q), for a convex f (Ali & Silvey 1966), with what its dual needs.

    f: u >= 0 -> f(u).
    derivative: u -> f'(u); the optimal critic is f'(p / q).
    conjugate: t -> f*(t) = sup over u of (u t - f(u)).
    domain: the interval of t where f* is finite, its ends included although f* may be infinite there.
    activation: any real number -> a t inside the domain (Nowozin et al. 2016, table 2).
    slope: lim f(u) / u for u -> inf: what a unit of p costs where q = 0.
    """

    f: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    domain: tuple[float, float]
    activation: Callable[[Tensor], Tensor]
    slope: float


# Nowozin et al. (2016), tables 1 and 2; u = p / q, with p the data. Two scales are ours: total variation and
# JS carry the factor 1/2 that makes them `total_variation` and `jensen_shannon` above.
F_DIVERGENCES = {
    "kl": FDivergence(
        f=lambda u: torch.xlogy(u, u),
        derivative=lambda u: u.log() + 1,
        conjugate=lambda t: (t - 1).exp(),
        domain=(-math.inf, math.inf),
        activation=lambda v: v,
        slope=math.inf,
    ),
    "reverse_kl": FDivergence(
        f=lambda u: -u.log(),
        derivative=lambda u: -1 / u,
        conjugate=lambda t: -1 - (-t).log(),
        domain=(-math.inf, 0),
        activation=lambda v: -(-v).exp(),
        slope=0,
    ),
    "jensen_shannon": FDivergence(
        f=lambda u: (torch.xlogy(u, u) - (u + 1) * ((u + 1) / 2).log()) / 2,
        derivative=lambda u: (math.log(2) - torch.log1p(1 / u)) / 2,
        conjugate=lambda t: -(2 - (2 * t).exp()).log() / 2,
        domain=(-math.inf, math.log(2) / 2),
        activation=lambda v: (math.log(2) - torch.nn.functional.softplus(-v)) / 2,
        slope=math.log(2) / 2,
    ),
    "pearson_chi2": FDivergence(
        f=lambda u: (u - 1) ** 2,
        derivative=lambda u: 2 * (u - 1),
        conjugate=lambda t: t**2 / 4 + t,
        domain=(-math.inf, math.inf),
        activation=lambda v: v,
        slope=math.inf,
    ),
    "squared_hellinger": FDivergence(
        f=lambda u: (u.sqrt() - 1) ** 2,
        derivative=lambda u: 1 - u.rsqrt(),
        conjugate=lambda t: 1 / (1 - t) - 1,
        domain=(-math.inf, 1),
        activation=lambda v: 1 - (-v).exp(),
        slope=1,
    ),
    "total_variation": FDivergence(
        f=lambda u: (u - 1).abs() / 2,
        derivative=lambda u: torch.sign(u - 1) / 2,
        conjugate=lambda t: t,
        domain=(-0.5, 0.5),
        activation=lambda v: torch.tanh(v) / 2,
        slope=0.5,
    ),
    # The value of the GAN game at its optimal discriminator: 2 JS - log 4, the one f here with f(1) != 0.
    "gan": FDivergence(
        f=lambda u: torch.xlogy(u, u) - (u + 1) * torch.log1p(u),
        derivative=lambda u: -torch.log1p(1 / u),
        conjugate=lambda t: -torch.log(-torch.expm1(t)),
        domain=(-math.inf, 0),
        activation=lambda v: -torch.nn.functional.softplus(-v),
        slope=0,
    ),
}


def f_divergence(
    f: str | FDivergence | Callable[[Tensor], Tensor],
    p: Tensor,
    q: Tensor,
    dx: float = 1.0,
    tolerance: float = TOLERANCE,
) -> Tensor:
    """D_f(p || q) = integral of q f(p / q) (Nowozin et al. 2016, equation 2).

    Where q = 0 the integrand is its limit, p times lim f(u) / u.

    Args:
        f: a name of `F_DIVERGENCES`, one of its kind, or any convex function of u = p / q.
        p, q, dx, tolerance: as in `kl`.

    Raises:
        ValueError: as in `kl`; an unknown name; or, for a plain function, a cell with q = 0 < p, since the
            limit is then not known.
    """
    p, q = _densities("f_divergence", p, q, dx, tolerance)
    f = _find(f)
    slope = f.slope if isinstance(f, FDivergence) else None
    f = f.f if isinstance(f, FDivergence) else f

    inside = q > 0
    total = (q[inside] * f(p[inside] / q[inside])).sum()
    missed = p[~inside & (p > 0)]
    if len(missed) and slope is None:
        raise ValueError("f_divergence: q = 0 < p somewhere; give an FDivergence, whose slope prices that")
    if len(missed):
        total = total + slope * missed.sum()
    return total * dx


def optimal_critic(f: str | FDivergence, p: Tensor, q: Tensor) -> Tensor:
    """T*(x) = f'(p(x) / q(x)), at which the bound is tight (Nowozin et al. 2016, equation 5)."""
    return _find(f).derivative(torch.as_tensor(p) / torch.as_tensor(q))


def variational_bound(
    f: str | FDivergence, critic: Tensor, p: Tensor, q: Tensor, dx: float = 1.0, tolerance: float = TOLERANCE
) -> Tensor:
    """E_p[T] - E_q[f*(T)], never above D_f(p || q), whatever T (Nguyen et al. 2010; Nowozin et al. 2016, eq.
    4).

    Args:
        f: a name of `F_DIVERGENCES`, or one of its kind.
        critic: values of T on the grid, inside the domain of f*; put real numbers through `activation`.
        p, q, dx, tolerance: as in `kl`.

    Raises:
        ValueError: as in `kl`, and for a critic of another shape or outside the domain.
    """
    p, q = _densities("variational_bound", p, q, dx, tolerance)
    f, critic = _find(f), torch.as_tensor(critic)
    if critic.shape != p.shape:
        raise ValueError(f"variational_bound: critic has shape {list(critic.shape)}, p has {list(p.shape)}")
    at_p, at_q = critic[p > 0], critic[q > 0]  # elsewhere T has no weight, and may be infinite
    _check_domain(f, at_p, at_q)
    return ((p[p > 0] * at_p).sum() - (q[q > 0] * f.conjugate(at_q)).sum()) * dx


def variational_bound_from_samples(f: str | FDivergence, critic_p: Tensor, critic_q: Tensor) -> Tensor:
    """The same bound from samples: mean of T at samples of p less the mean of f*(T) at samples of q.

    An unbiased estimate of the bound for a T chosen without looking at these samples. This is the objective
    of f-GAN, maximised over T and minimised over q (Nowozin et al. 2016, equation 6).

    Args:
        critic_p, critic_q: [n] and [m], values of T inside the domain of f*.
    """
    f = _find(f)
    _check_domain(f, critic_p, critic_q)
    return critic_p.mean() - f.conjugate(critic_q).mean()


def _find(f: str | FDivergence | Callable) -> FDivergence | Callable:
    if isinstance(f, str) and f not in F_DIVERGENCES:
        raise ValueError(f"unknown f-divergence {f!r}; there are: {', '.join(F_DIVERGENCES)}")
    return F_DIVERGENCES[f] if isinstance(f, str) else f


def _check_domain(f: FDivergence, *critics: Tensor) -> None:
    low, high = f.domain
    for critic in critics:
        if not ((critic >= low) & (critic <= high)).all():
            smallest, largest = critic.min().item(), critic.max().item()
            raise ValueError(
                f"the critic must stay within [{low:g}, {high:g}], where the conjugate is finite, got values "
                f"from {smallest:g} to {largest:g}; put it through the divergence's `activation`"
            )


# ---- the game of GANs ------------------------------------------------------------------------------


def optimal_discriminator(p: Tensor, q: Tensor) -> Tensor:
    """D*(x) = p / (p + q), the best answer to a fixed generator (Goodfellow et al. 2014, proposition 1).

    Where p = q = 0 every answer is optimal; 1/2 is given.
    """
    p, q = torch.as_tensor(p), torch.as_tensor(q)
    total = p + q
    empty = total == 0
    return torch.where(
        empty, torch.full_like(total, 0.5), p / torch.where(empty, torch.ones_like(total), total)
    )


def gan_value(scores: Tensor, p: Tensor, q: Tensor, dx: float = 1.0, tolerance: float = TOLERANCE) -> Tensor:
    """V = E_p[log D] + E_q[log(1 - D)] with D = sigmoid(scores) (Goodfellow et al. 2014, equation 1).

    At the optimal scores, log p - log q, it is 2 JS(p, q) - log 4 (theorem 1). Scores rather than D: near
    D = 1 the difference 1 - D has no digits left.

    Args:
        scores: of the shape of p, may be infinite where p or q is zero.
        p, q, dx, tolerance: as in `kl`.
    """
    p, q = _densities("gan_value", p, q, dx, tolerance)
    scores = torch.as_tensor(scores)
    if scores.shape != p.shape:
        raise ValueError(f"gan_value: scores have shape {list(scores.shape)}, p has {list(p.shape)}")
    log_sigmoid = torch.nn.functional.logsigmoid
    real = (p[p > 0] * log_sigmoid(scores[p > 0])).sum()
    fake = (q[q > 0] * log_sigmoid(-scores[q > 0])).sum()
    return (real + fake) * dx


# ---- estimates from samples ------------------------------------------------------------------------


class Estimate(NamedTuple):
    """A mean over samples and its standard error, both scalars."""

    value: Tensor
    standard_error: Tensor


def kl_from_log_densities(log_p: Tensor, log_q: Tensor, control_variate: bool = False) -> Estimate:
    """Monte-Carlo estimate of KL(p || q) from samples x of p at which both log-densities are known.

    The mean of log p - log q. It is unbiased, but a finite sample of it may be negative. With the control
    variate r - 1, where r = q / p has mean 1 under p if p > 0 wherever q > 0, each term becomes
    r - 1 - log r >= 0: never negative, and of small variance while p and q are close (Schulman 2020,
    "Approximating KL divergence"). When q has heavier tails than p, r has a large variance and the plain
    mean is the better one.

    Args:
        log_p, log_q: [n], log-densities at n samples of p, n at least 2.

    Raises:
        ValueError: shapes that differ, or fewer than two samples.
    """
    if log_p.shape != log_q.shape or log_p.ndim != 1 or len(log_p) < 2:
        shapes = f"{list(log_p.shape)} and {list(log_q.shape)}"
        raise ValueError(f"kl_from_log_densities: log_p and log_q are [n] with n > 1, got {shapes}")
    terms = log_p - log_q
    if control_variate:
        terms = terms + torch.expm1(-terms)
    return Estimate(terms.mean(), terms.std() / math.sqrt(len(terms)))


def kl_nearest_neighbours(samples_p: Tensor, samples_q: Tensor, k: int = 1) -> Tensor:
    """Estimate of KL(p || q) from samples alone (Wang, Kulkarni & Verdú 2009).

    d / n times the sum over samples of p of log(distance to the k-th nearest of q / distance to the k-th
    nearest other of p), plus log(m / (n - 1)). Consistent for densities, but its bias shrinks ever more
    slowly as the dimension d grows: a number in a high dimension says little.

    Args:
        samples_p: [n, d]; samples_q: [m, d]. No sample of p may be repeated more than k times.
        k: which neighbour, below n and at most m.

    Raises:
        ValueError: other shapes, a k out of range, or repeated samples, whose distance is zero.
    """
    if samples_p.ndim != 2 or samples_q.ndim != 2 or samples_p.shape[1] != samples_q.shape[1]:
        shapes = f"{list(samples_p.shape)} and {list(samples_q.shape)}"
        raise ValueError(f"kl_nearest_neighbours: samples are [n, d] and [m, d], got {shapes}")
    n, dimension = samples_p.shape
    m = len(samples_q)
    if not 1 <= k <= min(n - 1, m):
        raise ValueError(
            f"kl_nearest_neighbours: k is 1 to {min(n - 1, m)} with {n} and {m} samples, got {k}"
        )
    # A sample's first neighbour in its own set is itself, hence k + 1. No matrix product inside cdist: it
    # loses the digits of small distances.
    mode = "donot_use_mm_for_euclid_dist"
    within = torch.cdist(samples_p, samples_p, compute_mode=mode).kthvalue(k + 1, dim=1).values
    between = torch.cdist(samples_p, samples_q, compute_mode=mode).kthvalue(k, dim=1).values
    if not ((within > 0) & (between > 0)).all():
        raise ValueError("kl_nearest_neighbours: repeated samples; their distance 0 has no logarithm")
    return dimension * (between.log() - within.log()).mean() + math.log(m / (n - 1))
