"""SPADE and CLADE: sizes, what the label map does, the nested costs by hand, and one step."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gan_course import training
from gan_course.data import ImageSet
from gan_course.methods import spade
from gan_course.nn import norms
from gan_course.nn.norms import normalised_layers, raw_weight
from gan_course.training.trainer import play

TINY = {"image_size": 32, "label_nc": 5, "ngf": 2, "ndf": 4, "spade_features": 4, "noise_size": 6}
STEERED = pytest.mark.parametrize("norm", ["spade", "clade"])


def tiny(**fields) -> spade.SPADE:
    torch.manual_seed(0)
    return spade.SPADE(spade.SPADEConfig(**TINY | fields))


def lively(**fields) -> spade.SPADE:
    """As `tiny`, with weights that are large enough for a difference to be seen."""
    method = tiny(**fields)
    with torch.no_grad():
        for module in method.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                raw_weight(module).mul_(20)
                if module.bias is not None:
                    module.bias.normal_(0, 0.1)
            elif isinstance(module, norms.CLADE):
                module.offset.normal_(0, 0.3)
    return method


def a_batch(count: int = 2, size: int = 32, labels: int = 5) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    coarse = torch.randint(labels, (count, size // 4, size // 4), generator=rng)
    return {
        "image": torch.rand(count, 3, size, size, generator=rng) * 2 - 1,
        "label_map": coarse.repeat_interleave(4, 1).repeat_interleave(4, 2),
        "instance_map": torch.randint(7, (count, size, size), generator=rng),
    }


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def step(method, batch=None, precision="float32"):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), precision)


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 96_492_483),
        ({"norm": "clade"}, 71_427_267),
        ({"label_nc": 150, "contain_dontcare": True}, 96_492_483),
        ({"norm": "clade", "label_nc": 150, "contain_dontcare": True}, 71_427_267),
    ],
)
def test_parameters_of_the_authors(fields, count):
    with torch.device("meta"):
        assert parameters(spade.Generator(spade.SPADEConfig(**fields))) == count


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"norm": "clade"},
        {"image_size": 64, "upsampling_layers": "more"},
        {"image_size": 256, "upsampling_layers": "most"},
        {"image_size": 128, "aspect_ratio": 2.0},
        {"image_size": 64, "norm": "clade", "instance": True, "contain_dontcare": True},
        {"image_size": 64, "instance": True, "vae": True, "aspect_ratio": 2.0},
        {"image_size": 64, "statistics": "instance", "most_features": 8, "channels": 1},
    ],
    ids=str,
)
def test_shapes(fields):
    with torch.device("meta"):
        method = spade.SPADE(spade.SPADEConfig(**TINY | fields))
        height, width = method.config.size
        assert height == width / method.config.aspect_ratio
        maps = torch.zeros(2, height, width, dtype=torch.long)
        images = torch.zeros(2, method.config.channels, height, width)
        outputs = method.forward_generators({"image": images, "label_map": maps, "instance_map": maps})
        assert outputs["fake"].shape == images.shape
        assert outputs["planes"].shape == (2, method.config.map_channels, height, width)
        scores = method.judge(outputs["planes"], outputs["fake"])
        assert [len(maps) for maps in scores] == [5, 5]


@STEERED
def test_what_is_spectrally_normalised(norm):
    """The convolutions of the blocks; not those inside the norms, nor the first and the last layer."""
    method = tiny(norm=norm, vae=True)
    layers = normalised_layers(method.generator)
    convolutions = [name for name, m in method.generator.named_modules() if isinstance(m, nn.Conv2d)]
    assert list(layers) == [
        name for name in convolutions if name.split(".")[-1] in ("conv_0", "conv_1", "conv_s")
    ]
    assert sum("conv_s" in name for name in layers) == 4
    in_scale = [list(normalised_layers(s)) for s in method.discriminator.scales]
    assert in_scale == [["1.0", "2.0", "3.0"]] * 2
    assert len(normalised_layers(method.encoder)) == 3


def test_initial_weights():
    method = tiny(image_size=64, ngf=8, norm="clade", positions=True)
    for name, module in method.named_modules():
        if isinstance(module, nn.Conv2d) and not isinstance(module, norms.ZeroConvolution):
            weight = raw_weight(module)
            inside = weight[0, 0].numel()
            std = 0.02 * math.sqrt(2 / (inside * (module.in_channels + module.out_channels)))
            if weight.numel() > 5000:
                assert weight.std().item() == pytest.approx(std, rel=0.05), name
            assert module.bias is None or not module.bias.any()
    table = method.generator.head_0.norm_0
    assert table.gain.min() >= 0 and table.gain.max() < 1 and table.gain.std() > 0.25
    assert not table.offset.any()


def test_order_of_layers_is_that_of_the_authors():
    generator = tiny(image_size=256, upsampling_layers="most").generator
    names = [name for name, _ in generator.named_children()]
    blocks = ["head_0", "middle_0", "middle_1", "up_0", "up_1", "up_2", "up_3", "up_4"]
    assert names == ["fc", *blocks, "conv_img"]
    assert [name for name, _ in generator.up_0.named_children()] == [
        *("conv_0", "conv_1", "conv_s", "norm_0", "norm_1", "norm_s")
    ]


def doublings_before(**fields) -> list[int]:
    """Side of the maps that enter each block, of an image of the smallest size."""
    method = tiny(**fields)
    seen = []
    for block, _ in method.generator.blocks():
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    method.translate(torch.zeros(1, method.config.image_size, method.config.image_size, dtype=torch.long))
    return seen


def test_where_the_maps_are_doubled():
    assert doublings_before() == [1, 2, 2, 4, 8, 16, 32]
    assert doublings_before(image_size=64, upsampling_layers="more") == [1, 2, 4, 8, 16, 32, 64]
    assert doublings_before(image_size=128, upsampling_layers="most") == [1, 2, 4, 8, 16, 32, 64, 128]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 48}, "images of 48 x 48 pixels cannot be made by doubling: with upsampling_layers"),
        ({"image_size": 32, "upsampling_layers": "more"}, ".* must be multiples of 64, 64 at least"),
        ({"image_size": 64, "upsampling_layers": "most"}, ".* must be multiples of 128, 128 at least"),
        ({"image_size": 32, "aspect_ratio": 2.0}, "images of 16 x 32 pixels"),
        ({"statistics": "instance"}, ".* must be multiples of 32, 64 at least"),
        ({"statistics": "layer"}, "statistics is 'layer'; it must be one of batch, instance"),
        ({"norm": "adain"}, "norm is 'adain'; it must be one of spade, clade"),
        ({"upsampling_layers": "few"}, "upsampling_layers is 'few'; it must be one of normal, more, most"),
        ({"label_nc": 0}, "label_nc is 0; it must be 1 or more"),
        ({"scales": 0}, "scales is 0; it must be 1 or more"),
        ({"kl_weight": -1.0}, "kl_weight is -1.0; it must be 0 or more"),
        ({"aspect_ratio": 0.0}, "aspect_ratio is 0.0; it must be above 0"),
        ({"positions": True}, "positions are an option of CLADE; take norm clade, or positions off"),
        ({"game": "chess"}, "unknown game 'chess'; known games: minimax, non_saturating"),
        ({"perceptual": "vgg"}, "perceptual is 'vgg'; it must be one of none, vgg19, faces"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)


def test_a_batch_of_one_that_batch_norm_cannot_take():
    with pytest.raises(
        ValueError, match=r"^images of 32 pixels start from maps of 1 x 1, and a batch of one"
    ):
        step(tiny(), a_batch(1))
    assert tiny().translate(a_batch(1)["label_map"]).shape == (1, 3, 32, 32)


# ---- norms -------------------------------------------------------------------------------------------


def test_spade_by_its_formula():
    torch.manual_seed(0)
    layer = norms.SPADE(3, 5, hidden=4)
    x, planes = 2 * torch.randn(2, 3, 6, 6) + 1, spade.one_hot(torch.randint(5, (2, 6, 6)), 5)
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    shared = layer.shared(planes)
    wanted = (x - mean) / (variance + 1e-5).sqrt() * (1 + layer.gamma(shared)) + layer.beta(shared)
    assert torch.allclose(layer(x, planes), wanted, atol=1e-5)


def test_clade_is_the_product_of_planes_and_table():
    torch.manual_seed(0)
    layer = norms.CLADE(3, 5)
    nn.init.normal_(layer.offset)
    x, classes = torch.randn(2, 3, 6, 6, requires_grad=True), torch.randint(5, (2, 6, 6))
    out = layer(x, classes)
    planes = F.one_hot(classes, 5).float()
    gain, offset = (torch.einsum("nhwk,kc->nchw", planes, table) for table in (layer.gain, layer.offset))
    wanted = layer.normalise(x) * gain + offset
    assert torch.allclose(out, wanted, atol=1e-6)
    weights = torch.randn_like(out)
    inputs = (x, layer.gain, layer.offset)
    for a, b in zip(
        torch.autograd.grad((out * weights).sum(), inputs),
        torch.autograd.grad((wanted * weights).sum(), inputs),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_row_of_the_table_reaches_the_pixels_of_its_class_only():
    torch.manual_seed(0)
    layer = norms.CLADE(3, 5)
    x, classes = torch.randn(2, 3, 6, 6), torch.randint(5, (2, 6, 6))
    before = layer(x, classes)
    with torch.no_grad():
        layer.gain[2] += 1
        layer.offset[2] += 1
    changed = (layer(x, classes) != before).any(1)
    assert torch.equal(changed, classes == 2)


def test_clade_puts_edges_beside_its_result():
    torch.manual_seed(0)
    layer = norms.CLADE(3, 5, edges=True)
    x, classes, edges = torch.randn(2, 3, 6, 6), torch.randint(5, (2, 6, 6)), torch.rand(2, 1, 6, 6).round()
    out = layer(x, classes, edges)
    assert out.shape == (2, 4, 6, 6)
    assert torch.allclose(out[:, 3:], edges * layer.edges.weight + layer.edges.bias.view(1, 1, 1, 1))


@pytest.mark.parametrize("training", [True, False])
@STEERED
def test_a_block_against_the_plain_order(norm, training):
    """The authors normalise the same x twice, once for the shortcut."""
    block = lively(norm=norm).generator.up_1.train(training)
    x = torch.randn(2, block.conv_0.in_channels, 8, 8)
    layout = spade.Layout(a_batch(size=8)["label_map"], 5)
    maps = (layout.planes,) if norm == "spade" else (layout.classes,)
    block.norm_0.normalise.running_mean.normal_()
    plain = copy.deepcopy(block).train(training)
    plain.norm_s.normalise = copy.deepcopy(plain.norm_0.normalise)
    h = plain.conv_0(F.leaky_relu(plain.norm_0(x, *maps), 0.2))
    h = plain.conv_1(F.leaky_relu(plain.norm_1(h, *maps), 0.2))
    assert torch.allclose(block(x, layout), h + plain.conv_s(plain.norm_s(x, *maps)), atol=1e-5)
    assert same(everything(block.norm_0.normalise), everything(plain.norm_0.normalise))


# ---- the label map -----------------------------------------------------------------------------------


def test_a_smaller_map_is_that_of_the_nearest_pixels():
    maps = a_batch()
    whole = spade.Layout(maps["instance_map"], 7, spade.edges_between(maps["label_map"]))
    for size in ((8, 8), (16, 4), (1, 1)):
        wanted = F.interpolate(whole.planes, size, mode="nearest")
        assert torch.equal(whole.at(size).planes, wanted)


@STEERED
def test_the_map_is_made_smaller_once_for_each_size(norm, monkeypatch):
    method, sizes, planes = tiny(norm=norm), [], []
    at, one_hot = spade.Layout.at, spade.one_hot
    monkeypatch.setattr(spade.Layout, "at", lambda self, size: sizes.append(size) or at(self, size))
    monkeypatch.setattr(
        spade, "one_hot", lambda classes, labels: planes.append(classes.shape) or one_hot(classes, labels)
    )
    method.generator(a_batch()["label_map"])
    assert sizes == [(side, side) for side in (1, 2, 4, 8, 16)]
    made = [shape[-1] for shape in planes]
    assert made == ([1, 2, 4, 8, 16, 32] if norm == "spade" else [1])  # CLADE reads the classes themselves


def test_edges_by_hand():
    objects = torch.tensor([[[4, 4, 9], [4, 4, 9], [4, 4, 4], [4, 4, 4]]])
    wanted = [[0, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert spade.edges_between(objects)[0, 0].tolist() == wanted


def test_positions_by_hand():
    regions = torch.tensor([[[3, 3, 8], [3, 3, 8]], [[8, 8, 8], [3, 8, 8]]])
    down, right = spade.positions_within(regions).unbind(1)
    assert torch.allclose(down[0], torch.tensor([[-1.0, -1, -1], [1, 1, 1]]))
    assert torch.allclose(right[0], torch.tensor([[-1.0, 1, 0], [-1, 1, 0]]))
    # the five pixels of the second image: rows 0 0 0 1 1, columns 0 1 2 1 2
    assert torch.allclose(down[1], torch.tensor([[-2 / 3, -2 / 3, -2 / 3], [0, 1, 1]]))
    assert torch.allclose(right[1], torch.tensor([[-1.0, -1 / 6, 2 / 3], [0, -1 / 6, 2 / 3]]))


def test_positions_have_no_influence_at_first():
    plain, placed = lively(norm="clade"), lively(norm="clade", positions=True)
    missing = placed.generator.load_state_dict(plain.generator.state_dict(), strict=False)
    assert all("position" in name for name in missing.missing_keys)
    maps = a_batch()["label_map"]
    for module in placed.modules():
        if isinstance(module, norms.ZeroConvolution):
            module.reset_parameters()
    assert torch.equal(plain.translate(maps), placed.translate(maps))
    placed.generator.up_3.norm_0.position_gain.weight.data.fill_(1.0)
    assert not torch.allclose(plain.translate(maps), placed.translate(maps))
    terms = step(tiny(norm="clade", positions=True))
    assert all(value.isfinite() for value in terms.values())


def test_positions_start_at_zero():
    method = tiny(norm="clade", positions=True)
    found = [m for m in method.modules() if isinstance(m, norms.ZeroConvolution)]
    assert len(found) == 2 * 18
    assert not any(p.any() for m in found for p in m.parameters())


@STEERED
def test_edges_of_instances_are_seen_by_both_players(norm):
    method, batch = lively(norm=norm, instance=True), a_batch()
    assert method.needs == ("image", "label_map", "instance_map")
    assert method.translates == ("label_map", "instance_map")
    planes = method.forward_generators(batch)["planes"]
    assert torch.equal(planes[:, 5:], spade.edges_between(batch["instance_map"]))
    other = torch.zeros_like(batch["instance_map"])
    first = method.translate(batch["label_map"], batch["instance_map"])
    assert not torch.allclose(first, method.translate(batch["label_map"], other))
    assert torch.equal(first, method.translate(batch["label_map"], batch["instance_map"] * 3 + 5))


@STEERED
def test_the_image_follows_the_map(norm):
    method, maps = lively(norm=norm), a_batch()["label_map"]
    changed = maps.clone()
    changed[0, 8:24, 8:24] = (changed[0, 8:24, 8:24] + 1) % 5
    before, after = method.translate(maps), method.translate(changed)
    assert not torch.allclose(before[0], after[0])
    assert torch.equal(before[1], after[1])


def test_unknown_pixels_are_a_label_of_their_own():
    method, maps = lively(contain_dontcare=True), a_batch()["label_map"]
    unknown = maps.masked_fill(maps == 2, 255)
    planes = method.forward_generators({**a_batch(), "label_map": unknown})["planes"]
    assert torch.equal(planes[:, 5], (maps == 2).float())
    assert torch.equal(method.translate(unknown), method.translate(maps.masked_fill(maps == 2, 5)))


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (torch.full((2, 32, 32), 5), "label_map holds labels from 5 to 5; this model knows 0 to 4$"),
        (torch.full((2, 32, 32), -1), "label_map holds labels from -1 to -1; this model knows 0 to 4$"),
        (
            torch.full((2, 32, 32), 255),
            ".*this model knows 0 to 4; pixels of label 255 need contain_dontcare",
        ),
        (torch.zeros(2, 32, 64).long(), r"label_map is a tensor of torch.int64 and shape \(2, 32, 64\)"),
        (torch.zeros(2, 5, 32, 32).long(), r".*this model takes integers of shape \(N, 32, 32\)"),
        (torch.zeros(2, 32, 32), "label_map is a tensor of torch.float32"),
    ],
)
def test_maps_that_are_refused(maps, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny().translate(maps)
    if "labels from" in message or "255" in message:
        return  # in a step nobody looks at the labels: the data set has, and the processor need not wait
    with pytest.raises(ValueError, match=f"^{message}"):
        step(tiny(), {**a_batch(), "label_map": maps})


# ---- costs by hand -----------------------------------------------------------------------------------


def nested(*scales) -> list[list[torch.Tensor]]:
    return [[torch.tensor(values, dtype=torch.float32) for values in maps] for maps in scales]


class Told(nn.Module):
    """A discriminator that says what it was told: the outputs for the first and for the second half."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, images):
        self.seen = images
        return [
            [torch.cat([a, b]) for a, b in zip(of_first, of_second, strict=True)]
            for of_first, of_second in zip(self.first, self.second, strict=True)
        ]


