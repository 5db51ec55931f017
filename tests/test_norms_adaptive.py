"""AdaIN, LIN and AdaLIN: against their formulas in float64, and what they keep in memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_course.nn.norms import LIN, AdaIN, AdaLIN

EPS = 1e-5


def normalised(x: torch.Tensor, dims: tuple[int, ...], unbiased: bool = False) -> torch.Tensor:
    mean = x.mean(dim=dims, keepdim=True)
    variance = x.var(dim=dims, keepdim=True, unbiased=unbiased)
    return (x - mean) / torch.sqrt(variance + EPS)


def formula(x, rho, gamma, beta, unbiased=False):
    """Equation 1 of U-GAT-IT, written out."""
    mixed = rho * normalised(x, (2, 3), unbiased) + (1 - rho) * normalised(x, (1, 2, 3), unbiased)
    return mixed * gamma + beta


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def an_adalin(features: int, **options) -> AdaLIN:
    norm = AdaLIN(features, **options).double()
    norm.rho.data = torch.linspace(0, 1, features, dtype=torch.float64).view(1, -1, 1, 1)
    return norm


# ---- the formulas ------------------------------------------------------------------------------------


def test_adain_is_its_formula():
    x, gamma, beta = 3 * some(2, 5, 4, 6) + 7, some(2, 5, seed=1), some(2, 5, seed=2)
    expected = normalised(x, (2, 3)) * gamma[:, :, None, None] + beta[:, :, None, None]
    torch.testing.assert_close(AdaIN()(x, gamma, beta), expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 3),
    features=st.integers(1, 6),
    height=st.integers(2, 5),
    width=st.integers(2, 5),
    offset=st.floats(-10, 10),
    unbiased=st.booleans(),
)
def test_adalin_is_its_formula(count, features, height, width, offset, unbiased):
    x = some(count, features, height, width) * 2 + offset + some(1, features, 1, 1, seed=3)
    gamma, beta = some(count, features, seed=1), some(count, features, seed=2)
    norm = an_adalin(features, unbiased=unbiased)
    expected = formula(x, norm.rho, gamma[:, :, None, None], beta[:, :, None, None], unbiased)
    torch.testing.assert_close(norm(x, gamma, beta), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("unbiased", [False, True])
def test_adalin_has_the_gradients_of_its_formula(unbiased):
    inputs = [some(2, 4, 3, 5), some(2, 4, seed=1), some(2, 4, seed=2)]
    norm = an_adalin(4, unbiased=unbiased)
    weights = some(2, 4, 3, 5, seed=4)

    def gradients(out_of):
        leaves = [value.clone().requires_grad_(True) for value in inputs]
        cost = (out_of(*leaves) * weights).sum()
        return torch.autograd.grad(cost, [*leaves, norm.rho])

    def written_out(x, gamma, beta):
        return formula(x, norm.rho, gamma[:, :, None, None], beta[:, :, None, None], unbiased)

    for ours, theirs in zip(gradients(norm), gradients(written_out), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_lin_is_its_formula_with_a_gamma_and_a_beta_of_its_own():
    x, norm = some(2, 4, 3, 5), LIN(4).double()
    torch.testing.assert_close(norm(x), normalised(x, (1, 2, 3)), rtol=1e-10, atol=1e-10)  # rho 0 at first
    for number, parameter in enumerate(norm.parameters()):
        parameter.data = some(1, 4, 1, 1, seed=number)
    torch.testing.assert_close(norm(x), formula(x, norm.rho, norm.gamma, norm.beta), rtol=1e-10, atol=1e-10)


def test_rho_at_its_ends_is_instance_norm_and_layer_norm():
    x, ones, zeros = some(2, 4, 3, 5), torch.ones(2, 4).double(), torch.zeros(2, 4).double()
    for rho, dims in ((1.0, (2, 3)), (0.0, (1, 2, 3))):
        out = AdaLIN(4, rho=rho).double()(x, ones, zeros)
        torch.testing.assert_close(out, normalised(x, dims), rtol=1e-10, atol=1e-10)


def test_no_sample_knows_of_the_others():
    x, gamma, beta, norm = some(3, 4, 3, 5), some(3, 4), some(3, 4), an_adalin(4)
    together = norm(x, gamma, beta)
    for k in range(3):
        alone = norm(x[k : k + 1], gamma[k : k + 1], beta[k : k + 1])
        torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-12, atol=1e-12)


# ---- precision and memory ----------------------------------------------------------------------------


def test_float32_is_exact_where_the_mean_is_large():
    x, norm = some(1, 8, 16, 16) + 30, an_adalin(8)
    gamma, beta = torch.ones(1, 8).double(), torch.zeros(1, 8).double()
    exact, rounded = norm(x, gamma, beta), norm.float()(x.float(), gamma.float(), beta.float())
    assert (exact - rounded).abs().max() < 1e-4


def test_half_precision_goes_in_and_comes_out():
    x, norm = some(2, 4, 8, 8).bfloat16(), an_adalin(4).float()
    gamma, beta = torch.ones(2, 4).bfloat16(), torch.zeros(2, 4).bfloat16()
    out = norm(x, gamma, beta)
    assert out.dtype == torch.bfloat16
    assert AdaIN()(x, gamma, beta).dtype == LIN(4)(x).dtype == torch.bfloat16
    exact = formula(x.double(), norm.rho.double(), 1.0, 0.0)
    assert (out.double() - exact).abs().max() < 0.05


def kept_for_backward(compute) -> int:
    """Bytes that autograd keeps: each piece of memory counted once."""
    kept: dict[int, int] = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        compute()
    return sum(kept.values())


@pytest.mark.parametrize("kind", ["adaptive", "own"])
def test_a_sixth_of_the_memory_of_the_formula(kind):
    x = torch.randn(2, 16, 32, 32, requires_grad=True)
    gamma, beta = (torch.randn(2, 16, requires_grad=True) for _ in range(2))
    rho = torch.full((1, 16, 1, 1), 0.5, requires_grad=True)
    written_out = kept_for_backward(lambda: formula(x, rho, gamma[:, :, None, None], beta[:, :, None, None]))
    norm = AdaLIN(16) if kind == "adaptive" else LIN(16)
    ours = kept_for_backward(lambda: norm(x, gamma, beta) if kind == "adaptive" else norm(x))
    size_of_x = x.numel() * x.element_size()
    assert size_of_x <= ours < 1.1 * size_of_x
    assert written_out > 5 * ours
