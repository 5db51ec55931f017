"""Tricks as options of DCGAN: each changes what it should, and nothing else."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from gan_course import cli, losses, methods, weights
from gan_course.methods.base import evaluating
from gan_course.nn import blocks
from gan_course.training.trainer import play

TINY = {"image_size": 16, "channels": 1, "ngf": 4, "ndf": 4}


def tiny(**fields) -> methods.Method:
    torch.manual_seed(0)
    return methods.build("dcgan", **TINY | fields)


def a_batch(count: int = 8) -> dict[str, torch.Tensor]:
    return {"image": torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1}


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def kinds(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network]


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def optimizers(method) -> dict[str, torch.optim.Optimizer]:
    return {player: method.optimizer(player) for player in method.players}


# ---- the defaults are the paper ----------------------------------------------------------------------


def test_with_the_defaults_nothing_is_exchanged():
    method = methods.build("dcgan")
    assert count(method.generator) == 3_576_704
    assert count(method.discriminator) == 2_765_568
    up = ["ConvTranspose2d", "BatchNorm2d", "ReLU"]
    assert kinds(method.generator) == ["Unflatten", *up * 4, "ConvTranspose2d", "Tanh"]
    down = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds(method.discriminator) == ["Conv2d", "LeakyReLU", *down * 3, "Conv2d", "Flatten"]
    assert method.game is losses.GAMES["non_saturating"]
    assert [o.param_groups[0]["lr"] for o in optimizers(method).values()] == [0.0002, 0.0002]
    assert "moves" not in method.state_dict()


def test_the_shipped_faces_were_trained_before_there_were_options():
    fields = weights.card("dcgan-faces")["config"]
    assert "upsampling" not in fields
    method, _ = weights.load("dcgan-faces")
    assert method.config == dataclasses.replace(methods.config_class("dcgan")(), **fields)


def test_vary_leaves_layers_that_are_as_wanted():
    network = tiny().generator
    layers = list(network)
    blocks.vary(network, kernel_size=4, norm="batch", activation="relu")
    assert all(a is b for a, b in zip(layers, network, strict=True))


# ---- resampling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel_size", blocks.KERNEL_SIZES)
@pytest.mark.parametrize("upsampling", blocks.UPSAMPLING)
def test_sizes_and_parameters_of_resampling(upsampling, kernel_size):
    paper, method = tiny(), tiny(upsampling=upsampling, kernel_size=kernel_size)
    assert method.sample(2).shape == (2, 1, 16, 16)
    assert method.discriminator(a_batch()["image"]).shape == (8,)
    # only the layers of stride 2 change: 8 -> 4 and 4 -> 1 features in G; 1 -> 4 and 4 -> 8 in D
    times = 4 if upsampling == "pixel_shuffle" else 1
    more = (times * kernel_size**2 - 16) * (8 * 4 + 4 * 1)
    assert count(method.generator) == count(paper.generator) + more
    more = (kernel_size**2 - 16) * (1 * 4 + 4 * 8)
    assert count(method.discriminator) == count(paper.discriminator) + more


@pytest.mark.parametrize("kernel_size", blocks.KERNEL_SIZES)
@pytest.mark.parametrize("upsampling", blocks.UPSAMPLING)
def test_every_way_of_doubling_doubles(upsampling, kernel_size):
    layer = blocks.UPSAMPLING[upsampling](3, 5, kernel_size)
    assert layer(torch.rand(2, 3, 6, 8)).shape == (2, 5, 12, 16)
    assert blocks.halving(3, 5, kernel_size)(torch.rand(2, 3, 6, 8)).shape == (2, 5, 3, 4)


def overlap(upsampling: str, kernel_size: int) -> torch.Tensor:
    """What a flat map becomes under weights that are all one, away from the border."""
    layer = blocks.UPSAMPLING[upsampling](1, 1, kernel_size)
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    with torch.no_grad():
        return layer(torch.ones(1, 1, 10, 10))[0, 0, 6:-6, 6:-6]


@pytest.mark.parametrize("kernel_size", blocks.KERNEL_SIZES)
def test_who_makes_checkerboards(kernel_size):
    """Odena et al. 2016: stamps overlap evenly where the stride divides the kernel; resizing always does."""
    for upsampling in ("nearest", "bilinear", "pixel_shuffle"):
        assert len(overlap(upsampling, kernel_size).unique()) == 1
    even = overlap("transposed", kernel_size).unique()
    assert len(even) == (1 if kernel_size % 2 == 0 else 3)


def test_the_checkerboard_of_kernel_three():
    board = overlap("transposed", 3)
    assert sorted(board[:2, :2].flatten().tolist()) == [1, 2, 2, 4]
    assert torch.equal(board[:-2], board[2:])
    assert torch.equal(board[:, :-2], board[:, 2:])


def test_nearest_repeats_each_entry():
    layer = blocks.nearest(1, 1, 3)
    nn.init.zeros_(layer[1].weight)
    layer[1].weight.data[0, 0, 1, 1] = 1
    x = torch.rand(1, 1, 3, 3)
    assert torch.equal(layer(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_pixel_shuffle_interleaves_four_maps():
    layer = blocks.pixel_shuffle(1, 1, 3)
    nn.init.zeros_(layer[0].weight)
    for place in range(4):
        layer[0].weight.data[place, 0, 1, 1] = place
    x = torch.rand(1, 1, 3, 3)
    for place in range(4):
        assert torch.allclose(layer(x)[:, :, place // 2 :: 2, place % 2 :: 2], place * x)


# ---- normalisation, activation, dropout --------------------------------------------------------------

NORM_LAYERS = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "layer": nn.GroupNorm,
    "group": nn.GroupNorm,
    "none": nn.Identity,
}


@pytest.mark.parametrize("norm", blocks.NORMS)
def test_normalisation(norm):
    paper, method = tiny(), tiny(generator_norm=norm, discriminator_norm=norm)
    for name in ("generator", "discriminator"):
        network, before = method.networks[name], paper.networks[name]
        for layer, old in zip(network, before, strict=True):
            expected = NORM_LAYERS[norm] if isinstance(old, nn.BatchNorm2d) else type(old)
            assert type(layer) is expected
        normalised = sum(old.num_features for old in before if isinstance(old, nn.BatchNorm2d))
        # a gain and an offset for each feature, or, without a norm, a bias that starts at zero
        assert count(network) == count(before) - (normalised if norm == "none" else 0)
        biases = [m.bias for m in network if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        biases = [bias for bias in biases if bias is not None]
        assert len(biases) == (sum(isinstance(m, nn.Identity) for m in network))
        assert not any(bias.any() for bias in biases)


@pytest.mark.parametrize(("norm", "axes"), [("instance", (2, 3)), ("layer", (1, 2, 3)), ("group", (1, 2, 3))])
def test_what_is_normalised_by_what(norm, axes):
    x = torch.randn(4, 8, 6, 6) * torch.arange(1, 9).view(1, 8, 1, 1) + torch.arange(4.0).view(4, 1, 1, 1)
    layer = blocks.NORMS[norm](8)
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, keepdim=True, unbiased=False)
    assert torch.allclose(layer(x), (x - mean) / (variance + 1e-5).sqrt(), atol=1e-4)


def test_groups_of_eight_or_fewer():
    assert [blocks.group_norm(features).num_groups for features in (8, 16, 24, 12, 3)] == [1, 2, 3, 3, 3]


def test_gains_of_every_norm_start_as_in_the_authors_code():
    for norm in ("instance", "layer", "group"):
        gains = tiny(generator_norm=norm, ngf=64).generator[2].weight
        assert gains.mean().item() == pytest.approx(1, abs=0.01)
        assert gains.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("norm", ["instance", "layer", "group", "none", "spectral"])
def test_without_batch_norm_an_image_does_not_know_the_others(norm):
    """The gradient of one image's score at another image: what a penalty on gradients relies on."""
    for chosen in ("batch", norm):
        discriminator = tiny(discriminator_norm=chosen).discriminator
        images = a_batch()["image"].requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(images)[0], images)
        assert bool(gradient[1:].any()) == (chosen == "batch")


