"""SEAN: sizes, regions and their styles, blending, losses by hand, editing, and one step."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gan_course.methods import sean
from gan_course.methods.sean import SEAN, SEANConfig
from gan_course.methods.spade import one_hot
from gan_course.training.trainer import play

TINY = {
    "image_size": 64,
    "label_nc": 5,
    "ngf": 2,
    "ndf": 4,
    "style_size": 6,
    "encoder_features": 2,
    "spade_features": 4,
}


def tiny(**fields) -> SEAN:
    torch.manual_seed(0)
    method = SEAN(SEANConfig(**TINY | fields))
    for name, parameter in method.named_parameters():
        # what starts at 0 would hide mistakes, and what starts tiny would hide the rest
        if name.endswith(("noise_strength", "blending_gamma", "blending_beta", "bias")):
            parameter.data.normal_(0, 0.5)
        elif "of_styles" in name or "style_" in name or "of_labels" in name:
            parameter.data.mul_(20)
    return method


def a_batch(count: int = 3, labels: int = 5, size: int = 64) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    coarse = torch.randint(labels, (count, size // 8, size // 8), generator=rng)
    return {
        "image": torch.rand(count, 3, size, size, generator=rng) * 2 - 1,
        "label_map": coarse.repeat_interleave(8, 1).repeat_interleave(8, 2),
        "instance_map": torch.randint(9, (count, size, size), generator=rng),
    }


def parameters(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- sizes -------------------------------------------------------------------------------------------


def test_the_parameters_of_the_authors():
    with torch.device("meta"):
        method = SEAN(SEANConfig())
        labels = torch.zeros(1, 19, 256, 256)
        styles = method.style_encoder(torch.zeros(1, 3, 256, 256), labels)
        assert styles.shape == (1, 19, 512)
        assert method.generator(labels, styles).shape == (1, 3, 256, 256)
    assert parameters(method.style_encoder, method.generator) == 266_907_367
    assert parameters(method.discriminator) == 1_364_098


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({}, (3, 64, 64)),
        ({"label_nc": 1}, (3, 64, 64)),
        ({"label_nc": 31, "instance": True}, (3, 64, 64)),
        ({"image_size": 96, "channels": 1}, (1, 96, 96)),
    ],
)
def test_any_number_of_labels_sizes_and_channels(fields, shape):
    method = tiny(**fields)
    batch = a_batch(1, labels=method.config.label_nc, size=method.config.image_size)
    batch["image"] = batch["image"][:, : method.config.channels]
    images = method.sample(1, inputs=batch)
    assert images.shape == (1, *shape)
    assert images.abs().max() <= 1
    assert all(term.isfinite() for term in step(method, batch).values())  # one image is a batch too


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 32}, "image_size is 32; .* so it must be a multiple of 32, 64 or more"),
        ({"image_size": 100}, "image_size is 100; "),
        ({"label_nc": 0}, "label_nc is 0; it must be 1 or more"),
        ({"game": "chess"}, "unknown game 'chess'; known games: "),
        ({"feature_weight": -1.0}, "feature_weight is -1.0; it must be 0 or more"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        SEAN(SEANConfig(**TINY | fields))


# ---- label maps and regions --------------------------------------------------------------------------


def test_thinning_is_torchs_nearest_neighbour():
    maps = torch.randn(2, 3, 12, 8)
    assert torch.equal(sean.thinned(maps, (4, 2)), F.interpolate(maps, size=(4, 2), mode="nearest"))


def test_region_pooling_is_the_plain_triple_loop():
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(3, 7, 6, 5, generator=rng, dtype=torch.float64)
    label_map = torch.randint(1, 4, (3, 6, 5), generator=rng)  # class 0 is in no image
    label_map[1] = 2
    masks = one_hot(label_map, 4).double()
    pooled = sean.pool_regions(features, masks)
    for n in range(3):
        for label in range(4):
            pixels = [features[n, :, i, j] for i in range(6) for j in range(5) if label_map[n, i, j] == label]
            expected = torch.stack(pixels).mean(0) if pixels else torch.zeros(7)
            assert torch.allclose(pooled[n, label], expected.double(), atol=1e-12)


def test_the_gradient_of_a_pooled_style_is_spread_over_its_region():
    features = torch.randn(1, 1, 2, 3, requires_grad=True)
    label_map = torch.tensor([[[0, 0, 1], [0, 0, 1]]])
    sean.pool_regions(features, one_hot(label_map, 3))[0, 0, 0].backward()
    assert torch.equal(features.grad[0, 0], torch.tensor([[0.25, 0.25, 0], [0.25, 0.25, 0]]))


def test_convolving_regions_is_convolving_the_map_of_their_styles():
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 4, 3, padding=1).double()
    styles = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    label_map = torch.randint(5, (2, 7, 9))
    spread = torch.stack([styles[n, label_map[n]] for n in range(2)]).movedim(-1, 1)
    plain, fast = layer(spread), sean.convolve_regions(layer, styles, one_hot(label_map, 5).double())
    assert torch.allclose(plain, fast, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad(plain.square().sum(), (styles, *layer.parameters()), retain_graph=True),
        torch.autograd.grad(fast.square().sum(), (styles, *layer.parameters())),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-10)


def test_a_layer_for_each_region():
    torch.manual_seed(0)
    layer = sean.RegionLinear(3, 4)
    layer.weight.data.normal_()
    layer.bias.data.normal_()
    styles = torch.randn(2, 3, 4)
    mapped = layer(styles)
    for n in range(2):
        for r in range(3):
            assert torch.allclose(mapped[n, r], layer.weight[r] @ styles[n, r] + layer.bias[r], atol=1e-6)


@pytest.mark.parametrize("styled", [True, False])
def test_the_norm_by_its_formula(styled):
    method = tiny()
    config = method.config
    norm = next(m for m in method.generator.modules() if isinstance(m, sean.SEANNorm)).double()
    if not styled:
        norm = sean.SEANNorm(32, config, styled=False).double()
    x, label_map = torch.randn(2, 32, 4, 4).double(), torch.randint(5, (2, 4, 4))
    labels, styles = one_hot(label_map, 5).double(), torch.randn(2, 5, 6).double()
    out = norm(x, labels, styles, torch.Generator().manual_seed(3))

    noise = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(3)).double()
    noisy = x + norm.noise_strength.view(1, -1, 1, 1) * noise
    centred = noisy - noisy.mean((0, 2, 3), keepdim=True)
    normalised = centred / (noisy.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    shared = norm.of_labels.shared(labels)
    gamma, beta = norm.of_labels.gamma(shared), norm.of_labels.beta(shared)
    if styled:
        spread = torch.zeros(2, 6, 4, 4).double()
        for n in range(2):
            for i in range(4):
                for j in range(4):
                    r = label_map[n, i, j]
                    mapped = norm.of_styles.weight[r] @ styles[n, r] + norm.of_styles.bias[r]
                    spread[n, :, i, j] = mapped.clamp(min=0)
        a, b = norm.blending_gamma.sigmoid(), norm.blending_beta.sigmoid()
        gamma = a * norm.style_gamma(spread) + (1 - a) * gamma
        beta = b * norm.style_beta(spread) + (1 - b) * beta
    assert torch.allclose(out, normalised * (1 + gamma) + beta, atol=1e-10)


def test_the_last_block_knows_no_styles():
    generator = tiny().generator
    styled = [hasattr(block.norm_0, "of_styles") for block in generator.blocks]
    assert styled == [True] * 6 + [False]


# ---- losses ------------------------------------------------------------------------------------------


class Answers(nn.Module):
    """A discriminator of two scales with two layers, whose maps are those given, generated images first."""

    def __init__(self, real, fake):
        super().__init__()
        self.real, self.fake, self.calls = real, fake, []

    def forward(self, images):
        self.calls.append(len(images))
        real, fake = ([[torch.tensor(m)[None] for m in s] for s in k] for k in (self.real, self.fake))
        if len(images) == 2:
            both = zip(fake, real, strict=True)
            return [[torch.cat(pair) for pair in zip(*scales, strict=True)] for scales in both]
        return fake if torch.is_grad_enabled() else real


def test_losses_by_hand():
    """Means within a map; averages over the scales; sums over the layers whose maps are matched."""
    method = tiny()
    real = [[[1.0, 3.0], [2.0, 0.0]], [[5.0], [0.5]]]
    fake = [[[2.0, 7.0], [0.0, -3.0]], [[4.0], [1.5]]]
    method.discriminator = Answers(real, fake)
    batch = a_batch(1)
    outputs = {"fake": batch["image"], "planes": method.planes_of(batch)}
    terms = method.loss("discriminator", batch, outputs)
    # scale 1: real max(0, 1 - 2), max(0, 1 - 0) -> 0.5; fake max(0, 1 + 0), max(0, 1 - 3) -> 0.5
    # scale 2: real max(0, 1 - 0.5) -> 0.5; fake max(0, 1 + 1.5) -> 2.5
    assert terms["discriminator"].item() == pytest.approx((0.5 + 0.5 + 0.5 + 2.5) / 2)
    terms = method.loss("generator", batch, outputs)
    assert terms["generator"].item() == pytest.approx((1.5 - 1.5) / 2)
    # scale 1: (|1 - 2| + |3 - 7|) / 2; scale 2: |5 - 4|; the scores do not count
    assert terms["feature matching"].item() == pytest.approx((2.5 + 1.0) / 2)
    assert method.discriminator.calls == [2, 1, 1]  # real features without gradient
    assert method.loss_weights["feature matching"] == method.loss_weights["perceptual"] == 10


def test_terms():
    names = ["generator", "feature matching", "discriminator", "D(x)", "D(G(z))", "D accuracy"]
    assert list(step(tiny())) == names
    assert "feature matching" not in step(tiny(feature_weight=0.0))


# ---- one step ----------------------------------------------------------------------------------------


def step(method, batch=None, precision="float32"):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), precision)


@pytest.mark.parametrize("fields", [{}, {"instance": True}])
def test_forward_passes_of_a_step(fields):
    method = tiny(**fields)
    seen = dict.fromkeys(method.networks, 0)
    for name, network in method.networks.items():
        network.register_forward_hook(lambda *_, name=name: seen.update({name: seen[name] + 1}))
    step(method)
    assert seen == {"style_encoder": 1, "generator": 1, "discriminator": 3}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_the_mover_gets_gradients_and_moves(precision):
    method, batch = tiny(), a_batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        outputs = method.forward_generators(batch)
    for player in method.players:
        method.zero_grad()
        waiting = [name for name in method.networks if name not in method.players[player]]
        before = {name: everything(method.networks[name]) for name in waiting}
        with method.moving(player), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            method.total(method.loss(player, batch, outputs)).backward()
        for name in waiting:
            assert all(p.grad is None for p in method.networks[name].parameters())
            assert same(before[name], everything(method.networks[name]))
        moving = {
            f"{name}.{n}": p
            for name in method.players[player]
            for n, p in method.networks[name].named_parameters()
        }
        # a bias before instance norm is taken away again
        counts = {n: p for n, p in moving.items() if p.dim() > 1 or "noise" in n or "blending" in n}
        unstyled = ("blocks.6", "blending")
        none = [n for n, p in counts.items() if p.grad is None or not p.grad.any()]
        assert all(all(part in n for part in unstyled) for n in none), none
        assert all(p.grad is None or p.grad.isfinite().all() for p in moving.values())


class NoSynchronisation(TorchDispatchMode):
    """Raises where a number is read from a tensor: on a GPU the machine would wait for it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default):
            raise AssertionError(f"a step reads a number from the device: {function}")
        return function(*args, **kwargs or {})


