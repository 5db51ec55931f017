"""U-GAT-IT: sizes, attention, rho, and one step against a slowly written one."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gan_course import training
from gan_course.data import ImageSet, UnpairedSet
from gan_course.methods import ugatit
from gan_course.methods.ugatit import UGATIT, Discriminator, Generator, UGATITConfig
from gan_course.nn.norms import normalised_layers, raw_weight
from gan_course.nn.patchgan import receptive_field
from gan_course.training.trainer import play

TINY = {"image_size": 24, "light": True, "ngf": 2, "ndf": 2, "blocks": 2, "discriminator_layers": 0}


def tiny(**fields) -> UGATIT:
    torch.manual_seed(0)
    return UGATIT(UGATITConfig(**TINY | {"initialisation": "torch"} | fields))


def images(count: int = 2, size: int = 24, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def a_batch(count: int = 2) -> dict[str, torch.Tensor]:
    return {"image_a": images(count), "image_b": images(count, seed=2)}


def step(method, precision="float32", batch=None):
    optimizers = {player: method.optimizer(player) for player in method.players}
    return play(method, optimizers, batch or a_batch(), precision)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# ---- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("light", "generator", "all_six"), [(False, 278_959_808, 670_761_088), (True, 10_589_888, 134_021_248)]
)
def test_it_has_the_parameters_of_the_authors(light, generator, all_six):
    with torch.device("meta"):
        method = UGATIT(UGATITConfig(light=light))
    assert parameters(method.generator_ab) == parameters(method.generator_ba) == generator
    assert parameters(method) == all_six
    assert len(method.networks) == 6


def test_shapes_at_the_papers_size():
    with torch.device("meta"):
        method = UGATIT(UGATITConfig(light=True))
        x = torch.rand(1, 3, 256, 256)
        made = method.generator_ab(x)
        local, whole = method.discriminator_local_a(x), method.discriminator_global_a(x)
    assert made.image.shape == (1, 3, 256, 256)
    assert made.heat.shape == (1, 1, 64, 64)
    assert made.logits.shape == local.logits.shape == whole.logits.shape == (1, 2)
    assert local.scores.shape == (1, 1, 30, 30)
    assert whole.scores.shape == (1, 1, 6, 6)


def test_local_and_global_discriminators_see_70_and_286_pixels():
    with torch.device("meta"):
        method = UGATIT(UGATITConfig(light=True))
    for name, size in (("local", 70), ("global", 286)):
        network = method.networks[f"discriminator_{name}_a"]
        assert receptive_field(nn.Sequential(network.encoder, network.head)) == size


def test_a_score_of_the_local_discriminator_depends_on_70_pixels():
    config = UGATITConfig(ndf=1, attention="none", initialisation="torch")
    x = images(1, 256).requires_grad_(True)
    Discriminator(config, halvings=3)(x).scores[0, 0, 15, 15].backward()
    touched = x.grad.abs().sum(dim=(0, 1)).nonzero()
    assert (touched.amax(0) - touched.amin(0) + 1).tolist() == [70, 70]


@pytest.mark.parametrize("size", [24, 28, 44, 48, 64, 96, 100])
def test_a_discriminator_that_fits_every_size(size):
    method = tiny(image_size=size)
    x = images(1, size)
    for name in method.players["discriminator"]:
        assert method.networks[name](x).scores.numel() >= 1
    assert method.generator_ab(x).image.shape == x.shape


def test_the_layers_that_fit_are_those_that_the_error_names():
    assert [ugatit.most_layers(size) for size in (24, 47, 48, 95, 96, 256, 512)] == [4, 4, 5, 5, 6, 6, 6]
    for layers in (4, 5, 6, 7):
        size = ugatit.smallest_size(layers)
        UGATITConfig(image_size=size, discriminator_layers=layers)
        network = Discriminator(UGATITConfig(ndf=1), halvings=layers - 1)
        assert network(images(1, size)).scores.numel() == 1
        if layers > 4:
            with pytest.raises(ValueError, match=f"needs {size} pixels or more"):
                ugatit.check(UGATITConfig(image_size=size - 4, discriminator_layers=layers))


# ---- options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ugatit.NORMS)
@pytest.mark.parametrize("attention", ["both", "none"])
def test_every_norm_trains_with_and_without_attention(norm, attention):
    method = tiny(norm=norm, attention=attention)
    before = copy.deepcopy(method.state_dict())
    terms = step(method)
    assert all(value.isfinite() for value in terms.values())
    assert ("CAM" in terms) == (attention == "both")
    assert ("rho up 1" in terms) == (norm == "adalin")
    names = dict(method.named_parameters())
    unmoved = [name for name in names if torch.equal(before[name], names[name])]
    assert all(name.endswith("rho") for name in unmoved)  # rho may be held at the end of its range


@pytest.mark.parametrize("attention", ["generators", "discriminators"])
def test_attention_in_one_kind_of_network_only(attention):
    method = tiny(attention=attention)
    terms = step(method)
    assert ("CAM" in terms) == (attention == "generators")
    assert ("generator CAM" in terms) == (attention == "discriminators")
    without = "global" if attention == "generators" else "generator"
    with pytest.raises(ValueError, match="no attention module"):
        method.attend(images(), network=without)


def test_the_authors_codes_are_options():
    pytorch, tensorflow = tiny(**ugatit.PYTORCH), tiny(**ugatit.TENSORFLOW)
    assert all(value.isfinite() for of in (pytorch, tensorflow) for value in step(of).values())
    assert pytorch.generator_ab.blocks[0].norm1.unbiased
    assert not tensorflow.generator_ab.blocks[0].norm1.unbiased
    biases = [name for name, _ in pytorch.generator_ab.named_parameters() if name.endswith("bias")]
    assert biases == ["attention.mix.bias"]
    layers = [m for m in tensorflow.generator_ab.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert all(layer.bias is not None for layer in layers)


def test_initial_weights_are_the_papers():
    method = UGATIT(UGATITConfig(image_size=64, light=True, ngf=16, ndf=16, discriminator_layers=0))
    for network in (method.generator_ab, method.discriminator_global_a):
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.out_channels > 3]
        for layer in layers:
            assert abs(raw_weight(layer).std().item() - 0.02) < 0.003
    assert all(
        torch.equal(block.norm1.rho, torch.ones_like(block.norm1.rho)) for block in method.generator_ab.blocks
    )


def test_weights_of_the_losses_are_options():
    method = tiny(adversarial_weight=2.0, cycle_weight=3.0, identity_weight=5.0, cam_weight=7.0)
    outputs = method.forward_generators(a_batch())
    terms = method.loss("generator", a_batch(), outputs)
    expected = (
        2 * (terms["generator"] + terms["generator CAM"])
        + 3 * terms["cycle"]
        + 5 * terms["identity"]
        + 7 * terms["CAM"]
    )
    torch.testing.assert_close(method.total(terms), expected)
    terms = method.loss("discriminator", a_batch(), outputs)
    expected = 2 * (terms["discriminator"] + terms["discriminator CAM"])
    torch.testing.assert_close(method.total(terms), expected)


# ---- attention ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reweighting", ugatit.REWEIGHTING)
@pytest.mark.parametrize("name", ["generator_ab", "discriminator_global_a"])
def test_maps_are_weighed_by_the_weights_of_the_logits(name, reweighting):
    network = tiny(reweighting=reweighting).double().networks[name].eval()
    attention = network.attention
    x = torch.randn(2, attention.mix.out_channels, 5, 6, dtype=torch.float64)
    mixed, logits = attention(x)

    of_mean, of_maximum = attention.weights()
    torch.testing.assert_close(logits[:, 0], x.mean(dim=(2, 3)) @ of_mean[0])
    torch.testing.assert_close(logits[:, 1], x.amax(dim=(2, 3)) @ of_maximum[0])
    maps = attention.class_activation(x)
    torch.testing.assert_close(maps.mean(dim=(2, 3))[:, 0], logits[:, 0])

    if reweighting == "stored":
        of_mean, of_maximum = raw_weight(attention.mean), raw_weight(attention.maximum)
    weighed = torch.cat([x * of_mean[0, :, None, None], x * of_maximum[0, :, None, None]], dim=1)
    torch.testing.assert_close(mixed, attention.activation(attention.mix(weighed)))
    assert network(images().double()).heat.shape[1] == 1


def test_stored_and_normalised_weights_differ_in_a_discriminator_only():
    normalised, stored = tiny(), tiny(reweighting="stored")
    stored.load_state_dict(normalised.state_dict())
    x = images()
    assert torch.equal(normalised.generator_ab(x).image, stored.generator_ab(x).image)
    first, second = (method.discriminator_local_a.eval()(x) for method in (normalised, stored))
    assert torch.equal(first.logits, second.logits)
    assert not torch.allclose(first.scores, second.scores)


def test_one_classifier_serves_both_poolings():
    attention = tiny(cam_classifiers=1).generator_ab.attention
    assert not hasattr(attention, "maximum")
    x = torch.randn(2, 8, 5, 6)
    _, logits = attention(x)
    torch.testing.assert_close(logits[:, 1], attention.mean(x.amax(dim=(2, 3)))[:, 0])


def test_spectral_norms_become_1():
    method = tiny()
    for name in method.players["discriminator"]:
        network = method.networks[name].train()
        for _ in range(40):
            network(images(1))
        layers = normalised_layers(network)
        assert len(layers) == len([m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]) - 1
        assert "attention.mix" not in layers
        for layer in layers.values():
            weight = layer.eval().weight.detach().flatten(1)
            assert abs(torch.linalg.svdvals(weight)[0].item() - 1) < 0.02


def test_heat_maps():
    method = tiny()
    state = {key: value.clone() for key, value in method.state_dict().items()}
    for direction in ugatit.DIRECTIONS:
        for network in ("generator", "global", "local"):
            heat = method.attend(images(3), direction, network)
            assert heat.shape == (3, 1, 24, 24)
            assert heat.min() >= 0 and heat.max() <= 1
            assert not heat.requires_grad
    assert all(torch.equal(value, method.state_dict()[key]) for key, value in state.items())
    assert method.training
    # what a flat heat map shows is nothing, not NaN
    method.generator_ab.attention.mix.weight.data.zero_()
    assert method.attend(images(1)).isfinite().all()


def test_each_direction_has_networks_of_its_own():
    method = tiny()
    x = images()
    there, back = method.translate(x, "AtoB"), method.translate(x, "BtoA")
    assert torch.equal(there, method.generator_ab.eval()(x).image)
    assert torch.equal(back, method.generator_ba.eval()(x).image)
    a, b = (method.attend(x, direction, "local") for direction in ("BtoA", "AtoB"))
    assert not torch.equal(a, b)
    own = method.discriminator_local_a.eval()(x).heat
    own = (own - own.amin((2, 3), True)) / (own.amax((2, 3), True) - own.amin((2, 3), True))
    torch.testing.assert_close(a, F.interpolate(own, size=(24, 24), mode="bilinear"))


# ---- rho ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("push", "end"), [(1.0, 0), (-1.0, 1)])
def test_rho_stays_in_its_range_when_the_gradient_pushes_out(push, end):
    method = tiny(learning_rate=0.6)
    optimizer = method.optimizer("generator")
    assert len(method.rhos()) == 2 * (2 * 2 + 2)
    for rho in method.rhos():
        rho.data.fill_(0.5)
        rho.grad = torch.full_like(rho, push)
    optimizer.step()
    assert all((rho - 0.5 + 0.6 * push).abs().max() < 0.01 for rho in method.rhos())
    method.constrain("discriminator")  # not its move
    assert not any(torch.equal(rho, torch.full_like(rho, end)) for rho in method.rhos())
    method.constrain("generator")
    assert all(torch.equal(rho, torch.full_like(rho, end)) for rho in method.rhos())


def test_rho_is_in_its_range_after_every_step_and_moves():
    method = tiny(learning_rate=0.2)
    for _ in range(3):
        terms = step(method)
        assert all(rho.min() >= 0 and rho.max() <= 1 for rho in method.rhos())
    assert any(not torch.equal(rho, rho.round()) for rho in method.rhos())
    assert {"rho block 1", "rho block 2", "rho up 1", "rho up 2"} < set(terms)


def test_watched_rho_is_the_mean_of_its_stage():
    method = tiny()
    for number, net in enumerate((method.generator_ab, method.generator_ba)):
        net.blocks[1].norm1.rho.data.fill_(0.25 * number)
        net.blocks[1].norm2.rho.data.fill_(0.75)
        net.decoder[2].rho.data.fill_(0.5 * number)
    watched = method.mixtures()
    assert watched["rho block 1"] == 1
    assert watched["rho block 2"] == pytest.approx((0 + 0.25 + 0.75 + 0.75) / 4)
    assert watched["rho up 1"] == pytest.approx(0.25)
    assert watched["rho up 2"] == 0
    assert not any(method.minimises(name) for name in watched)


# ---- one step ----------------------------------------------------------------------------------------


def reflected(x, weight, bias=None, stride=1):
    pad = (weight.shape[-1] - 1) // 2
    return F.conv2d(F.pad(x, (pad, pad, pad, pad), mode="reflect"), weight, bias, stride)


def normalised(x, dims, correction=0):
    variance = x.var(dim=dims, keepdim=True, correction=correction)
    return (x - x.mean(dim=dims, keepdim=True)) / torch.sqrt(variance + 1e-5)


def mixture(x, rho, gamma, beta, correction):
    both = rho * normalised(x, (2, 3), correction) + (1 - rho) * normalised(x, (1, 2, 3), correction)
    return both * gamma + beta


def slow_attention(x, of_mean, of_maximum, mix, bias, activation, weighing=None):
    """As the paper writes it: 2C weighed maps, mixed by a 1 x 1 convolution."""
    means, maxima = F.adaptive_avg_pool2d(x, 1)[..., 0, 0], F.adaptive_max_pool2d(x, 1)[..., 0, 0]
    logits = torch.cat([means @ of_mean.T, maxima @ of_maximum.T], dim=1)
    of_mean, of_maximum = weighing or (of_mean, of_maximum)
    weighed = torch.cat([x * of_mean[0][:, None, None], x * of_maximum[0][:, None, None]], dim=1)
    return activation(F.conv2d(weighed, mix, bias)), logits


def slow_generator(net: Generator, x, config):
    """The generator from its parameters alone, in the order in which the authors' code holds them."""
    p = iter(list(net.parameters()))
    correction = int(config.variance == "sample")
    cam = [next(p) for _ in range(4)]
    to_gamma, to_beta = next(p), next(p)
    blocks = [[next(p) for _ in range(4)] for _ in range(config.blocks)]
    for stride in (1, 2, 2):
        x = F.relu(normalised(reflected(x, next(p), stride=stride), (2, 3)))
    for _ in range(config.blocks):
        h = F.relu(normalised(reflected(x, next(p)), (2, 3)))
        x = x + normalised(reflected(h, next(p)), (2, 3))
    x, logits = slow_attention(x, *cam, activation=F.relu)
    code = x.mean(dim=(2, 3)) if config.light else x.flatten(1)
    code = F.relu(F.relu(code @ next(p).T) @ next(p).T)
    gamma, beta = ((code @ to.T)[:, :, None, None] for to in (to_gamma, to_beta))
    for conv1, rho1, conv2, rho2 in blocks:
        h = F.relu(mixture(reflected(x, conv1), rho1, gamma, beta, correction))
        x = x + mixture(reflected(h, conv2), rho2, gamma, beta, correction)
    for _ in range(2):
        x = reflected(F.interpolate(x, scale_factor=2), next(p))
        x = F.relu(mixture(x, next(p), next(p), next(p), correction))
    return torch.tanh(reflected(x, next(p))), logits


