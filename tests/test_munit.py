"""MUNIT: sizes, norms, losses by hand, one step against a plain one, styles from anywhere."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gan_course import losses, training
from gan_course.data import ImageSet, UnpairedSet
from gan_course.methods import munit
from gan_course.methods.munit import MUNIT, MUNITConfig
from gan_course.training.trainer import play

TINY = {
    "image_size": 16,
    "channels": 2,
    "ngf": 2,
    "blocks": 2,
    "style_size": 3,
    "mlp_features": 5,
    "ndf": 3,
    "layers": 2,
    "scales": 2,
}


def tiny(**fields) -> MUNIT:
    torch.manual_seed(0)
    return MUNIT(MUNITConfig(**TINY | fields))


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


# ---- sizes -------------------------------------------------------------------------------------------


def test_parameters_of_the_authors():
    with torch.device("meta"):
        method = MUNIT(MUNITConfig())
        images = torch.zeros(1, 3, 256, 256)
        content, style = method.content_encoder_a(images), method.style_encoder_a(images)
        assert content.shape == (1, 256, 64, 64)
        assert style.shape == (1, 8)
        assert method.decoder_b(content, style).shape == images.shape
        scores = [maps[-1].shape[2:] for maps in method.discriminator_a(images)]
        assert scores == [(16, 16), (8, 8), (4, 4)]
    for domain in "ab":
        kinds = ("style_encoder", "content_encoder", "decoder")
        assert parameters(*(method.networks[f"{kind}_{domain}"] for kind in kinds)) == 15_026_187
        assert parameters(method.networks[f"discriminator_{domain}"]) == 8_271_171
    assert method.decoder_a.mlp[-1].out_features == 4096


@pytest.mark.parametrize(
    "fields",
    [{}, {"image_size": 20, "channels": 1}, {"halvings": 1, "image_size": 18}, {"game": "non_saturating"}],
)
def test_sizes_that_play_a_step(fields):
    method = tiny(**fields)
    batch = {k: v[:, : method.config.channels] for k, v in a_batch(1, method.config.image_size).items()}
    assert all(term.isfinite() for term in step(method, batch).values())
    assert method.sample(1, inputs=batch).shape == batch["image_a"].shape


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 18}, "image_size is 18; it must be a multiple of 4, and 16 or more for 2 discrim"),
        ({"image_size": 12}, "image_size is 12; it must be a multiple of 4, and 16 or more for 2 discrim"),
        (
            {"layers": 4, "scales": 3},
            "image_size is 16; it must be a multiple of 4, and 64 or more for 3 dis",
        ),
        ({"style_size": 0}, "style_size is 0; it must be 1 or more"),
        ({"game": "hinge"}, "game is 'hinge'; it must be one of least_squares, non_saturating"),
        ({"content_weight": -1.0}, "content_weight is -1.0; it must be 0 or more"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)


# ---- norms -------------------------------------------------------------------------------------------


def test_layer_norm_by_its_formula():
    torch.manual_seed(0)
    norm = munit.LayerNorm(3).double()
    assert ((norm.gamma >= 0) & (norm.gamma < 1)).all()
    norm.beta.data.normal_()
    x = (3 + 2 * torch.randn(4, 3, 5, 2)).double()
    for n in range(4):
        values = x[n].flatten()
        mean = values.sum() / 30
        deviation = ((values - mean).square().sum() / 29).sqrt()
        for c in range(3):
            expected = norm.gamma[c] * (x[n, c] - mean) / (deviation + 1e-5) + norm.beta[c]
            assert torch.allclose(norm(x)[n, c], expected, atol=1e-12)


def test_layer_norm_knows_no_batch():
    norm, x = munit.LayerNorm(3), torch.randn(4, 3, 5, 2)
    assert torch.allclose(norm(x), torch.cat([norm(image[None]) for image in x]), atol=1e-6)


def test_layer_norm_of_a_flat_image_has_finite_gradients():
    x = torch.full((1, 3, 2, 2), 0.5, requires_grad=True)
    munit.LayerNorm(3)(x).sum().backward()
    assert x.grad.isfinite().all()


def test_a_decoder_by_its_formula():
    """From the small network come, in order: offset and gain of every norm (the authors' order)."""
    decoder = tiny().decoder_a.double()
    content, style = torch.randn(2, 8, 4, 4).double(), torch.randn(2, 3).double()
    numbers = decoder.mlp(style)
    assert numbers.shape == (2, 2 * 2 * 2 * 8)
    h = content
    for k, block in enumerate(decoder.blocks):
        x = h
        for j, conv in enumerate((block.conv_0, block.conv_1)):
            start = 16 * (2 * k + j)
            beta, gamma = numbers[:, start : start + 8], numbers[:, start + 8 : start + 16]
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), conv.weight, conv.bias)
            centred = x - x.mean((2, 3), keepdim=True)
            x = centred / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
            x = x * gamma[:, :, None, None] + beta[:, :, None, None]
            x = x.clamp(min=0) if j == 0 else x
        h = h + x
    assert torch.allclose(decoder(content, style), decoder.back(h), atol=1e-10)


