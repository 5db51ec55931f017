"""Blocks that papers share: spectral and conditional normalisation, attention, orthogonality."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gan_course.nn.attention import SelfAttention
from gan_course.nn.init import check_kind, initialise, orthogonality_penalty
from gan_course.nn.norms import (
    ConditionalBatchNorm2d,
    SpectralNorm,
    full_precision,
    normalised_layers,
    raw_weight,
    singular_values,
    spectral_norm,
)

LAYERS = {
    "conv": lambda: nn.Conv2d(3, 5, 3),
    "transposed": lambda: nn.ConvTranspose2d(6, 4, 4),
    "linear": lambda: nn.Linear(7, 4),
    "embedding": lambda: nn.Embedding(6, 5),
}


def matrix(layer: nn.Module, weight: torch.Tensor) -> torch.Tensor:
    """One row for each output."""
    rows = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return rows.flatten(1)


def use(layer: nn.Module) -> torch.Tensor:
    return layer.weight


# ---- spectral normalisation --------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(LAYERS))
def test_the_largest_singular_value_becomes_one(name):
    torch.manual_seed(0)
    layer = spectral_norm(LAYERS[name]())
    raw_weight(layer).data *= 7  # a scale that must not matter
    for _ in range(100):
        use(layer)
    normalised = matrix(layer, layer.weight.detach())
    assert torch.linalg.matrix_norm(normalised, 2).item() == pytest.approx(1, abs=1e-3)
    # it is the same matrix, divided by a number
    ratio = matrix(layer, raw_weight(layer).detach()) / normalised
    assert ratio.std() < 1e-3 * ratio.mean()


def test_sigma_is_that_of_the_written_out_iteration():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(7, 4))
    step = layer.parametrizations.weight[0]
    w = raw_weight(layer).detach()
    w *= torch.tensor([1.0, 2, 3, 4])[:, None]
    u, v = step._u.clone(), step._v.clone()
    for _ in range(3):
        got = layer.weight
        u = w @ v / torch.linalg.vector_norm(w @ v)
        v = w.T @ u / torch.linalg.vector_norm(w.T @ u)
        assert torch.allclose(step._u, u, atol=1e-6)
        assert torch.allclose(got, w / (u @ w @ v), atol=1e-6)


def test_gradient_is_that_of_equation_12():
    """With u, v constants: (dL/dW - <dL/dW, W_SN> u v^T) / sigma."""
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(6, 4))
    for _ in range(100):
        use(layer)
    step, w = layer.parametrizations.weight[0], raw_weight(layer)
    outer = torch.randn(4, 6)
    normalised = layer.weight
    (normalised * outer).sum().backward()
    sigma = step._u @ w.detach() @ step._v
    expected = (outer - (outer * normalised.detach()).sum() * torch.outer(step._u, step._v)) / sigma
    assert torch.allclose(w.grad, expected, atol=1e-5)


def test_evaluation_moves_no_vector_and_training_does():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(40, 30))
    raw_weight(layer).data.normal_()
    before = {k: v.clone() for k, v in layer.named_buffers()}
    layer.eval()
    use(layer)
    assert all(torch.equal(before[k], v) for k, v in layer.named_buffers())
    layer.train()
    use(layer)
    assert not any(torch.equal(before[k], v) for k, v in layer.named_buffers())


def test_two_forward_passes_before_one_backward():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(5, 4))
    x = torch.randn(2, 5)
    (layer(x).sum() - layer(2 * x).sum()).backward()
    assert raw_weight(layer).grad.isfinite().all()


def test_an_averaged_network_is_normalised_too():
    """Vectors that turned while they were averaged are shorter than 1; sigma must not be."""
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(12, 10))
    averaged = copy.deepcopy(layer)
    average = get_ema_multi_avg_fn(0.9)
    for _ in range(30):
        raw_weight(layer).data += 0.1 * torch.randn(10, 12)
        use(layer)
        for ours, theirs in zip(averaged.state_dict().values(), layer.state_dict().values(), strict=True):
            average([ours], [theirs], None)
    step = averaged.parametrizations.weight[0]
    assert step._u.norm() < 0.99
    averaged.eval()
    exact = torch.linalg.matrix_norm(raw_weight(averaged).detach(), 2)
    sigma = (raw_weight(averaged) / averaged.weight).detach().mean()
    assert sigma.item() == pytest.approx(exact.item(), rel=0.03)


def test_mixed_precision_does_not_touch_sigma():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(40, 30)).eval()
    exact = layer.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.weight.dtype == torch.float32
        assert torch.equal(layer.weight, exact)
        assert layer(torch.ones(1, 40)).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16), full_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with full_precision(torch.device("meta")):
        pass


def test_normalised_layers_and_raw_weights():
    network = nn.Sequential(spectral_norm(nn.Linear(3, 3)), nn.Linear(3, 3), nn.ReLU())
    assert list(normalised_layers(network)) == ["0"]
    assert raw_weight(network[0]) is network[0].parametrizations.weight.original
    assert raw_weight(network[1]) is network[1].weight


@pytest.mark.parametrize("name", list(LAYERS))
def test_singular_values_are_those_of_the_stored_matrix(name):
    torch.manual_seed(0)
    plain = LAYERS[name]()
    expected = torch.linalg.svdvals(matrix(plain, plain.weight.detach()))
    network = nn.Sequential(spectral_norm(copy.deepcopy(plain)), plain)
    values = singular_values(network, count=3)
    assert list(values) == ["0", "1"]
    assert torch.allclose(values["0"], expected[:3])
    assert torch.allclose(values["1"], expected[:3])
    assert len(singular_values(network)["0"]) == 1


# ---- conditional batch norm --------------------------------------------------------------------------


def test_gain_is_one_plus_what_the_condition_says():
    torch.manual_seed(0)
    gain, bias = nn.Embedding(3, 4), nn.Embedding(3, 4)
    norm = ConditionalBatchNorm2d(4, gain, bias)
    x, labels = torch.randn(6, 4, 5, 5) * 3 + 2, torch.arange(6) % 3
    plain = (x - x.mean((0, 2, 3), keepdim=True)) / (
        x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5
    ).sqrt()
    for n in range(6):
        expected = (
            plain[n] * (1 + gain.weight[labels[n]])[:, None, None] + bias.weight[labels[n]][:, None, None]
        )
        assert torch.allclose(norm(x, labels)[n], expected, atol=1e-5)
    nn.init.zeros_(gain.weight)
    nn.init.zeros_(bias.weight)
    assert torch.allclose(norm(x, labels), plain, atol=1e-5)  # plain batch norm where nothing is said
    assert not list(norm.norm.parameters())


# ---- attention ---------------------------------------------------------------------------------------


def attention(features: int = 16) -> SelfAttention:
    torch.manual_seed(0)
    return SelfAttention(features)


def test_attention_is_the_identity_at_first():
    block, x = attention(), torch.randn(2, 16, 4, 6)
    assert torch.equal(block(x), x)
    block.gamma.data.fill_(0.5)
    assert not torch.allclose(block(x), x, atol=1e-3)


def test_attention_against_the_formula_place_by_place():
    block, x = attention(), torch.randn(2, 16, 4, 6)
    block.gamma.data.fill_(0.7)
    got, weights = block(x), block.weights(x)
    w = {name: getattr(block, name).weight[:, :, 0, 0] for name in ("theta", "phi", "g", "o")}
    assert {name: tuple(value.shape) for name, value in w.items()} == {
        "theta": (2, 16),
        "phi": (2, 16),
        "g": (8, 16),
        "o": (16, 8),
    }
    places = [(i, j) for i in range(4) for j in range(6)]
    pooled = [(i, j) for i in range(2) for j in range(3)]

    def largest(name, n, i, j):
        """The largest of four neighbours, feature by feature."""
        four = [w[name] @ x[n, :, 2 * i + a, 2 * j + b] for a in range(2) for b in range(2)]
        return torch.stack(four).amax(0)

    for n in range(2):
        for row, (i, j) in enumerate(places):
            query = w["theta"] @ x[n, :, i, j]
            logits = torch.stack([query @ largest("phi", n, *place) for place in pooled])
            beta = logits.exp() / logits.exp().sum()
            taken = sum(b * largest("g", n, *place) for b, place in zip(beta, pooled, strict=True))
            assert torch.allclose(weights[n, row], beta, atol=1e-5)
            assert torch.allclose(got[n, :, i, j], x[n, :, i, j] + 0.7 * (w["o"] @ taken), atol=1e-5)


def test_every_layer_of_attention_is_normalised():
    block = SelfAttention(16, spectral_norm)
    assert list(normalised_layers(block)) == ["theta", "phi", "g", "o"]


@pytest.mark.parametrize("features", [0, 4, 12])
def test_features_that_attention_refuses(features):
    with pytest.raises(
        ValueError, match=rf"^attention over {features} features: they must be a multiple of 8$"
    ):
        SelfAttention(features)


# ---- initial weights and orthogonality ---------------------------------------------------------------


@pytest.mark.parametrize("normalise", [spectral_norm, lambda module: module])
def test_orthogonal_weights(normalise):
    torch.manual_seed(0)
    network = nn.Sequential(*(normalise(make()) for make in LAYERS.values()))
    for layer in network:
        if raw_weight(layer).dim() == 4:
            layer.to(memory_format=torch.channels_last)
    initialise(network, "orthogonal")
    for layer in network:
        weight = raw_weight(layer).detach().flatten(1)
        assert torch.allclose(torch.linalg.svdvals(weight), torch.ones(min(weight.shape)), atol=1e-5)
        assert getattr(layer, "bias", None) is None or not layer.bias.any()


def test_the_other_kinds():
    torch.manual_seed(0)
    layer = nn.Linear(300, 200)
    initialise(layer, "normal")
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    initialise(layer, "xavier")
    assert 0.95 < layer.weight.abs().max().item() / (6 / 500) ** 0.5 <= 1
    with pytest.raises(
        ValueError, match=r"^initialisation is 'zero'; it must be one of orthogonal, xavier, normal$"
    ):
        initialise(layer, "zero")
    with pytest.raises(ValueError, match=r"^initialisation is 'he'"):
        check_kind("he")


def test_vectors_follow_new_weights():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(20, 10))
    initialise(layer, "xavier")
    layer.eval()
    assert torch.linalg.matrix_norm(layer.weight.detach(), 2).item() == pytest.approx(1, abs=0.02)


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 6), columns=st.integers(1, 6), seed=st.integers(0, 1000))
def test_orthogonality_penalty_against_the_formula(rows, columns, seed):
    w = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()
    expected = 0.0
    for i in range(rows):
        for j in range(rows):
            expected += (w[i] @ w[j]).item() ** 2 if i != j else 0.0
    assert orthogonality_penalty([w]).item() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_orthogonality_penalty_of_several_weights():
    torch.manual_seed(0)
    orthogonal = nn.init.orthogonal_(torch.empty(4, 3, 2, 2))
    assert orthogonality_penalty([orthogonal]).item() == pytest.approx(0, abs=1e-5)
    assert orthogonality_penalty([5 * orthogonal]).item() == pytest.approx(0, abs=1e-2)  # lengths are free
    a, b = torch.randn(3, 5), torch.randn(2, 4, 3, 3)
    both = orthogonality_penalty([a, b])
    assert torch.allclose(both, orthogonality_penalty([a]) + orthogonality_penalty([b]))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(orthogonality_penalty([a, b]), both)
    w = torch.randn(3, 5, requires_grad=True)
    orthogonality_penalty([w]).backward()
    products = (w @ w.T).detach()
    assert torch.allclose(w.grad, 4 * (products - products.diagonal().diag()) @ w.detach(), atol=1e-4)


def test_spectral_norm_is_known_to_those_who_freeze_it():
    """Method.moving switches off the iteration by the class that torch has."""
    from torch.nn.utils.parametrizations import _SpectralNorm

    assert issubclass(SpectralNorm, _SpectralNorm)
    network = spectral_norm(nn.Linear(3, 3))
    assert F.linear(torch.ones(1, 3), network.weight).shape == (1, 3)