def slow_discriminator(net: Discriminator, x, config, spectra, moves):
    """The discriminator with every weight divided by u W v.

    The vectors are iterated once: first u, then v, by the player that moves, who keeps them; else first v.
    """

    def divided(layer):
        weight = raw_weight(layer)
        if layer not in spectra:
            matrix = weight.detach().flatten(1)
            vectors = layer.parametrizations.weight[0]
            if moves:
                u = F.normalize(matrix @ vectors._v, dim=0)
                v = F.normalize(matrix.T @ u, dim=0)
            else:
                v = F.normalize(matrix.T @ vectors._u, dim=0)
                u = F.normalize(matrix @ v, dim=0)
            spectra[layer] = u, v
        u, v = spectra[layer]
        return weight / (u @ weight.flatten(1) @ v)

    convolutions = [layer for layer in net.encoder if isinstance(layer, nn.Conv2d)]
    for number, layer in enumerate(convolutions):
        stride = 2 if number < len(convolutions) - 1 else 1
        x = F.leaky_relu(
            F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), divided(layer), layer.bias, stride), 0.2
        )
    cam = net.attention
    stored = (raw_weight(cam.mean), raw_weight(cam.maximum))
    x, logits = slow_attention(
        x,
        divided(cam.mean),
        divided(cam.maximum),
        cam.mix.weight,
        cam.mix.bias,
        lambda h: F.leaky_relu(h, 0.2),
        stored if config.reweighting == "stored" else None,
    )
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), divided(net.head)), logits


