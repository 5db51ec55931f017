"""Games against their formulas, at their extremes, and the gradient penalty."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gan_course import losses

GAMES = list(losses.GAMES)


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


# each game as its paper writes it, for one real and one generated image
DISCRIMINATOR = {
    "minimax": lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
    "non_saturating": lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
    "least_squares": lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2,
    "hinge": lambda r, f: max(0, 1 - r) + max(0, 1 + f),
    "wasserstein": lambda r, f: f - r,
}
GENERATOR = {
    "minimax": lambda f: math.log(1 - sigmoid(f)),
    "non_saturating": lambda f: -math.log(sigmoid(f)),
    "least_squares": lambda f: 0.5 * (f - 1) ** 2,
    "hinge": lambda f: -f,
    "wasserstein": lambda f: -f,
}
scores = st.lists(st.floats(-15, 15), min_size=1, max_size=12)


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


# ---- games -------------------------------------------------------------------------------------------


def test_the_games():
    assert GAMES == ["minimax", "non_saturating", "least_squares", "hinge", "wasserstein"]
    assert losses.game("hinge") is losses.GAMES["hinge"]
    message = (
        r"^unknown game 'vanilla'; known games: minimax, non_saturating, least_squares, hinge, wasserstein$"
    )
    with pytest.raises(ValueError, match=message):
        losses.game("vanilla")


@settings(max_examples=40, deadline=None)
@given(real=scores, fake=scores)
@pytest.mark.parametrize("name", GAMES)
def test_costs_are_means_of_the_formulas(name, real, fake):
    game = losses.game(name)
    real_scores, fake_scores = (torch.tensor(s, dtype=torch.float64) for s in (real, fake))
    formula = DISCRIMINATOR[name]
    # real and generated images enter separately, so their numbers may differ: average each half
    expected = mean(formula(r, fake[0]) for r in real) + mean(formula(real[0], f) for f in fake)
    expected -= formula(real[0], fake[0])
    assert game.discriminator(real_scores, fake_scores).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    expected = mean(GENERATOR[name](f) for f in fake)
    assert game.generator(fake_scores).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", GAMES)
def test_closed_values_at_a_score_of_zero(name):
    zero = torch.zeros(3)
    discriminator = {"least_squares": 0.5, "hinge": 2.0, "wasserstein": 0.0}.get(name, 2 * math.log(2))
    generator = {
        "minimax": -math.log(2),
        "non_saturating": math.log(2),
        "least_squares": 0.5,
    }.get(name, 0.0)
    assert losses.game(name).discriminator(zero, zero).item() == pytest.approx(discriminator)
    assert losses.game(name).generator(zero).item() == pytest.approx(generator)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(-15, 15), min_size=12, max_size=12), data=st.data())
@pytest.mark.parametrize("name", GAMES)
def test_the_shape_of_scores_does_not_matter(name, values, data):
    shape = data.draw(st.sampled_from([(12,), (12, 1), (3, 4), (2, 1, 2, 3), (1, 1, 12)]))
    order = data.draw(st.permutations(range(12)))
    game, flat = losses.game(name), torch.tensor(values, dtype=torch.float64)
    mapped = flat[list(order)].reshape(shape)
    for cost, again in (
        (game.discriminator(flat, -flat), game.discriminator(mapped, -mapped)),
        (game.generator(flat), game.generator(mapped)),
    ):
        assert again.shape == ()
        assert again.item() == pytest.approx(cost.item(), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", GAMES)
def test_gradients_by_finite_differences(name):
    game = losses.game(name)
    rng = torch.Generator().manual_seed(0)
    real, fake = ((torch.randn(6, generator=rng, dtype=torch.float64) * 3).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(game.discriminator, (real, fake))
    assert torch.autograd.gradcheck(game.generator, (fake,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [20.0, 90.0, 1000.0, 30000.0])
@pytest.mark.parametrize("name", GAMES)
def test_extreme_scores_stay_finite(name, size, dtype):
    game = losses.game(name)
    for real, fake in ((size, -size), (-size, size)):
        real_scores = torch.tensor([real], dtype=dtype, requires_grad=True)
        fake_scores = torch.tensor([fake], dtype=dtype, requires_grad=True)
        for cost in (game.discriminator(real_scores, fake_scores), game.generator(fake_scores)):
            assert cost.isfinite()
            cost.backward()
        assert real_scores.grad.isfinite().all()
        assert fake_scores.grad.isfinite().all()


@pytest.mark.parametrize("size", [20.0, 90.0, 1000.0])
def test_whoever_is_surely_wrong_keeps_a_gradient(size):
    """Where the sigmoid has rounded to 0 or 1, its logarithm in two steps would have no gradient."""
    for name in ("minimax", "non_saturating"):
        real, fake = torch.tensor([-size], requires_grad=True), torch.tensor([size], requires_grad=True)
        losses.game(name).discriminator(real, fake).backward()
        assert real.grad.item() == pytest.approx(-1)
        assert fake.grad.item() == pytest.approx(1)
    fake = torch.tensor([-size], requires_grad=True)
    losses.game("non_saturating").generator(fake).backward()
    assert fake.grad.item() == pytest.approx(-1)
    fake = torch.tensor([-size], requires_grad=True)
    losses.game("minimax").generator(fake).backward()
    assert abs(fake.grad.item()) < 1e-8  # saturates: the reason for the other game


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", GAMES)
def test_half_precision_scores_are_averaged_in_float32(name, dtype):
    game = losses.game(name)
    half = torch.linspace(-3, 3, 101).to(dtype)
    for cost, exact in (
        (game.discriminator(half, -half), game.discriminator(half.double(), -half.double())),
        (game.generator(half), game.generator(half.double())),
        (game.output(half).mean(), game.output(half.double()).mean()),
    ):
        assert cost.dtype == torch.float32
        assert cost.item() == pytest.approx(exact.item(), abs=1e-5)
    assert game.generator(half.double()).dtype == torch.float64


def test_output_is_a_probability_where_the_game_has_one():
    s = torch.tensor([-2.0, 0.0, 3.0])
    for name in ("minimax", "non_saturating"):
        assert torch.allclose(losses.game(name).output(s), torch.tensor([sigmoid(-2), 0.5, sigmoid(3)]))
    for name in ("least_squares", "hinge", "wasserstein"):
        assert torch.equal(losses.game(name).output(s), s)


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_the_optimal_discriminator_costs_what_the_paper_says(name):
    """Where p_data = p_g, D = 1/2 and the value of the game is -log 4 (theorem 1); no score does better."""
    cost = losses.game(name).discriminator
    at = [cost(torch.full((4,), s), torch.full((4,), s)).item() for s in (-1.0, -0.1, 0.0, 0.1, 1.0)]
    assert at[2] == pytest.approx(math.log(4))
    assert min(at) == at[2]


# ---- labels smoothed and swapped -----------------------------------------------------------------------

SMOOTHED = {  # the discriminator's cost as the papers write it, with the label y in place of 1
    "minimax": lambda r, f, y: (
        -y * math.log(sigmoid(r)) - (1 - y) * math.log(1 - sigmoid(r)) - math.log(1 - sigmoid(f))
    ),
    "least_squares": lambda r, f, y: 0.5 * (r - y) ** 2 + 0.5 * f**2,
}
SMOOTHED["non_saturating"] = SMOOTHED["minimax"]


@settings(max_examples=30, deadline=None)
@given(real=st.floats(-15, 15), fake=st.floats(-15, 15), amount=st.floats(0, 0.9))
@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothed_costs_are_the_formulas(name, real, fake, amount):
    game = losses.label_smoothed(losses.game(name), amount)
    scores = (torch.tensor([s, s], dtype=torch.float64) for s in (real, fake))
    expected = SMOOTHED[name](real, fake, 1 - amount)
    assert game.discriminator(*scores).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothing_changes_the_discriminators_target_for_real_images_only(name):
    game, plain = losses.label_smoothed(losses.game(name), 0.2), losses.game(name)
    assert game[1:] == plain[1:]
    real = torch.zeros(1, requires_grad=True)
    fake = torch.tensor([-30.0 if name != "least_squares" else 0.0])
    optimizer = torch.optim.LBFGS([real], max_iter=50)

    def cost():
        optimizer.zero_grad()
        value = game.discriminator(real, fake)
        value.backward()
        return value

    optimizer.step(cost)
    assert game.output(real).item() == pytest.approx(0.8, abs=1e-3)


def test_smoothing_by_nothing_is_the_game_itself():
    for name in GAMES:
        assert losses.label_smoothed(losses.game(name), 0.0) is losses.game(name)


@pytest.mark.parametrize("size", [90.0, 30000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_smoothed_costs_of_extreme_scores(dtype, size):
    game = losses.label_smoothed(losses.game("non_saturating"), 0.1)
    real, fake = (torch.tensor([s], dtype=dtype, requires_grad=True) for s in (size, -size))
    cost = game.discriminator(real, fake)
    assert cost.dtype == torch.float32
    assert cost.item() == pytest.approx(0.1 * real.item())  # too sure of a real image
    cost.backward()
    assert real.grad.item() == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("amount", [-0.1, 1.0, math.nan])
def test_smoothing_that_is_refused(amount):
    with pytest.raises(
        ValueError, match=rf"^label_smoothing is {amount}; it must be at least 0 and below 1$"
    ):
        losses.label_smoothed(losses.game("minimax"), amount)


@pytest.mark.parametrize("name", ["hinge", "wasserstein"])
def test_games_without_labels(name):
    with pytest.raises(ValueError, match=r"game must be one of minimax, non_saturating, least_squares$"):
        losses.label_smoothed(losses.game(name), 0.1)


@settings(max_examples=20, deadline=None)
@given(real=scores, fake=scores)
@pytest.mark.parametrize("name", GAMES)
def test_a_swap_exchanges_the_roles(name, real, fake):
    game, plain = losses.label_swapped(losses.game(name), 1.0), losses.game(name)
    real, fake = torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64)
    assert game.discriminator(real, fake).item() == plain.discriminator(fake, real).item()
    assert game[1:] == plain[1:]
    assert losses.label_swapped(plain, 0.0) is plain


def test_swaps_come_as_often_as_asked_for_and_for_the_whole_move():
    torch.manual_seed(0)
    game = losses.label_swapped(losses.game("wasserstein"), 0.3)
    real, fake = torch.tensor([2.0, 4.0]), torch.tensor([-1.0, 1.0])
    costs = torch.stack([game.discriminator(real, fake) for _ in range(2000)])
    assert set(costs.tolist()) == {-3.0, 3.0}
    assert (costs > 0).float().mean().item() == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_swapping_that_is_refused(probability):
    with pytest.raises(ValueError, match=rf"^label_swapping is {probability}; it must be a probability"):
        losses.label_swapped(losses.game("minimax"), probability)


# ---- the gradient penalty ----------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    weights=st.lists(st.floats(-3, 3), min_size=6, max_size=6),
    count=st.integers(1, 5),
    shape=st.sampled_from([(6,), (1, 2, 3), (6, 1, 1)]),
)
def test_a_linear_critic_has_a_closed_penalty(weights, count, shape):
    w = torch.tensor(weights, dtype=torch.float64)
    real, fake = torch.randn(2, count, *shape, dtype=torch.float64)
    penalty = losses.gradient_penalty(lambda x: x.flatten(1) @ w, real, fake)
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx((w.norm().item() - 1) ** 2, abs=1e-9)


def test_the_penalty_is_the_mean_over_samples():
    """A critic whose slope differs from sample to sample: s(x) = |x|^2 / 2, with gradient x."""
    real = torch.randn(5, 3, dtype=torch.float64)
    penalty = losses.gradient_penalty(lambda x: x.square().sum(1) / 2, real, real)
    assert penalty.item() == pytest.approx((real.norm(dim=1) - 1).square().mean().item())


@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 4, 4)])
def test_one_mixing_coefficient_for_each_sample(shape):
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    fake, real = torch.zeros(shape), torch.ones(shape)
    losses.gradient_penalty(critic, real, fake, rng=torch.Generator().manual_seed(0))
    alpha = seen[0].flatten(1)  # between 0 and 1 the place is the coefficient
    assert torch.equal(alpha, alpha[:, :1].expand_as(alpha))
    assert len(alpha[:, 0].unique()) == 8
    assert alpha.min() >= 0
    assert alpha.max() < 1
    losses.gradient_penalty(critic, real, fake, rng=torch.Generator().manual_seed(0))
    assert torch.equal(seen[0], seen[1])


def test_mixing_coefficients_cover_the_segment():
    seen = []

    def critic(x):
        seen.append(x.detach().flatten())
        return x.sum(1)

    losses.gradient_penalty(
        critic, torch.ones(4000, 1), torch.zeros(4000, 1), torch.Generator().manual_seed(0)
    )
    assert seen[0].mean().item() == pytest.approx(0.5, abs=0.02)
    assert seen[0].std().item() == pytest.approx(12**-0.5, abs=0.01)


def test_a_flat_critic_gives_finite_gradients():
    critic = nn.Linear(4, 1)
    nn.init.zeros_(critic.weight)
    penalty = losses.gradient_penalty(critic, torch.randn(3, 4), torch.randn(3, 4))
    assert penalty.item() == 1
    penalty.backward()
    assert critic.weight.grad.isfinite().all()


def test_the_penalty_trains_the_critic_and_nothing_else():
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    real, fake = torch.randn(2, 6, 4).unbind()
    real.requires_grad_(), fake.requires_grad_()
    made = fake * 2  # as a generator's output
    losses.gradient_penalty(critic, real, made).backward()
    assert critic[0].weight.grad.any()
    assert real.grad is None
    assert fake.grad is None


@pytest.mark.parametrize("shape", [(), (1,), (2, 2)])
def test_scores_of_any_shape(shape):
    size = math.prod(shape)
    penalty = losses.gradient_penalty(
        lambda x: x.sum(1).reshape(-1, *[1] * len(shape)).expand(-1, *shape) / size,
        torch.randn(3, 9),
        torch.randn(3, 9),
    )
    assert penalty.item() == pytest.approx((3 - 1) ** 2, rel=1e-5)


def test_a_penalty_in_bfloat16_is_computed_in_float32():
    w = torch.full((64,), 0.25, dtype=torch.bfloat16)
    real, fake = torch.randn(2, 5, 64).bfloat16().unbind()
    penalty = losses.gradient_penalty(lambda x: x @ w, real, fake)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(1.0)


def test_real_and_fake_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"^real \(4, 3\) and fake \(5, 3\) must have one shape$"):
        losses.gradient_penalty(lambda x: x.sum(1), torch.ones(4, 3), torch.ones(5, 3))


# ---- the R1 penalty ------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    weights=st.lists(st.floats(-3, 3), min_size=6, max_size=6),
    count=st.integers(1, 5),
    shape=st.sampled_from([(6,), (1, 2, 3), (6, 1, 1)]),
)
def test_r1_of_a_linear_critic_is_its_squared_length(weights, count, shape):
    w = torch.tensor(weights, dtype=torch.float64)
    real = torch.randn(count, *shape, dtype=torch.float64, requires_grad=True)
    penalty = losses.r1_penalty(real.flatten(1) @ w, real)
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx(w.square().sum().item(), abs=1e-9)


def test_r1_is_the_mean_over_images_and_trains_the_critic():
    """s(x) = a |x|^2 / 2 has the gradient a x, so the penalty is a^2 E|x|^2 and its derivative 2 a E|x|^2."""
    a = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    real = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    penalty = losses.r1_penalty(a * real.square().sum(1) / 2, real)
    lengths = real.detach().square().sum(1).mean()
    assert penalty.item() == pytest.approx(9 * lengths.item())
    penalty.backward()
    assert a.grad.item() == pytest.approx(6 * lengths.item())


def test_r1_of_a_flat_critic_has_finite_gradients():
    critic = nn.Linear(4, 1)
    nn.init.zeros_(critic.weight)
    real = torch.randn(3, 4, requires_grad=True)
    penalty = losses.r1_penalty(critic(real), real)
    assert penalty.item() == 0
    penalty.backward()
    assert torch.equal(critic.weight.grad, torch.zeros(1, 4))


def test_r1_in_bfloat16_is_summed_in_float32():
    w = torch.full((4096,), 0.0625, dtype=torch.bfloat16)
    real = torch.randn(5, 4096).bfloat16().requires_grad_()
    penalty = losses.r1_penalty(real @ w, real)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(16.0)


# ---- several scales ------------------------------------------------------------------------------------


def nested(*scales, dtype=torch.float64) -> losses.Nested:
    """Maps from lists of numbers: nested([[1, 2], [3]], ...) has one scale of two maps, scores last."""
    return [[torch.tensor([[m]], dtype=dtype) for m in maps] for maps in scales]


REAL = nested([[9.0], [1.0, 3.0]], [[9.0], [0.5]])  # scores 1, 3 at one scale, 0.5 at the other
FAKE = nested([[7.0], [0.0, -2.0]], [[7.0], [-1.0]])


def test_pix2pixhd_adds_the_scales_and_spade_averages_them():
    """Least squares by hand: D 1/2 (mean(0, 4) + mean(0, 4)) = 2 and 1/2 (0.25 + 1) = 0.625; G 1/2 mean(1, 9)
    = 2.5 and 2. Hinge: D mean(0, 0) + mean(1, 0) = 0.5 and 0.5 + 0; G 1 and 1."""
    least_squares = losses.over_scales(losses.game("least_squares"), "sum")
    assert least_squares.discriminator(REAL, FAKE).item() == pytest.approx(2 + 0.625)
    assert least_squares.generator(FAKE).item() == pytest.approx(2.5 + 2)
    hinge = losses.over_scales(losses.game("hinge"), "mean")
    assert hinge.discriminator(REAL, FAKE).item() == pytest.approx((0.5 + 0.5) / 2)
    assert hinge.generator(FAKE).item() == pytest.approx((1 + 1) / 2)
    assert losses.over_scales(losses.game("hinge"), "sum").generator(FAKE).item() == pytest.approx(2)


def test_scales_count_alike_however_many_patches_they_have():
    game = losses.over_scales(losses.game("wasserstein"), "mean")
    outputs = nested([[4.0] * 100], [[0.0]])
    assert game.generator(outputs).item() == pytest.approx(-2)
    assert losses.all_scores(outputs).shape == (101,)
    assert losses.all_scores(FAKE).tolist() == [0, -2, -1]


def test_another_reduction_is_refused():
    with pytest.raises(
        ValueError, match=r"^the costs of several scales are reduced by 'max'; take sum or mean$"
    ):
        losses.over_scales(losses.game("hinge"), "max")


# ---- feature matching ----------------------------------------------------------------------------------


def test_feature_matching_by_hand():
    """Layers are added, scales averaged, the scores (8 apart) left out."""
    real = nested([[1.0, 2.0], [0.0], [8.0]], [[5.0], [1.0, 1.0, 1.0], [8.0]])
    fake = nested([[2.0, 5.0], [0.5], [0.0]], [[1.0], [1.0, 4.0, 1.0], [0.0]])
    # (1 + 3) / 2 + 0.5 = 2.5 at one scale, 4 + 3 / 3 = 5 at the other
    assert losses.feature_matching(real, fake).item() == pytest.approx((2.5 + 5) / 2)
    assert losses.feature_matching(real, real).item() == 0


def test_targets_of_feature_matching_get_no_gradient():
    real, fake = (torch.randn(2, 3, 4, requires_grad=True) for _ in range(2))
    cost = losses.feature_matching([[real, real], [2 * real, real]], [[fake, fake], [2 * fake, fake]])
    cost.backward()
    assert real.grad is None
    assert torch.allclose(fake.grad, (fake - real).sign() * (1 + 2) / 2 / fake.numel())


def test_features_of_two_forms_are_refused():
    with pytest.raises(
        ValueError, match=r"^features of real images are \[\[\(1, 1, 1\), .*, those of generated"
    ):
        losses.feature_matching(REAL, FAKE[:1])
    with pytest.raises(ValueError, match=r"^features of real images"):
        losses.feature_matching(nested([[1.0], [1.0]]), nested([[1.0, 2.0], [1.0]]))


def test_half_precision_features_are_compared_in_float32():
    real, fake = nested([[300.0] * 4096, [0.0]], dtype=torch.bfloat16), nested([[301.0] * 4096, [0.0]])
    cost = losses.feature_matching(real, [[m.bfloat16() for m in maps] for maps in fake])
    assert cost.dtype == torch.float32
