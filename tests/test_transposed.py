"""The quick transposed convolution is the ordinary one: results, gradients, names of weights."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from gan_course.methods.pix2pix import Pix2Pix, Pix2PixConfig
from gan_course.nn import transposed
from gan_course.nn.transposed import ConvTranspose2d


def ordinary(layer: ConvTranspose2d) -> nn.ConvTranspose2d:
    """The library's layer with the same weights."""
    other = copy.deepcopy(layer)
    other.__class__ = nn.ConvTranspose2d
    return other


def results(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The output, and the gradients of a weighted sum of it by input and parameters."""
    x = x.clone().requires_grad_()
    y = layer(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return [y, *torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()])]


@given(
    kernel_size=st.integers(2, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
    more=st.integers(0, 2),
    bias=st.booleans(),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    count=st.integers(1, 4),
)
@settings(deadline=None, max_examples=40)
def test_equals_the_ordinary_layer(kernel_size, stride, padding, more, bias, height, width, count):
    more = min(more, stride - 1)
    sides = [(side - 1) * stride - 2 * padding + kernel_size + more for side in (height, width)]
    if min(sides) < 1:
        return
    layer = ConvTranspose2d(3, 2, kernel_size, stride, padding, more, bias=bias, dtype=torch.float64)
    x = torch.randn(count, 3, height, width, dtype=torch.float64)
    assert layer.few_places(x)
    for ours, theirs in zip(results(layer, x), results(ordinary(layer), x), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("options", "x"),
    [
        ({"groups": 2}, torch.randn(1, 4, 2, 2)),
        ({"dilation": 2}, torch.randn(1, 4, 2, 2)),
        ({}, torch.randn(4, 2, 2)),  # one image without a batch
        ({}, torch.randn(1, 4, transposed.FEW + 1, 1)),
    ],
)
def test_leaves_what_it_cannot_do_quicker_to_the_library(options, x):
    layer = ConvTranspose2d(4, 4, 3, **options)
    assert not layer.few_places(x)
    torch.testing.assert_close(layer(x), ordinary(layer)(x))


def test_asked_for_a_size_it_gives_that_size():
    layer = ConvTranspose2d(2, 2, 3, stride=2)
    assert layer(torch.randn(1, 2, 2, 2), output_size=[6, 5]).shape == (1, 2, 6, 5)


def test_mixed_precision_and_shapes_without_memory():
    layer, x = ConvTranspose2d(8, 4, 4, 2, 1), torch.randn(2, 8, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), layer(x), atol=0.05, rtol=0.05)
    with torch.device("meta"):
        assert ConvTranspose2d(8, 4, 4, 2, 1)(torch.empty(2, 8, 2, 2)).shape == (2, 4, 4, 4)


def test_weights_of_the_two_layers_have_the_same_names():
    layer = ConvTranspose2d(3, 2, 4)
    nn.ConvTranspose2d(3, 2, 4).load_state_dict(layer.state_dict())


def test_a_step_of_pix2pix_gives_the_gradients_of_the_ordinary_layers():
    torch.manual_seed(0)
    config = Pix2PixConfig(image_size=16, ngf=4, ndf=4, discriminator_layers=1, dropout=0.0)
    method = Pix2Pix(config).double().train()
    other = copy.deepcopy(method)
    quick = [m for m in other.modules() if isinstance(m, ConvTranspose2d)]
    assert len(quick) == 3
    for module in quick:
        module.__class__ = nn.ConvTranspose2d
    batch = {name: torch.rand(2, 3, 16, 16, dtype=torch.float64) for name in ("input", "image")}
    gradients = []
    for m in (method, other):
        m.zero_grad()
        m.total(m.loss("generator", batch, m.forward_generators(batch))).backward()
        gradients.append([p.grad for p in m.generator.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_it_is_what_a_matrix_and_windows_say():
    layer, x = ConvTranspose2d(1, 1, 2, stride=1, bias=False), torch.tensor([[[[1.0, 10.0]]]])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    expected = torch.tensor([[[[1.0, 12.0, 20.0], [3.0, 34.0, 40.0]]]])
    assert torch.equal(layer(x), expected)
    assert torch.equal(F.conv_transpose2d(x, layer.weight), expected)
