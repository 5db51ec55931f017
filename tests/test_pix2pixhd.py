"""pix2pixHD: sizes, what it starts from, what each player minimises, one step, and growing."""

import copy
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gan_course import training
from gan_course.data import ImageSet
from gan_course.methods import pix2pixhd
from gan_course.methods.pix2pixhd import LOCAL, Pix2PixHD, Pix2PixHDConfig, enlarge
from gan_course.nn import perceptual
from gan_course.training import turns
from gan_course.training.trainer import play

TINY = {"image_size": 16, "label_nc": 4, "edges": "label", "ngf": 4, "halvings": 2, "blocks": 1}
TINY |= {"enhancer_blocks": 1, "ndf": 4, "discriminator_layers": 2, "scales": 2}
PICTURES = {"label_nc": 0, "input_channels": 2, "edges": "none"}


def tiny(**fields) -> Pix2PixHD:
    torch.manual_seed(0)
    return Pix2PixHD(Pix2PixHDConfig(**TINY | fields))


def a_batch(count: int = 3, size: int = 16) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 4, (count, size, size), generator=rng)
    return {
        "image": torch.rand(count, 3, size, size, generator=rng) * 2 - 1,
        "input": torch.rand(count, 2, size, size, generator=rng) * 2 - 1,
        "label_map": ids,
        "instance_map": ids * 1000 + torch.randint(0, 2, ids.shape, generator=rng),
    }


def step(method, batch=None) -> dict[str, torch.Tensor]:
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), turns=turns.parse(method.turns))


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def everything(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- sizes -------------------------------------------------------------------------------------------


def test_the_parameters_of_the_authors():
    with torch.device("meta"):
        method = Pix2PixHD(Pix2PixHDConfig())
        assert parameters(method.generator) == 182_546_755
        assert parameters(method.discriminator) == 8_404_803
        enhanced = Pix2PixHD(Pix2PixHDConfig(**LOCAL))
        assert parameters(enhanced.generator) == 182_857_059  # counted layer by layer from their code
        assert method.generator(torch.empty(1, 36, 512, 1024)).shape == (1, 3, 512, 1024)
        assert enhanced.generator(torch.empty(1, 36, 1024, 2048)).shape == (1, 3, 1024, 2048)


@pytest.mark.parametrize("enhancers", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(enhancers, channels):
    method = tiny(enhancers=enhancers, ngf=2, channels=channels, image_size=32)
    batch = a_batch(2, 32) | {"image": torch.zeros(2, channels, 32, 32)}
    assert method.translate(batch["label_map"]).shape == (2, channels, 32, 32)
    grid, columns = method.grid(method.preview(2, torch.Generator(), batch))
    assert grid.shape == (6, 3, 32, 32)
    assert columns == 3


def test_a_layer_for_each_of_the_authors_in_their_order():
    """Coarse generator, then down, blocks and up of each enhancer, then the last layer."""
    shapes = [tuple(p.shape) for p in tiny(enhancers=1, ngf=2).generator.parameters() if p.dim() == 4]
    assert shapes == [
        (4, 5, 7, 7),
        (8, 4, 3, 3),
        (16, 8, 3, 3),
        (16, 16, 3, 3),
        (16, 16, 3, 3),
        (16, 8, 3, 3),
        (8, 4, 3, 3),
        (2, 5, 7, 7),
        (4, 2, 3, 3),
        (4, 4, 3, 3),
        (4, 4, 3, 3),
        (4, 2, 3, 3),
        (3, 2, 7, 7),
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"image_size": 18},
            "image_size is 18; the generator halves it 2 times, so it must be a multiple of",
        ),
        ({"image_size": 4}, "image_size is 4; the generator halves it 2 times, .* of 4, and 8 or more"),
        ({"enhancers": 2, "image_size": 24}, "image_size is 24; the generator halves it 4 times"),
        ({"image_size": 8, "scales": 4}, "image_size is 8; 4 scales need 9 pixels or more"),
        ({"edges": "both"}, "edges is 'both'; it must be one of instance, label, none"),
        ({"label_nc": 0}, "edges is 'label', and with label_nc 0 there are no label maps"),
        ({"label_nc": -1}, "label_nc is -1 and input_channels 3: there must be a class or a channel"),
        ({"label_nc": 0, "input_channels": 0}, "label_nc is 0 and input_channels 0: there must be a class"),
        ({"ngf": 0}, "ngf is 0; it must be 1 or more"),
        ({"halvings": 0}, "halvings is 0; it must be 1 or more"),
        ({"scales": 0}, "scales is 0; it must be 1 or more"),
        ({"enhancers": -1}, "enhancers is -1; it must be 0 or more"),
        ({"feature_weight": -1.0}, "feature_weight is -1.0; it must be 0 or more"),
        ({"game": "chess"}, "unknown game 'chess'"),
        ({"perceptual": "vgg16"}, "perceptual is 'vgg16'; it must be one of none, vgg19, faces"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)


def test_the_smallest_image():
    method = tiny(image_size=8, scales=3)
    terms = step(method, a_batch(1, 8))
    assert all(term.isfinite() for term in terms.values())


# ---- what it starts from -----------------------------------------------------------------------------


def test_edges_of_a_map_drawn_by_hand():
    """A pixel is an edge if one of its four neighbours, not of its diagonal ones, belongs to another."""
    ids = torch.tensor([[1, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 1], [5, 1, 1, 1]])
    by_hand = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]])
    edges = pix2pixhd.edges_between(torch.stack([ids, torch.ones_like(ids)]))
    assert edges.dtype == torch.float32
    assert torch.equal(edges[0, 0], by_hand.float())
    assert torch.equal(edges[1], torch.zeros(1, 4, 4))