def test_only_the_norms_of_the_authors():
    """No norm in style encoders and discriminators; layer norm on the way up."""
    method = tiny()
    kinds = {name: {type(m) for m in network.modules()} for name, network in method.networks.items()}
    for name in ("style_encoder_a", "discriminator_a"):
        assert not kinds[name] & {nn.InstanceNorm2d, munit.AdaIN, munit.LayerNorm}
    assert kinds["decoder_a"] & {nn.InstanceNorm2d, munit.LayerNorm} == {munit.LayerNorm}
    assert kinds["content_encoder_a"] & {nn.InstanceNorm2d, munit.LayerNorm} == {nn.InstanceNorm2d}


# ---- losses ------------------------------------------------------------------------------------------


def test_least_squares_summed_over_the_scales_and_not_halved():
    real = [[torch.tensor([0.0, 3.0])], [torch.tensor([2.0])]]
    fake = [[torch.tensor([1.0, -1.0])], [torch.tensor([0.5])]]
    game = munit.summed_game("least_squares")
    # (1 + 4) / 2 + (1 + 1) / 2, and 1 + 0.25
    assert game.discriminator(real, fake).item() == pytest.approx(2.5 + 1.0 + 1.0 + 0.25)
    assert game.generator(fake).item() == pytest.approx((0 + 4) / 2 + 0.25)
    other = munit.summed_game("non_saturating")
    expected = sum(
        losses.GAMES["non_saturating"].discriminator(r[0], f[0]) for r, f in zip(real, fake, strict=True)
    )
    assert other.discriminator(real, fake).item() == pytest.approx(expected.item())


def test_weights_of_the_paper():
    weights = tiny().loss_weights
    named = ("discriminator", "generator", "images", "styles", "contents", "cycles")
    assert [weights[name] for name in named] == [1, 1, 10, 1, 1, 0]
    assert not any(weights[name] for name in losses.WATCHED)


def test_domain_invariant_distance_ignores_means_and_deviations():
    class Features:
        def __call__(self, images):
            return [images.sum(1, keepdim=True), images]

    x = torch.randn(2, 3, 5, 5, requires_grad=True)
    y = 3 * x.detach() - 1
    assert munit.domain_invariant_distance(Features(), x, y).item() == pytest.approx(0, abs=1e-6)
    other = torch.randn(2, 3, 5, 5)
    distance = munit.domain_invariant_distance(Features(), x, other)
    assert distance.item() == pytest.approx(
        (F.instance_norm(x) - F.instance_norm(other)).square().mean().item()
    )


# ---- one step ----------------------------------------------------------------------------------------