def test_spectral_norm_of_every_layer_is_one():
    discriminator = tiny(discriminator_norm="spectral").discriminator
    layers = [m for m in discriminator if isinstance(m, nn.Conv2d)]
    assert len(layers) == 3
    for _ in range(100):
        discriminator(a_batch()["image"])
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)
        assert norm.item() == pytest.approx(1, abs=1e-3)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in discriminator)
    generator = tiny(discriminator_norm="spectral").generator
    assert same(state(generator), state(tiny().generator))


@pytest.mark.parametrize("activation", blocks.ACTIVATIONS)
def test_activation_of_one_player(activation):
    type_of = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU}
    method = tiny(generator_activation=activation)
    assert sum(type(m) is type_of[activation] for m in method.generator) == 2
    assert kinds(method.discriminator) == kinds(tiny().discriminator)
    method = tiny(discriminator_activation=activation)
    assert sum(type(m) is type_of[activation] for m in method.discriminator) == 2
    assert kinds(method.generator) == kinds(tiny().generator)
    for other in (tiny(generator_activation=activation), tiny(discriminator_activation=activation)):
        assert same(state(other), state(tiny()))  # no parameter is touched


@pytest.mark.parametrize("place", ["generator", "discriminator"])
def test_dropout_of_one_player(place):
    method, paper = tiny(**{f"{place}_dropout": 0.25}), tiny()
    rates = {
        name: [m.p for m in net.modules() if isinstance(m, nn.Dropout)]
        for name, net in method.networks.items()
    }
    assert rates == {"generator": [], "discriminator": []} | {place: [0.25, 0.25]}
    assert same(state(method), state(paper))
    noise = paper.draw_noise(4)
    assert torch.equal(method.sample(4, noise=noise), paper.sample(4, noise=noise))  # sampling drops nothing
    inputs = noise if place == "generator" else a_batch()["image"]
    network = method.networks[place]
    assert not torch.allclose(network(inputs), network(inputs))
    with evaluating(network):
        assert torch.equal(network(inputs), network(inputs))