def test_hinge_is_averaged_over_patches_then_over_scales():
    """Two scales, of two and of one patch: all patches together would give another number."""
    method, batch = tiny(), a_batch(1)
    fake = nested([[[9.0, 9.0]], [[0.5, -3.0]]], [[[9.0]], [[1.0]]])
    real = nested([[[7.0, 5.0]], [[0.5, 2.0]]], [[[8.0]], [[-1.0]]])
    method.discriminator = Told(fake, real)
    outputs = {"fake": torch.zeros(1, 3, 32, 32), "planes": torch.ones(1, 5, 32, 32)}
    terms = method.loss("discriminator", batch, outputs)
    # fine: fake max(0, 1.5) and max(0, -2) -> 0.75; real 0.5 and 0 -> 0.25. coarse: fake 2, real 2.
    assert terms["discriminator"].item() == pytest.approx((0.75 + 0.25 + 2 + 2) / 2)
    seen = method.discriminator.seen
    assert torch.equal(seen[0], torch.cat([outputs["planes"][0], outputs["fake"][0]]))
    assert torch.equal(seen[1], torch.cat([outputs["planes"][0], batch["image"][0]]))
    method = tiny(exact_parity=True)
    method.discriminator = Told(fake, real)
    terms = method.loss("generator", batch, outputs)
    assert terms["generator"].item() == pytest.approx((1.25 - 1.0) / 2)
    # fine: (|9 - 7| + |9 - 5|) / 2 = 3; coarse: 1; the scores are left out
    assert terms["feature matching"].item() == pytest.approx((3 + 1) / 2)
    assert method.total(terms).item() == pytest.approx(0.125 + 10 * 2)


