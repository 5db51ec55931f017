"""SNGAN: networks of table 3, what normalisation bounds, five games on the same networks, one step."""

import pytest
import torch
from torch import nn

from gan_course import losses, methods, training
from gan_course.data import ImageSet
from gan_course.nn.norms import normalised_layers, raw_weight
from gan_course.training.trainer import play

TINY = {"image_size": 16, "channels": 1, "ngf": 4, "ndf": 4, "noise_size": 8}


def tiny(**fields) -> methods.Method:
    torch.manual_seed(0)
    return methods.build("sngan", **TINY | fields)


def a_batch(count: int = 8) -> dict[str, torch.Tensor]:
    return {"image": torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1}


def step(method, precision="float32", batch=None):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), precision)


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- networks ----------------------------------------------------------------------------------------


def test_networks_of_the_paper():
    with torch.device("meta"):
        method = methods.build("sngan")
    convolutions = [m for m in method.discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions] == [
        (3, 64, 3, 1),
        (64, 64, 4, 2),
        (64, 128, 3, 1),
        (128, 128, 4, 2),
        (128, 256, 3, 1),
        (256, 256, 4, 2),
        (256, 512, 3, 1),
    ]
    doubling = [m for m in method.generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in doubling] == [
        (512, 256, 4),
        (256, 128, 4),
        (128, 64, 4),
    ]
    assert method.generator[0].out_features == 4 * 4 * 512
    slopes = {m.negative_slope for m in method.discriminator.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.1}
    assert not any(isinstance(m, nn.BatchNorm2d) for m in method.discriminator.modules())
    assert len(normalised_layers(method.discriminator)) == 8
    assert not normalised_layers(method.generator)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 32, 48, 64, 128])
def test_every_size(size, channels):
    with torch.device("meta"):
        method = methods.build("sngan", image_size=size, channels=channels)
        fake = method.forward_generators({"image": torch.empty(2, channels, size, size)})["fake"]
        assert fake.shape == (2, channels, size, size)
        assert method.discriminator(fake).shape == (2,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 36}, "image_size is 36; it must be a multiple of 8, 16 or more"),
        ({"image_size": 8}, "image_size is 8; it must be a multiple of 8, 16 or more"),
        ({"noise": "gauss"}, "noise is 'gauss'; it must be uniform or normal"),
        ({"penalty": -1.0}, "penalty is -1.0; it must be 0 or more"),
        ({"critic_steps": 0}, "critic_steps is 0; it must be 1 or more"),
        ({"ndf": 0}, "ndf is 0; it must be 1 or more"),
        ({"game": "chess"}, "unknown game 'chess'; known games: minimax, non_saturating"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)


def test_labels_are_refused():
    with pytest.raises(ValueError, match="sngan takes no labels"):
        tiny().sample(2, labels=torch.tensor([0, 1]))


# ---- what normalisation does -------------------------------------------------------------------------


def test_every_layer_has_norm_one_after_warm_up():
    method = tiny()
    for layer in normalised_layers(method.discriminator).values():
        raw_weight(layer).data *= 5
    for _ in range(200):
        method.discriminator(a_batch(1)["image"])
    layers = normalised_layers(method.discriminator).values()
    norms = [torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() for layer in layers]
    assert norms == pytest.approx([1.0] * 8, abs=1e-3)


def test_scale_of_the_weights_is_nothing_to_a_normalised_discriminator():
    for on in (True, False):
        method = tiny(spectral_normalisation=on).eval()
        x = a_batch()["image"]
        before = method.discriminator(x)
        for module in method.discriminator.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                raw_weight(module).data *= 3
        assert torch.allclose(method.discriminator(x), before, atol=1e-5) == on
    assert not normalised_layers(method.discriminator)


def test_both_kinds_have_the_same_parameters():
    with_it, without = tiny(), tiny(spectral_normalisation=False)
    counts = [sum(p.numel() for p in m.discriminator.parameters()) for m in (with_it, without)]
    assert counts[0] == counts[1]


def test_adam_of_setting_c():
    defaults = tiny().optimizer("generator").defaults
    assert (defaults["lr"], defaults["betas"]) == (0.0002, (0.5, 0.999))
    changed = tiny(learning_rate=0.001, beta1=0.0, beta2=0.9).optimizer("discriminator").defaults
    assert (changed["lr"], changed["betas"]) == (0.001, (0.0, 0.9))
    assert tiny(critic_steps=5).turns == "alternating:5"