def test_no_step_waits_for_the_device():
    method, batch = tiny(instance=True), a_batch()
    optimizers = {player: method.optimizer(player) for player in method.players}
    play(method, optimizers, batch)  # the first step of Adam makes its state
    with NoSynchronisation():
        play(method, optimizers, batch)


def test_a_region_that_no_image_has_gets_no_gradient():
    method, batch = tiny(), a_batch()
    batch["label_map"] = batch["label_map"].clamp(max=3)
    outputs = method.forward_generators(batch)
    method.total(method.loss("generator", batch, outputs)).backward()
    layers = [m for m in method.generator.modules() if isinstance(m, sean.RegionLinear)]
    reached = torch.stack([layer.weight.grad.flatten(1).any(1) for layer in layers]).any(0)
    assert reached.tolist() == [True, True, True, True, False]


def test_optimizers_of_the_paper():
    method = tiny()
    rates = {player: method.optimizer(player).defaults["lr"] for player in method.players}
    assert rates == {"generator": 0.0001, "discriminator": 0.0004}
    assert method.optimizer("generator").defaults["betas"] == (0.0, 0.999)
    assert list(method.players) == ["generator", "discriminator"]


def test_initial_weights():
    with torch.no_grad():
        torch.manual_seed(0)
        method = SEAN(SEANConfig(**TINY | {"style_size": 64, "ngf": 8}))
    weight = method.generator.blocks[0].norm_0.of_styles.weight
    assert weight.std().item() == pytest.approx(0.02 * (2 / 128) ** 0.5, rel=0.05)
    kernel = method.generator.blocks[0].norm_0.style_gamma.weight
    fans = 9 * sum(kernel.shape[:2])
    assert kernel.std().item() == pytest.approx(0.02 * (2 / fans) ** 0.5, rel=0.05)