def slow_step(method: UGATIT, batch, rate: float) -> dict[str, torch.Tensor]:
    """The step as the original does it: 8 passes through generators, nothing batched, everything by hand.

    Plain gradient descent of the given rate. Returns the gradient of every parameter.
    """
    config, gradients = method.config, {}
    real = {"a": batch["image_a"], "b": batch["image_b"]}
    ab, ba = (
        lambda x, net=net: slow_generator(net, x, config)
        for net in (method.generator_ab, method.generator_ba)
    )
    mse, bce = F.mse_loss, F.binary_cross_entropy_with_logits

    def judge(domain, x, spectra, moves):
        for place in ("global", "local"):
            yield slow_discriminator(
                method.networks[f"discriminator_{place}_{domain}"], x, config, spectra, moves
            )

    def collect(cost, player):
        named = [
            (name, p)
            for net in method.players[player]
            for name, p in method.named_parameters()
            if name.startswith(net + ".")
        ]
        found = torch.autograd.grad(cost, [p for _, p in named])
        for (name, p), gradient in zip(named, found, strict=True):
            gradients[name] = gradient
            p.data -= rate * gradient

    # discriminators, on translations whose gradient nobody wants
    fake = {"b": ab(real["a"])[0], "a": ba(real["b"])[0]}
    cost, spectra = 0, {}
    for domain in ("a", "b"):
        for x, label in ((real[domain], 1.0), (fake[domain], 0.0)):
            for scores, logits in judge(domain, x, spectra, moves=True):
                cost = (
                    cost
                    + mse(scores, torch.full_like(scores, label))
                    + mse(logits, torch.full_like(logits, label))
                )
    collect(config.adversarial_weight * cost, "discriminator")
    for layer, (u, v) in spectra.items():
        layer.parametrizations.weight[0]._u.copy_(u)
        layer.parametrizations.weight[0]._v.copy_(v)

    # generators, all over again
    (fake_b, logits_a), (fake_a, logits_b) = ab(real["a"]), ba(real["b"])
    (same_a, logits_same_a), (same_b, logits_same_b) = ba(real["a"]), ab(real["b"])
    adversarial, spectra = 0, {}
    for domain, x in (("a", fake_a), ("b", fake_b)):
        for scores, logits in judge(domain, x, spectra, moves=False):
            adversarial = (
                adversarial + mse(scores, torch.ones_like(scores)) + mse(logits, torch.ones_like(logits))
            )
    cycle = F.l1_loss(ba(fake_b)[0], real["a"]) + F.l1_loss(ab(fake_a)[0], real["b"])
    identity = F.l1_loss(same_a, real["a"]) + F.l1_loss(same_b, real["b"])
    cam = sum(bce(logits, torch.ones_like(logits)) for logits in (logits_a, logits_b))
    cam = cam + sum(bce(logits, torch.zeros_like(logits)) for logits in (logits_same_a, logits_same_b))
    collect(
        config.adversarial_weight * adversarial
        + config.cycle_weight * cycle
        + config.identity_weight * identity
        + config.cam_weight * cam,
        "generator",
    )
    return gradients