def test_one_hot_of_a_map():
    ids = torch.tensor([[[0, 2], [1, 2]]])
    planes = pix2pixhd.one_hot(ids, 3)
    assert planes.dtype == torch.float32
    assert planes[0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [1, 0]], [[0, 1], [0, 1]]]


def test_two_touching_objects_of_one_class_differ_in_the_instance_map_only():
    label_map = torch.ones(1, 16, 16, dtype=torch.long)
    one, two = label_map.clone(), label_map.clone()
    two[:, :, 8:] = 2
    for edges, told_apart in (("instance", True), ("label", False), ("none", False)):
        method = tiny(edges=edges)
        conditions = [
            method.condition({"label_map": label_map, "instance_map": objects}) for objects in (one, two)
        ]
        assert conditions[0].shape[1] == method.config.condition_channels == 4 + (edges != "none")
        assert torch.equal(*conditions) != told_apart
    border = tiny(edges="instance").condition({"label_map": label_map, "instance_map": two})
    assert border[0, 4].nonzero()[:, 1].unique().tolist() == [7, 8]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ("label_map",)),
        ({"edges": "instance"}, ("label_map", "instance_map")),
        (PICTURES, ("input",)),
        (PICTURES | {"edges": "instance"}, ("input", "instance_map")),
    ],
)
def test_what_it_needs(fields, names):
    method, batch = tiny(**fields), a_batch()
    assert method.translates == names
    assert method.needs == ("image", *names)
    held = {name: batch[name] for name in names}
    images = method.sample(3, inputs=held)
    assert torch.equal(images, method.translate(*held.values()))
    backwards = method.sample(3, inputs={name: value.flip(0) for name, value in held.items()})
    assert torch.allclose(backwards.flip(0), images, atol=1e-5)  # each image from its own row
    for name in names:
        with pytest.raises(ValueError, match=f"^pix2pixhd makes images from {' and '.join(names)}"):
            method.sample(3, inputs={n: v for n, v in held.items() if n != name})


def test_every_input_reaches_the_image():
    for fields, name in (({}, "label_map"), ({"edges": "instance"}, "instance_map"), (PICTURES, "input")):
        method, batch = tiny(**fields), a_batch()
        other = batch | {name: batch[name].roll(1, dims=-1)}
        before, after = (method.forward_generators(b)["fake"] for b in (batch, other))
        assert not torch.allclose(before, after, atol=1e-3)