def test_divide():
    outputs = nested([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], [[9.0, 10.0, 11.0, 12.0]])
    first, second = spade.divide(outputs)
    assert [[m.tolist() for m in maps] for maps in first] == [[[1, 2], [5, 6]], [[9, 10]]]
    assert [[m.tolist() for m in maps] for maps in second] == [[[3, 4], [7, 8]], [[11, 12]]]


def test_kl_divergence_by_hand():
    mean, log_variance = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    # of N(1, 1) from N(0, 1): 1/2; of N(0, e): (e - 1 - 1) / 2
    wanted = 0.5 + (math.e - 2) / 2
    assert spade.kl_divergence(mean, log_variance).item() == pytest.approx(wanted)
    normal = torch.distributions.Normal
    with torch.no_grad():
        a, b = torch.randn(3, 4), torch.randn(3, 4)
        wanted = torch.distributions.kl_divergence(normal(a, (0.5 * b).exp()), normal(0.0, 1.0)).sum()
        assert torch.allclose(spade.kl_divergence(a, b), wanted, atol=1e-5)


def reached(cost: torch.Tensor, networks: dict[str, nn.Module]) -> set[str]:
    """The networks that a gradient of the cost reaches, all of whose parameters must be asked for one."""
    found = set()
    for name, network in networks.items():
        gradients = torch.autograd.grad(
            cost, list(network.parameters()), retain_graph=True, allow_unused=True
        )
        if any(g is not None and g.any() for g in gradients):
            found.add(name)
    return found