@pytest.mark.parametrize(
    "fields",
    [{}, {"light": False}, ugatit.PYTORCH, {"variance": "sample", "rho": 0.6, "cam_weight": 2.0}],
    ids=["light", "full", "as in PyTorch", "inside the range of rho"],
)
def test_a_step_is_the_slowly_written_one_gradient_by_gradient(fields):
    method = tiny(**fields).double().train()
    slow = copy.deepcopy(method)
    batch = {name: value.double() for name, value in a_batch().items()}
    rate = 0.01
    expected = slow_step(slow, batch, rate)
    optimizers = {player: torch.optim.SGD(method.parameters_of(player), lr=rate) for player in method.players}
    play(method, optimizers, batch)
    for name, parameter in method.named_parameters():
        scale = expected[name].abs().max().clamp(min=1e-6)
        assert (parameter.grad - expected[name]).abs().max() < 1e-7 * scale, name
    assert len(expected) == len(list(method.parameters()))


def count_calls(method) -> dict[str, list[int]]:
    """Rows of each call of each network, filled while it is used."""
    calls: dict[str, list[int]] = {name: [] for name in method.networks}
    for name, network in method.networks.items():
        network.register_forward_hook(lambda _, inputs, __, name=name: calls[name].append(len(inputs[0])))
    return calls