# ---- editing -----------------------------------------------------------------------------------------


def test_styles_of_faces():
    method, batch = tiny(), a_batch()
    batch["label_map"] = torch.where(batch["label_map"] == 2, 1, batch["label_map"])
    codes = method.encode_styles(batch["image"], batch["label_map"])
    assert codes.shape == (3, 5, 6)
    assert not codes[:, 2].any()
    assert codes[:, [0, 1, 3, 4]].all()
    assert codes.abs().max() < 1
    alone = method.encode_styles(batch["image"][:1], batch["label_map"][:1])
    assert torch.allclose(alone, codes[:1], atol=1e-6)


def test_mean_style():
    method, batch = tiny(), a_batch()
    batch["label_map"][0][batch["label_map"][0] == 2] = 1
    batch["label_map"][batch["label_map"] == 4] = 3
    codes = method.encode_styles(batch["image"], batch["label_map"])
    mean = method.mean_style(batch["image"], batch["label_map"])
    assert torch.allclose(mean[2], codes[1:, 2].mean(0), atol=1e-6)
    assert torch.allclose(mean[1], codes[:, 1].mean(0), atol=1e-6)
    assert not mean[4].any()


def test_translating():
    method, batch = tiny(), a_batch()
    method.generator.train()
    before = everything(method)
    maps = batch["label_map"]
    rng = [torch.Generator().manual_seed(k) for k in (0, 0, 0, 1)]
    images = method.translate(maps, style_image=batch["image"], rng=rng[0])
    codes = method.encode_styles(batch["image"], maps)
    assert torch.equal(images, method.translate(maps, style=codes, rng=rng[1]))
    assert torch.equal(images, method.sample(3, inputs=batch, rng=rng[2]))
    assert not torch.equal(images, method.translate(maps, style=codes, rng=rng[3]))  # the noise
    assert not images.requires_grad
    assert same(before, everything(method)) and method.generator.training
    one = method.translate(maps, style=codes[0], rng=torch.Generator().manual_seed(0))
    all_ = method.translate(maps, style=codes[:1].expand(3, -1, -1), rng=torch.Generator().manual_seed(0))
    assert torch.equal(one, all_)