# ---- the game ----------------------------------------------------------------------------------------


def test_the_game_is_smoothed_and_swapped():
    real, fake = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.5])
    plain = losses.GAMES["non_saturating"]
    smoothed = tiny(label_smoothing=0.1).game
    assert smoothed.discriminator(real, fake).item() == pytest.approx(
        losses.label_smoothed(plain, 0.1).discriminator(real, fake).item()
    )
    assert smoothed.generator is plain.generator
    swapped = tiny(label_swapping=1.0).game
    assert swapped.discriminator(real, fake) == plain.discriminator(fake, real)
    both = tiny(label_swapping=1.0, label_smoothing=0.1).game
    assert both.discriminator(real, fake) == smoothed.discriminator(fake, real)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_instance_noise_has_its_deviation_on_all_that_the_discriminator_sees(player):
    method, seen = tiny(instance_noise=0.5), []
    method.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    batch = {"image": torch.zeros(64, 1, 16, 16)}
    method.loss(player, batch, {"fake": torch.ones(64, 1, 16, 16)})
    means = {"discriminator": [0.0, 1.0], "generator": [1.0]}[player]
    assert [s.mean().item() for s in seen] == pytest.approx(means, abs=0.02)
    for images in seen:
        assert images.var().item() == pytest.approx(0.25, rel=0.05)
    assert not batch["image"].any()  # the batch itself stays clean


def test_instance_noise_falls_with_the_discriminators_moves():
    method, zeros = tiny(instance_noise=0.8, instance_noise_steps=4), torch.zeros(40_000)
    deviations = []
    for move in range(6):
        deviations.append(method.veiled(zeros).std().item())
        if move == 2:  # a move of the generator changes nothing, and a state that is saved goes on
            method.constrain("generator")
            again = tiny(instance_noise=0.8, instance_noise_steps=4)
            again.load_state_dict(method.state_dict())
            method = again
        method.constrain("discriminator")
    assert deviations == pytest.approx([0.8, 0.6, 0.4, 0.2, 0, 0], rel=0.02, abs=1e-6)
    constant = tiny(instance_noise=0.8)
    constant.constrain("discriminator")
    assert constant.veiled(zeros).std().item() == pytest.approx(0.8, rel=0.02)


def test_a_step_counts_one_move():
    method = tiny(instance_noise=0.8, instance_noise_steps=4)
    play(method, optimizers(method), a_batch())
    assert method.moves == 1


