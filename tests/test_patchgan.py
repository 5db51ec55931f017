"""The patch discriminator: its size, what a score sees, and what it refuses."""

import pytest
import torch
from torch import nn

from gan_course.nn.patchgan import PatchGAN, initialise, output_size, receptive_field, smallest_size

FIELDS = {0: 1, 1: 16, 2: 34, 3: 70, 4: 142, 5: 286}
"""Layers -> side of a patch in pixels: the paper's 1, 16, 70 and 286, and the two between."""


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def reached(network: nn.Module, size: int, row: int, column: int) -> tuple[int, int, int, int]:
    """First and last row, first and last column of the input that the gradient of one score reaches."""
    channels = next(network.parameters()).shape[1]
    image = torch.rand(1, channels, size, size, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network.double()(image)[0, 0, row, column], image)
    touched = gradient[0].abs().sum(0) > 0
    rows, columns = touched.any(1).nonzero().flatten(), touched.any(0).nonzero().flatten()
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


@pytest.mark.parametrize(
    ("in_channels", "layers", "norm", "count"),
    [
        (6, 3, "batch", 2_768_705),  # pix2pix, 70 x 70
        (3, 3, "instance", 2_764_737),  # CycleGAN
        (6, 0, "batch", (6 + 1) * 64 + 64 * 128 + 2 * 128 + 128),  # PixelGAN
    ],
)
def test_it_has_the_parameters_of_the_authors(in_channels, layers, norm, count):
    with torch.device("meta"):
        assert parameters(PatchGAN(in_channels, layers=layers, norm=norm)) == count


@pytest.mark.parametrize(("layers", "side"), [(0, 256), (1, 126), (3, 30), (5, 6)])
def test_map_of_scores(layers, side):
    with torch.device("meta"):
        network = PatchGAN(6, ndf=4, layers=layers)
        assert network(torch.zeros(2, 6, 256, 256)).shape == (2, 1, side, side)
        assert output_size(network, 256) == side
        assert network(torch.zeros(1, 6, 256, 320)).shape[-1] == output_size(network, 320)


@pytest.mark.parametrize(("layers", "field"), FIELDS.items())
def test_receptive_field_is_that_of_the_paper(layers, field):
    with torch.device("meta"):
        assert receptive_field(PatchGAN(6, layers=layers)) == field


@pytest.mark.parametrize(("layers", "size"), [(0, 8), (1, 48), (2, 80), (3, 160)])
def test_receptive_field_is_what_gradients_reach(layers, size):
    """Without norm, exactly the computed square, and the next score's square lies one total stride on."""
    torch.manual_seed(0)
    network = PatchGAN(2, ndf=2, layers=layers, norm="none")
    middle = output_size(network, size) // 2
    top, bottom, left, right = reached(network, size, middle, middle)
    assert (bottom - top + 1, right - left + 1) == (receptive_field(network),) * 2
    assert top > 0
    assert bottom < size - 1  # not cut off by the border
    moved_top, _, moved_left, _ = reached(network, size, middle - 1, middle)
    assert (top - moved_top, left - moved_left) == (2**layers, 0)


def test_receptive_field_of_poolings_and_dilated_kernels():
    chain = nn.Sequential(
        nn.Conv2d(1, 1, 3, stride=2, dilation=2),
        nn.AvgPool2d(3, 2, 1),
        nn.MaxPool2d((2, 2)),
        nn.Conv2d(1, 1, 3),
    )
    # by hand from the end: 1 -> 3 -> (3 - 1) 2 + 2 = 6 -> (6 - 1) 2 + 3 = 13 -> (13 - 1) 2 + 5 = 29
    assert receptive_field(chain) == 29
    with pytest.raises(ValueError, match="ConvTranspose2d enlarges"):
        receptive_field(nn.Sequential(nn.ConvTranspose2d(1, 1, 2)))


def test_instance_norm_lets_every_score_see_everything():
    torch.manual_seed(0)
    network = PatchGAN(2, ndf=4, layers=1, norm="instance")
    assert reached(network, 48, 10, 10) == (0, 47, 0, 47)


def test_layers_of_the_paper():
    kinds = [type(layer).__name__ for layer in PatchGAN(6)]
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds == ["Conv2d", "LeakyReLU", *block, *block, *block, "Conv2d"]
    convolutions = [m for m in PatchGAN(6).modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 1]
    assert [m.stride[0] for m in convolutions] == [2, 2, 2, 1, 1]
    assert [m.bias is not None for m in convolutions] == [True, False, False, False, True]
    assert all(m.bias is not None for m in PatchGAN(6, norm="instance") if isinstance(m, nn.Conv2d))
    assert PatchGAN(6, layers=5)[-4].out_channels == 512  # never more than 8 ndf
    assert all(m.negative_slope == 0.2 for m in PatchGAN(6) if isinstance(m, nn.LeakyReLU))


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_smallest_image(layers, norm):
    network = PatchGAN(3, ndf=2, layers=layers, norm=norm)
    size = smallest_size(network)
    assert size == {0: 1, 1: 6, 3: 24}[layers]
    if size > 1:  # instance norm has nothing to do with a single pixel
        assert network(torch.rand(1, 3, size, size)).shape == (1, 1, 1, 1)
        with pytest.raises(ValueError, match=rf"{size - 1} x {size} is too small .* must be {size} or more"):
            network(torch.rand(1, 3, size - 1, size))


@pytest.mark.parametrize("fields", [{"in_channels": 0}, {"ndf": 0}, {"layers": -1}])
def test_impossible_sizes(fields):
    with pytest.raises(ValueError, match="must be 1 or more, layers 0 or more"):
        PatchGAN(**{"in_channels": 3} | fields)


def test_unknown_norm():
    with pytest.raises(ValueError, match="norm is 'layer'; it must be one of batch, instance, none"):
        PatchGAN(3, norm="layer")


def test_initialisation():
    torch.manual_seed(0)
    network = nn.Sequential(
        PatchGAN(6, ndf=16), nn.ConvTranspose2d(32, 32, 4), nn.InstanceNorm2d(8), nn.Linear(9, 9)
    )
    initialise(network)
    weights = [p for p in network.parameters() if p.dim() > 1]
    assert torch.cat([w.flatten() for w in weights]).std().item() == pytest.approx(0.02, rel=0.01)
    gain = network[0][3].weight
    assert gain.mean().item() == pytest.approx(1, abs=0.02)
    assert 0.005 < gain.std().item() < 0.05
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    assert biases
    assert all(not b.any() for b in biases)
