"""CycleGAN: sizes, the history, the calls of a step, its gradients, attention, and what is translated."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from gan_course import training
from gan_course.data import ImageSet, UnpairedSet
from gan_course.methods import cyclegan
from gan_course.methods.cyclegan import CycleGAN, CycleGANConfig
from gan_course.nn import patchgan
from gan_course.nn.history import HistoryPool
from gan_course.nn.resnet import ResNetGenerator, apart
from gan_course.training.settings import learning_rate_factor
from gan_course.training.trainer import play

TINY = {"image_size": 16, "channels": 2, "ngf": 3, "blocks": 2, "ndf": 4, "layers": 1}


def tiny(**fields) -> CycleGAN:
    torch.manual_seed(0)
    method = CycleGAN(CycleGANConfig(**TINY | fields))
    patchgan.initialise(method, 0.2)  # larger than the paper's, so that every term is felt
    return method


def a_batch(count: int = 2, size: int = 16) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {k: torch.rand(count, 2, size, size, generator=rng) * 2 - 1 for k in ("image_a", "image_b")}


def doubled(batch):
    return {name: value.double() for name, value in batch.items()}


def step(method, batch=None, **options):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), **options)


def gradients(method) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in method.named_parameters()}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def assert_close(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor], tolerance: float) -> None:
    assert left.keys() == right.keys()
    for name in left:
        scale = max(1e-3, right[name].abs().max().item())
        assert (left[name] - right[name]).abs().max().item() <= tolerance * scale, name


# ---- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "blocks", "count"), [(256, 9, 11_378_179), (128, 6, 7_837_699)])
def test_parameters_of_the_authors(size, blocks, count):
    with torch.device("meta"):
        method = CycleGAN(CycleGANConfig(image_size=size))
        chosen = CycleGAN(CycleGANConfig(image_size=size, blocks=blocks))
    for network in (method.generator_ab, method.generator_ba, chosen.generator_ab):
        assert parameters(network) == count
    for network in (method.discriminator_a, method.discriminator_b):
        assert parameters(network) == 2_764_737
        assert patchgan.receptive_field(network) == 70


def test_order_of_layers_is_that_of_the_authors():
    with torch.device("meta"):
        network = ResNetGenerator(3, 3, 64, 9)
    shapes = [tuple(value.shape) for value in network.state_dict().values() if value.dim() == 4]
    assert shapes[:3] == [(64, 3, 7, 7), (128, 64, 3, 3), (256, 128, 3, 3)]
    assert shapes[3:21] == [(256, 256, 3, 3)] * 18
    assert shapes[21:] == [(256, 128, 3, 3), (128, 64, 3, 3), (3, 64, 7, 7)]
    assert not any("running" in name for name in network.state_dict())


@pytest.mark.parametrize(("height", "width"), [(16, 16), (8, 12), (64, 20)])
def test_an_image_keeps_its_size(height, width):
    network = ResNetGenerator(2, 3, 2, 1)
    image = network(torch.randn(1, 2, height, width))
    assert image.shape == (1, 3, height, width)
    assert image.abs().max() <= 1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((18, 16), "an image of 18 x 16: both sides must be multiples of 4, and 8 or more"),
        ((4, 8), "an image of 4 x 8: both sides must be multiples of 4, and 8 or more"),
    ],
)
def test_images_that_would_come_out_in_another_size(shape, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny().translate(torch.zeros(1, 2, *shape))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 18}, "image_size is 18; it must be a multiple of 4, and 8 or more"),
        ({"image_size": 4}, "image_size is 4; it must be a multiple of 4, and 8 or more"),
        (
            {"image_size": 20, "layers": 3},
            "image_size is 20; a discriminator with 3 strided layers needs 24 or more",
        ),
        ({"ngf": 0}, "ngf is 0; it must be 1 or more"),
        ({"blocks": -1}, "blocks is -1; it must be 0 or more"),
        ({"cycle": -1.0}, "cycle is -1.0; it must be 0 or more"),
        ({"history": -1}, "history is -1; it must be 0 or more"),
        ({"attention": "self"}, "attention is 'self'; it must be one of none, spa"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        tiny(**fields)


def test_every_legal_size_plays_a_step():
    """At the smallest size of each discriminator, instance norm still has more than one place."""
    for layers, size in ((1, 8), (2, 12), (3, 24)):
        terms = step(tiny(image_size=size, layers=layers), a_batch(1, size))
        assert all(term.isfinite() for term in terms.values())


# ---- the history -------------------------------------------------------------------------------------


def numbered(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1)


@settings(deadline=None, max_examples=30)
@given(
    size=st.integers(0, 6), counts=st.lists(st.integers(1, 4), min_size=1, max_size=12), seed=st.integers(0)
)
def test_no_image_is_lost_or_made(size, counts, seed):
    """What goes in either comes out or is stored; nothing comes out that did not go in."""
    torch.manual_seed(seed % 2**63)
    pool, put, got = HistoryPool(size), [], []
    for count in counts:
        images = numbered(*range(len(put), len(put) + count))
        returned = pool(images)
        assert returned.shape == images.shape
        assert len(pool) <= size
        if len(put) + count <= size:
            assert torch.equal(returned, images)
        put += images.flatten().tolist()
        got += returned.flatten().tolist()
    stored = [] if pool.images is None else pool.images.flatten().tolist()
    assert len(set(stored)) == len(stored) == min(size, len(put))
    assert set(got) <= set(put)
    assert set(got) | set(stored) == set(put)


def test_statistics_of_the_history():
    """Half of what is handed back is new; a stored image has been there for 2 x size steps in the mean."""
    torch.manual_seed(0)
    size, count = 50, 20_000
    pool = HistoryPool(size)
    ages = [k - int(pool(numbered(k))) for k in range(count)]
    ages = torch.tensor(ages[1000:], dtype=torch.float64)
    assert (ages == 0).double().mean().item() == pytest.approx(0.5, abs=0.015)
    old = ages[ages > 0]
    assert old.mean().item() == pytest.approx(2 * size, rel=0.05)
    # geometric: the chance to be drawn in a step is 1 / (2 size)
    assert old.std().item() == pytest.approx((1 - 1 / (2 * size)) ** 0.5 * 2 * size, rel=0.06)


def test_the_history_obeys_torchs_seed_and_is_restored():
    def run(pool, start, stop):
        return [int(pool(numbered(k))) for k in range(start, stop)]

    torch.manual_seed(3)
    whole = run(HistoryPool(4), 0, 40)
    torch.manual_seed(3)
    pool = HistoryPool(4)
    first = run(pool, 0, 20)
    state, random = copy.deepcopy(pool.state_dict()), torch.get_rng_state()
    run(pool, 20, 25)
    restored = HistoryPool(4)
    restored.load_state_dict(state)
    torch.set_rng_state(random)
    assert first + run(restored, 20, 40) == whole


def test_the_history_holds_no_graph():
    pool = HistoryPool(2)
    image = torch.ones(1, 1, 2, 2, requires_grad=True) * 2
    assert not pool(image).requires_grad
    assert not HistoryPool(0)(image).requires_grad
    with pytest.raises(ValueError, match=r"^a history of -1 images: it must be 0 or more$"):
        HistoryPool(-1)


def test_a_checkpoint_holds_the_histories(tmp_path):
    method = tiny(history=3)
    step(method)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    other = tiny(history=3)
    assert len(other.pools["a"]) == 0
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for domain in "ab":
        assert torch.equal(other.pools[domain].images, method.pools[domain].images)
    assert not torch.equal(other.pools["a"].images, other.pools["b"].images)


def domains(count: int = 6) -> UnpairedSet:
    rng = torch.Generator().manual_seed(2)
    a, b = (
        torch.randint(256, (count + k, 2, 16, 16), generator=rng, dtype=torch.int16).to(torch.uint8)
        for k in range(2)
    )
    return UnpairedSet(ImageSet("a", {"image": a}), ImageSet("b", {"image": b}))


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    options = {"steps": 6, "batch_size": 1, "save_every": 3, "sample_every": 3, "preview_count": 1}
    options |= {"log_every": 1, "device": "cpu", "progress": False, "decay": 0.5}
    whole = training.train(tiny(history=2), domains(), tmp_path / "whole", **options)

    def fails(self, player):
        if len(calls) == 8:
            raise OSError("the disk is full")
        calls.append(player)

    calls: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(CycleGAN, "constrain", fails)
        with pytest.raises(OSError, match="the disk is full"):
            training.train(tiny(history=2), domains(), tmp_path / "cut", **options)
    assert calls[:2] == ["generator", "discriminator"]
    resumed = training.train(tiny(history=2), domains(), tmp_path / "cut", resume=True, **options)
    for (name, left), right in zip(whole.method.named_parameters(), resumed.method.parameters(), strict=True):
        assert torch.equal(left, right), name
    for domain in "ab":
        assert torch.equal(whole.method.pools[domain].images, resumed.method.pools[domain].images)


# ---- the decay ---------------------------------------------------------------------------------------


def test_the_rate_is_constant_for_half_the_run_and_never_zero():
    total = 200
    rates = [learning_rate_factor(step, total, decay=0.5) for step in range(total)]
    assert rates[:101] == [1.0] * 101  # steps 0 to 99, and the first of the fall
    assert rates[101] == pytest.approx(0.99)
    assert rates[150] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.01)
    assert min(rates) > 0


def test_the_rates_of_a_run(tmp_path, monkeypatch):
    seen = []
    original = torch.optim.Adam.step

    def watched(self, *args, **kwargs):
        seen.append((len(self.param_groups[0]["params"]), self.param_groups[0]["lr"]))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    options = {"steps": 8, "batch_size": 1, "preview_count": 1, "device": "cpu", "progress": False}
    training.train(tiny(), domains(), tmp_path / "run", decay=0.5, **options)
    of_generators = [rate / 2e-4 for count, rate in seen if count == max(c for c, _ in seen)]
    assert of_generators == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert len(seen) == 16  # one optimizer for both generators, one for both discriminators


def test_the_papers_adam():
    method = tiny()
    for player in method.players:
        (group,) = method.optimizer(player).param_groups
        assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))


# ---- one step ----------------------------------------------------------------------------------------


def test_one_step_against_a_slowly_written_one():
    """Every network called for each thing by itself, every equation written out, in float64."""
    method, batch = tiny(cycle=7.0, identity=0.3).double(), doubled(a_batch(3))
    reference = copy.deepcopy(method)
    terms = step(method, batch)

    a, b = batch["image_a"], batch["image_b"]
    g_ab, g_ba = reference.generator_ab, reference.generator_ba
    d_a, d_b = reference.discriminator_a, reference.discriminator_b
    fake_b, fake_a = g_ab(a), g_ba(b)
    adversarial = ((d_b(fake_b) - 1) ** 2).mean() + ((d_a(fake_a) - 1) ** 2).mean()
    cycle_a, cycle_b = (g_ba(g_ab(a)) - a).abs().mean(), (g_ab(g_ba(b)) - b).abs().mean()
    identity = (g_ba(a) - a).abs().mean() + (g_ab(b) - b).abs().mean()
    (adversarial + 7 * (cycle_a + cycle_b) + 7 * 0.3 * identity).backward()
    for network in (d_a, d_b):
        network.zero_grad()
    cost = sum(
        0.5 * (((d(real) - 1) ** 2).mean() + (d(fake.detach()) ** 2).mean())
        for d, real, fake in ((d_a, a, fake_a), (d_b, b, fake_b))
    )
    cost.backward()

    assert_close(gradients(method), gradients(reference), 1e-10)
    assert terms["generator"].item() == pytest.approx(adversarial.item() / 2)
    assert terms["cycle_a"].item() == pytest.approx(cycle_a.item())
    assert terms["cycle_b"].item() == pytest.approx(cycle_b.item())
    assert (terms["identity_a"] + terms["identity_b"]).item() == pytest.approx(identity.item())
    assert terms["discriminator"].item() == pytest.approx(cost.item())


def test_batched_and_separate_calls_give_equal_gradients(monkeypatch):
    method, batch = tiny().double(), doubled(a_batch())
    separate = copy.deepcopy(method)
    step(method, batch)
    monkeypatch.setattr(cyclegan, "apart", lambda network, *groups: [network(group) for group in groups])
    step(separate, batch)
    assert_close(gradients(method), gradients(separate), 1e-10)


def test_apart_is_exact_for_instance_norm_and_not_for_batch_norm():
    torch.manual_seed(0)
    first, second = torch.randn(1, 2, 8, 8), 3 * torch.randn(2, 2, 8, 8)
    for norm, exact in (("instance", True), ("batch", False)):
        network = patchgan.PatchGAN(2, 4, 1, norm=norm)
        together = torch.cat(apart(network, first, second))
        alone = torch.cat([network(first), network(second)])
        assert torch.allclose(together, alone, atol=1e-5) is exact


def calls_of(method, act) -> dict[str, list[int]]:
    """How many images each network was given, call by call."""
    seen = {name: [] for name in method.networks}
    handles = [
        network.register_forward_pre_hook(lambda _, inputs, name=name: seen[name].append(len(inputs[0])))
        for name, network in method.networks.items()
    ]
    act()
    for handle in handles:
        handle.remove()
    return seen


def test_calls_of_a_step():
    method = tiny()
    seen = calls_of(method, lambda: step(method, a_batch(3)))
    # translation with identity, way back; then G's move with the fakes, D's move with both kinds
    assert seen == {
        "generator_ab": [6, 3],
        "generator_ba": [6, 3],
        "discriminator_a": [3, 6],
        "discriminator_b": [3, 6],
    }
    method = tiny(identity=0.0)
    assert calls_of(method, lambda: step(method))["generator_ab"] == [2, 2]
    method = tiny(cycle=0.0)
    assert calls_of(method, lambda: step(method))["generator_ab"] == [2]


def test_generators_move_first_and_the_history_is_shown():
    """The discriminators judge what the pool hands back, which is not what the generators just made."""
    method = tiny(history=1)
    step(method, a_batch(1))
    before = {domain: pool.images.clone() for domain, pool in method.pools.items()}
    shown = {}
    for domain in "ab":
        network = method.networks[f"discriminator_{domain}"]
        network.register_forward_pre_hook(lambda _, inputs, domain=domain: shown.update({domain: inputs[0]}))
    other = {name: value.flip(-1) for name, value in a_batch(1).items()}
    torch.manual_seed(2)  # tails, tails: both pools exchange
    assert (torch.rand(4)[[0, 2]] >= 0.5).all()
    torch.manual_seed(2)
    step(method, other)
    for domain in "ab":
        assert torch.equal(shown[domain][:1], other[f"image_{domain}"])
        assert torch.equal(shown[domain][1:], before[domain])
        assert not torch.equal(method.pools[domain].images, before[domain])


def test_without_a_cycle_nothing_leads_back():
    terms = step(tiny(cycle=0.0))
    assert not any(name.startswith(("cycle", "identity")) for name in terms)
    assert {"generator", "discriminator", "D(x)", "D(G(z))", "D accuracy"} == set(terms)


@pytest.mark.parametrize("attention", ["none", "spa"])
def test_half_precision(attention):
    method = tiny(attention=attention)
    terms = step(method, precision="bfloat16")
    assert all(term.isfinite() for term in terms.values())
    assert method.pools["a"].images.dtype == torch.float32


def test_a_pair_of_domains_is_learned():
    """Dark pictures and bright ones: a few steps lead from one to the other, and back."""
    method = tiny(channels=1, ngf=8, ndf=8, blocks=1, learning_rate=0.002, identity=0.0)
    patchgan.initialise(method)
    optimizers = {player: method.optimizer(player) for player in method.players}
    shapes = 0.3 * torch.randn(2, 4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = {"image_a": (shapes[0] - 0.5).clamp(-1, 1), "image_b": (shapes[1] + 0.5).clamp(-1, 1)}
    terms = [play(method, optimizers, batch) for _ in range(40)]
    assert method.translate(batch["image_a"]).mean() > 0.2
    assert method.translate(batch["image_b"], "BtoA").mean() < -0.2
    assert terms[-1]["cycle_a"] < 0.7 * terms[0]["cycle_a"]


# ---- use ---------------------------------------------------------------------------------------------


def test_translate_leads_where_it_says():
    method, batch = tiny(), a_batch()
    a, b = batch["image_a"], batch["image_b"]
    assert torch.equal(method.translate(a), method.generator_ab(a))
    assert torch.equal(method.translate(b, direction="BtoA"), method.generator_ba(b))
    assert torch.equal(method.sample(2, inputs=batch), method.generator_ab(a))
    assert torch.equal(method.sample(2, inputs=batch, direction="BtoA"), method.generator_ba(b))
    assert method.generator_ab.training
    assert not method.translate(a).requires_grad
    with pytest.raises(ValueError, match=r"^direction is 'ab'; it must be one of AtoB, BtoA$"):
        method.translate(a, "ab")
    with pytest.raises(ValueError, match=r"^images are a tensor of shape \(2, 3, 16, 16\); this cyclegan"):
        method.translate(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match=r"^cyclegan makes images from image_a and image_b, not from noise"):
        method.sample(2)


def test_translation_leaves_the_training_alone():
    method = tiny(attention="spa")
    step(method)
    before, random = copy.deepcopy(method.state_dict()), torch.get_rng_state()
    method.grid(method.preview(2, torch.Generator(), a_batch()))
    method.attend(a_batch()["image_b"], "BtoA")
    after = method.state_dict()
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[k], after[k]) for k in before if k != "_extra_state")
    for domain in "ab":
        assert torch.equal(before["_extra_state"][domain]["images"], after["_extra_state"][domain]["images"])


def test_grid():
    method, batch = tiny(), a_batch(3)
    images, columns = method.grid(method.preview(3, torch.Generator(), batch))
    assert columns == 6
    rows = images.unflatten(0, (3, 6)).unbind(1)
    to_b, to_a = method.translate(batch["image_a"]), method.translate(batch["image_b"], "BtoA")
    expected = [batch["image_a"], to_b, method.translate(to_b, "BtoA")]
    expected += [batch["image_b"], to_a, method.translate(to_a, "AtoB")]
    assert all(torch.allclose(row, image, atol=1e-6) for row, image in zip(rows, expected, strict=True))


# ---- attention ---------------------------------------------------------------------------------------


def test_attention_by_hand():
    method = tiny(attention="spa")
    images = a_batch()["image_a"]
    network = method.discriminator_a
    h = F.leaky_relu(network[0](images), 0.2)
    h = F.leaky_relu(F.instance_norm(network[2](h)), 0.2)
    summed = sum(h[:, k].abs() for k in range(h.shape[1]))
    largest = torch.stack([summed[n].max() for n in range(len(summed))])
    share = (summed / largest.view(-1, 1, 1))[:, None]
    attention = method.attend(images)
    expected = F.interpolate(share, size=(16, 16), mode="bilinear", align_corners=False)
    assert torch.allclose(attention, expected, atol=1e-5)
    assert attention.shape == (2, 1, 16, 16)
    assert attention.min() >= 0
    assert attention.max() <= 1
    assert torch.allclose(method.translate(images), method.generator_ab(images * attention), atol=1e-6)
    with pytest.raises(ValueError, match=r"^this cyclegan was built without attention"):
        tiny().attend(images)


def test_each_direction_has_the_attention_of_its_own_discriminator():
    method, images = tiny(attention="spa"), a_batch()["image_a"]
    assert torch.equal(method.attend(images, "AtoB"), method.discriminator_a(images, attention=True))
    assert torch.equal(method.attend(images, "BtoA"), method.discriminator_b(images, attention=True))


def test_one_step_with_attention():
    """The gradients of a slowly written step in which the attention is a constant."""
    method, batch = tiny(attention="spa", identity=0.4).double(), doubled(a_batch())
    reference = copy.deepcopy(method)
    step(method, batch)
    a, b = batch["image_a"], batch["image_b"]
    d_a, d_b = reference.discriminator_a, reference.discriminator_b
    g_ab, g_ba = reference.generator_ab, reference.generator_ba

    def seen(x, discriminator):
        return x * discriminator(x, attention=True).detach().double()

    fake_b, fake_a = g_ab(seen(a, d_a)), g_ba(seen(b, d_b))
    cost = ((d_b(fake_b) - 1) ** 2).mean() + ((d_a(fake_a) - 1) ** 2).mean()
    cost += 10 * (g_ba(seen(fake_b, d_b)) - a).abs().mean() + 10 * (g_ab(seen(fake_a, d_a)) - b).abs().mean()
    cost += 4 * (g_ba(seen(a, d_a)) - a).abs().mean() + 4 * (g_ab(seen(b, d_b)) - b).abs().mean()
    cost.backward()
    expected = {name: p.grad for name, p in reference.named_parameters() if name.startswith("generator")}
    found = {name: p.grad for name, p in method.named_parameters() if name.startswith("generator")}
    assert_close(found, expected, 1e-6)


def test_attention_is_saved_with_the_generators():
    assert tiny().sampling_networks == ("generator_ab", "generator_ba")
    assert set(tiny(attention="spa").sampling_networks) == set(tiny().networks)
