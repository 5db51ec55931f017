"""pix2pix: sizes, what skips carry, the numbers of the objectives, who learns from what, one step, noise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from gan_course.data import ImageSet
from gan_course.methods.pix2pix import OBJECTIVES, Pix2Pix, Pix2PixConfig, UNet
from gan_course.training import train
from gan_course.training.trainer import play

TINY = {"image_size": 16, "ngf": 2, "ndf": 2, "discriminator_layers": 1}


def tiny(**fields) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(Pix2PixConfig(**TINY | fields))


def a_batch(count: int = 3, size: int = 16, input_channels: int = 3, channels: int = 3) -> dict:
    rng = torch.Generator().manual_seed(1)
    return {
        "input": torch.rand(count, input_channels, size, size, generator=rng) * 2 - 1,
        "image": torch.rand(count, channels, size, size, generator=rng) * 2 - 1,
    }


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def gradients(network: nn.Module) -> list[torch.Tensor]:
    return [p.grad for p in network.parameters()]


# ---- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "count"), [(256, 54_413_955), (128, 41_828_995)])
def test_it_has_the_parameters_of_the_authors(size, count):
    with torch.device("meta"):
        method = Pix2Pix(Pix2PixConfig(image_size=size))
    assert parameters(method.generator) == count
    assert parameters(method.discriminator) == 2_768_705


def test_layers_of_the_generator_are_those_of_the_authors():
    """Appendix 6.1.1, and where the norms, the biases and the dropout are in the authors' code."""
    with torch.device("meta"):
        network = Pix2Pix(Pix2PixConfig()).generator
    downs = [next(m for m in down if isinstance(m, nn.Conv2d)) for down in network.downs]
    ups = [next(m for m in up if isinstance(m, nn.ConvTranspose2d)) for up in network.ups]
    assert [m.out_channels for m in downs] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [(m.in_channels, m.out_channels) for m in ups] == [
        (512, 512),
        *[(1024, 512)] * 3,
        (1024, 256),
        (512, 128),
        (256, 64),
        (128, 3),
    ]

    def holding(kind: type, layers: nn.ModuleList) -> list[int]:
        return [place for place, layer in enumerate(layers) if any(isinstance(m, kind) for m in layer)]

    assert holding(nn.BatchNorm2d, network.downs) == [1, 2, 3, 4, 5, 6]
    assert holding(nn.BatchNorm2d, network.ups) == [0, 1, 2, 3, 4, 5, 6]
    assert holding(nn.Dropout, network.ups) == [1, 2, 3]
    assert [m.bias is not None for m in (*downs, *ups)] == [False] * 15 + [True]
    with torch.device("meta"):
        network = Pix2Pix(Pix2PixConfig(norm="instance")).generator
    assert all(m.bias is not None for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))


