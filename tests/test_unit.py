"""UNIT: sizes, what is shared, the divergence, one step against a plain one, translation."""

import pytest
import torch
from torch import nn

from gan_course import losses, training
from gan_course.data import ImageSet, UnpairedSet
from gan_course.methods import unit
from gan_course.methods.unit import UNIT, UNITConfig
from gan_course.training.trainer import play

TINY = {"image_size": 16, "channels": 2, "ngf": 2, "blocks": 3, "ndf": 3, "layers": 2, "scales": 2}
SHARED = (0, 1, 3)


def tiny(**fields) -> UNIT:
    torch.manual_seed(0)
    return UNIT(UNITConfig(**TINY | fields))


def a_batch(count: int = 2, size: int = 16) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {k: torch.rand(count, 2, size, size, generator=rng) * 2 - 1 for k in ("image_a", "image_b")}


def step(method, batch=None, **options):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), **options)


def parameters(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- sizes and sharing -------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [0, 1, 4])
def test_parameters_of_the_authors(shared):
    with torch.device("meta"):
        method = UNIT(UNITConfig(shared_blocks=shared))
        codes = method.means(*torch.zeros(2, 1, 3, 256, 256))
        assert codes[0].shape == (1, 256, 64, 64)
    for domain in "ab":
        names = [
            n for n in method.networks if n.endswith((f"coder_{domain}", "shared_encoder", "shared_decoder"))
        ]
        assert len(names) == (4 if shared else 2)
        assert parameters(*(method.networks[name] for name in names)) == 11_140_483
        assert parameters(method.networks[f"discriminator_{domain}"]) == 8_271_171


def test_one_block_is_shared_unless_the_configuration_says_otherwise():
    assert UNITConfig().shared_blocks == 1
    assert parameters(*tiny().networks.values()) < parameters(*tiny(shared_blocks=0).networks.values())


@pytest.mark.parametrize("shared", SHARED)
def test_both_domains_move_what_they_share(shared):
    """The gradient of one domain's code reaches the other domain only through the shared blocks."""
    method = tiny(shared_blocks=shared)
    mean_a, _ = method.means(*a_batch().values())
    mean_a[..., 0, 0].sum().backward()
    reached = {
        name: any(p.grad is not None and p.grad.any() for p in network.parameters())
        for name, network in method.networks.items()
    }
    assert reached["encoder_a"] and not reached["encoder_b"]
    assert reached.get("shared_encoder", False) == bool(shared)


@pytest.mark.parametrize("shared", SHARED)
def test_a_code_is_decoded_by_either(shared):
    method, a = tiny(shared_blocks=shared), a_batch()["image_a"]
    code = method.encode(a, "a")
    assert code.shape == (2, 8, 4, 4)
    assert torch.equal(method.decode(code, "b"), method.translate(a, "AtoB"))
    plain = method.encoder_a(a)
    plain = method.shared_encoder(plain) if shared else plain
    assert torch.equal(code, plain)
    batched = method.means(a, a)[0]
    assert torch.allclose(batched, plain, atol=1e-6)  # the domains do not mix in the shared layers


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shared_blocks": 4}, "shared_blocks is 4; from 0 to all 3 blocks can be shared"),
        ({"shared_blocks": -1}, "shared_blocks is -1; from 0 to all 3 blocks can be shared"),
        ({"image_size": 18}, "image_size is 18; it must be a multiple of 4, and 16 or more"),
        ({"kl_weight": -0.1}, "kl_weight is -0.1; it must be 0 or more"),
        ({"blocks": 0}, "blocks is 0; it must be 1 or more"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)


# ---- losses ------------------------------------------------------------------------------------------


def test_the_divergence_is_that_of_normal_codes():
    """KL(N(mean, 1) || N(0, 1)) = mean^2 / 2 for each number, by torch's own formula."""
    mean = torch.randn(2, 3, 4, 4).double()
    ones = torch.ones_like(mean)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, ones), torch.distributions.Normal(0 * mean, ones)
    )
    assert unit.kl_term(mean).item() == pytest.approx(2 * kl.mean().item())