# ---- one step ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("game", list(losses.GAMES))
@pytest.mark.parametrize("on", [True, False])
def test_every_game_on_the_same_networks(game, on, precision):
    method = tiny(game=game, spectral_normalisation=on, penalty=0.0 if on else 10.0)
    before = everything(method)
    terms = step(method, precision)
    penalty = [] if on else ["gradient penalty"]
    assert list(terms) == ["discriminator", *penalty, "D(x)", "D(G(z))", "D accuracy", "generator"]
    assert all(term.isfinite() and term.dtype == torch.float32 for term in terms.values())
    assert not same(before, everything(method))


def test_the_penalty_is_weighted():
    method = tiny(penalty=7.0)
    terms = {"discriminator": torch.tensor(1.0), "gradient penalty": torch.tensor(2.0)}
    assert method.total(terms) == 15


@pytest.mark.parametrize(("penalty", "calls"), [(0.0, 2), (10.0, 3)])
def test_forward_passes_of_a_step(penalty, calls):
    method = tiny(penalty=penalty)
    seen = dict.fromkeys(method.networks, 0)
    for name, network in method.networks.items():
        network.register_forward_hook(lambda *_, name=name: seen.update({name: seen[name] + 1}))
    step(method)
    assert seen == {"generator": 1, "discriminator": calls}


def test_one_call_for_both_kinds_is_two_calls():
    method, batch = tiny().eval(), a_batch()
    outputs = method.forward_generators(batch)
    terms = method.loss("discriminator", batch, outputs)
    real, fake = method.discriminator(batch["image"]), method.discriminator(outputs["fake"])
    expected = torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
    assert torch.allclose(terms["discriminator"], expected, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_the_mover_gets_gradients_and_moves(precision):
    method, batch = tiny(), a_batch()
    outputs = method.forward_generators(batch)
    for player, waiting in (("discriminator", "generator"), ("generator", "discriminator")):
        method.zero_grad()
        before = everything(method.networks[waiting])
        with method.moving(player), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            method.total(method.loss(player, batch, outputs)).backward()
        assert all(p.grad is None for p in method.networks[waiting].parameters())
        assert all(p.grad.any() for p in method.networks[player].parameters() if p.dim() > 1)
        assert same(before, everything(method.networks[waiting]))


def test_the_mover_iterates_once_a_move():
    method = tiny()
    layer = next(iter(normalised_layers(method.discriminator).values()))
    vectors = layer.parametrizations.weight[0]
    u, w = vectors._u.clone(), raw_weight(layer).detach().clone().flatten(1)
    v = vectors._v.clone()
    step(method)  # one call in the discriminator's turn, one in the generator's, which must not count
    once = torch.nn.functional.normalize(w @ v, dim=0)
    assert torch.allclose(vectors._u, once, atol=1e-6)
    assert not torch.equal(vectors._u, u)


# ---- whole runs --------------------------------------------------------------------------------------


def toy_images() -> ImageSet:
    pixels = torch.randint(
        0, 256, (40, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return ImageSet("toy", {"image": pixels})


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    often = {"batch_size": 8, "device": "cpu", "log_every": 2, "save_every": 2, "sample_every": 3, "ema": 0.5}

    def train(out, steps, resume=False):
        method = tiny(critic_steps=2)
        return training.train(
            method, toy_images(), tmp_path / out, steps=steps, resume=resume, progress=False, **often
        )

    train("whole", 6)
    train("parts", 3)
    train("parts", 6, resume=True)
    states = [torch.load(tmp_path / out / "checkpoint.pt", weights_only=True) for out in ("whole", "parts")]
    assert same(states[0]["method"], states[1]["method"])
    assert same(states[0]["average"], states[1]["average"])
    name = "generator.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_sampling_touches_no_training_state():
    method = tiny().train()
    before, random_state = everything(method), torch.get_rng_state()
    images = method.sample(5, rng=torch.Generator().manual_seed(3))
    assert images.shape == (5, 1, 16, 16)
    assert images.abs().max() <= 1
    assert same(before, everything(method))
    assert torch.equal(random_state, torch.get_rng_state())
    assert torch.equal(images, method.sample(5, rng=torch.Generator().manual_seed(3)))
