"""Divergences against closed forms, against each other, and at their edges: zeros, bounds, gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal

from gan_course import divergences as dv

GRID = torch.linspace(-20, 20, 8001, dtype=torch.float64)
DX = 0.005


def gaussian(mean: float, std: float) -> torch.Tensor:
    return (
        Normal(torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64))
        .log_prob(GRID)
        .exp()
    )


def weights(size: int):
    """Probabilities of `size` outcomes, some of them exactly zero."""
    numbers = st.lists(st.sampled_from([0, 0, 1, 2, 3, 5, 8, 50]), min_size=size, max_size=size)
    return numbers.filter(any).map(lambda w: torch.tensor(w, dtype=torch.float64) / sum(w))


pairs = st.integers(2, 7).flatmap(lambda size: st.tuples(weights(size), weights(size)))


# ---- closed forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.5, 1.0), (0.0, 2.0), (-2.0, 0.7)])
def test_kl_on_the_grid_is_the_closed_form_of_gaussians(mean, std):
    p, q = gaussian(0.5, 1.2), gaussian(mean, std)
    expected = math.log(std / 1.2) + (1.2**2 + (0.5 - mean) ** 2) / (2 * std**2) - 0.5
    assert dv.kl(p, q, DX).item() == pytest.approx(expected, abs=1e-9)
    assert dv.reverse_kl(q, p, DX).item() == pytest.approx(expected, abs=1e-9)
    assert dv.kl_gaussians(0.5, 1.2, mean, std).item() == pytest.approx(expected, abs=1e-6)


def test_known_values():
    fair, loaded = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.9, 0.1]).double()
    assert dv.kl(fair, loaded).item() == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1))
    assert dv.total_variation(fair, loaded).item() == pytest.approx(0.4)
    assert dv.f_divergence("pearson_chi2", fair, loaded).item() == pytest.approx(0.16 / 0.9 + 0.16 / 0.1)
    # Hellinger of two unit Gaussians: 2 (1 - exp(-distance^2 / 8))
    hellinger = dv.f_divergence("squared_hellinger", gaussian(0, 1), gaussian(2, 1), DX)
    assert hellinger.item() == pytest.approx(2 * (1 - math.exp(-0.5)))


def test_gaussians_of_many_dimensions():
    torch.manual_seed(0)
    mean_p, mean_q, std_p, std_q = torch.randn(5), torch.randn(5), torch.rand(5) + 0.5, torch.rand(5) + 0.5
    diagonal = dv.kl_gaussians(mean_p, std_p, mean_q, std_q)
    by_component = zip(mean_p, std_p, mean_q, std_q, strict=True)
    each = torch.stack([dv.kl_gaussians(*component) for component in by_component])
    full = dv.kl_multivariate_gaussians(mean_p, torch.diag(std_p**2), mean_q, torch.diag(std_q**2))
    assert diagonal.shape == ()
    torch.testing.assert_close(diagonal, each.sum())
    torch.testing.assert_close(diagonal, full)
    assert dv.kl_gaussians(torch.zeros(7, 5), torch.ones(5), torch.ones(5), torch.ones(5)).shape == (7,)


def test_wasserstein_sees_the_distance_that_js_does_not():
    near, far = gaussian(-5, 0.1), gaussian(10, 0.1)
    middle = gaussian(5, 0.1)
    assert dv.wasserstein_1(near, middle, DX).item() == pytest.approx(10, abs=1e-6)
    assert dv.wasserstein_1(near, far, DX).item() == pytest.approx(15, abs=1e-6)
    assert dv.jensen_shannon(near, middle, DX).item() == pytest.approx(math.log(2), abs=1e-9)
    assert dv.jensen_shannon(near, far, DX).item() == pytest.approx(math.log(2), abs=1e-9)


# ---- properties ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(pairs)
def test_never_negative_and_zero_only_at_equality(pair):
    p, q = pair
    equal = torch.allclose(p, q)
    distances = [dv.kl(p, q), dv.reverse_kl(p, q), dv.jensen_shannon(p, q), dv.total_variation(p, q)]
    distances += [dv.f_divergence(name, p, q) for name in dv.F_DIVERGENCES if name != "gan"]
    for distance in distances:
        assert not distance.isnan()
        assert distance > -1e-12
        assert (distance < 1e-12) == equal


@settings(deadline=None)
@given(pairs)
def test_the_table_of_f_agrees_with_the_direct_formulas(pair):
    p, q = pair
    torch.testing.assert_close(dv.f_divergence("kl", p, q), dv.kl(p, q))
    torch.testing.assert_close(dv.f_divergence("reverse_kl", p, q), dv.kl(q, p))
    torch.testing.assert_close(dv.f_divergence("jensen_shannon", p, q), dv.jensen_shannon(p, q))
    torch.testing.assert_close(dv.f_divergence("total_variation", p, q), dv.total_variation(p, q))
    game = 2 * dv.jensen_shannon(p, q) - math.log(4)
    torch.testing.assert_close(dv.f_divergence("gan", p, q), game)
    torch.testing.assert_close(dv.gan_value(p.log() - q.log(), p, q), game)


@settings(deadline=None)
@given(pairs)
def test_jensen_shannon_and_total_variation_are_symmetric_and_bounded(pair):
    p, q = pair
    js, tv = dv.jensen_shannon(p, q), dv.total_variation(p, q)
    torch.testing.assert_close(js, dv.jensen_shannon(q, p))
    torch.testing.assert_close(tv, dv.total_variation(q, p))
    assert js <= math.log(2) + 1e-12
    assert tv <= 1 + 1e-12
    assert (js > math.log(2) - 1e-12) == (not ((p > 0) & (q > 0)).any())


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(0.4, 2.5), st.floats(-2, 2), st.floats(0.5, 3))
def test_kl_does_not_depend_on_the_unit(mean, std, shift, scale):
    """Both variables through x -> scale x + shift: the same KL, as for any invertible map."""
    before = dv.kl_gaussians(mean, std, 0.0, 1.0)
    after = dv.kl_gaussians(scale * mean + shift, scale * std, shift, scale)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)


@settings(deadline=None)
@given(pairs)
def test_merging_outcomes_never_separates(pair):
    """The data-processing inequality: a coarser view cannot tell the two apart any better."""
    p, q = pair
    coarse_p, coarse_q = (torch.cat([d[:2].sum(0, keepdim=True), d[2:]]) for d in (p, q))
    for name in dv.F_DIVERGENCES:
        fine, coarse = dv.f_divergence(name, p, q), dv.f_divergence(name, coarse_p, coarse_q)
        assert coarse <= fine + 1e-10


# ---- zeros -----------------------------------------------------------------------------------------


def test_zeros():
    p, q = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.25, 0.25, 0.5]).double()
    assert dv.kl(p, q).item() == pytest.approx(math.log(2))
    assert dv.kl(q, p).item() == math.inf
    with_gap = torch.tensor([0.5, 0.5, 0.0, 0.0]).double()
    assert dv.kl(with_gap, with_gap).item() == 0
    with pytest.raises(ValueError, match="slope"):
        dv.f_divergence(lambda u: (u - 1) ** 2, q, p)
    discriminator = dv.optimal_discriminator(with_gap, torch.tensor([0.0, 0.5, 0.5, 0.0]).double())
    assert discriminator.tolist() == [1, 0.5, 0, 0.5]


# ---- the dual --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", dv.F_DIVERGENCES)
def test_conjugate_is_the_supremum(name):
    f = dv.F_DIVERGENCES[name]
    u = torch.logspace(-7, 4, 400_001, dtype=torch.float64)
    # TV's critic has two values only; Pearson's table entry lets u be negative, so t stays above f'(0) = -2
    t = f.activation(torch.tensor([-1.5, -0.3, 0.0, 0.4, 1.1]).double())
    by_search = torch.stack([(u * each - f.f(u)).max() for each in t])
    torch.testing.assert_close(f.conjugate(t), by_search, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", dv.F_DIVERGENCES)
def test_derivative_is_that_of_f(name):
    f = dv.F_DIVERGENCES[name]
    u = torch.tensor([0.1, 0.6, 1.7, 12.0]).double().requires_grad_()
    (gradient,) = torch.autograd.grad(f.f(u).sum(), u)
    torch.testing.assert_close(f.derivative(u.detach()), gradient)
    if f.slope < math.inf:
        assert f.f(torch.tensor(1e12).double()).item() / 1e12 == pytest.approx(f.slope, abs=1e-4)


@pytest.mark.parametrize("name", dv.F_DIVERGENCES)
@settings(deadline=None, max_examples=30)
@given(pair=pairs, seed=st.integers(0, 999))
def test_bound_is_below_and_tight_at_the_optimal_critic(name, pair, seed):
    p, q = pair
    truth = dv.f_divergence(name, p, q)
    scores = 2 * torch.randn(len(p), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    critic = dv.F_DIVERGENCES[name].activation(scores)
    assert dv.variational_bound(name, critic, p, q) <= truth + 1e-12
    tight = dv.variational_bound(name, dv.optimal_critic(name, p, q), p, q)
    torch.testing.assert_close(tight, truth)


def test_bound_from_samples_is_near_the_bound_on_the_grid():
    rng = torch.Generator().manual_seed(0)
    p, q = gaussian(0, 1), gaussian(1, 1)
    x_p = torch.randn(200_000, dtype=torch.float64, generator=rng)
    x_q = 1 + torch.randn(200_000, dtype=torch.float64, generator=rng)
    # log(p / q) = 1/2 - x here, so the optimal critic for KL is 3/2 - x
    estimate = dv.variational_bound_from_samples("kl", 1.5 - x_p, 1.5 - x_q)
    assert estimate.item() == pytest.approx(dv.variational_bound("kl", 1.5 - GRID, p, q, DX).item(), abs=0.02)
    assert estimate.item() == pytest.approx(0.5, abs=0.02)


# ---- the game --------------------------------------------------------------------------------------


def test_game_at_the_optimal_discriminator():
    p, q = gaussian(0, 1), gaussian(1.5, 0.6)
    best = dv.gan_value(p.log() - q.log(), p, q, DX)
    assert best.item() == pytest.approx(2 * dv.jensen_shannon(p, q, DX).item() - math.log(4), abs=1e-12)
    for change in (0.3, -0.3, torch.sin(GRID)):
        assert dv.gan_value(p.log() - q.log() + change, p, q, DX) < best
    torch.testing.assert_close(dv.optimal_discriminator(p, q), torch.sigmoid(p.log() - q.log()))
    assert dv.gan_value(torch.zeros_like(p), p, p, DX).item() == pytest.approx(-math.log(4))


# ---- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("divergence", [dv.kl, dv.reverse_kl, dv.jensen_shannon, dv.total_variation])
def test_gradients_are_right_and_finite_where_p_is_zero(divergence):
    p = torch.tensor([0.0, 0.3, 0.7]).double()
    logits = torch.tensor([0.2, -0.4, 0.1]).double().requires_grad_()
    if divergence is dv.reverse_kl:
        p = torch.tensor([0.1, 0.2, 0.7]).double()  # infinite where p = 0 < q
    assert torch.autograd.gradcheck(lambda z: divergence(p, z.softmax(0)), logits)


def test_gradient_of_kl_with_respect_to_a_mean():
    mean = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    q = Normal(mean, torch.tensor(2.0).double()).log_prob(GRID).exp()
    dv.kl(gaussian(0, 1), q, DX).backward()
    assert mean.grad.item() == pytest.approx(0.7 / 4, abs=1e-9)


# ---- estimates -------------------------------------------------------------------------------------


def test_monte_carlo_estimates_cover_the_truth():
    p, q = Normal(0.0, 1.0), Normal(0.1, 0.95)
    torch.manual_seed(0)
    x = p.sample((20_000,))
    truth = dv.kl_gaussians(0.0, 1.0, 0.1, 0.95)
    plain = dv.kl_from_log_densities(p.log_prob(x), q.log_prob(x))
    varied = dv.kl_from_log_densities(p.log_prob(x), q.log_prob(x), control_variate=True)
    for estimate in (plain, varied):
        assert abs(estimate.value - truth) < 4 * estimate.standard_error
    assert varied.standard_error < plain.standard_error

    few = x[:2]
    assert dv.kl_from_log_densities(p.log_prob(few), q.log_prob(few), control_variate=True).value >= 0


@pytest.mark.parametrize("k", [1, 5])
def test_nearest_neighbours(k):
    rng = torch.Generator().manual_seed(1)
    p = torch.randn(2000, 2, generator=rng)
    q = torch.randn(2000, 2, generator=rng) + torch.tensor([1.0, 0.0])
    assert dv.kl_nearest_neighbours(p, q, k).item() == pytest.approx(0.5, abs=0.12)
    assert abs(dv.kl_nearest_neighbours(p, torch.randn(2000, 2, generator=rng), k).item()) < 0.12


# ---- errors ----------------------------------------------------------------------------------------

HALF = torch.tensor([0.5, 0.5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dv.kl(torch.tensor([1.5, -0.5]), HALF), "negative.*p has -0.5"),
        (lambda: dv.kl(HALF, torch.tensor([math.nan, 1.0])), "NaN.*q has nan"),
        (lambda: dv.kl(HALF, torch.tensor([0.5, 0.3, 0.2])), r"\[2\] and \[3\]"),
        (lambda: dv.jensen_shannon(HALF, torch.tensor([0.5, 0.4])), "q integrates to 0.9 with dx = 1"),
        (lambda: dv.kl(HALF, HALF, dx=0), "dx is the size"),
        (lambda: dv.wasserstein_1(torch.full((2, 2), 0.25), torch.full((2, 2), 0.25)), r"\[2, 2\]"),
        (lambda: dv.f_divergence("hellinger", HALF, HALF), "unknown f-divergence 'hellinger'"),
        (lambda: dv.f_divergence("hellinger", HALF, HALF), "there are: .*squared_hellinger"),
        (lambda: dv.variational_bound("reverse_kl", torch.ones(2), HALF, HALF), r"\[-inf, 0\].*activation"),
        (lambda: dv.variational_bound("kl", torch.ones(3), HALF, HALF), r"\[3\]"),
        (lambda: dv.kl_gaussians(0.0, 1.0, 0.0, -1.0), "std_q must be positive, got -1"),
        (lambda: dv.kl_from_log_densities(torch.zeros(3), torch.zeros(4)), r"\[3\] and \[4\]"),
        (lambda: dv.kl_nearest_neighbours(torch.zeros(3, 1), torch.zeros(3, 1), k=3), "k is 1 to 2"),
        (lambda: dv.kl_nearest_neighbours(torch.zeros(3, 1), torch.ones(3, 1)), "repeated samples"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_tolerance_is_the_callers():
    nearly = torch.tensor([0.5, 0.45])
    assert dv.kl(HALF, nearly, tolerance=0.1).isfinite()