def test_weights_of_the_authors():
    weights = tiny().loss_weights
    named = ("discriminator", "generator", "images", "KL", "cycles", "KL of cycles")
    assert [weights[name] for name in named] == [1, 1, 10, 0.01, 10, 0.01]
    assert not any(weights[name] for name in losses.WATCHED)


def test_terms():
    names = ["discriminator", "D(x)", "D(G(z))", "D accuracy", "generator", "images", "KL"]
    assert list(step(tiny())) == [*names, "KL of cycles", "cycles"]
    assert list(step(tiny(cycle_weight=0.0))) == [*names, "KL of cycles"]
    assert list(step(tiny(cycle_weight=0.0, cycle_kl_weight=0.0))) == names


# ---- one step ----------------------------------------------------------------------------------------


def reference_gradients(method: UNIT, batch) -> dict[str, torch.Tensor]:
    """The step as one writes it down: every image by itself, everything encoded again for each player."""
    net, shared = method.networks, method.config.shared_blocks
    x = {domain: batch[f"image_{domain}"] for domain in "ab"}

    def encode(domain, images):
        codes = [net[f"encoder_{domain}"](image[None]) for image in images]
        codes = [net["shared_encoder"](code) for code in codes] if shared else codes
        return torch.cat(codes)

    def decode(domain, codes):
        codes = [net["shared_decoder"](code[None]) if shared else code[None] for code in codes]
        return torch.cat([net[f"decoder_{domain}"](code) for code in codes])

    torch.manual_seed(5)
    n, n_again = (dict(zip("ab", torch.randn(2, 2, 8, 4, 4).double(), strict=True)) for _ in range(2))
    found, cost = {}, 0.0
    for domain, other in ("ab", "ba"):
        with torch.no_grad():
            fake = decode(domain, encode(other, x[other]) + n[other])
        for real_scores, fake_scores in zip(
            net[f"discriminator_{domain}"](x[domain]), net[f"discriminator_{domain}"](fake), strict=True
        ):
            cost = cost + fake_scores[0].square().mean() + (real_scores[0] - 1).square().mean()
    names = [name for name, _ in method.named_parameters() if name.startswith("discriminator")]
    chosen = [p for name, p in method.named_parameters() if name in names]
    found |= dict(zip(names, torch.autograd.grad(cost, chosen), strict=True))

    cost = 0.0
    means = {domain: encode(domain, x[domain]) for domain in "ab"}
    for domain, other in ("ab", "ba"):
        fake = decode(domain, means[other] + n[other])
        again = encode(domain, fake)
        rebuilt = decode(domain, means[domain] + n[domain])
        back = decode(other, again + n_again[other])
        cost = cost + 10 * (rebuilt - x[domain]).abs().mean() + 10 * (back - x[other]).abs().mean()
        cost = cost + 0.01 * means[domain].square().mean() + 0.01 * again.square().mean()
        for scores in net[f"discriminator_{domain}"](fake):
            cost = cost + (scores[0] - 1).square().mean()
    names = [name for name, _ in method.named_parameters() if not name.startswith("discriminator")]
    chosen = [p for name, p in method.named_parameters() if name in names]
    return found | dict(zip(names, torch.autograd.grad(cost, chosen), strict=True))


@pytest.mark.parametrize("shared", SHARED)
def test_a_step_has_the_gradients_of_a_plain_one(shared, monkeypatch):
    # noise in float32 as the reference draws it, whatever the networks' type
    monkeypatch.setattr(torch, "randn_like", lambda x: torch.randn(x.shape).to(x))
    method = tiny(shared_blocks=shared).double()
    batch = {name: value.double() for name, value in a_batch().items()}
    expected = reference_gradients(method, batch)
    torch.manual_seed(5)
    outputs = method.forward_generators(batch)
    for player in method.players:
        with method.moving(player):
            method.total(method.loss(player, batch, outputs)).backward()
    for name, parameter in method.named_parameters():
        scale = expected[name].abs().max()
        assert (parameter.grad - expected[name]).abs().max() <= 1e-9 * (1 + scale), name