def test_an_enhancer_sees_the_pyramid_of_the_condition():
    """Coarse generator at half the size, from 3 x 3 means of the classes; its maps are added halfway."""
    method, batch = tiny(enhancers=1), a_batch()
    network = method.generator
    condition = method.condition(batch)
    small = F.avg_pool2d(condition, 3, 2, 1, count_include_pad=False)
    h = network.enhancers[0].down(condition) + network.coarse(small)
    assert torch.allclose(network(condition), network.last(network.enhancers[0].up(h)), atol=1e-6)


# ---- the losses ----------------------------------------------------------------------------------------


def plain_terms(method, batch) -> dict[str, torch.Tensor]:
    """What the authors' code adds up, written out."""
    n, d = method.config.label_nc, method.discriminator
    condition = torch.cat(
        [
            F.one_hot(batch["label_map"], n).movedim(-1, 1).float(),
            pix2pixhd.edges_between(batch["label_map"]),
        ],
        1,
    )
    real, fake = batch["image"], method.generator(condition)
    of_real, of_fake = d(torch.cat([condition, real], 1)), d(torch.cat([condition, fake], 1))
    of_detached = d(torch.cat([condition, fake.detach()], 1))
    zero = torch.zeros(())
    adversarial = sum(((maps[-1] - 1) ** 2).mean() for maps in of_fake)
    cost = 0.5 * sum(((r[-1] - 1) ** 2).mean() + (f[-1] ** 2).mean()
                     for r, f in zip(of_real, of_detached, strict=True))  # fmt: skip
    scales, layers = method.config.scales, method.config.discriminator_layers
    matching = zero
    for r, f in zip(of_real, of_fake, strict=True):
        for j in range(len(f) - 1):
            matching = matching + 10 * (1 / scales) * (4 / (layers + 1)) * (f[j] - r[j].detach()).abs().mean()
    return {"adversarial": adversarial, "feature matching": matching, "discriminator": cost}


def test_terms_and_weights_are_those_of_the_authors():
    method, batch = tiny(), a_batch()
    plain = plain_terms(method, batch)
    outputs = method.forward_generators(batch)
    g, d = (method.loss(player, batch, outputs) for player in ("generator", "discriminator"))
    assert set(g) == {"generator", "feature matching"}
    assert method.total({"generator": g["generator"]}).item() == pytest.approx(plain["adversarial"].item())
    weighted = method.total({"feature matching": g["feature matching"]}).item()
    assert weighted == pytest.approx(plain["feature matching"].item(), rel=1e-5)
    assert method.total(d).item() == pytest.approx(plain["discriminator"].item(), rel=1e-5)
    assert {"D(x)", "D(G(z))", "D accuracy"} < set(d)


def test_numbers_by_hand():
    """Scores of 0.5 everywhere at both scales: D 1/2 (1/4 + 1/4) and G 1/4, each twice: 0.5 and 0.5. Features
    of zero and of one: 3 layers of distance 1 at weight 10 * 4 / 3, so 40."""
    method, batch = tiny(), a_batch()
    real = batch["image"]

    def judge(condition, images):
        of_real = torch.zeros(len(images), 1, 1, 1)
        if len(images) == len(real) and not torch.equal(images, real):
            of_real = torch.ones(len(images), 1, 1, 1)
        return [[of_real] * 3 + [torch.full((len(images), 1, 2, 2), 0.5)]] * 2

    method.judge = judge
    outputs = method.forward_generators(batch)
    generator = method.loss("generator", batch, outputs)
    assert method.total({"generator": generator["generator"]}).item() == pytest.approx(0.5)
    assert method.total(generator).item() == pytest.approx(0.5 + 40)
    assert method.total(method.loss("discriminator", batch, outputs)).item() == pytest.approx(0.5)


def test_other_games_halve_the_discriminator_only():
    method, batch = tiny(game="non_saturating"), a_batch()
    outputs = method.forward_generators(batch)
    with torch.no_grad():
        condition = method.condition(batch)
        of_real, of_fake = (method.judge(condition, x) for x in (batch["image"], outputs["fake"]))
    real, fake = ([maps[-1] for maps in nested] for nested in (of_real, of_fake))
    cost = 0.5 * sum(F.softplus(-r).mean() + F.softplus(f).mean() for r, f in zip(real, fake, strict=True))
    terms = method.loss("discriminator", batch, outputs)
    assert method.total(terms).item() == pytest.approx(cost.item(), rel=1e-5)
    terms = method.loss("generator", batch, outputs)
    cost = sum(F.softplus(-f).mean() for f in fake).item()
    assert method.total({"generator": terms["generator"]}).item() == pytest.approx(cost, rel=1e-5)


