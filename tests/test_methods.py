"""The papers: sizes, initial weights, optimizers, labels, sampling, and one step of each game."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gan_course import losses, methods
from gan_course.methods import cgan, gan
from gan_course.methods.base import draw, evaluating
from gan_course.training.trainer import play

TINY = {
    "gan": {"data_shape": (1, 16, 16), "generator_features": 16, "discriminator_features": 8},
    "dcgan": {"image_size": 16, "channels": 1, "ngf": 4, "ndf": 4},
    "cgan": {"image_size": 16, "num_classes": 4, "ngf": 4, "ndf": 4},
}
NAMES = list(TINY)


def tiny(name: str, **fields) -> methods.Method:
    torch.manual_seed(0)
    return methods.build(name, **TINY[name] | fields)


def a_batch(count: int = 8, channels: int = 1, size: int = 16) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    images = torch.rand(count, channels, size, size, generator=rng) * 2 - 1
    return {"image": images, "label": torch.arange(count) % 4}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- building ----------------------------------------------------------------------------------------


def test_names_and_configurations():
    assert methods.config_class("dcgan")().image_size == 64
    for name in NAMES:
        method = tiny(name)
        assert isinstance(method, methods.method_class(name))
        assert list(method.networks) == ["generator", "discriminator"]
        assert method.networks["generator"] is method.generator
        assert {n for moved in method.players.values() for n in moved} == set(method.networks)


def test_unknown_method_and_field_list_the_known():
    with pytest.raises(ValueError, match=r"^unknown method 'dgan'; known methods: gan, dcgan, cgan, "):
        methods.build("dgan")
    with pytest.raises(
        ValueError, match=r"^cgan has no option ngff, size; its options: image_size, channels"
    ):
        methods.build("cgan", ngff=3, size=2)


def test_a_configuration_that_went_through_json_builds_the_same():
    assert (
        methods.build("gan", data_shape=[1, 8, 8]).config == methods.build("gan", data_shape=(1, 8, 8)).config
    )


@pytest.mark.parametrize("name", ["dcgan", "cgan"])
@pytest.mark.parametrize("size", [-16, 0, 8, 24, 48, 63, 512])
def test_sizes_that_are_refused(name, size):
    message = rf"^image_size is {size}; it must be one of 16, 32, 64, 128, 256$"
    with pytest.raises(ValueError, match=message):
        methods.build(name, image_size=size)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("dcgan", {"noise": "gauss"}, "noise is 'gauss'; it must be uniform or normal"),
        ("cgan", {"noise": "gauss"}, "noise is 'gauss'; it must be uniform or normal"),
        ("gan", {"noise": "gauss"}, "noise is 'gauss'; it must be uniform or normal"),
        ("dcgan", {"channels": 0}, "channels is 0; it must be 1 or more"),
        ("cgan", {"num_classes": -1}, "num_classes is -1; it must be 1 or more"),
        ("gan", {"maxout_pieces": 0}, "maxout_pieces is 0; it must be 1 or more"),
        ("gan", {"output": "sigmoid"}, "output is 'sigmoid'; it must be tanh or linear"),
        ("gan", {"optimizer": "lion"}, "optimizer is 'lion'; it must be sgd or adam"),
        ("dcgan", {"game": "chess"}, "unknown game 'chess'; known games: minimax, non_saturating"),
    ],
)
def test_values_that_are_refused(name, fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        methods.build(name, **TINY[name] | fields)


# ---- DCGAN -------------------------------------------------------------------------------------------


def test_dcgan_has_the_parameters_of_the_paper():
    with torch.device("meta"):
        method = methods.build("dcgan")
    assert parameters(method.generator) == 3_576_704
    assert parameters(method.discriminator) == 2_765_568


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("name", ["dcgan", "cgan"])
def test_every_size_and_number_of_channels(name, size, channels):
    with torch.device("meta"):
        method = methods.build(name, image_size=size, channels=channels)
        batch = {"image": torch.empty(2, channels, size, size), "label": torch.zeros(2, dtype=torch.long)}
        if name == "cgan":  # one_hot looks at the values of the labels, which meta tensors do not have
            noise, one_hot = torch.empty(2, 100), torch.empty(2, 10)
            fake = method.generator.dcgan(torch.cat([noise, one_hot], dim=1))
            planes = torch.empty(2, 10, size, size)
            scores = method.discriminator.dcgan(torch.cat([fake, planes], dim=1))
        else:
            fake = method.forward_generators(batch)["fake"]
            scores = method.discriminator(fake)
    assert fake.shape == (2, channels, size, size)
    assert scores.shape == (2,)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("name", "size"), [("dcgan", 16), ("dcgan", 64), ("cgan", 16), ("cgan", 32)])
def test_images_are_in_range(name, size, channels):
    method = methods.build(name, image_size=size, channels=channels, ngf=4, ndf=4)
    for p in method.generator.parameters():
        p.data *= 20  # so that an image without its tanh would leave the range
    images = method.sample(3)
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    assert images.abs().max() > 0.5


@pytest.mark.parametrize("name", ["dcgan", "cgan"])
def test_initial_weights(name):
    torch.manual_seed(0)
    method = methods.build(name, image_size=64, channels=3)
    weights, gains = [], []
    for module in method.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.bias is None
            weights.append(module.weight.flatten())
        elif isinstance(module, nn.BatchNorm2d):
            gains.append(module.weight)
            assert not module.bias.any()
    for weight in (w for w in weights if w.numel() > 10_000):
        assert abs(weight.mean()) < 0.001
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert (weight.abs() > 0.04).float().mean().item() == pytest.approx(0.0455, abs=0.005)  # normal
    gains = torch.cat(gains)
    assert gains.mean().item() == pytest.approx(1, abs=0.003)
    assert gains.std().item() == pytest.approx(0.02, rel=0.1)
    other = methods.build(name, image_size=16, ngf=16, ndf=16, init_std=0.5)
    assert other.generator.state_dict().popitem()[1].std().item() == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("name", ["dcgan", "cgan"])
def test_adam_of_the_paper(name):
    method = methods.build(name, image_size=16, ngf=4, ndf=4)
    for player in method.players:
        optimizer = method.optimizer(player)
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.defaults["lr"] == 0.0002
        assert optimizer.defaults["betas"] == (0.5, 0.999)
        moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert moved == {id(p) for p in method.networks[player].parameters()}
    changed = methods.build(name, image_size=16, ngf=4, ndf=4, learning_rate=0.1, beta1=0.0)
    assert changed.optimizer("generator").defaults["lr"] == 0.1
    assert changed.optimizer("generator").defaults["betas"] == (0.0, 0.999)


def test_layers_follow_the_rules_of_the_paper():
    method = methods.build("dcgan", image_size=64, ngf=4, ndf=4)
    generator, discriminator = list(method.generator), list(method.discriminator)
    kinds = [type(layer) for layer in generator]
    assert kinds[1:] == [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * 4 + [nn.ConvTranspose2d, nn.Tanh]
    kinds = [type(layer) for layer in discriminator]
    middle = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 3
    assert kinds == [nn.Conv2d, nn.LeakyReLU, *middle, nn.Conv2d, nn.Flatten]
    assert all(layer.negative_slope == 0.2 for layer in discriminator if isinstance(layer, nn.LeakyReLU))
    assert [layer.out_channels for layer in generator if isinstance(layer, nn.ConvTranspose2d)] == [
        32,
        16,
        8,
        4,
        3,
    ]
    assert [layer.out_channels for layer in discriminator if isinstance(layer, nn.Conv2d)] == [
        4,
        8,
        16,
        32,
        1,
    ]


# ---- GAN of 2014 -------------------------------------------------------------------------------------


def test_maxout_is_the_largest_of_its_pieces():
    torch.manual_seed(0)
    maxout = gan.Maxout(3, 2, pieces=4)
    x = torch.randn(5, 3)
    weight, bias = maxout.linear.weight, maxout.linear.bias
    for n in range(5):
        for unit in range(2):
            pieces = [weight[unit * 4 + k] @ x[n] + bias[unit * 4 + k] for k in range(4)]
            assert maxout(x)[n, unit].item() == pytest.approx(max(piece.item() for piece in pieces), abs=1e-6)


def test_gan_has_the_sizes_of_the_mnist_experiment():
    with torch.device("meta"):
        method = methods.build("gan")
    linear = nn.Linear
    assert [(m.in_features, m.out_features) for m in method.generator.modules() if isinstance(m, linear)] == [
        (100, 1200),
        (1200, 1200),
        (1200, 784),
    ]
    assert [
        (m.in_features, m.out_features) for m in method.discriminator.modules() if isinstance(m, linear)
    ] == [
        (784, 240 * 5),
        (240, 240 * 5),
        (240, 1),
    ]
    assert [m.p for m in method.discriminator.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]


def test_gan_initial_weights_and_optimizer():
    torch.manual_seed(0)
    method = methods.build("gan")
    for network, limit in ((method.generator, 0.05), (method.discriminator, 0.005)):
        for module in network.modules():
            if isinstance(module, nn.Linear):
                assert 0.9 * limit < module.weight.abs().max() <= limit
                assert module.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.1)  # uniform
                assert not module.bias.any()
    optimizer = method.optimizer("generator")
    assert isinstance(optimizer, torch.optim.SGD)
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.03, 0.5)
    adam = methods.build("gan", optimizer="adam", learning_rate=0.0002).optimizer("discriminator")
    assert isinstance(adam, torch.optim.Adam)
    assert adam.defaults["betas"] == (0.5, 0.999)


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 28, 28), (3, 8, 8)])
def test_gan_of_any_shape(shape):
    method = methods.build("gan", data_shape=shape, generator_features=8, discriminator_features=8)
    images = method.sample(5)
    assert images.shape == (5, *shape)
    assert method.discriminator(images).shape == (5,)


def test_a_linear_output_leaves_the_range_and_a_tanh_does_not():
    for output, leaves in (("linear", True), ("tanh", False)):
        method = methods.build("gan", data_shape=(2,), generator_features=64, output=output, init_range=2.0)
        assert (method.sample(64).abs().max().item() > 1) == leaves


# ---- labels ------------------------------------------------------------------------------------------


def test_the_label_enters_both_players():
    method = tiny("cgan").eval()
    noise, images = method.draw_noise(1), a_batch(1)["image"]
    zero, one = torch.tensor([0]), torch.tensor([1])
    assert not torch.allclose(method.generator(noise, zero), method.generator(noise, one))
    assert not torch.allclose(method.discriminator(images, zero), method.discriminator(images, one))
    deaf = tiny("cgan", discriminator_label=False).eval()
    assert torch.equal(deaf.discriminator(images, zero), deaf.discriminator(images, one))
    assert not torch.allclose(deaf.generator(noise, zero), deaf.generator(noise, one))


def test_labels_enter_as_one_hot_vector_and_as_planes():
    method = tiny("cgan").eval()
    seen = {}
    for name, network in method.networks.items():
        network.dcgan.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
    noise, images, labels = method.draw_noise(2), a_batch(2)["image"], torch.tensor([3, 1])
    method.generator(noise, labels)
    method.discriminator(images, labels)
    assert torch.equal(seen["generator"][:, 100:], F.one_hot(labels, 4).float())
    assert torch.equal(seen["generator"][:, :100], noise)
    planes = seen["discriminator"][:, 1:]
    assert planes.shape == (2, 4, 16, 16)
    assert torch.equal(planes, F.one_hot(labels, 4)[:, :, None, None].expand(2, 4, 16, 16).float())
    assert torch.equal(seen["discriminator"][:, :1], images)


def test_each_player_is_told_the_labels_of_the_batch():
    """Real and generated images of a step have the same labels."""
    method, batch = tiny("cgan"), a_batch()
    told = []
    for network in method.networks.values():
        network.register_forward_pre_hook(lambda _, inputs: told.append(inputs[1]))
    play(method, {p: method.optimizer(p) for p in method.players}, batch, "float32")
    assert len(told) == 4
    assert all(torch.equal(labels, batch["label"]) for labels in told)


def test_sample_labels():
    method = tiny("cgan")
    noise = method.draw_noise(1).expand(6, -1)
    in_turn = method.sample(6, noise=noise)
    assert torch.equal(in_turn, method.sample(6, noise=noise, labels=torch.tensor([0, 1, 2, 3, 0, 1])))
    assert torch.equal(in_turn[0], in_turn[4])
    assert not torch.allclose(in_turn[0], in_turn[1])
    assert torch.equal(in_turn, method.sample(6, noise=noise, labels=[0, 1, 2, 3, 0, 1]))
    as_bytes = torch.tensor([0, 1, 2, 3, 0, 1], dtype=torch.uint8)
    assert torch.equal(in_turn, method.sample(6, noise=noise, labels=as_bytes))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], r"2 samples need 2 integer labels, not a tensor of torch.int64 and shape \(3,\)"),
        ([[0], [1]], r"2 samples need 2 integer labels, not a tensor of torch.int64 and shape \(2, 1\)"),
        ([0.5, 1.0], "2 samples need 2 integer labels, not a tensor of torch.float32"),
        ([0, 4], "labels run from 0 to 4; this model knows 0 to 3"),
        ([-1, 2], "labels run from -1 to 2; this model knows 0 to 3"),
    ],
)
def test_labels_that_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        tiny("cgan").sample(2, labels=labels)


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_labels_for_a_method_without(name):
    with pytest.raises(ValueError, match=f"{name} takes no labels"):
        tiny(name).sample(2, labels=torch.tensor([0, 1]))


# ---- sampling ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_sampling_touches_no_training_state(name, training):
    method = tiny(name).train(training)
    before, random_state = everything(method), torch.get_rng_state()
    images = method.sample(5, rng=torch.Generator().manual_seed(3))
    assert same(before, everything(method))
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(module.training == training for module in method.modules())
    assert not images.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_one_set_of_images(name):
    method = tiny(name)
    first, again, other = (method.sample(4, rng=torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    noise = method.draw_noise(4, torch.Generator().manual_seed(3))
    assert torch.equal(first, method.sample(4, noise=noise))


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_depend_on_its_neighbours(name):
    method = tiny(name).train()
    noise = method.draw_noise(4)
    assert torch.allclose(method.sample(4, noise=noise)[:1], method.sample(1, noise=noise[:1]), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_preview_is_fixed(name):
    method = tiny(name)
    previews = [method.preview(6, torch.Generator().manual_seed(0)) for _ in range(2)]
    assert same(*previews)
    assert method.sample(6, **previews[0]).shape == (6, 1, 16, 16)


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_noise(noise):
    z = tiny("dcgan", noise=noise).draw_noise(500, torch.Generator().manual_seed(0))
    assert z.shape == (500, 100)
    assert abs(z.mean()) < 0.01
    assert z.std().item() == pytest.approx(3**-0.5 if noise == "uniform" else 1, rel=0.01)
    assert (z.abs().max().item() <= 1) == (noise == "uniform")
    assert torch.equal(z, draw(noise, (500, 100), torch.Generator().manual_seed(0), torch.device("cpu")))


def test_evaluating_restores_the_mode_after_an_error():
    method = tiny("dcgan").train()
    with contextlib.suppress(KeyError), evaluating(method.generator):
        assert not method.generator.training
        assert not torch.is_grad_enabled()
        raise KeyError
    assert method.generator.training
    assert torch.is_grad_enabled()


# ---- one step of the game ----------------------------------------------------------------------------


class Watch:
    """Counts the forward passes of each network in the course of a step."""

    def __init__(self, method):
        self.forwards = dict.fromkeys(method.networks, 0)
        for name, network in method.networks.items():
            network.register_forward_hook(lambda *_, name=name: self.count(name))

    def count(self, name):
        self.forwards[name] += 1


def step(method, batch=None, precision="float32"):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), precision)


@pytest.mark.parametrize("name", NAMES)
def test_forward_passes_of_a_step(name):
    method = tiny(name)
    watch = Watch(method)
    step(method)
    assert watch.forwards == {"generator": 1, "discriminator": 3}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_terms_of_a_step(name, precision):
    terms = step(tiny(name), precision=precision)
    assert list(terms) == ["discriminator", "D(x)", "D(G(z))", "D accuracy", "generator"]
    for term in terms.values():
        assert term.shape == ()
        assert term.dtype == torch.float32
        assert term.isfinite()
        assert not term.requires_grad
    assert 0 < terms["D(x)"] < 1
    assert 0 < terms["D(G(z))"] < 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_only_the_mover_gets_gradients_and_moves(name, precision):
    """At each optimizer step: gradients on the mover's parameters, none on the waiting player's, and no
    buffer of the waiting player moved since the last one."""
    method = tiny(name)
    moves, buffers = [], {}

    class Optimizer:
        def __init__(self, player):
            self.player, self.inner = player, method.optimizer(player)

        def zero_grad(self, set_to_none=True):
            self.inner.zero_grad(set_to_none)

        def step(self):
            moves.append(self.player)
            waiting = "generator" if self.player == "discriminator" else "discriminator"
            assert all(p.grad is not None for p in method.networks[self.player].parameters())
            assert all(p.grad.any() for p in method.networks[self.player].parameters() if p.dim() > 1)
            for p in method.networks[waiting].parameters():
                assert p.grad is None or torch.equal(p.grad, kept[p])
                assert p.requires_grad  # switched on again
            now = {n: b.clone() for n, b in method.networks[waiting].named_buffers()}
            assert same(now, buffers[waiting])
            before = everything(method.networks[waiting])
            self.inner.step()
            assert same(before, everything(method.networks[waiting]))
            kept.update({p: p.grad.clone() for p in method.networks[self.player].parameters()})
            for network in method.networks:
                buffers[network] = {n: b.clone() for n, b in method.networks[network].named_buffers()}

    kept: dict = {}
    forward = method.forward_generators

    def forward_then_remember(batch):
        outputs = forward(batch)
        for network in method.networks:
            buffers[network] = {n: b.clone() for n, b in method.networks[network].named_buffers()}
        return outputs

    method.forward_generators = forward_then_remember
    play(method, {p: Optimizer(p) for p in method.players}, a_batch(), precision)
    assert moves == ["discriminator", "generator"]
    for module in method.modules():
        assert getattr(module, "track_running_stats", True)


@pytest.mark.parametrize("name", ["dcgan", "cgan"])
def test_running_statistics_collect_once_for_each_kind_of_image(name):
    method = tiny(name)
    step(method)
    counts = {n: int(b) for n, b in method.named_buffers() if n.endswith("num_batches_tracked")}
    assert {c for n, c in counts.items() if n.startswith("generator")} == {1}
    assert {c for n, c in counts.items() if n.startswith("discriminator")} == {2}  # real and generated


@pytest.mark.parametrize("name", NAMES)
def test_the_fake_is_a_constant_in_the_turn_of_the_discriminator(name):
    method, batch = tiny(name), a_batch()
    outputs = method.forward_generators(batch)
    assert outputs["fake"].requires_grad
    outputs["fake"].retain_grad()
    method.total(method.loss("discriminator", batch, outputs)).backward()
    assert outputs["fake"].grad is None
    assert all(p.grad is None for p in method.generator.parameters())
    method.total(method.loss("generator", batch, outputs)).backward()
    assert outputs["fake"].grad.any()


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_those_of_the_textbook(name):
    """Against two steps written out with no economy: all gradients on, the same random numbers."""
    # dropout would draw other numbers
    extra = {"input_dropout": 0.0, "hidden_dropout": 0.0} if name == "gan" else {}
    method, reference, batch = tiny(name, **extra), tiny(name, **extra), a_batch()
    torch.manual_seed(7)
    optimizers = {player: method.optimizer(player) for player in method.players}
    for _ in range(2):
        play(method, optimizers, batch, "float32")

    torch.manual_seed(7)
    told = (batch["label"],) if name == "cgan" else ()
    optimizers = {player: reference.optimizer(player) for player in reference.players}
    ones, zeros = torch.ones(8), torch.zeros(8)
    for _ in range(2):
        reference.zero_grad()
        fake = reference.generator(reference.draw_noise(8), *told)
        real_scores = reference.discriminator(batch["image"], *told)
        fake_scores = reference.discriminator(fake.detach(), *told)
        cost = F.binary_cross_entropy_with_logits(real_scores, ones)
        cost = cost + F.binary_cross_entropy_with_logits(fake_scores, zeros)
        cost.backward()
        optimizers["discriminator"].step()
        F.binary_cross_entropy_with_logits(reference.discriminator(fake, *told), ones).backward()
        optimizers["generator"].step()

    pairs = zip(method.named_parameters(), reference.parameters(), strict=True)
    for (key, ours), theirs in pairs:
        assert torch.allclose(ours, theirs, atol=2e-5), key


class NoSynchronisation(TorchDispatchMode):
    """Raises where a number is read from a tensor: on a GPU the machine would wait for it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default):
            raise AssertionError(f"a step reads a number from the device: {function}")
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_no_step_waits_for_the_device(name, precision, monkeypatch):
    # on the CPU, and only there, one_hot looks whether its labels are in range
    monkeypatch.setattr(cgan.F, "one_hot", lambda labels, classes: torch.eye(classes)[labels])
    method = tiny(name)
    optimizers = {player: method.optimizer(player) for player in method.players}
    play(method, optimizers, a_batch(), precision)  # the first step of Adam makes its state
    with NoSynchronisation():
        play(method, optimizers, a_batch(), precision)
    with pytest.raises(AssertionError, match="reads a number"), NoSynchronisation():
        torch.ones(1).item()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_no_step_waits_for_the_gpu(name, precision):
    method = tiny(name).cuda()
    batch = {key: value.cuda() for key, value in a_batch().items()}
    optimizers = {player: method.optimizer(player) for player in method.players}
    play(method, optimizers, batch, precision)
    torch.cuda.set_sync_debug_mode("error")
    try:
        play(method, optimizers, batch, precision)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_learns_in_float32(name):
    method = tiny(name)
    optimizers = {player: method.optimizer(player) for player in method.players}
    before = everything(method)
    play(method, optimizers, a_batch(), "bfloat16")
    assert all(p.dtype == torch.float32 for p in method.parameters())
    after = everything(method)
    assert all(not torch.equal(before[n], after[n]) for n, p in method.named_parameters() if p.dim() > 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert method.forward_generators(a_batch())["fake"].dtype == torch.bfloat16


def test_terms_are_weighted_and_watched_terms_are_not_minimised():
    method = tiny("dcgan")
    method.loss_weights = {"watched": 0.0, "double": 2.0}
    terms = {"watched": torch.tensor(torch.inf), "double": torch.tensor(3.0), "plain": torch.tensor(1.0)}
    assert method.total(terms) == 7
    assert not method.minimises("watched")
    assert method.minimises("plain")


@pytest.mark.parametrize("game", list(losses.GAMES))
@pytest.mark.parametrize("name", NAMES)
def test_every_game_can_be_played(name, game):
    method = tiny(name, game=game)
    before = everything(method)
    terms = step(method)
    assert all(term.isfinite() for term in terms.values())
    assert not same(before, everything(method))


@pytest.mark.parametrize("name", NAMES)
def test_the_discriminator_learns_to_tell(name):
    method, batch = tiny(name), a_batch(16)
    batch["image"] = batch["image"].sign()
    optimizers = {player: method.optimizer(player) for player in method.players}
    for group in optimizers["discriminator"].param_groups:
        group["lr"] = 0.01
    first = play(method, optimizers, batch, "float32")
    for _ in range(40):
        last = play(method, optimizers, batch, "float32")
    assert last["D(x)"] > first["D(x)"]
    assert last["D(x)"] > last["D(G(z))"]


def test_frozen_parameters_stay_frozen():
    method = tiny("dcgan")
    frozen = next(method.discriminator.parameters()).requires_grad_(False)
    with method.moving("generator"):
        assert not any(p.requires_grad for p in method.discriminator.parameters())
    assert not frozen.requires_grad
    assert sum(not p.requires_grad for p in method.parameters()) == 1