@pytest.mark.parametrize(
    ("fields", "again"),
    [({}, (2, 2)), ({"cycle_weight": 0.0}, (2, 1)), ({"cycle_weight": 0.0, "cycle_kl_weight": 0.0}, (1, 1))],
)
def test_network_calls_of_a_step(fields, again):
    method = tiny(**fields)
    seen = dict.fromkeys(method.networks, 0)
    for name, network in method.networks.items():
        network.register_forward_hook(lambda *_, name=name: seen.update({name: seen[name] + 1}))
    step(method)
    encoded, decoded = again
    expected = dict.fromkeys(("encoder_a", "encoder_b", "shared_encoder"), encoded)
    expected |= dict.fromkeys(("decoder_a", "decoder_b", "shared_decoder"), decoded)
    assert seen == expected | {"discriminator_a": 2, "discriminator_b": 2}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("shared", [0, 1])
def test_only_the_mover_moves(precision, shared):
    method = tiny(shared_blocks=shared)
    assert list(method.players) == ["discriminator", "generator"]
    optimizers = {player: method.optimizer(player) for player in method.players}
    for player, networks in method.players.items():
        before = {name: everything(network) for name, network in method.networks.items()}
        terms = play(method, optimizers, a_batch(), precision, movers=(player,))
        assert all(term.isfinite() for term in terms.values())
        for name, network in method.networks.items():
            assert same(before[name], everything(network)) == (name not in networks)


# ---- use ---------------------------------------------------------------------------------------------


def test_translating():
    method, batch = tiny().train(), a_batch(3)
    before = everything(method)
    for direction, name in (("AtoB", "image_a"), ("BtoA", "image_b")):
        images = method.translate(batch[name], direction)
        assert images.shape == batch[name].shape and images.abs().max() <= 1
        assert torch.equal(images, method.translate(batch[name], direction))  # nothing is drawn
        assert torch.equal(images, method.sample(3, inputs=batch, direction=direction))
        assert not images.requires_grad
    assert same(before, everything(method)) and method.training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(1, 2, 16, 16), "AB"), "direction is 'AB'; it must be one of AtoB, BtoA"),
        (
            (torch.zeros(1, 3, 16, 16),),
            r"images are a tensor of shape \(1, 3, 16, 16\); this unit takes \[N, 2",
        ),
        ((torch.zeros(1, 2, 16, 18),), "an image of 16 x 18: both sides must be multiples of 4"),
    ],
)
def test_translations_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny().translate(*arguments)


@pytest.mark.parametrize("shared", [0, 1])
def test_a_run_goes_on_to_the_same_bits(tmp_path, shared):
    pixels = torch.randint(0, 256, (8, 2, 16, 16), dtype=torch.uint8)
    images = UnpairedSet(ImageSet("a", {"image": pixels[:, :1]}), ImageSet("b", {"image": pixels[:5, 1:]}))

    def train(out, steps, resume=False):
        options = {"batch_size": 2, "ema": 0.5, "preview_count": 2, "device": "cpu", "progress": False}
        method = tiny(channels=1, shared_blocks=shared)
        return training.train(method, images, tmp_path / out, steps=steps, resume=resume, **options)

    train("whole", 3)
    train("parts", 1)
    run = train("parts", 3, resume=True)
    states = [torch.load(tmp_path / out / "checkpoint.pt", weights_only=True) for out in ("whole", "parts")]
    assert same(states[0]["method"], states[1]["method"])
    pictures, columns = run.method.grid(run.method.preview(2, torch.Generator(), images.batch([0, 1])))
    assert columns == 6 and pictures.shape == (12, 1, 16, 16)