def test_r1_is_half_gamma_times_the_squared_slope():
    method, batch = tiny(r1=10.0, discriminator_norm="none", init_std=0.1), a_batch()
    outputs = method.forward_generators(batch)
    terms = method.loss("discriminator", batch, outputs)
    images = batch["image"].clone().requires_grad_()
    slopes = torch.stack(
        [torch.autograd.grad(method.discriminator(images)[k], images)[0][k] for k in range(8)]
    )
    expected = slopes.flatten(1).square().sum(1).mean()
    assert terms["R1"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert method.total(terms).item() == pytest.approx((terms["discriminator"] + 5 * expected).item())
    assert list(method.loss("generator", batch, outputs)) == ["generator"]
    assert not batch["image"].requires_grad
    with torch.no_grad():  # a discriminator that rests is watched without gradients
        assert "R1" not in method.loss("discriminator", batch, outputs)


def test_two_time_scales():
    method = tiny(discriminator_learning_rate=0.0008)
    assert {p: o.param_groups[0]["lr"] for p, o in optimizers(method).items()} == {
        "discriminator": 0.0008,
        "generator": 0.0002,
    }
    for optimizer in ("adam", "sgd"):
        gan = methods.build("gan", data_shape=(2,), optimizer=optimizer, discriminator_learning_rate=0.5)
        assert [o.param_groups[0]["lr"] for o in optimizers(gan).values()] == [0.5, 0.03]


def test_the_first_gan_has_two_ranges():
    for own, expected in ((0.0, 0.02), (0.3, 0.3)):
        gan = methods.build("gan", data_shape=(1, 8, 8), init_range=0.2, discriminator_init_range=own)
        largest = max(p.abs().max().item() for p in gan.discriminator.parameters())
        assert largest == pytest.approx(expected, rel=0.01)
        assert max(p.abs().max().item() for p in gan.generator.parameters()) == pytest.approx(0.2, rel=0.01)


# ---- together ----------------------------------------------------------------------------------------

combinations = st.fixed_dictionaries(
    {
        "kernel_size": st.sampled_from(blocks.KERNEL_SIZES),
        "upsampling": st.sampled_from(list(blocks.UPSAMPLING)),
        "generator_norm": st.sampled_from(list(blocks.NORMS)),
        "discriminator_norm": st.sampled_from([*blocks.NORMS, "spectral"]),
        "generator_activation": st.sampled_from(list(blocks.ACTIVATIONS)),
        "discriminator_activation": st.sampled_from(list(blocks.ACTIVATIONS)),
        "generator_dropout": st.sampled_from([0.0, 0.3]),
        "discriminator_dropout": st.sampled_from([0.0, 0.3]),
        "label_smoothing": st.sampled_from([0.0, 0.2]),
        "label_swapping": st.sampled_from([0.0, 0.5]),
        "instance_noise": st.sampled_from([0.0, 0.1]),
        "instance_noise_steps": st.sampled_from([0, 2]),
        "r1": st.sampled_from([0.0, 10.0]),
        "discriminator_learning_rate": st.sampled_from([0.0, 0.001]),
        "game": st.sampled_from(list(losses.GAMES)),
    }
)


@settings(max_examples=40, deadline=None)
@given(fields=combinations, precision=st.sampled_from(["float32", "bfloat16"]))
def test_any_combination_trains(fields, precision):
    if fields["discriminator_norm"] == "batch":
        fields["r1"] = 0.0
    if fields["game"] in ("hinge", "wasserstein"):
        fields["label_smoothing"] = 0.0
    method, batch = tiny(**fields), a_batch()
    before = state(method)
    both = optimizers(method)
    for _ in range(2):
        terms = play(method, both, batch, precision)
        assert all(term.isfinite() for term in terms.values()), terms
    assert ("R1" in terms) == (fields["r1"] > 0)
    after = state(method)
    assert all(after[name].isfinite().all() for name in after)
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("generator"))
    images = method.sample(3)
    assert images.shape == (3, 1, 16, 16)
    assert images.abs().max() <= 1
    for name in method.networks:  # the players go on being told apart by the names of the paper's layers
        paper_names = {n.split(".")[0] for n, _ in tiny().networks[name].named_parameters()}
        assert paper_names >= {n.split(".")[0] for n, _ in method.networks[name].named_parameters()}


@pytest.mark.parametrize(
    "fields",
    [
        {"discriminator_norm": "spectral", "r1": 10.0, "discriminator_dropout": 0.3},
        {"discriminator_norm": "instance", "upsampling": "pixel_shuffle", "generator_dropout": 0.3},
        {"label_smoothing": 0.1, "label_swapping": 0.5, "instance_noise": 0.1},
    ],
)
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_the_waiting_player_is_untouched(fields, player):
    method, batch = tiny(**fields), a_batch()
    waiting = method.networks["generator" if player == "discriminator" else "discriminator"]
    outputs = method.forward_generators(batch)
    before = state(waiting)
    with method.moving(player):
        cost = method.total(method.loss(player, batch, outputs))
    cost.backward()
    assert all(p.grad is None for p in waiting.parameters())
    assert same(before, state(waiting))
    assert all(p.grad is not None for p in method.parameters_of(player))
    assert all(p.requires_grad for p in method.parameters())