def reference_gradients(method: MUNIT, batch) -> dict[str, torch.Tensor]:
    """The step as one writes it down: every image by itself, everything encoded again for each player."""
    config, net = method.config, method.networks
    x = {domain: batch[f"image_{domain}"] for domain in "ab"}
    torch.manual_seed(5)
    s = {domain: torch.randn(len(x[domain]), config.style_size).double() for domain in "ab"}

    def encode(domain, images):
        return net[f"content_encoder_{domain}"](images), net[f"style_encoder_{domain}"](images)

    def decode(domain, content, style):
        return torch.cat(
            [net[f"decoder_{domain}"](c[None], s[None]) for c, s in zip(content, style, strict=True)]
        )

    found = {}
    cost = 0.0
    for domain, other in ("ab", "ba"):
        with torch.no_grad():
            fake = decode(domain, encode(other, x[other])[0], s[domain])
        for real_scores, fake_scores in zip(
            net[f"discriminator_{domain}"](x[domain]), net[f"discriminator_{domain}"](fake), strict=True
        ):
            cost = cost + fake_scores[0].square().mean() + (real_scores[0] - 1).square().mean()
    names = [n for n, _ in method.named_parameters() if n.startswith("discriminator")]
    chosen = [p for n, p in method.named_parameters() if n in names]
    found |= dict(zip(names, torch.autograd.grad(config.adversarial_weight * cost, chosen), strict=True))

    cost = 0.0
    content, style = {}, {}
    for domain in "ab":
        content[domain], style[domain] = encode(domain, x[domain])
    for domain, other in ("ab", "ba"):
        fake = decode(domain, content[other], s[domain])
        again, style_again = encode(domain, fake)
        cost = cost + 10 * (decode(domain, content[domain], style[domain]) - x[domain]).abs().mean()
        cost = cost + (style_again - s[domain]).abs().mean() + (again - content[other]).abs().mean()
        back = decode(other, again, style[other])
        cost = cost + config.cycle_weight * (back - x[other]).abs().mean()
        for scores in net[f"discriminator_{domain}"](fake):
            cost = cost + config.adversarial_weight * (scores[0] - 1).square().mean()
    names = [n for n, _ in method.named_parameters() if not n.startswith("discriminator")]
    chosen = [p for n, p in method.named_parameters() if n in names]
    return found | dict(zip(names, torch.autograd.grad(cost, chosen), strict=True))


@pytest.mark.parametrize("fields", [{}, {"cycle_weight": 10.0}])
def test_a_step_has_the_gradients_of_a_plain_one(fields):
    method = tiny(**fields).double()
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


@pytest.mark.parametrize(("fields", "decoded"), [({}, 1), ({"cycle_weight": 1.0}, 2)])
def test_network_calls_of_a_step(fields, decoded):
    method = tiny(**fields)
    seen = dict.fromkeys(method.networks, 0)
    for name, network in method.networks.items():
        network.register_forward_hook(lambda *_, name=name: seen.update({name: seen[name] + 1}))
    step(method)
    expected = {"style_encoder": 2, "content_encoder": 2, "decoder": decoded, "discriminator": 2}
    assert seen == {f"{kind}_{domain}": calls for kind, calls in expected.items() for domain in "ab"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_the_mover_moves(precision):
    method = tiny()
    assert list(method.players) == ["discriminator", "generator"]
    optimizers = {player: method.optimizer(player) for player in method.players}
    for player, networks in method.players.items():
        before = {name: everything(network) for name, network in method.networks.items()}
        terms = play(method, optimizers, a_batch(), precision, movers=(player,))
        assert all(term.isfinite() for term in terms.values())
        for name, network in method.networks.items():
            assert same(before[name], everything(network)) == (name not in networks)


def test_terms():
    names = ["discriminator", "D(x)", "D(G(z))", "D accuracy", "generator", "images", "styles", "contents"]
    assert list(step(tiny())) == names
    assert list(step(tiny(cycle_weight=1.0))) == [*names, "cycles"]
    assert list(step(tiny(perceptual="faces", channels=1), one_channel(a_batch()))) == [*names, "perceptual"]


def one_channel(batch):
    return {name: value[:, :1] for name, value in batch.items()}


def test_optimizers_and_first_weights_of_the_authors():
    method = tiny(ngf=16, ndf=32)
    for player in method.players:
        options = method.optimizer(player).defaults
        assert (options["lr"], options["betas"], options["weight_decay"]) == (1e-4, (0.5, 0.999), 1e-4)
    weight = method.content_encoder_a[-1].layers[0].weight
    assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)
    assert method.discriminator_b.scales[0][2].weight.std().item() == pytest.approx(0.02, rel=0.05)