@pytest.mark.parametrize("exact", [False, True])
def test_where_the_gradient_of_each_term_goes(exact):
    method, batch = lively(vae=True, exact_parity=exact, perceptual="faces"), a_batch()
    networks = method.networks
    outputs = method.forward_generators(batch)
    terms = method.loss("generator", batch, outputs)
    assert list(terms) == ["generator", "feature matching", "perceptual", "KL divergence"]
    made = {"generator", "encoder"}
    assert reached(terms["generator"], networks) - {"discriminator"} == made
    assert reached(terms["feature matching"], networks) - {"discriminator"} == made
    assert reached(terms["perceptual"], networks) == made
    assert reached(terms["KL divergence"], networks) == {"encoder"}
    cost = method.loss("discriminator", batch, outputs)["discriminator"]
    assert reached(cost, networks) == {"discriminator"}
    assert method.loss_weights["KL divergence"] == 0.05
    assert method.loss_weights["feature matching"] == method.loss_weights["perceptual"] == 10


@pytest.mark.parametrize("exact", [False, True])
def test_features_of_real_images_are_a_target(exact):
    method, batch = lively(exact_parity=exact), a_batch()
    batch["image"].requires_grad_()
    terms = method.loss("generator", batch, method.forward_generators(batch))
    (gradient,) = torch.autograd.grad(terms["feature matching"], batch["image"], allow_unused=True)
    assert gradient is None or not gradient.any()