def test_a_step_makes_the_passes_that_the_mathematics_needs():
    method = tiny()
    calls, count = count_calls(method), 2
    step(method, batch=a_batch(count))
    generators = [calls[name] for name in method.players["generator"]]
    assert sum(sum(rows) for rows in generators) == 6 * count  # the original: 8
    assert generators == [[count, 2 * count]] * 2
    for name in method.players["discriminator"]:
        assert calls[name] == [2 * count, count]  # real and translated together; then the translated


def test_each_player_moves_its_own_networks_and_no_others():
    method = tiny()
    outputs = method.forward_generators(a_batch())
    for player, other in (("discriminator", "generator"), ("generator", "discriminator")):
        method.zero_grad(set_to_none=True)
        with method.moving(player):
            method.total(method.loss(player, a_batch(), outputs)).backward(retain_graph=True)
        assert all(p.grad is not None for p in method.parameters_of(player))
        assert all(p.grad is None for p in method.parameters_of(other))


def test_mixed_precision():
    assert all(value.isfinite() for value in step(tiny(), "bfloat16").values())


# ---- use ---------------------------------------------------------------------------------------------


def test_sampling_and_grids():
    method = tiny()
    batch = a_batch(13)
    assert torch.equal(method.sample(13, inputs=batch), method.translate(batch["image_a"], "AtoB"))
    preview = method.preview(2, torch.Generator(), a_batch(2))
    pictures, columns = method.grid(preview)
    assert (len(pictures), columns) == (12, 6)
    torch.testing.assert_close(pictures[0], batch["image_a"][0])
    torch.testing.assert_close(pictures[9], batch["image_b"][1])
    torch.testing.assert_close(pictures[1], method.translate(batch["image_a"][:2])[0])
    torch.testing.assert_close(
        pictures[11], method.translate(method.translate(batch["image_b"][:2], "BtoA"))[1]
    )