def test_a_weight_of_zero_leaves_a_term_out():
    method, batch = tiny(feature_weight=0.0), a_batch()
    assert set(method.loss("generator", batch, method.forward_generators(batch))) == {"generator"}


@pytest.mark.parametrize("term", ["generator", "feature matching", "perceptual"])
def test_terms_of_the_generator_reach_it_and_nothing_else(term):
    method, batch = tiny(perceptual="faces"), a_batch()
    batch["image"].requires_grad_()
    outputs = method.forward_generators(batch)
    with method.moving("generator"):
        method.loss("generator", batch, outputs)[term].backward()
    assert all(p.grad is not None for p in method.generator.parameters())
    assert method.generator.last[1].weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in method.discriminator.parameters())
    assert batch["image"].grad is None  # the real image and its features are targets
    assert all(p.grad is None for p in method.features.layers.parameters())


def test_the_discriminators_cost_reaches_every_scale_and_not_the_generator():
    method, batch = tiny(), a_batch()
    outputs = method.forward_generators(batch)
    outputs["fake"].retain_grad()
    with method.moving("discriminator"):
        method.total(method.loss("discriminator", batch, outputs)).backward()
    assert all(p.grad is not None for p in method.discriminator.parameters())
    assert all(scale[0][0].weight.grad.abs().sum() > 0 for scale in method.discriminator.scales)
    assert outputs["fake"].grad is None  # nothing is computed that nobody needs
    assert all(p.grad is None for p in method.generator.parameters())


def test_a_step_has_the_gradients_of_a_plain_one():
    """Both at the weights before the step: the players move at once."""
    method, batch = tiny(), a_batch()
    reference = copy.deepcopy(method)
    plain = plain_terms(reference, batch)
    generator_loss = plain["adversarial"] + plain["feature matching"]
    wanted = {
        player: torch.autograd.grad(cost, list(reference.networks[player].parameters()), retain_graph=True)
        for player, cost in (("generator", generator_loss), ("discriminator", plain["discriminator"]))
    }
    before = everything(method)
    step(method, batch)
    for player, gradients in wanted.items():
        largest = max(g.abs().max() for g in gradients)
        for parameter, gradient in zip(method.networks[player].parameters(), gradients, strict=True):
            assert torch.allclose(parameter.grad, gradient, atol=1e-5 * largest, rtol=1e-3)
    moved = {name for name, value in everything(method).items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"generator", "discriminator"}


def test_an_optimizer_of_the_paper():
    for player in ("generator", "discriminator"):
        group = tiny().optimizer(player).param_groups[0]
        assert (group["lr"], group["betas"]) == (0.0002, (0.5, 0.999))
    weights = tiny(ngf=32).generator.coarse[1].weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)


# ---- use -----------------------------------------------------------------------------------------------