# ---- one step ----------------------------------------------------------------------------------------


def plain_step(method, optimizers, batch, shared: bool):
    """The step as the authors wrote it down, in this file's words; with `shared`, the discriminators are
    shown the images from before the generator's move."""
    generator, discriminator, config = method.generator, method.discriminator, method.config
    planes, real = F.one_hot(batch["label_map"], 5).permute(0, 3, 1, 2).float(), batch["image"]

    def draw():
        if not config.vae:
            return generator(batch["label_map"]), 0.0
        mean, log_variance = method.encoder(real)
        z = torch.randn_like(mean) * torch.exp(0.5 * log_variance) + mean
        kl = -0.5 * torch.sum(1 + log_variance - mean**2 - torch.exp(log_variance))
        return generator(batch["label_map"], noise=z), 0.05 * kl

    def discriminate(fake):
        outputs = discriminator(torch.cat([torch.cat([planes, fake], 1), torch.cat([planes, real], 1)]))
        n = len(real)
        return [[m[:n] for m in maps] for maps in outputs], [[m[n:] for m in maps] for maps in outputs]

    optimizers["generator"].zero_grad()
    fake, cost = draw()
    of_fake, of_real = discriminate(fake)
    for fakes, reals in zip(of_fake, of_real, strict=True):
        cost = cost - fakes[-1].mean() / 2
        for a, b in zip(fakes[:-1], reals[:-1], strict=True):
            cost = cost + 10 / 2 * (a - b.detach()).abs().mean()
    cost.backward()
    optimizers["generator"].step()

    optimizers["discriminator"].zero_grad()
    if not shared:
        with torch.no_grad():
            fake, _ = draw()
    cost = 0.0
    for fakes, reals in zip(*discriminate(fake.detach().requires_grad_()), strict=True):
        cost = cost - torch.clamp(-fakes[-1] - 1, max=0).mean() / 2
        cost = cost - torch.clamp(reals[-1] - 1, max=0).mean() / 2
    cost.backward()
    optimizers["discriminator"].step()