def test_light_networks_take_other_sizes_and_full_ones_do_not():
    assert tiny().translate(images(1, 32)).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="bound to images of 24 x 24 pixels, not 32 x 32"):
        tiny(light=False).translate(images(1, 32))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 20}, "image_size is 20; it must be a multiple of 4, and 24 or more"),
        ({"image_size": 66}, "multiple of 4"),
        (
            {"image_size": 64, "discriminator_layers": 6},
            "needs 96 pixels or more; take discriminator_layers 5",
        ),
        ({"discriminator_layers": 3}, "discriminator_layers is 3"),
        ({"norm": "batch"}, "norm is 'batch'; it must be one of adalin"),
        ({"attention": "all"}, "attention is 'all'"),
        ({"cam_classifiers": 3}, "cam_classifiers is 3"),
        ({"reweighting": "raw"}, "reweighting is 'raw'"),
        ({"variance": "biased"}, "variance is 'biased'"),
        ({"initialisation": "orthogonal"}, "initialisation is 'orthogonal'"),
        ({"adversarial_weight": 0.0}, "adversarial_weight is 0.0; it must be above 0"),
        ({"cycle_weight": -1.0}, "cycle_weight is -1.0"),
        ({"rho": 1.5}, "rho is 1.5; it must be from 0 to 1"),
        ({"blocks": 0}, "blocks is 0"),
    ],
)
def test_impossible_configurations_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        UGATIT(UGATITConfig(**TINY | fields))


