"""BigGAN and SAGAN: sizes, conditions, projection, truncation, orthogonality, and one step."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gan_course import losses, methods, training
from gan_course.data import ImageSet
from gan_course.methods import biggan
from gan_course.nn.attention import SelfAttention
from gan_course.nn.init import orthogonality_penalty
from gan_course.nn.norms import normalised_layers, raw_weight
from gan_course.training.trainer import play

TINY = {"image_size": 32, "channels": 1, "num_classes": 4, "ch": 2, "noise_size": 8, "shared_size": 6}
SAGAN = {"shared_size": 0, "skip_z": False, "initialisation": "xavier", "orthogonal_penalty": 0.0}


def tiny(**fields) -> biggan.BigGAN:
    torch.manual_seed(0)
    method = methods.build("biggan", **TINY | fields)
    for module in method.modules():
        if isinstance(module, SelfAttention):
            module.gamma.data.fill_(0.5)  # at 0, no gradient reaches what it weighs
    return method


def a_batch(count: int = 8) -> dict[str, torch.Tensor]:
    images = torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return {"image": images, "label": torch.arange(count) % 4}


def step(method, precision="float32", batch=None):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), precision)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- sizes -------------------------------------------------------------------------------------------


def test_biggan_has_the_parameters_of_the_authors():
    with torch.device("meta"):
        method = methods.build("biggan")
    assert parameters(method.generator) == 70_433_988
    assert parameters(method.discriminator) == 87_982_370


def test_sagan_has_the_parameters_of_the_authors():
    with torch.device("meta"):
        method = methods.build("biggan", **biggan.SAGAN)
    assert parameters(method.generator) == 42_017_412
    assert parameters(method.discriminator) == 39_448_258


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("fields", [{"noise_size": 840}, SAGAN], ids=["biggan", "sagan"])
def test_every_size(size, fields):
    with torch.device("meta"):
        method = methods.build("biggan", image_size=size, ch=8, **fields)
        labels = torch.zeros(2, dtype=torch.long)
        fake = method.generator(method.draw_noise(2), labels)
        assert fake.shape == (2, 3, size, size)
        assert method.discriminator(fake, labels).shape == (2,)
        assert method.discriminator.features(fake).shape == (2, 8 * biggan.DISCRIMINATOR_FEATURES[size][-1])


@pytest.mark.parametrize(
    ("size", "asked", "side"), [(128, 64, 64), (64, 64, 32), (32, 64, 16), (64, 16, 16), (16, 64, 8)]
)
def test_where_attention_is(size, asked, side):
    with torch.device("meta"):
        method = methods.build("biggan", image_size=size, ch=8, attention=asked)
        seen = []
        for network in method.networks.values():
            blocks = [m for m in network.modules() if isinstance(m, SelfAttention)]
            assert len(blocks) == 1
            blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2:]))
        labels = torch.zeros(1, dtype=torch.long)
        method.discriminator(method.generator(method.draw_noise(1), labels), labels)
    assert seen == [(side, side)] * 2
    none = tiny(attention=0)
    assert not any(isinstance(m, SelfAttention) for m in none.modules())


def test_what_is_normalised():
    """Everything but batch norm's embeddings of classes, the shared one and those of SAGAN."""

    def left_out(network):
        kinds = nn.Conv2d | nn.Linear | nn.Embedding
        layers = [name for name, m in network.named_modules() if isinstance(m, kinds)]
        return [name for name in layers if name not in normalised_layers(network)]

    method = tiny()
    assert left_out(method.generator) == ["shared"]
    assert left_out(method.discriminator) == []
    sagan = tiny(**SAGAN)
    assert all(".gain" in name or ".bias" in name for name in left_out(sagan.generator))
    assert left_out(sagan.discriminator) == []
    assert not normalised_layers(tiny(spectral_normalisation="none"))
    only = tiny(spectral_normalisation="discriminator")
    assert not normalised_layers(only.generator)
    assert left_out(only.discriminator) == []