def descent(method):
    return {p: torch.optim.SGD(method.parameters_of(p), lr=0.001) for p in method.players}


def assert_same_gradients(a: nn.Module, b: nn.Module) -> None:
    """But for rounding: a bias before batch norm has a gradient of 0, and rounding leaves it some 1e-6."""
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        assert p.grad is not None, name
        largest = q.grad.abs().max().item()
        assert torch.allclose(p.grad, q.grad, rtol=1e-3, atol=1e-4 * largest + 5e-6), name


@pytest.mark.parametrize(
    "fields", [{"norm": "spade"}, {"norm": "clade"}, {"norm": "spade", "vae": True}], ids=str
)
def test_exact_parity_is_the_authors_step(fields):
    """Over three steps: gradients, statistics of batch norm, vectors of spectral normalisation."""
    ours = lively(exact_parity=True, **fields)
    plain, batch = copy.deepcopy(ours), a_batch(3)
    optimizers, theirs = descent(ours), descent(plain)
    for k in range(3):
        torch.manual_seed(k)
        play(ours, optimizers, batch)
        torch.manual_seed(k)
        plain_step(plain, theirs, batch, shared=False)
        assert_same_gradients(ours, plain)
    for (name, a), b in zip(ours.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5), name


@STEERED
def test_the_shared_images_give_the_gradients_of_a_plain_step(norm):
    ours = lively(norm=norm)
    plain, batch = copy.deepcopy(ours), a_batch(3)
    # in ours, the discriminators' vectors rest during the generator's move
    vectors = {k: v for k, v in everything(plain.discriminator).items() if k.endswith(("._u", "._v"))}

    def put_back(discriminator, _):
        discriminator.load_state_dict(vectors, strict=False)

    plain.discriminator.register_forward_pre_hook(put_back)
    play(ours, descent(ours), batch)
    plain_step(plain, descent(plain), batch, shared=True)
    assert_same_gradients(ours, plain)