class NoSynchronisation(TorchDispatchMode):
    """Raises where a number is read from a tensor: on a GPU the machine would wait for it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default):
            raise AssertionError(f"a step reads a number from the device: {function}")
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_no_trick_waits_for_the_device(norm):
    method = tiny(
        label_smoothing=0.1,
        label_swapping=0.5,
        instance_noise=0.1,
        instance_noise_steps=5,
        generator_dropout=0.3,
        discriminator_dropout=0.3,
        discriminator_norm=norm,
        r1=0.0 if norm == "batch" else 1.0,
    )
    both = optimizers(method)
    play(method, both, a_batch())  # the first step of Adam makes its state
    with NoSynchronisation():
        play(method, both, a_batch())


# ---- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_size": 7}, "kernel_size is 7; it must be one of 3, 4, 5, 6"),
        (
            {"upsampling": "bicubic"},
            "upsampling is 'bicubic'; it must be one of transposed, nearest, bilinear, pixel_shuffle",
        ),
        (
            {"generator_norm": "spectral"},
            "generator_norm is 'spectral'; it must be one of batch, instance, layer, group, none",
        ),
        (
            {"discriminator_norm": "bath"},
            "discriminator_norm is 'bath'; it must be one of batch, instance, layer, group, none, spectral",
        ),
        (
            {"generator_activation": "swish"},
            "generator_activation is 'swish'; it must be one of relu, leaky_relu, elu, gelu, silu",
        ),
        (
            {"discriminator_activation": "tanh"},
            "discriminator_activation is 'tanh'; it must be one of relu, leaky_relu, elu, gelu, silu",
        ),
        ({"generator_dropout": 1.0}, "generator_dropout is 1.0; it must be at least 0 and below 1"),
        ({"discriminator_dropout": -0.1}, "discriminator_dropout is -0.1; it must be at least 0 and below 1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0; it must be at least 0 and below 1"),
        ({"label_swapping": 1.5}, "label_swapping is 1.5; it must be a probability, from 0 to 1"),
        ({"instance_noise": -1.0}, "instance_noise is -1.0; it must be 0 or more"),
        ({"instance_noise_steps": -1}, "instance_noise_steps is -1; it must be 0 or more"),
        ({"r1": -1.0}, "r1 is -1.0; it must be 0 or more"),
        (
            {"discriminator_learning_rate": -1.0},
            "discriminator_learning_rate is -1.0; it must be 0 or more",
        ),
        (
            {"r1": 10.0},
            "r1 is 10.0, and batch norm mixes the images whose gradients it penalises one by one; "
            "discriminator_norm must be one of instance, layer, group, none, spectral",
        ),
        (
            {"label_smoothing": 0.1, "game": "hinge"},
            "label_smoothing is 0.1, and the game has no labels to smooth; "
            "game must be one of minimax, non_saturating, least_squares",
        ),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError) as caught:
        tiny(**fields)
    assert str(caught.value) == message


@pytest.mark.parametrize("field", ["discriminator_learning_rate", "discriminator_init_range"])
def test_values_that_the_first_gan_refuses(field):
    with pytest.raises(ValueError, match=rf"^{field} is -1; it must be 0 or more$"):
        methods.build("gan", **{field: -1})


# ---- from the command line ---------------------------------------------------------------------------


def test_tricks_are_options_of_the_command_line(tmp_path, capsys):
    words = f"train dcgan --data mnist --image-size 16 --out {tmp_path / 'run'} --steps 2 --batch-size 8"
    words += (
        " --ngf 4 --ndf 4 --label-smoothing 0.1 --upsampling nearest --discriminator-norm spectral --r1 1"
    )
    assert cli.main(words.split()) == 0
    assert "R1" in (tmp_path / "run" / "log.csv").read_text().splitlines()[0]
    capsys.readouterr()
    assert cli.main([*words.split()[:-2], "--upsampling", "bicubic", "--resume"]) == 1
    assert "it must be one of transposed, nearest, bilinear, pixel_shuffle" in capsys.readouterr().err
