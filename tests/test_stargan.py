"""StarGAN: sizes, labels of both kinds, one step against a slow one, its calls, and what is translated."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gan_course import training
from gan_course.data import ImageSet
from gan_course.methods.stargan import StarGAN, StarGANConfig
from gan_course.training import turns
from gan_course.training.trainer import play

TINY = {"image_size": 16, "channels": 2, "ngf": 4, "blocks": 1, "ndf": 4, "layers": 3}
ATTRIBUTES = TINY | {"attributes": (4, 1, 2)}
CLASSES = TINY | {"num_classes": 3}


def tiny(fields=ATTRIBUTES, **more) -> StarGAN:
    torch.manual_seed(0)
    return StarGAN(StarGANConfig(**fields | more))


def a_batch(count: int = 4) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    images = torch.rand(count, 2, 16, 16, generator=rng) * 2 - 1
    tags = torch.randint(2, (count, 5), generator=rng).float()
    return {"image": images, "label": torch.arange(count) % 3, "tags": tags}


def doubled(batch):
    return {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}


def step(method, batch=None, **options):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), **options)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# ---- sizes -------------------------------------------------------------------------------------------


def test_parameters_of_the_authors():
    with torch.device("meta"):
        method = StarGAN(StarGANConfig())
        images, labels = torch.zeros(2, 3, 128, 128), torch.zeros(2, 5)
        assert method.generator(images, labels).shape == images.shape
        scores, answers = method.discriminator(images)
    assert parameters(method.generator) == 8_430_528
    assert parameters(method.discriminator) == 44_762_048
    assert scores.shape == (2, 1, 2, 2)
    assert answers.shape == (2, 5)


def test_order_of_layers_is_that_of_the_authors():
    with torch.device("meta"):
        method = StarGAN(StarGANConfig())
    shapes = [tuple(v.shape) for v in method.generator.parameters() if v.dim() == 4]
    assert shapes[:3] == [(64, 8, 7, 7), (128, 64, 4, 4), (256, 128, 4, 4)]
    assert shapes[3:15] == [(256, 256, 3, 3)] * 12
    assert shapes[15:] == [(256, 128, 4, 4), (128, 64, 4, 4), (3, 64, 7, 7)]
    assert [name for name, _ in method.discriminator.named_children()] == ["main", "score", "classify"]
    slopes = {m.negative_slope for m in method.discriminator.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.01}


@pytest.mark.parametrize("size", [8, 16, 24])
def test_sizes(size):
    method = tiny(image_size=size)
    images = torch.rand(2, 2, size, size)
    assert method.translate(images, [[0, 1, 0], [1, 0, 0]]).shape == images.shape
    scores, answers = method.discriminator(images)
    assert scores.shape == (2, 1, size // 8, size // 8)
    assert answers.shape == (2, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 20}, "image_size is 20; with 3 layers it must be a multiple of 8, and 8 or more"),
        ({"image_size": 4, "layers": 2}, "image_size is 4; with 2 layers it must be a multiple of 4, and 8"),
        ({"ngf": 0}, "ngf is 0; it must be 1 or more"),
        ({"reconstruction": -1.0}, "reconstruction is -1.0; it must be 0 or more"),
        ({"num_classes": 1}, "num_classes is 1; translation needs two domains or more"),
        ({"attributes": ()}, r"attributes is \(\); it must be different places of the tags"),
        ({"attributes": (1, 1)}, r"attributes is \(1, 1\); it must be different places of the tags"),
        ({"attributes": (-1, 1)}, r"attributes is \(-1, 1\); it must be different places of the tags"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)


# ---- labels ------------------------------------------------------------------------------------------


def test_labels_of_both_kinds():
    batch = a_batch()
    assert torch.equal(tiny().labels_of(batch), batch["tags"][:, [4, 1, 2]])
    assert tiny().needs == ("image", "tags")
    classes = tiny(CLASSES)
    assert torch.equal(classes.labels_of(batch), F.one_hot(batch["label"], 3).float())
    assert classes.needs == ("image", "label")
    with pytest.raises(ValueError, match=r"^attributes is \(9,\); the data have tags 0 to 4$"):
        step(tiny(attributes=(9,)))


@pytest.mark.parametrize("fields", [ATTRIBUTES, CLASSES], ids=["attributes", "classes"])
def test_targets_are_the_labels_of_the_batch_dealt_out(fields):
    method, batch = tiny(fields), a_batch(6)
    own = method.labels_of(batch)
    torch.manual_seed(5)
    dealt = [method.forward_generators(batch)["target"] for _ in range(3)]
    for target in dealt:
        assert sorted(map(tuple, target.tolist())) == sorted(map(tuple, own.tolist()))
    assert not all(torch.equal(target, own) for target in dealt)
    assert not torch.equal(dealt[0], dealt[1]) or not torch.equal(dealt[1], dealt[2])


def test_a_label_is_a_plane_for_each_entry():
    method, batch = tiny(), a_batch(2)
    seen = []
    method.generator.main[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    method.translate(batch["image"], torch.tensor([[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]))
    assert torch.equal(seen[0][:, :2], batch["image"])
    for n, k, value in ((0, 0, 1.0), (0, 1, 0.0), (0, 2, 0.25), (1, 1, 1.0)):
        assert (seen[0][n, 2 + k] == value).all()


def test_the_label_reaches_the_image_because_padding_is_zero():
    """With reflection, instance norm would take the constant planes away again."""
    method, image = tiny(), a_batch(1)["image"]
    one, other = method.translate(image, [[1, 0, 0]]), method.translate(image, [[0, 0, 1]])
    assert (one - other).abs().max() > 1e-3
    for layer in method.generator.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "reflect"
            layer._reversed_padding_repeated_twice = [p for p in layer.padding for _ in range(2)]
    one, other = method.translate(image, [[1, 0, 0]]), method.translate(image, [[0, 0, 1]])
    assert (one - other).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("fields", "labels", "message"),
    [
        (CLASSES, [0, 3], "labels run from 0 to 3; this model knows 0 to 2"),
        (CLASSES, [0], r"2 samples need 2 integer labels, not a tensor of torch.int64 and shape \(1,\)"),
        (ATTRIBUTES, [[0, 1]] * 2, r"2 images need labels of shape \(2, 3\) with entries from 0 to 1, one"),
        (
            ATTRIBUTES,
            [[0, 1, 2]] * 2,
            r"2 images need labels of shape \(2, 3\) with entries from 0 to 1, one",
        ),
    ],
)
def test_labels_that_are_refused(fields, labels, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(fields).translate(torch.zeros(2, 2, 16, 16), labels)


# ---- one step ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [ATTRIBUTES, CLASSES], ids=["attributes", "classes"])
def test_one_step_against_a_slowly_written_one(fields):
    """Every network called for each thing by itself, every equation written out, in float64."""
    method = tiny(fields, penalty=3.0, reconstruction=7.0, class_weight=2.0).double()
    batch = doubled(a_batch())
    reference = copy.deepcopy(method)
    torch.manual_seed(4)
    terms = step(method, batch)

    torch.manual_seed(4)
    x = batch["image"]
    c = reference.labels_of(batch).double()
    target = c[torch.randperm(4)]
    alpha = torch.rand(4, 1, 1, 1, dtype=torch.float64)
    g, d = reference.generator, reference.discriminator

    def domain_cost(answers, labels):
        if fields is CLASSES:
            return -(answers.softmax(1).log() * labels).sum(1).mean()
        p = answers.sigmoid()
        return -(labels * p.log() + (1 - labels) * (1 - p).log()).sum() / len(labels)

    # the discriminator moves first
    fake = g(x, target)
    between = (alpha * x + (1 - alpha) * fake.detach()).requires_grad_(True)
    (slope,) = torch.autograd.grad(d(between)[0].sum(), between, create_graph=True)
    penalty = ((slope.flatten(1).square().sum(1).sqrt() - 1) ** 2).mean()
    classes = domain_cost(d(x)[1], c)
    critic = d(fake.detach())[0].mean() - d(x)[0].mean()
    (critic + 3 * penalty + 2 * classes).backward()
    found = {name: p.grad for name, p in method.discriminator.named_parameters()}
    expected = {name: p.grad for name, p in reference.discriminator.named_parameters()}
    for name in found:
        assert torch.allclose(found[name], expected[name], rtol=1e-5, atol=1e-7), name
    reference.optimizer("discriminator").step()

    # then the generator, judged by the new discriminator
    g.zero_grad()
    scores, answers = d(fake)
    back = (x - g(fake, c)).abs().mean()
    (-scores.mean() + 2 * domain_cost(answers, target) + 7 * back).backward()
    for (name, p), q in zip(method.generator.named_parameters(), g.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, rtol=1e-5, atol=1e-7), name
    assert terms["discriminator"].item() == pytest.approx(critic.item())
    assert terms["gradient penalty"].item() == pytest.approx(penalty.item())
    assert terms["classes of x"].item() == pytest.approx(classes.item(), rel=1e-5)
    assert terms["reconstruction"].item() == pytest.approx(back.item())


def test_calls_of_a_step():
    method = tiny()
    seen = {name: [] for name in method.networks}
    for name, network in method.networks.items():
        network.register_forward_pre_hook(lambda _, inputs, name=name: seen[name].append(len(inputs[0])))
    step(method, movers=("discriminator",))
    # one translation; real and fake together, then the points between them; nothing leads back
    assert seen == {"generator": [4], "discriminator": [8, 4]}
    for calls in seen.values():
        calls.clear()
    step(method)
    assert seen == {"generator": [4, 4], "discriminator": [8, 4, 4]}


def test_turns_and_adam_of_the_paper():
    method = tiny()
    rule = turns.parse(method.turns)
    moves = [rule.movers(k, 100, {}) for k in range(10)]
    assert [len(movers) for movers in moves] == [1, 1, 1, 1, 2] * 2
    assert all("discriminator" in movers for movers in moves)
    for player in method.players:
        (group,) = method.optimizer(player).param_groups
        assert (group["lr"], group["betas"]) == (1e-4, (0.5, 0.999))


def test_half_precision():
    for fields in (ATTRIBUTES, CLASSES):
        terms = step(tiny(fields), precision="bfloat16")
        assert all(term.isfinite() for term in terms.values())


def test_running_statistics_serve_in_use_only():
    method, batch = tiny(running_statistics=True), a_batch()
    assert parameters(method.generator) == parameters(tiny().generator)
    labels = batch["tags"][:, [4, 1, 2]]
    before = method.translate(batch["image"], labels)
    step(method)
    moved = method.generator.main[1].running_mean.clone()
    assert moved.abs().max() > 0
    method.translate(batch["image"], labels)
    assert torch.equal(moved, method.generator.main[1].running_mean)
    assert not torch.allclose(before, method.generator(batch["image"], labels), atol=1e-3)


def test_two_domains_are_learned():
    """Dark pictures and bright ones: the same generator leads either way, by the label alone."""
    torch.manual_seed(0)
    method = StarGAN(
        StarGANConfig(
            image_size=16, channels=1, num_classes=2, ngf=8, blocks=1, ndf=8, layers=3, learning_rate=0.002
        )
    )
    optimizers = {player: method.optimizer(player) for player in method.players}
    labels = torch.arange(8) % 2
    shapes = 0.2 * torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    images = (shapes + labels.view(-1, 1, 1, 1) - 0.5).clamp(-1, 1)
    batch = {"image": images, "label": labels}
    terms = [play(method, optimizers, batch) for _ in range(60)]
    assert terms[-1]["classes of x"] < 0.3
    dark, bright = (method.translate(images, torch.full((8,), k)).mean() for k in (0, 1))
    assert bright - dark > 0.3
    assert terms[-1]["reconstruction"] < terms[0]["reconstruction"]


# ---- use ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [ATTRIBUTES, CLASSES], ids=["attributes", "classes"])
def test_sample_and_grid(fields):
    method, batch = tiny(fields), a_batch()
    own = method.labels_of(batch)
    sampled = method.sample(4, inputs=batch)
    with torch.no_grad():
        assert torch.allclose(sampled[0], method.generator(batch["image"], own[[1, 2, 3, 0]])[0], atol=1e-6)
    labels = batch["label"] if fields is CLASSES else own
    assert torch.equal(
        method.sample(4, inputs=batch, labels=labels), method.translate(batch["image"], labels)
    )
    preview = method.preview(4, torch.Generator(), batch)
    images, columns = method.grid(preview)
    found = {tuple(row) for row in own.tolist()}
    assert {tuple(row) for row in preview["targets"].tolist()} == found
    assert columns == 1 + len(found)
    assert images.shape == (4 * columns, 2, 16, 16)
    rows = images.unflatten(0, (4, columns))
    assert torch.equal(rows[:, 0], batch["image"])
    if fields is CLASSES:
        expected = method.translate(batch["image"], torch.full((4,), 1))
        assert torch.allclose(rows[:, 2], expected, atol=1e-6)
        of_one_class = {name: value[[0, 3]] for name, value in batch.items()}
        assert torch.equal(method.preview(2, torch.Generator(), of_one_class)["targets"], torch.eye(3))
    assert method.generator.training
    with pytest.raises(
        ValueError, match=r"^stargan makes images from image and (label|tags), not from noise"
    ):
        method.sample(4)
    with pytest.raises(
        ValueError, match=r"^images are a tensor of shape \(1, 3, 16, 16\); this stargan takes"
    ):
        method.translate(torch.zeros(1, 3, 16, 16), labels[:1])


def test_the_trainer_trains_it(tmp_path):
    pixels = torch.randint(256, (12, 2, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    images = ImageSet("toy", {"image": pixels, "label": torch.arange(12) % 3}, class_names=tuple("abc"))
    options = {"steps": 6, "batch_size": 4, "preview_count": 3, "device": "cpu", "progress": False}
    run = training.train(tiny(CLASSES), images, tmp_path / "run", log_every=6, **options)
    assert {"generator", "reconstruction", "classes of x", "gradient penalty"} <= set(run.log)
    assert run.card["settings"]["turns"].startswith("alternating:5")