@pytest.mark.parametrize(("exact", "calls"), [(False, [True]), (True, [True, False])])
def test_the_generator_runs_once_a_step_or_twice(exact, calls):
    method, seen = tiny(exact_parity=exact), []
    method.generator.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    step(method)
    assert seen == calls


def test_the_generator_moves_first():
    assert list(tiny().players) == ["generator", "discriminator"]
    method = tiny(vae=True)
    assert method.players["generator"] == ("generator", "encoder")
    assert method.sampling_networks == ("generator", "encoder")


def test_step_sizes():
    method = tiny(vae=True, beta2=0.9)
    groups = {p: method.optimizer(p).param_groups[0] for p in method.players}
    assert groups["generator"]["lr"] == 0.0001
    assert groups["discriminator"]["lr"] == 0.0004
    assert groups["generator"]["betas"] == (0.0, 0.9)
    assert tiny().optimizer("generator").param_groups[0]["betas"] == (0.0, 0.999)
    assert len(groups["generator"]["params"]) == len(
        [*method.generator.parameters(), *method.encoder.parameters()]
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "fields",
    [{"vae": True, "instance": True}, {"norm": "clade", "instance": True, "positions": True}],
    ids=["spade", "clade"],
)
def test_every_option_trains(fields, precision):
    method = tiny(**fields)
    before = everything(method)
    terms = step(method, precision=precision)
    assert all(term.isfinite() for term in terms.values())
    assert {"generator", "feature matching", "discriminator", "D(x)"} <= terms.keys()
    moved = {
        name.split(".")[0] for name, value in everything(method).items() if not value.equal(before[name])
    }
    assert moved == set(method.networks)


def test_without_feature_matching_real_images_are_not_looked_at():
    method, seen = tiny(feature_weight=0.0), []
    method.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    terms = step(method)
    assert "feature matching" not in terms
    assert seen == [2, 4]


# ---- use ---------------------------------------------------------------------------------------------


@STEERED
def test_translating_leaves_no_trace(norm):
    method, batch = lively(norm=norm, vae=True).train(), a_batch()
    before, random = everything(method), torch.get_rng_state()
    rng = torch.Generator().manual_seed(3)
    first = method.translate(batch["label_map"], rng=rng)
    again = method.translate(batch["label_map"].to(torch.uint8), rng=torch.Generator().manual_seed(3))
    assert torch.equal(first, again)
    assert not first.requires_grad and first.abs().max() <= 1
    assert method.training and same(before, everything(method))
    assert torch.equal(random, torch.get_rng_state())