def test_wrong_calls_are_named():
    method = tiny()
    with pytest.raises(ValueError, match="direction is 'ab'"):
        method.translate(images(), "ab")
    with pytest.raises(ValueError, match="network is 'encoder'"):
        method.attend(images(), network="encoder")
    with pytest.raises(ValueError, match="images are 24 x 30"):
        method.translate(torch.zeros(1, 3, 24, 30))
    with pytest.raises(ValueError, match="image_a"):
        method.sample(2)


# ---- the authors' weights ----------------------------------------------------------------------------

GENERATOR_KEYS = [
    ("gap_fc.weight", "attention.mean.weight"),
    ("gmp_fc.weight", "attention.maximum.weight"),
    ("conv1x1.weight", "attention.mix.weight"),
    ("conv1x1.bias", "attention.mix.bias"),
    ("gamma.weight", "gamma.weight"),
    ("beta.weight", "beta.weight"),
    ("UpBlock1_1.conv1.weight", "blocks.0.conv1.weight"),
    ("UpBlock1_1.norm1.rho", "blocks.0.norm1.rho"),
    ("UpBlock1_1.conv2.weight", "blocks.0.conv2.weight"),
    ("UpBlock1_1.norm2.rho", "blocks.0.norm2.rho"),
    ("DownBlock.1.weight", "encoder.0.weight"),
    ("DownBlock.5.weight", "encoder.3.weight"),
    ("DownBlock.9.weight", "encoder.6.weight"),
    ("DownBlock.12.conv_block.1.weight", "encoder.9.layers.0.weight"),
    ("DownBlock.12.conv_block.5.weight", "encoder.9.layers.3.weight"),
    ("FC.0.weight", "style.2.weight"),
    ("FC.2.weight", "style.4.weight"),
    ("UpBlock2.2.weight", "decoder.1.weight"),
    ("UpBlock2.3.rho", "decoder.2.rho"),
    ("UpBlock2.3.gamma", "decoder.2.gamma"),
    ("UpBlock2.3.beta", "decoder.2.beta"),
    ("UpBlock2.7.weight", "decoder.5.weight"),
    ("UpBlock2.8.rho", "decoder.6.rho"),
    ("UpBlock2.8.gamma", "decoder.6.gamma"),
    ("UpBlock2.8.beta", "decoder.6.beta"),
    ("UpBlock2.11.weight", "decoder.8.weight"),
]
"""The tensors of a light generator with one block, in the authors' order: their names and ours."""