def test_without_skips_the_decoder_reads_half_as_much():
    with torch.device("meta"):
        network = Pix2Pix(Pix2PixConfig(skips=False)).generator
        assert network(torch.zeros(1, 3, 256, 256)).shape == (1, 3, 256, 256)
    ups = [m for m in network.ups.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [m.in_channels for m in ups] == [512, 512, 512, 512, 512, 256, 128, 64]


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("size", [4, 8, 16, 32, 64, 128, 256, 512, 1024])
def test_every_power_of_two(size, skips):
    fields = {"image_size": size, "ngf": 4, "skips": skips, "discriminator_layers": 0}
    with torch.device("meta"):
        method = Pix2Pix(Pix2PixConfig(**fields))
        picture = torch.zeros(1, 3, size, size)
        maps = []
        method.generator.downs[-1].register_forward_hook(lambda *call: maps.append(call[-1].shape[2:]))
        assert method.generator(picture).shape == picture.shape
    assert maps == [(1, 1)]


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_a_batch_of_one_trains(norm, objective):
    """The innermost map is 1 x 1: a norm there would have nothing to normalise."""
    method = tiny(norm=norm, objective=objective)
    before = everything(method.generator)
    terms = play(method, {p: method.optimizer(p) for p in method.players}, a_batch(1))
    assert all(math.isfinite(value) for value in terms.values())
    assert not same(before, everything(method.generator))


def test_sides_may_be_multiples_of_the_size():
    method = tiny()
    assert method.translate(torch.rand(1, 3, 32, 48)).shape == (1, 3, 32, 48)
    with pytest.raises(ValueError, match=r"24 x 16 pixels cannot be halved 4 times: .* multiples of 16"):
        method.translate(torch.rand(1, 3, 24, 16))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 24}, "image_size is 24; it must be one of 4, 8, 16"),
        ({"image_size": 2}, "image_size is 2; it must be one of 4"),
        ({"image_size": 16, "discriminator_layers": 3}, "with 3 strided layers .* needs 24 pixels or more"),
        ({"image_size": 4, "discriminator_layers": 1}, "with 1 strided layers .* needs 6 pixels or more"),
        ({"objective": "l2"}, r"objective is 'l2'; it must be one of l1\+cgan, l1\+gan, cgan, gan, l1"),
        ({"direction": "CtoD"}, "direction is 'CtoD'; it must be one of AtoB, BtoA"),
        ({"norm": "layer"}, "norm is 'layer'; it must be one of batch, instance, none"),
        ({"game": "poker"}, "unknown game 'poker'"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
        ({"discriminator_layers": -1}, "discriminator_layers is -1; it must be 0 or more"),
        ({"l1_weight": -1.0}, "l1_weight is -1.0; it must be 0 or more"),
        ({"discriminator_weight": 0.0}, "discriminator_weight is 0.0; it must be above 0"),
        ({"ngf": 0}, "ngf is 0; it must be 1 or more"),
    ],
)
def test_impossible_options(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny(**fields)


# ---- the generator -----------------------------------------------------------------------------------


def reference_unet(network: UNet, x: torch.Tensor) -> torch.Tensor:
    """The same layers, applied one by one and out of place, as the paper describes them."""
    convolutions = [m for down in network.downs for m in down if isinstance(m, nn.Conv2d)]
    norms = [[m for m in down if isinstance(m, nn.BatchNorm2d)] for down in network.downs]
    maps = [convolutions[0](x)]
    for convolution, norm in zip(convolutions[1:], norms[1:], strict=True):
        x = convolution(F.leaky_relu(maps[-1], 0.2))
        maps.append(norm[0](x) if norm else x)
    x = F.relu(maps[-1])
    for place, up in enumerate(network.ups):
        x = up[1](x)
        for module in up[2:]:
            x = module(x)
        if place < len(network.ups) - 1:
            x = F.relu(torch.cat([maps[-2 - place], x], 1) if network.skips else x)
    return x


@pytest.mark.parametrize("skips", [True, False])
def test_the_generator_in_place_equals_one_out_of_place(skips):
    method = tiny(image_size=32, dropout=0.0, skips=skips)
    method.double()
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    outputs, grads = [], []
    for run in (method.generator, lambda x: reference_unet(method.generator, x)):
        method.zero_grad()
        outputs.append(run(x))
        outputs[-1].square().sum().backward()
        grads.append([g.clone() for g in gradients(method.generator)])
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(grads[0], grads[1])


def test_skips_carry_what_the_innermost_map_has_lost():
    """With the decoder's first layers silent, the output still follows the input; without skips it cannot."""
    x, y = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    for skips in (True, False):
        method = tiny(image_size=32, skips=skips)
        for parameter in method.generator.ups[0].parameters():
            parameter.data.zero_()
        assert torch.equal(method.translate(x), method.translate(y)) is not skips


@pytest.mark.parametrize("image_size", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("asked", [0, 1, 3, 9])
def test_dropout_is_where_there_are_layers_for_it(image_size, asked):
    method = tiny(image_size=image_size, dropout_layers=asked, discriminator_layers=0)
    places = [k for k, up in enumerate(method.generator.ups) if any(isinstance(m, nn.Dropout) for m in up)]
    inner = int(math.log2(image_size)) - 2  # all but the first and the last of the decoder
    assert places == list(range(1, 1 + min(asked, inner)))


# ---- the objectives ----------------------------------------------------------------------------------


class Fixed(nn.Module):
    """Scores that depend on the mean of the last channels alone, so that a cost can be computed by hand."""

    def __init__(self, score):
        super().__init__()
        self.score, self.seen = score, []

    def forward(self, x):
        self.seen.append(x)
        return self.score(x).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def by_hand(**fields) -> tuple[Pix2Pix, dict, dict]:
    """Real images 0.5, outputs -0.5, scores 2 for real and -1 for outputs."""
    method = tiny(**fields)
    method.discriminator = Fixed(lambda x: 0.5 + 3 * x[:, -1].mean((1, 2)))
    batch = a_batch(2) | {"image": torch.full((2, 3, 16, 16), 0.5)}
    return method, batch, {"fake": torch.full((2, 3, 16, 16), -0.5)}


def test_costs_by_hand():
    method, batch, outputs = by_hand()
    of_discriminator = method.loss("discriminator", batch, outputs)
    of_generator = method.loss("generator", batch, outputs)
    real, fake = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))  # D(x), D(G(x))
    assert of_discriminator["D(x)"].item() == pytest.approx(real)
    assert of_discriminator["D(G(z))"].item() == pytest.approx(fake)
    cost = -math.log(real) - math.log(1 - fake)
    assert of_discriminator["discriminator"].item() == pytest.approx(cost, rel=1e-5)
    assert method.total(of_discriminator).item() == pytest.approx(cost / 2, rel=1e-5)  # halved
    assert of_generator["generator"].item() == pytest.approx(-math.log(fake), rel=1e-5)
    assert of_generator["L1"].item() == pytest.approx(1.0)  # |-0.5 - 0.5|, a mean and no sum
    assert method.total(of_generator).item() == pytest.approx(-math.log(fake) + 100, rel=1e-5)


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_what_each_objective_minimises_and_sees(objective):
    method, batch, outputs = by_hand(objective=objective, l1_weight=10.0)
    terms = method.loss("generator", batch, outputs)
    adversarial = math.log(1 + math.e) if "gan" in objective else 0.0
    l1 = 10.0 if "l1" in objective else 0.0
    assert method.total(terms).item() == pytest.approx(adversarial + l1, rel=1e-5)
    assert terms["L1"].item() == pytest.approx(1.0)  # watched where it is not minimised
    method.loss("discriminator", batch, outputs)
    expected = [] if objective in ("gan", "l1+gan") else [batch["input"]]
    assert torch.equal(method.discriminator.seen[-1], torch.cat([*expected, batch["image"]], 1))
    assert tiny(objective=objective).discriminator[0].in_channels == method.discriminator.seen[-1].shape[1]