def test_every_normalised_layer_has_norm_one_after_warm_up():
    method, batch = tiny(initialisation="xavier"), a_batch(2)
    for layer in normalised_layers(method).values():
        raw_weight(layer).data *= 3
    for _ in range(100):
        method.discriminator(method.generator(method.draw_noise(2), batch["label"]), batch["label"])
    norms = {
        name: torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()
        for name, layer in normalised_layers(method).items()
    }
    assert norms == pytest.approx(dict.fromkeys(norms, 1.0), abs=1e-3)


def test_order_of_layers_is_that_of_the_authors():
    names = [name for name, _ in tiny().generator.named_children()]
    assert names == ["shared", "linear", "blocks", "output"]
    block = [name for name, _ in tiny().generator.blocks[0][0].named_children()]
    assert block == ["conv1", "conv2", "shortcut", "norm1", "norm2"]
    assert [name for name, _ in tiny().discriminator.named_children()] == ["blocks", "linear", "embed"]
    assert isinstance(tiny().generator.blocks[1][1], SelfAttention)  # after the block that makes 16 x 16
    assert isinstance(tiny().discriminator.blocks[0][1], SelfAttention)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 48}, "image_size is 48; it must be one of 16, 32, 64, 128, 256"),
        ({"ch": 0}, "ch is 0; it must be 1 or more"),
        ({"critic_steps": 0}, "critic_steps is 0; it must be 1 or more"),
        ({"num_classes": -1}, "num_classes is -1; it must be 0 or more"),
        ({"shared_size": -1}, "shared_size is -1; it must be 0 or more"),
        ({"orthogonal_penalty": -1.0}, "orthogonal_penalty is -1.0; it must be 0 or more"),
        ({"initialisation": "he"}, "initialisation is 'he'; it must be one of orthogonal, xavier, normal"),
        (
            {"spectral_normalisation": "G"},
            "spectral_normalisation is 'G'; it must be one of both, discriminator, none",
        ),
        ({"shared_size": 0}, "skip_z needs a shared embedding, which the parts of z are joined to: take a"),
        (
            {"noise_size": 9},
            "noise_size is 9; at 32 pixels z is cut into 4 equal parts, so it must be a multiple of 4",
        ),
        ({"attention": 12}, "attention is 12; at 32 pixels it must be 0 or one of 8, 16"),
        ({"ch": 1}, "attention over 4 features: they must be a multiple of 8"),
        ({"game": "chess"}, "unknown game 'chess'; known games: minimax, non_saturating"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)


# ---- blocks ------------------------------------------------------------------------------------------


def test_a_block_of_the_generator_against_the_plain_order():
    """The shortcut after doubling, as the authors have it."""
    torch.manual_seed(0)
    block = biggan.GeneratorBlock(3, 5, lambda n: Unconditional(n), lambda m: m)
    x = torch.randn(2, 3, 4, 4)
    doubled = lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
    h = block.conv1(doubled(block.norm1(x, None).relu()))
    h = block.conv2(block.norm2(h, None).relu())
    assert torch.allclose(block(x, None), h + block.shortcut(doubled(x)), atol=1e-6)


class Unconditional(nn.BatchNorm2d):
    def forward(self, x, condition):
        return super().forward(x)