def spectral(theirs: str, ours: str) -> list[tuple[str, str]]:
    names = {"weight_orig": "original", "weight_u": "0._u", "weight_v": "0._v"}
    return [(f"{theirs}.{their}", f"{ours}.parametrizations.weight.{our}") for their, our in names.items()]


LOCAL_KEYS = [
    *spectral("gap_fc", "attention.mean"),
    *spectral("gmp_fc", "attention.maximum"),
    ("conv1x1.weight", "attention.mix.weight"),
    ("conv1x1.bias", "attention.mix.bias"),
    *spectral("conv", "head"),
    *(
        pair
        for k in range(4)
        for pair in [
            (f"model.{3 * k + 1}.bias", f"encoder.{2 * k}.bias"),
            *spectral(f"model.{3 * k + 1}", f"encoder.{2 * k}"),
        ]
    ),
]
"""Those of a local discriminator."""


def saved_by_the_authors(network: nn.Module, keys: list[tuple[str, str]]) -> dict[str, torch.Tensor]:
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    return {theirs: torch.randn(shapes[ours]) for theirs, ours in keys}


def test_the_authors_weights_load():
    method = tiny(**ugatit.PYTORCH, blocks=1, image_size=96, discriminator_layers=6)
    saved = {
        "genB2A": saved_by_the_authors(method.generator_ba, GENERATOR_KEYS),
        "disLB": saved_by_the_authors(method.discriminator_local_b, LOCAL_KEYS),
    }
    untouched = copy.deepcopy(method.generator_ab.state_dict())
    ugatit.load_original(method, saved)
    for name, network, keys in (
        ("genB2A", method.generator_ba, GENERATOR_KEYS),
        ("disLB", method.discriminator_local_b, LOCAL_KEYS),
    ):
        loaded = network.state_dict()
        assert len(loaded) == len(keys)
        assert all(torch.equal(loaded[ours], saved[name][theirs]) for theirs, ours in keys)
    assert all(torch.equal(value, untouched[key]) for key, value in method.generator_ab.state_dict().items())


def test_weights_of_another_version_are_refused():
    method = tiny(**ugatit.PYTORCH, blocks=1)
    saved = saved_by_the_authors(method.generator_ab, GENERATOR_KEYS)
    with pytest.raises(ValueError, match="hold 'genC'; known are genA2B"):
        ugatit.load_original(method, {"genC": saved})
    with pytest.raises(ValueError, match="size and version"):
        ugatit.load_original(tiny(**ugatit.PYTORCH, blocks=1, light=False), {"genA2B": saved})
    with pytest.raises(ValueError, match="versions differ"):
        ugatit.load_original(tiny(**ugatit.PYTORCH, blocks=1), {"genA2B": dict(list(saved.items())[:-1])})


# ---- runs --------------------------------------------------------------------------------------------


def two_domains() -> UnpairedSet:
    sets = []
    for seed in (0, 1):
        pixels = torch.randint(0, 256, (6, 3, 24, 24), generator=torch.Generator().manual_seed(seed))
        sets.append(ImageSet(f"domain {seed}", {"image": pixels.to(torch.uint8)}))
    return UnpairedSet(*sets)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    settings = {"steps": 4, "batch_size": 2, "decay": 0.5, "ema": 0.9, "save_every": 2, "preview_count": 6}
    settings |= {"device": "cpu", "progress": False}
    whole = training.train(tiny(), two_domains(), tmp_path / "whole", **settings)

    moves, constrain = [], UGATIT.constrain

    def fail_in_the_third_step(self, player):
        constrain(self, player)
        moves.append(player)
        if len(moves) == 6:
            raise RuntimeError("the power went")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="the power went"):
        patched.setattr(UGATIT, "constrain", fail_in_the_third_step)
        training.train(tiny(), two_domains(), tmp_path / "parts", **settings)
    parts = training.train(tiny(), two_domains(), tmp_path / "parts", resume=True, **settings)
    for name, value in whole.method.state_dict().items():
        assert torch.equal(value, parts.method.state_dict()[name]), name