def test_with_l1_alone_the_discriminator_learns_unheard():
    method, other = tiny(objective="l1", dropout=0.0), tiny(objective="l1", dropout=0.0)
    for parameter in other.discriminator.parameters():
        parameter.data.normal_()
    for one in (method, other):
        before = everything(one.discriminator)
        terms = play(one, {player: one.optimizer(player) for player in one.players}, a_batch())
        assert "D accuracy" in terms
        assert not same(before, everything(one.discriminator))
    assert same(everything(method.generator), everything(other.generator))


@pytest.mark.parametrize("game", ["least_squares", "hinge"])
def test_other_games(game):
    method, batch, outputs = by_hand(game=game)
    cost = method.loss("discriminator", batch, outputs)["discriminator"].item()
    generator = method.loss("generator", batch, outputs)["generator"].item()
    assert (cost, generator) == pytest.approx({"least_squares": (1.0, 2.0), "hinge": (0.0, 1.0)}[game])


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_real_and_fake_go_through_the_discriminator_apart_where_its_norm_mixes_them(norm):
    method, batch = tiny(norm=norm, image_size=32), a_batch(3, 32)
    method.double()
    batch = {name: value.double() for name, value in batch.items()}
    fake = torch.rand_like(batch["image"])
    calls = []
    method.discriminator.register_forward_hook(lambda *call: calls.append(len(call[-1])))
    real_scores, fake_scores = method.scores(batch["input"], batch["image"], fake)
    assert calls == ([3, 3] if norm == "batch" else [6])
    for scores, image in ((real_scores, batch["image"]), (fake_scores, fake)):
        torch.testing.assert_close(scores, method.discriminator(torch.cat([batch["input"], image], 1)))


def test_direction():
    batch = a_batch(2, input_channels=1)
    for direction, (source, target) in {"AtoB": ("input", "image"), "BtoA": ("image", "input")}.items():
        method = tiny(direction=direction, input_channels=1)
        fake = method.forward_generators(batch)["fake"]
        assert fake.shape == batch[target].shape
        assert method.translates == (source,)
        terms = method.loss("generator", batch, {"fake": batch[target] + 0.25})
        assert terms["L1"].item() == pytest.approx(0.25, rel=1e-5)
        assert method.sample(2, inputs=batch).shape == batch[target].shape
        pictures, columns = method.grid(method.preview(2, torch.Generator(), batch))
        assert (pictures.shape, columns) == ((6, batch[target].shape[1], 16, 16), 3)


# ---- who learns from what ----------------------------------------------------------------------------


