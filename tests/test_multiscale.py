"""Discriminators on an image pyramid: sizes, what each scale sees, the form of what they say."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gan_course.nn import multiscale
from gan_course.nn.multiscale import MultiscaleDiscriminator
from gan_course.nn.norms import normalised_layers


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def tiny(**fields) -> MultiscaleDiscriminator:
    torch.manual_seed(0)
    return MultiscaleDiscriminator(**{"in_channels": 3, "ndf": 2, "layers": 2, "scales": 2} | fields)


# ---- sizes -------------------------------------------------------------------------------------------


def test_the_parameters_of_the_authors():
    """pix2pixHD on 36 + 3 channels; SPADE's for ADE20k at 151 + 3; SEAN's, all strided, at 19 + 3."""
    with torch.device("meta"):
        assert parameters(MultiscaleDiscriminator(39)) == 8_404_803
        assert parameters(MultiscaleDiscriminator(39, scales=2)) == 5_603_202
        spade = MultiscaleDiscriminator(154, scales=2, spectral=True)
        sean = MultiscaleDiscriminator(22, scales=2, spectral=True, flat=False)
    # 4 x 4 kernels; biases at both ends only
    widths = [154 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512, 22 * 64 + 64 * 128 + 128 * 256 + 256]
    assert parameters(spade) == 2 * (16 * widths[0] + 64 + 1)
    assert parameters(sean) == 2 * (16 * widths[1] + 64 + 1)


def test_a_result_for_each_scale_and_layer():
    """256 pixels: 35 x 35 scores at full size, since padding 2 makes maps grow."""
    with torch.device("meta"):
        outputs = MultiscaleDiscriminator(39)(torch.empty(2, 39, 256, 256))
    assert [[tuple(m.shape) for m in maps] for maps in outputs] == [
        [(2, 64, 129, 129), (2, 128, 65, 65), (2, 256, 33, 33), (2, 512, 34, 34), (2, 1, 35, 35)],
        [(2, 64, 65, 65), (2, 128, 33, 33), (2, 256, 17, 17), (2, 512, 18, 18), (2, 1, 19, 19)],
        [(2, 64, 33, 33), (2, 128, 17, 17), (2, 256, 9, 9), (2, 512, 10, 10), (2, 1, 11, 11)],
    ]


def test_at_most_512_features():
    with torch.device("meta"):
        maps = MultiscaleDiscriminator(3, layers=5, scales=1)(torch.empty(1, 3, 64, 64))[0]
    assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 512, 512, 1]


@pytest.mark.parametrize(
    ("fields", "fields_in_pixels"),
    [({}, [70, 141, 283]), ({"flat": False}, [46, 93, 187]), ({"layers": 1, "scales": 2}, [16, 33])],
)
def test_how_far_a_score_sees(fields, fields_in_pixels):
    """70 pixels of a level of the pyramid, whose pixels are 3, then 7 pixels wide and 2, then 4 apart."""
    with torch.device("meta"):
        assert MultiscaleDiscriminator(3, **fields).receptive_fields() == fields_in_pixels


@pytest.mark.parametrize("level", [0, 1])
def test_a_score_changes_with_what_it_sees_and_nothing_else(level):
    """The computed field against the gradient of one score (without a norm, which looks at everything)."""
    network = tiny(norm="none", layers=1).double()
    images = torch.randn(1, 3, 80, 80, dtype=torch.float64, requires_grad=True)
    scores = network(images)[level][-1]
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], images)
    rows = gradient[0].abs().sum(dim=(0, 2)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == network.receptive_fields()[level]


# ---- what is in it -----------------------------------------------------------------------------------


def test_the_pyramid_against_means_by_hand():
    """Three scales see the image, its 3 x 3 means two pixels apart, and those of these."""
    network, seen = tiny(in_channels=1, scales=3), []
    for scale in network.scales:
        scale[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.randn(2, 1, 12, 12)
    network(images)
    assert [tuple(level.shape[-2:]) for level in seen] == [(12, 12), (6, 6), (3, 3)]
    assert torch.equal(seen[0], images)
    for finer, coarser in ((seen[0], seen[1]), (seen[1], seen[2])):
        for row in range(coarser.shape[-2]):
            for column in range(coarser.shape[-1]):
                top, left = max(0, 2 * row - 1), max(0, 2 * column - 1)
                window = finer[:, :, top : 2 * row + 2, left : 2 * column + 2]
                assert torch.allclose(coarser[:, :, row, column], window.mean(dim=(2, 3)), atol=1e-6)


def test_layers_against_a_plain_network():
    network = tiny(layers=2, scales=1)
    (first, *_), (second, *_), (third, *_), (last,) = network.scales[0]
    images = torch.randn(3, 3, 20, 20)
    plain = [F.leaky_relu(F.conv2d(images, first.weight, first.bias, 2, 2), 0.2)]
    for layer, stride in ((second, 2), (third, 1)):
        h = F.conv2d(plain[-1], layer.weight, layer.bias, stride, 2)
        plain.append(F.leaky_relu(F.instance_norm(h), 0.2))
    plain.append(F.conv2d(plain[-1], last.weight, last.bias, 1, 2))
    (maps,) = network(images)
    assert len(maps) == len(plain) == 4
    for a, b in zip(maps, plain, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_scales_have_weights_of_their_own():
    network = tiny(scales=3)
    network(torch.randn(1, 3, 16, 16))[1][-1].sum().backward()
    touched = [any(p.grad is not None for p in scale.parameters()) for scale in network.scales]
    assert touched == [False, True, False]


def test_what_spade_normalises():
    """The layers between the first and the last, which have no bias beside the norm."""
    network = tiny(spectral=True, scales=2)
    names = [f"scales.{scale}.{layer}.0" for scale in (0, 1) for layer in (1, 2)]
    assert list(normalised_layers(network)) == names
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            assert (module.bias is None) == (name in names)
    plain = tiny()
    assert not normalised_layers(plain)
    assert all(m.bias is not None for m in plain.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("fields", [{}, {"spectral": True}, {"norm": "none", "flat": False}])
def test_an_image_is_judged_by_itself(fields):
    """So real and generated images may go through in one batch."""
    network = tiny(**fields).eval()
    images = torch.randn(4, 3, 16, 16)
    both, second = network(images), network(images[2:])
    for a, b in zip(both, second, strict=True):
        for x, y in zip(a, b, strict=True):
            assert torch.allclose(x[2:], y, atol=1e-5)


def test_a_batch_in_two_halves():
    network = tiny()
    real, fake = torch.randn(2, 3, 3, 16, 16).unbind()
    first, second = multiscale.divided(network(torch.cat([real, fake])))
    for outputs, images in ((first, real), (second, fake)):
        assert [len(maps) for maps in outputs] == [4, 4]
        for a, b in zip(outputs, network(images), strict=True):
            for x, y in zip(a, b, strict=True):
                assert torch.allclose(x, y, atol=1e-5)
    with pytest.raises(ValueError, match=r"^a batch of 3 has no two halves$"):
        multiscale.divided(network(real))


# ---- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("scales", "smallest"), [(1, 2), (2, 3), (3, 5), (4, 9)])
def test_the_smallest_image(scales, smallest):
    network = tiny(scales=scales)
    assert all(m.isfinite().all() for maps in network(torch.randn(1, 3, smallest, smallest)) for m in maps)
    message = (
        f"^an image of {smallest - 1} x 64 is too small for {scales} scales: both sides must be {smallest}"
    )
    with pytest.raises(ValueError, match=message):
        network(torch.randn(1, 3, smallest - 1, 64))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"in_channels": 0}, "in_channels is 0; it must be 1 or more"),
        ({"ndf": 0}, "ndf is 0; it must be 1 or more"),
        ({"layers": 0}, "layers is 0; it must be 1 or more"),
        ({"scales": 0}, "scales is 0; it must be 1 or more"),
        ({"norm": "layer"}, "the discriminator's norm is 'layer'; it must be one of batch, instance, none"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)