@pytest.mark.parametrize("halve", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_block_of_the_discriminator_against_the_plain_order(first, halve):
    torch.manual_seed(0)
    block = biggan.DiscriminatorBlock(3, 5, first, halve, lambda m: m)
    x = torch.randn(2, 3, 4, 4)
    kept = x.clone()
    pool = (lambda x: F.avg_pool2d(x, 2)) if halve else (lambda x: x)
    h = block.conv2(block.conv1(x if first else x.relu()).relu())
    assert torch.allclose(block(x), pool(h) + pool(block.shortcut(x)), atol=1e-6)
    assert torch.equal(x, kept)  # a ReLU in place would have changed what the shortcut sees


def test_a_block_of_one_size_has_no_shortcut_layer():
    block = biggan.DiscriminatorBlock(4, 4, False, False, lambda m: m)
    assert isinstance(block.shortcut, nn.Identity)


def test_each_part_of_z_enters_its_own_layer():
    method = tiny().eval()
    seen = {}
    method.generator.linear.register_forward_pre_hook(lambda _, inputs: seen.update(linear=inputs[0]))
    for k, block in enumerate(method.generator.blocks):
        for norm in (block[0].norm1, block[0].norm2):
            norm.register_forward_pre_hook(lambda _, inputs, k=k: seen.update({k: inputs[1]}))
    noise, labels = method.draw_noise(3), torch.tensor([0, 3, 1])
    method.generator(noise, labels)
    assert torch.equal(seen["linear"], noise[:, :2])
    for k in range(3):
        assert torch.equal(seen[k][:, :6], method.generator.shared(labels))
        assert torch.equal(seen[k][:, 6:], noise[:, 2 * (k + 1) : 2 * (k + 2)])


def test_without_skip_z_all_of_it_enters_below():
    for fields in ({"skip_z": False}, SAGAN):
        method = tiny(**fields).eval()
        assert method.generator.linear.in_features == 8
        noise = method.draw_noise(1)
        zero, one = (method.generator(noise, torch.tensor([y])) for y in (0, 1))
        assert not torch.allclose(zero, one)


def test_projection_by_hand():
    method = tiny().eval()
    images, labels = a_batch(3)["image"], torch.tensor([2, 0, 2])
    network = method.discriminator
    h = network.features(images)
    maps = images
    for block in network.blocks:
        for layer in block:
            maps = layer(maps)
    assert torch.allclose(h, maps.clamp(min=0).flatten(2).sum(2), atol=1e-5)
    for n in range(3):
        linear = (
            sum(network.linear.weight[0, k] * h[n, k] for k in range(h.shape[1])) + network.linear.bias[0]
        )
        inner = sum(network.embed.weight[labels[n], k] * h[n, k] for k in range(h.shape[1]))
        assert network(images, labels)[n].item() == pytest.approx((linear + inner).item(), abs=1e-4)


# ---- truncation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.04, 0.5, 1.0, 2.0])
def test_support_of_the_truncated_normal(threshold):
    rng, cpu = torch.Generator().manual_seed(0), torch.device("cpu")
    noise = biggan.truncated_normal((500, 40), threshold, rng, cpu)
    assert noise.shape == (500, 40)
    assert noise.abs().max() <= threshold
    assert noise.abs().max() > 0.98 * threshold
    # variance of a normal truncated at +-t: 1 - 2 t phi(t) / (2 Phi(t) - 1)
    t = torch.tensor(threshold, dtype=torch.float64)
    density = torch.exp(-t * t / 2) / (2 * torch.pi) ** 0.5
    variance = 1 - 2 * t * density / torch.erf(t / 2**0.5)
    assert noise.double().var().item() == pytest.approx(variance.item(), rel=0.05)
    assert abs(noise.mean().item()) < 0.02 * threshold


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_thresholds_that_are_refused(threshold):
    with pytest.raises(ValueError, match=rf"^truncation is {threshold}; it must be above 0$"):
        tiny().sample(2, truncation=threshold)


def test_truncated_samples():
    method = tiny()
    first, again = (method.sample(4, truncation=0.3, rng=torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(first, again)
    noise = method.draw_noise(4, torch.Generator().manual_seed(0), truncation=0.3)
    assert noise.abs().max() <= 0.3
    assert torch.equal(first, method.sample(4, noise=noise))
    with pytest.raises(ValueError, match=r"^noise and truncation are both given"):
        method.sample(4, noise=noise, truncation=0.3)


# ---- labels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], r"2 samples need 2 integer labels, not a tensor of torch.int64 and shape \(3,\)"),
        ([0.5, 1.0], "2 samples need 2 integer labels, not a tensor of torch.float32"),
        ([0, 4], "labels run from 0 to 4; this model knows 0 to 3"),
        ([-1, 2], "labels run from -1 to 2; this model knows 0 to 3"),
    ],
)
def test_labels_that_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        tiny().sample(2, labels=labels)


def test_sample_labels():
    method = tiny()
    noise = method.draw_noise(1).expand(5, -1)
    in_turn = method.sample(5, noise=noise)
    assert torch.equal(in_turn, method.sample(5, noise=noise, labels=[0, 1, 2, 3, 0]))
    assert torch.equal(in_turn[0], in_turn[4])
    assert not torch.allclose(in_turn[0], in_turn[1])
    with pytest.raises(ValueError, match=r"^2 samples need 2 rows of noise, not 5$"):
        method.sample(2, noise=noise)


def test_images_without_labels():
    method = tiny(num_classes=0)
    assert method.needs == ("image",)
    assert tiny().needs == ("image", "label")
    terms = step(method, batch={"image": a_batch()["image"]})
    assert all(term.isfinite() for term in terms.values())
    assert method.sample(3).shape == (3, 1, 32, 32)
    with pytest.raises(ValueError, match=r"^this biggan was built without classes and takes no labels$"):
        method.sample(2, labels=[0, 0])


def test_both_players_are_told_the_labels_of_the_batch():
    method, batch = tiny(), a_batch()
    told = []
    for network in method.networks.values():
        network.register_forward_pre_hook(lambda _, inputs: told.append(inputs[1]))
    step(method, batch=batch)
    assert [len(labels) for labels in told] == [8, 16, 8]  # generator; both kinds at once; generated
    assert all(torch.equal(part, batch["label"]) for labels in told for part in labels.split(8))


# ---- one step ----------------------------------------------------------------------------------------


def test_forms_of_the_hinge_loss_are_equal():
    """max(0, 1 - s) as SEAN has it, -min(0, -1 + s) as SAGAN has it."""
    torch.manual_seed(0)
    real, fake = 3 * torch.randn(100), 3 * torch.randn(100)
    zero = torch.zeros(())
    with_max = torch.maximum(zero, 1 - real).mean() + torch.maximum(zero, 1 + fake).mean()
    with_min = -torch.minimum(zero, -1 + real).mean() - torch.minimum(zero, -1 - fake).mean()
    game = losses.GAMES["hinge"]
    assert torch.allclose(with_max, with_min)
    assert torch.allclose(with_max, game.discriminator(real, fake))
    assert torch.allclose(-fake.mean(), game.generator(fake))
    assert methods.config_class("biggan")().game == "hinge"


def test_terms_and_their_weights():
    method = tiny(orthogonal_penalty=0.25)
    terms = step(method)
    names = ["discriminator", "D(x)", "D(G(z))", "D accuracy", "generator", "orthogonality"]
    assert list(terms) == names
    assert method.total({"generator": torch.tensor(1.0), "orthogonality": torch.tensor(8.0)}) == 3
    assert list(step(tiny(orthogonal_penalty=0.0))) == names[:-1]


def test_what_is_kept_orthogonal():
    method = tiny()
    stored = [p for n, p in method.generator.named_parameters() if p.dim() > 1 and "shared" not in n]
    assert {id(p) for p in stored} == {id(p) for p in method.regularised_weights()}
    with torch.no_grad():
        for weight in stored:
            weight += 0.1 * torch.randn_like(weight)
    batch = a_batch()
    terms = method.loss("generator", batch, method.forward_generators(batch))
    assert terms["orthogonality"].item() == pytest.approx(orthogonality_penalty(stored).item(), rel=1e-5)


@pytest.mark.parametrize("fields", [{}, SAGAN], ids=["biggan", "sagan"])
def test_forward_passes_of_a_step(fields):
    method = tiny(**fields)
    seen = dict.fromkeys(method.networks, 0)
    for name, network in method.networks.items():
        network.register_forward_hook(lambda *_, name=name: seen.update({name: seen[name] + 1}))
    step(method)
    assert seen == {"generator": 1, "discriminator": 2}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("fields", [{}, SAGAN], ids=["biggan", "sagan"])
def test_only_the_mover_gets_gradients_and_moves(fields, precision):
    method, batch = tiny(**fields), a_batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        outputs = method.forward_generators(batch)
    for player, waiting in (("discriminator", "generator"), ("generator", "discriminator")):
        method.zero_grad()
        before = everything(method.networks[waiting])
        moved = everything(method.networks[player])
        with method.moving(player), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            method.total(method.loss(player, batch, outputs)).backward()
        assert all(p.grad is None for p in method.networks[waiting].parameters())
        assert all(p.grad.any() for p in method.networks[player].parameters() if p.dim() > 1)
        assert same(before, everything(method.networks[waiting]))
        if player == "discriminator":
            now = everything(method.discriminator)
            assert any(not torch.equal(moved[name], now[name]) for name in now if name.endswith("_u"))


def test_a_step_in_which_the_generator_waits_leaves_it_alone():
    method = tiny()
    before = everything(method.generator)
    optimizers = {player: method.optimizer(player) for player in method.players}
    play(method, optimizers, a_batch(), "float32", movers=("discriminator",))
    assert same(before, everything(method.generator))


class NoSynchronisation(TorchDispatchMode):
    """Raises where a number is read from a tensor: on a GPU the machine would wait for it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default):
            raise AssertionError(f"a step reads a number from the device: {function}")
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["sngan", "biggan", "sagan", "no labels"])
def test_no_step_waits_for_the_device(name, precision):
    fields = {"biggan": {}, "sagan": SAGAN, "no labels": {"num_classes": 0}}
    batch = a_batch()
    if name == "sngan":
        method = methods.build("sngan", channels=1, ngf=4, ndf=4, penalty=1.0)
    else:
        method = tiny(**fields[name])
    optimizers = {player: method.optimizer(player) for player in method.players}
    play(method, optimizers, batch, precision)  # the first step of Adam makes its state
    with NoSynchronisation():
        play(method, optimizers, batch, precision)


@pytest.mark.parametrize("name", ["none", "discriminator", "both"])
def test_a_step_in_bfloat16_is_finite(name):
    method = tiny(spectral_normalisation=name)
    before = everything(method)
    terms = step(method, "bfloat16")
    assert all(term.isfinite() and term.dtype == torch.float32 for term in terms.values())
    after = everything(method)
    moved = [n for n, p in method.named_parameters() if p.dim() > 1]
    assert all(after[n].isfinite().all() and not torch.equal(before[n], after[n]) for n in moved)
    assert all(p.dtype == torch.float32 for p in method.parameters())


def test_optimizers_of_the_paper():
    method = methods.build("biggan", **TINY)
    rates = {player: method.optimizer(player).defaults["lr"] for player in method.players}
    assert rates == {"discriminator": 0.0002, "generator": 0.00005}
    assert method.optimizer("generator").defaults["betas"] == (0.0, 0.999)
    assert method.turns == "alternating:2"


# ---- whole runs --------------------------------------------------------------------------------------


def toy_images() -> ImageSet:
    pixels = torch.randint(
        0, 256, (40, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return ImageSet("toy", {"image": pixels, "label": torch.arange(40) % 4}, class_names=tuple("abcd"))


@pytest.mark.parametrize("options", [{}, {"precision": "bfloat16", "channels_last": True}])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, options):
    often = {"batch_size": 8, "log_every": 2, "save_every": 2, "sample_every": 3, "preview_count": 4}

    def train(out, steps, resume=False):
        return training.train(
            tiny(),
            toy_images(),
            tmp_path / out,
            steps=steps,
            device="cpu",
            ema=0.5,
            resume=resume,
            progress=False,
            **often,
            **options,
        )

    train("whole", 6)
    train("parts", 3)
    run = train("parts", 6, resume=True)
    states = [torch.load(tmp_path / out / "checkpoint.pt", weights_only=True) for out in ("whole", "parts")]
    assert same(states[0]["method"], states[1]["method"])
    assert same(states[0]["average"], states[1]["average"])
    name = "generator.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    assert run.method.sample(4).isfinite().all()


def test_data_without_labels_is_refused_for_classes(tmp_path):
    unlabelled = ImageSet("toy", {"image": toy_images().tensors["image"]})
    with pytest.raises(ValueError, match=r"^biggan needs label; the data set toy has none"):
        training.train(tiny(), unlabelled, tmp_path / "run", steps=1, batch_size=8, progress=False)