# ---- use ---------------------------------------------------------------------------------------------


def test_translating():
    method, batch = tiny().train(), a_batch(3)
    before = everything(method)
    a, b = batch["image_a"], batch["image_b"]
    drawn = method.translate(a, rng=torch.Generator().manual_seed(0))
    again = method.translate(a, "AtoB", rng=torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again) and drawn.shape == a.shape and drawn.abs().max() <= 1
    assert not torch.allclose(drawn, method.translate(a, rng=torch.Generator().manual_seed(1)))
    codes = method.encode(b, "b")[1]
    assert torch.equal(method.translate(a, "AtoB", b), method.translate(a, "AtoB", codes))
    one = method.translate(a, "AtoB", b[1:2])
    assert torch.allclose(one, method.translate(a, "AtoB", codes[1:2].expand(3, -1)), atol=1e-6)
    content = method.encode(b, "b")[0]
    with torch.no_grad():
        assert torch.equal(
            method.translate(b, "BtoA", a), method.decoder_a(content, method.encode(a, "a")[1])
        )
    assert same(before, everything(method)) and method.training and not drawn.requires_grad
    noise = method.draw_noise(3)
    assert torch.equal(method.sample(3, inputs=batch, noise=noise), method.translate(a, "AtoB", noise))
    assert torch.equal(
        method.sample(3, inputs=batch, noise=noise, direction="BtoA"), method.translate(b, "BtoA", noise)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(1, 2, 16, 16), "AB"), "direction is 'AB'; it must be one of AtoB, BtoA"),
        (
            (torch.zeros(1, 3, 16, 16),),
            r"images are a tensor of shape \(1, 3, 16, 16\); this munit takes \[N, 2",
        ),
        (
            (torch.zeros(1, 2, 16, 18),),
            "an image of 16 x 18: both sides must be multiples of 4, and 16 or more",
        ),
        (
            (torch.zeros(1, 2, 16, 12),),
            "an image of 16 x 12: both sides must be multiples of 4, and 16 or more",
        ),
        (
            (torch.zeros(2, 2, 16, 16), "AtoB", torch.zeros(3, 3)),
            r"style is a tensor of shape \(3, 3\); 2 images take style codes of shape \(2, 3\), or images",
        ),
    ],
)
def test_translations_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny().translate(*arguments)


def test_sampling_needs_images():
    with pytest.raises(ValueError, match=r"^munit makes images from image_a and image_b"):
        tiny().sample(2)


def test_a_run_and_its_grid(tmp_path):
    pixels = torch.randint(0, 256, (8, 2, 16, 16), dtype=torch.uint8)
    images = UnpairedSet(ImageSet("a", {"image": pixels[:, :1]}), ImageSet("b", {"image": pixels[:5, 1:]}))
    run = training.train(
        tiny(channels=1),
        images,
        tmp_path / "run",
        steps=2,
        batch_size=2,
        ema=0.5,
        preview_count=2,
        device="cpu",
        progress=False,
    )
    assert len(run.samples) == 2
    inputs = images.batch([0, 1])
    pictures, columns = run.method.grid(run.method.preview(2, torch.Generator().manual_seed(0), inputs))
    assert columns == 6 and pictures.shape == (12, 1, 16, 16)
    assert torch.equal(pictures[0::6], inputs["image_a"])
    opened = training.open_run(tmp_path / "run") if "munit" in training_names() else run
    noise = run.method.draw_noise(2)
    assert torch.equal(
        opened.method.sample(2, inputs=inputs, noise=noise), run.method.sample(2, inputs=inputs, noise=noise)
    )


def training_names() -> list[str]:
    from gan_course import methods

    return methods.names()