def test_gradients_reach_the_mover_only():
    method, batch = tiny(), a_batch()
    outputs = method.forward_generators(batch)
    with method.moving("discriminator"):
        method.total(method.loss("discriminator", batch, outputs)).backward()
    assert all(g is None for g in gradients(method.generator))
    assert all(g is not None and g.any() for g in gradients(method.discriminator))
    method.zero_grad()
    with method.moving("generator"):
        method.total(method.loss("generator", batch, outputs)).backward()
    assert all(g is None for g in gradients(method.discriminator))
    assert all(g is not None for g in gradients(method.generator))


@pytest.mark.parametrize("term", ["generator", "L1"])
def test_either_term_reaches_the_generator(term):
    method, batch = tiny(dropout=0.0), a_batch()
    method.loss("generator", batch, method.forward_generators(batch))[term].backward()
    assert all(g is not None and g.any() for g in gradients(method.generator))


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_one_step_is_that_of_the_paper(norm):
    """Against a step written out slowly: gradient by gradient, weight by weight, in double precision.

    The discriminator moves on the halved cross-entropies; then the generator, by the moved
    discriminator's opinion of the same output and 100 L1. Dropout draws from the same seed.
    """
    batch = {name: value.double() for name, value in a_batch(2, 32).items()}
    method, slow = (tiny(norm=norm, image_size=32).double() for _ in range(2))
    torch.manual_seed(5)
    play(method, {player: method.optimizer(player) for player in method.players}, batch)

    torch.manual_seed(5)
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    of_generator = torch.optim.Adam(slow.generator.parameters(), **adam)
    of_discriminator = torch.optim.Adam(slow.discriminator.parameters(), **adam)
    fake = slow.generator(batch["input"])
    on_fake = slow.discriminator(torch.cat([batch["input"], fake.detach()], 1))
    on_real = slow.discriminator(torch.cat([batch["input"], batch["image"]], 1))
    cross_entropy = F.binary_cross_entropy_with_logits
    fooled = cross_entropy(on_fake, torch.zeros_like(on_fake))
    (0.5 * (fooled + cross_entropy(on_real, torch.ones_like(on_real)))).backward()
    discriminator_gradients = gradients(slow.discriminator)
    of_discriminator.step()
    judged = slow.discriminator(torch.cat([batch["input"], fake], 1))
    cost = cross_entropy(judged, torch.ones_like(judged)) + 100 * (fake - batch["image"]).abs().mean()
    generator_gradients = torch.autograd.grad(cost, list(slow.generator.parameters()))
    for parameter, gradient in zip(slow.generator.parameters(), generator_gradients, strict=True):
        parameter.grad = gradient
    of_generator.step()

    torch.testing.assert_close(
        gradients(method.discriminator), discriminator_gradients, rtol=1e-9, atol=1e-12
    )
    torch.testing.assert_close(gradients(method.generator), list(generator_gradients), rtol=1e-9, atol=1e-12)
    weights = dict(method.named_parameters()) | dict(method.generator.named_buffers(prefix="generator"))
    slow_weights = dict(slow.named_parameters()) | dict(slow.generator.named_buffers(prefix="generator"))
    torch.testing.assert_close(weights, slow_weights, rtol=1e-6, atol=1e-9)


def test_generators_run_once_a_step():
    method, calls = tiny(), []
    method.generator.register_forward_hook(lambda *call: calls.append(1))
    play(method, {p: method.optimizer(p) for p in method.players}, a_batch())
    assert len(calls) == 1


# ---- noise and translation ---------------------------------------------------------------------------


def trained(**fields) -> Pix2Pix:
    """A model whose running statistics are not those it began with."""
    method = tiny(**fields).train()
    for seed in range(3):
        torch.manual_seed(seed)
        method.forward_generators(a_batch(4))
    return method


def test_without_dropout_one_input_has_one_translation():
    method, x = trained(), a_batch()["input"]
    assert torch.equal(method.translate(x), method.translate(x))
    assert torch.equal(method.translate(x), method.sample(3, inputs={"input": x}))
    assert method.translate(x).abs().max() <= 1