def test_the_style_of_one_region_from_another_face():
    method, batch = tiny(), a_batch(2)
    codes = method.encode_styles(batch["image"], batch["label_map"])
    mixed = sean.with_styles_of(codes[0], codes[1], [3])
    assert torch.equal(mixed[3], codes[1, 3])
    assert torch.equal(mixed[[0, 1, 2, 4]], codes[0, [0, 1, 2, 4]])
    maps = torch.zeros(1, 64, 64, dtype=torch.long)
    maps[:, :, 32:] = 3

    def translate(style):
        return method.translate(maps, style=style, rng=torch.Generator().manual_seed(0))

    assert not torch.equal(translate(codes[0]), translate(mixed))
    # a style of a region that the map does not have changes nothing
    other = sean.with_styles_of(codes[0], codes[1], [1, 2, 4])
    assert torch.equal(translate(codes[0]), translate(other))


def test_instance_borders_matter_where_they_are_asked_for():
    method, batch = tiny(instance=True), a_batch(1)
    rng = [torch.Generator().manual_seed(0) for _ in range(2)]
    maps, style = batch["label_map"], batch["image"]
    one = method.translate(maps, batch["instance_map"], style_image=style, rng=rng[0])
    two = method.translate(maps, torch.zeros_like(maps), style_image=style, rng=rng[1])
    assert not torch.allclose(one, two)
    assert method.needs == ("image", "label_map", "instance_map")
    with pytest.raises(ValueError, match="it needs an instance_map too"):
        method.translate(maps, style_image=style)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style_image": None}, "sean needs to know what the regions look like: give either style"),
        ({"style": torch.zeros(5, 6)}, "sean needs to know what the regions look like: give either style"),
        (
            {"style": torch.zeros(2, 5, 6), "style_image": None},
            r"style has shape \(2, 5, 6\); 3 label maps need \(3, 5, 6\), or \(5, 6\) for all",
        ),
        (
            {"label_map": torch.full((3, 64, 64), 5)},
            "label_map holds labels from 5 to 5; this model knows 0 to 4",
        ),
        ({"label_map": torch.zeros(3, 60, 64).long()}, r"label_map is \(60, 64\) pixels; both sides must"),
        ({"label_map": torch.zeros(3, 64, 64)}, r"label_map must be integers \[N, H, W\], not torch.float32"),
        (
            {"style_label_map": torch.zeros(2, 64, 64).long()},
            "images of shape .* must be as many and of one height and width",
        ),
    ],
)
def test_translations_that_are_refused(change, message):
    batch = a_batch()
    arguments = {"label_map": batch["label_map"], "style_image": batch["image"]} | change
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny().translate(**arguments)


def test_sampling_needs_label_maps_and_images():
    with pytest.raises(ValueError, match=r"^sean makes images from label_map and image, not from noise"):
        tiny().sample(2)
    with pytest.raises(ValueError, match=r"^2 samples need 2 rows of label_map, not 3$"):
        tiny().sample(2, inputs=a_batch())


def test_the_grid():
    method, batch = tiny(), a_batch(2)
    preview = method.preview(2, torch.Generator(), batch)
    pictures, columns = method.grid(preview)
    assert columns == 4
    assert pictures.shape == (8, 3, 64, 64)
    assert torch.equal(pictures[3::4], batch["image"])
    assert torch.equal(pictures, method.grid(preview)[0])
    assert len(pictures[0].flatten(1).unique(dim=1).T) == len(batch["label_map"][0].unique())