def test_translating_leaves_the_training_alone():
    method, batch = tiny().train(), a_batch()
    before, state = everything(method), torch.get_rng_state()
    first, second = (method.translate(batch["label_map"]) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert method.generator.training
    assert same(before, everything(method))
    assert torch.equal(state, torch.get_rng_state())


def test_label_maps_of_other_sizes_and_types():
    method = tiny()
    assert method.translate(torch.zeros(1, 8, 20, dtype=torch.uint8)).shape == (1, 3, 8, 20)
    for size in ((1, 6, 16), (1, 4, 16)):
        with pytest.raises(ValueError, match="both sides must be multiples of 4, and 8 or more"):
            method.translate(torch.zeros(size, dtype=torch.long))


def test_sources_that_are_refused():
    method = tiny()
    maps = a_batch()["label_map"]
    with pytest.raises(ValueError, match=r"^the label map holds ids from 0 to 4; this model knows 0 to 3$"):
        method.translate(maps + (maps == 3).long())
    with pytest.raises(ValueError, match=r"^a label map is \[N, H, W\] of integers, not torch.float32"):
        method.translate(maps.float())
    with pytest.raises(ValueError, match=r"edges 'label' and takes no instance_map$"):
        method.translate(maps, maps)
    with pytest.raises(ValueError, match=r"edges 'instance' and takes an instance_map$"):
        tiny(edges="instance").translate(maps)
    with pytest.raises(ValueError, match=r"^2 samples need 2 rows of label_map, not 3$"):
        method.sample(2, inputs={"label_map": maps})


def test_the_grid_shows_input_output_and_target():
    method, batch = tiny(), a_batch()
    grid, _ = method.grid(method.preview(3, torch.Generator(), batch))
    rows = grid.unflatten(0, (3, 3))
    assert torch.equal(rows[:, 1], method.translate(batch["label_map"]))
    assert torch.equal(rows[:, 2], batch["image"])
    colours = rows[:, 0].movedim(1, -1)
    for k in range(4):
        assert len(colours[batch["label_map"] == k].unique(dim=0)) == 1
    assert len(colours.flatten(0, 2).unique(dim=0)) == 4
    pictures = tiny(**PICTURES | {"input_channels": 3})
    batch["input"] = batch["image"].flip(0)
    grid, _ = pictures.grid(pictures.preview(3, torch.Generator(), batch))
    assert torch.equal(grid[::3], batch["input"])


def a_set(**more) -> ImageSet:
    """Half planes, dark and light: what a class looks like can be learnt in a moment."""
    maps = torch.zeros(8, 16, 16, dtype=torch.uint8)
    for k in range(8):
        maps[k, :, k + 3 :] = 1
    images = (40 + 180 * maps[:, None]).expand(-1, 3, -1, -1).contiguous()
    return ImageSet("halves", {"image": images, "label_map": maps, **more}, map_names=("dark", "light"))


def test_it_learns_what_classes_look_like(tmp_path):
    images, method = a_set(), tiny(label_nc=2, learning_rate=0.002)
    batch = images.batch(range(8))
    before = (method.translate(batch["label_map"]) - batch["image"]).abs().mean()
    settings = {"steps": 60, "batch_size": 4, "device": "cpu", "preview_count": 2, "progress": False}
    run = training.train(method, images, tmp_path / "run", **settings)
    after = (run.method.translate(batch["label_map"]) - batch["image"]).abs().mean()
    assert before > 0.5
    assert after < 0.25
    assert run.card["settings"]["turns"] == "simultaneous"
    assert {"generator", "feature matching", "discriminator", "D accuracy"} < set(run.log)


def test_data_that_do_not_fit(tmp_path):
    settings = {"steps": 1, "batch_size": 4, "device": "cpu", "preview_count": 2, "progress": False}
    with pytest.raises(ValueError, match="pix2pixhd needs instance_map; the data set halves has none"):
        training.train(tiny(label_nc=2, edges="instance"), a_set(), tmp_path / "a", **settings)
    with pytest.raises(ValueError, match="built for label_nc 1; the label maps of halves have 2 classes"):
        training.train(tiny(label_nc=1), a_set(), tmp_path / "b", **settings)


def test_training_with_instances_in_float32_and_bfloat16(tmp_path):
    images = a_set(instance_map=torch.arange(8 * 256, dtype=torch.int32).view(8, 16, 16) // 64)
    settings = {"steps": 2, "batch_size": 4, "device": "cpu", "preview_count": 2, "progress": False}
    for precision in ("float32", "bfloat16"):
        method = tiny(label_nc=2, edges="instance", perceptual="faces", enhancers=1)
        run = training.train(method, images, tmp_path / precision, precision=precision, **settings)
        assert all(run.log[name][-1] > 0 for name in ("generator", "feature matching", "perceptual"))


# ---- growing -------------------------------------------------------------------------------------------


def test_growing_keeps_what_the_coarse_generator_knows():
    coarse = tiny(ngf=8)
    fine = enlarge(coarse)
    assert (fine.config.image_size, fine.config.ngf, fine.config.enhancers) == (32, 4, 1)
    condition = coarse.condition(a_batch())
    assert torch.equal(fine.generator.coarse(condition), coarse.generator.coarse(condition))
    finer = enlarge(fine, feature_weight=1.0)
    assert (finer.config.image_size, finer.config.enhancers, finer.config.feature_weight) == (64, 2, 1.0)
    assert same(everything(finer.generator.coarse), everything(fine.generator.coarse))
    assert same(everything(finer.generator.enhancers[0]), everything(fine.generator.enhancers[0]))
    assert finer.translate(torch.zeros(1, 64, 64, dtype=torch.long)).shape == (1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"^ngf is 3; to be halved for an enhancer it must be even$"):
        enlarge(tiny(ngf=3))


def test_the_enhancer_may_learn_alone():
    fine = enlarge(tiny(ngf=8))
    fine.generator.coarse.requires_grad_(False)
    before = everything(fine.generator)
    step(fine, a_batch(2, 32))
    moved = {
        name.split(".")[0]
        for name, v in everything(fine.generator).items()
        if not torch.equal(v, before[name])
    }
    assert moved == {"enhancers", "last"}
    assert not any(p.requires_grad for p in fine.generator.coarse.parameters())
    fine.generator.requires_grad_(True)
    step(fine, a_batch(2, 32))
    assert not same(
        everything(fine.generator.coarse), {k[7:]: v for k, v in before.items() if k[:7] == "coarse."}
    )


# ---- the perceptual distance ---------------------------------------------------------------------------


def test_a_perceptual_distance_by_hand():
    """Maps: the image and its square. x = 2, y = 1 everywhere: 0.5 * 1 + 2 * 3; dx 0.5 + 2 * 2 * 2."""
    x, y = (torch.full((1, 1, 1, 1), v, requires_grad=True) for v in (2.0, 1.0))
    distance = perceptual.perceptual_distance(lambda image: [image, image**2], x, y, (0.5, 2.0))
    distance.backward()
    assert distance.item() == pytest.approx(6.5)
    assert x.grad.item() == pytest.approx(8.5)
    assert y.grad is None
    with pytest.raises(ValueError, match=r"^1 weights for 2 maps; give one for each$"):
        perceptual.perceptual_distance(lambda image: [image, image], x, y, (1.0,))


def test_the_features_of_faces():
    seen = perceptual.features("faces")
    images = torch.randn(2, 3, 64, 64).clamp(-1, 1)
    assert [m.shape[-1] for m in seen(images)] == [32, 16, 8]
    assert all(m.min() == 0 < m.max() for m in seen(images))  # after their activations
    assert seen.distance(images, images).item() == 0
    near, far = (seen.distance(images + s * torch.randn_like(images), images).item() for s in (0.02, 0.5))
    assert 0 < near < far
    assert seen(torch.zeros(1, 1, 64, 64))[0].shape[0] == 1  # grey images are shown as colour ones
    with pytest.raises(ValueError, match=r"reads images from 8 x 8 pixels on, not 6 x 6$"):
        seen(torch.zeros(1, 3, 6, 6))
    assert perceptual.features("none") is None


def test_the_layers_of_vgg19(monkeypatch):
    """Random weights in the place of the download: the first activation after each change of size."""
    from torchvision import models

    with torch.device("meta"):
        network = models.vgg19()
    monkeypatch.setattr(models, "vgg19", lambda weights: network)
    for normalise in (False, True):
        seen = perceptual.vgg19(normalise)
        with torch.device("meta"):
            maps = seen(torch.empty(1, 3, 64, 64))
        shapes = [(64, 64), (128, 32), (256, 16), (512, 8), (512, 4)]
        assert [(m.shape[1], m.shape[2]) for m in maps] == shapes
    assert seen.weights == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    assert torch.allclose(
        perceptual.as_imagenet(torch.ones(1, 3, 1, 1)).flatten()[0], torch.tensor(2.2489), atol=1e-4
    )


def test_without_a_network_vgg19_says_what_to_do(monkeypatch):
    from torchvision import models

    def refuse(weights):
        raise URLError("no route")

    monkeypatch.setattr(models, "vgg19", refuse)
    with pytest.raises(
        ConnectionError, match=r"VGG19 cannot be downloaded .*no route.*'faces' need no network"
    ):
        tiny(perceptual="vgg19")