def test_styles():
    method, batch = lively(vae=True), a_batch()
    maps, image = batch["label_map"], batch["image"]
    method.eval()
    with torch.no_grad():
        mean, _ = method.encoder(image)
    assert torch.allclose(method.translate(maps, style=image), method.translate(maps, style=mean), atol=1e-5)
    for_all = method.translate(maps, style=image[:1])
    assert torch.allclose(for_all, method.translate(maps, style=mean[:1].expand(2, -1)), atol=1e-5)
    assert not torch.allclose(for_all[1], method.translate(maps, style=image)[1], atol=1e-3)
    for style, message in (
        (mean[:, :3], r"style is a tensor of shape \(2, 3\); 2 label maps take images, or styles of shape"),
        (mean[[0, 1, 0]], r"style is a tensor of shape \(3, 6\)"),
        (image[:, :1], "a style image has 1 channels; this model takes 3"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            method.translate(maps, style=style)
    with pytest.raises(ValueError, match=r"^this model has no styles: build it with vae to give it one$"):
        tiny().translate(maps, style=mean)


def test_sampling_from_a_batch():
    method, batch = lively(vae=True, instance=True), a_batch()
    noise = method.draw_noise(2, torch.Generator().manual_seed(0))
    made = method.sample(2, inputs=batch, noise=noise)
    assert torch.equal(made, method.translate(batch["label_map"], batch["instance_map"], style=noise))
    with pytest.raises(
        ValueError, match=r"^spade makes images from label_map and instance_map, not from noise"
    ):
        method.sample(2)
    with pytest.raises(ValueError, match=r"^3 samples need 3 rows of label_map, not 2$"):
        method.sample(3, inputs=batch)
    with pytest.raises(ValueError, match=r"^this model was built with instance maps"):
        method.translate(batch["label_map"])
    with pytest.raises(ValueError, match=r"^2 label maps need as many instance maps, not 1$"):
        method.translate(batch["label_map"], batch["instance_map"][:1])
    assert tiny().draw_noise(3).shape == (3, 0)


def test_the_sample_grid():
    method, batch = lively(), a_batch()
    preview = method.preview(2, torch.Generator().manual_seed(0), batch)
    grid, columns = method.grid(preview)
    assert columns == 3 and grid.shape == (6, 3, 32, 32)
    assert torch.equal(grid[1::3], method.translate(batch["label_map"]))
    assert torch.equal(grid[2::3], batch["image"])
    painted = grid[0::3].permute(0, 2, 3, 1)
    colours = [painted[batch["label_map"] == k].unique(dim=0) for k in range(5)]
    assert [len(c) for c in colours] == [1] * 5
    assert len(torch.cat(colours).unique(dim=0)) == 5
    assert grid.abs().max() <= 1


def test_a_run_from_beginning_to_end(tmp_path):
    rng = torch.Generator().manual_seed(0)
    tensors = {
        "image": torch.randint(256, (6, 3, 32, 32), generator=rng, dtype=torch.uint8),
        "label_map": torch.randint(5, (6, 32, 32), generator=rng, dtype=torch.uint8),
    }
    images = ImageSet("maps", tensors, map_names=tuple("abcde"))
    settings = {"batch_size": 2, "log_every": 1, "preview_count": 2, "device": "cpu", "progress": False}
    run = training.train(tiny(norm="clade"), images, tmp_path / "run", steps=2, ema=0.9, **settings)
    assert {"generator", "feature matching", "discriminator", "D accuracy"} <= run.log.keys()
    again = training.open_run(tmp_path / "run").method
    maps = tensors["label_map"]
    assert torch.allclose(again.translate(maps), run.method.translate(maps), atol=1e-6)
    with pytest.raises(
        ValueError, match="spade is built for label_nc 3; the label maps of maps have 5 classes"
    ):
        training.train(tiny(label_nc=3), images, tmp_path / "other", steps=2, **settings)