def test_dropout_is_noise_that_a_seed_decides():
    method, x = trained(), a_batch()["input"]

    def drawn(seed: int) -> torch.Tensor:
        return method.translate(x, dropout=True, rng=torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert not torch.equal(drawn(1), method.translate(x))
    assert not torch.equal(method.translate(x, dropout=True), method.translate(x, dropout=True))
    before = torch.get_rng_state()
    drawn(1)
    assert torch.equal(torch.get_rng_state(), before)
    silent = trained(dropout=0.0)
    assert torch.equal(silent.translate(x, dropout=True), silent.translate(x))


def test_with_batch_statistics_pictures_depend_on_each_other():
    method, x = trained(), a_batch()["input"]

    def alone(**fields) -> torch.Tensor:
        return torch.cat([method.translate(one[None], **fields) for one in x])

    torch.testing.assert_close(method.translate(x), alone())
    together = method.translate(x, batch_statistics=True)
    assert not torch.allclose(together, alone(batch_statistics=True), atol=1e-4)
    assert not torch.allclose(together, method.translate(x), atol=1e-4)
    # what the network does in training, dropout and all
    torch.manual_seed(9)
    as_in_training = method.generator(x)
    torch.manual_seed(9)
    torch.testing.assert_close(method.translate(x, dropout=True, batch_statistics=True), as_in_training)


def test_with_instance_norm_every_picture_is_for_itself():
    method, x = trained(norm="instance"), a_batch()["input"]
    together = method.translate(x, batch_statistics=True)
    torch.testing.assert_close(together, method.translate(x))
    torch.testing.assert_close(together[:1], method.translate(x[:1]))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dropout", [True, False])
@pytest.mark.parametrize("batch_statistics", [True, False])
def test_translating_leaves_the_training_alone(training, dropout, batch_statistics):
    method = trained().train(training)
    before, modes = everything(method), [m.training for m in method.modules()]
    image = method.translate(a_batch()["input"], dropout=dropout, batch_statistics=batch_statistics)
    assert not image.requires_grad
    assert same(before, everything(method))
    assert [m.training for m in method.modules()] == modes
    assert all(p.requires_grad for p in method.parameters())
    assert all(m.track_running_stats for m in method.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize(
    "images",
    [torch.zeros(1, 1, 16, 16), torch.zeros(3, 16, 16), torch.zeros(1, 3, 16, 16, dtype=torch.uint8)],
)
def test_what_cannot_be_translated(images):
    with pytest.raises(ValueError, match=r"translates floats in \[-1, 1\] of shape \[N, 3, H, W\], not"):
        tiny().translate(images)


def test_sampling_needs_inputs():
    method, batch = tiny(), a_batch()
    with pytest.raises(ValueError, match="give `inputs`, a batch that holds input"):
        method.sample(3)
    with pytest.raises(ValueError, match="4 samples need 4 rows of input, not 3"):
        method.sample(4, inputs=batch)
    with pytest.raises(ValueError, match="neither labels nor noise"):
        method.sample(3, inputs=batch, labels=torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="needs examples"):
        method.preview(3, torch.Generator())
    assert method.sample(3, inputs=batch, noise=method.draw_noise(3)).shape == (3, 3, 16, 16)


@settings(max_examples=8, deadline=None)
@given(count=st.integers(1, 13), input_channels=st.sampled_from([1, 3]), channels=st.sampled_from([1, 3]))
def test_grid_shows_input_output_and_target(count, input_channels, channels):
    method = tiny(input_channels=input_channels, channels=channels)
    batch = a_batch(count, input_channels=input_channels, channels=channels)
    pictures, columns = method.grid(method.preview(count, torch.Generator(), batch))
    assert pictures.shape == (3 * count, channels, 16, 16)
    assert columns % 3 == 0
    assert torch.equal(pictures[2::3], batch["image"])
    assert torch.equal(pictures[1::3], method.translate(batch["input"]))
    torch.testing.assert_close(pictures[::3].mean(1), batch["input"].mean(1))


# ---- a run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["l1+cgan", "l1"])
def test_a_run_learns_a_simple_pair(tmp_path, objective):
    """Negatives: the output of the input x is -x; 60 steps must bring the L1 distance well below guessing."""
    rng = torch.Generator().manual_seed(0)
    shades = torch.randint(0, 256, (32, 3, 2, 2), generator=rng, dtype=torch.uint8)
    pictures = shades.repeat_interleave(8, 2).repeat_interleave(8, 3)
    images = ImageSet("negatives", {"image": 255 - pictures, "input": pictures})
    method = tiny(ngf=8, ndf=4, learning_rate=0.002, objective=objective)
    batch = images.batch(range(32))
    before = F.l1_loss(method.translate(batch["input"]), batch["image"]).item()
    train(
        method,
        images,
        out=tmp_path / "run",
        steps=60,
        batch_size=8,
        preview_count=4,
        device="cpu",
        progress=False,
    )
    after = F.l1_loss(method.translate(batch["input"]), batch["image"]).item()
    assert after < before / 2
