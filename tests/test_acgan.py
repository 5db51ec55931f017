"""WGAN-GP with auxiliary classifiers: sizes, terms against hand-made numbers, who is reached by which."""

import itertools
import math

import pytest
import torch
from torch import nn

from gan_course import losses, methods
from gan_course.methods import acgan
from gan_course.training import turns
from gan_course.training.trainer import play

SIZES = (6, 4, 3, 2)
TINY = {"image_size": 16, "ngf": 4, "ndf": 4, "bottleneck": 16, "classifier_features": 8}


def tiny(**fields) -> acgan.ACGAN:
    torch.manual_seed(0)
    return methods.build("acgan", **TINY | fields)


def a_batch(method: acgan.ACGAN, count: int = 6) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    images = torch.rand(count, 3, 16, 16, generator=rng) * 2 - 1
    return {"image": images, "tags": method.one_hot(method.draw_tags(count, rng)).float()}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# ---- the networks ------------------------------------------------------------------------------------


def test_the_networks_of_the_homework():
    with torch.device("meta"):
        method = methods.build("acgan")
    widths = [115, 1024, 512, 256, 128, 64, 3]
    convolutions = sum(16 * a * b for a, b in itertools.pairwise(widths))
    assert parameters(method.generator) == convolutions + 2 * sum(widths[1:-1])

    widths = [3, 64, 128, 256, 512, 1024]
    body = sum(16 * a * b + b for a, b in itertools.pairwise(widths))
    critic = 16 * 1024 + 1
    bottleneck = 16 * 1024 * 1024 + 1024
    classifiers = sum(1024 * 128 + 128 + 128 * k + k for k in SIZES)
    assert parameters(method.discriminator) == body + critic + bottleneck + classifiers

    config = method.config
    assert (config.penalty, config.critic_steps, config.learning_rate) == (10, 5, 1e-4)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Sigmoid) for m in method.discriminator.modules())
    slopes = {m.negative_slope for m in method.discriminator.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.2}


def test_full_size_shapes():
    with torch.device("meta"):
        method = methods.build("acgan")
        images = method.generator(torch.empty(2, 115))
        scores, answers = method.discriminator(images)
    assert images.shape == (2, 3, 128, 128)
    assert scores.shape == (2,)
    assert [tuple(answer.shape) for answer in answers] == [(2, k) for k in SIZES]


def test_answers_are_log_probabilities_and_scores_are_unbounded():
    method = tiny()
    for p in method.discriminator.parameters():
        p.data *= 30
    scores, answers = method.discriminator(a_batch(method)["image"])
    assert scores.abs().max() > 1
    for answer in answers:
        assert torch.allclose(answer.exp().sum(1), torch.ones(6))


def test_the_critic_sees_one_image_at_a_time():
    method, batch = tiny(), a_batch(tiny())
    together = method.discriminator(batch["image"])[0]
    alone = torch.cat([method.discriminator(image[None])[0] for image in batch["image"]])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("variant", list(acgan.VARIANTS))
def test_one_classifier_or_four(variant):
    answers = tiny(variant=variant).discriminator(torch.zeros(2, 3, 16, 16))[1]
    assert [a.shape[1] for a in answers] == ([15] if variant.startswith("joint") else list(SIZES))


# ---- the terms ---------------------------------------------------------------------------------------


def test_classification_loss_by_hand():
    # two images, two kinds of tag: of the first .5 and .25 are chosen, of the second .1 and .8
    first = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    second = torch.tensor([[0.25, 0.5, 0.25], [0.1, 0.8, 0.1]]).log()
    tags = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 1, 0]])
    expected = -(math.log(0.5) + math.log(0.25) + math.log(0.1) + math.log(0.8)) / 2
    assert acgan.classification_loss([first, second], tags).item() == pytest.approx(expected)


def test_joint_classification_loss_by_hand():
    logits = torch.tensor([[0.0, 2.0, -1.0]])
    tags = torch.tensor([[1.0, 0.0, 1.0]])
    sigmoid = [1 / (1 + math.exp(-s)) for s in (0, 2, -1)]
    expected = -(math.log(sigmoid[0]) + math.log(1 - sigmoid[1]) + math.log(sigmoid[2]))
    assert acgan.classification_loss([logits], tags).item() == pytest.approx(expected)


WATCHED = ["D(x)", "D(G(z))", "D accuracy"]


@pytest.mark.parametrize(
    ("fields", "terms", "adversarial"),
    [
        ({}, ["discriminator", "gradient penalty", "classes of x", "classes of D(G(z))"], 1.0),
        ({"variant": "joint_both"}, ["discriminator", "gradient penalty", "classes of x",
                                     "classes of D(G(z))"], 0.5),
        ({"variant": "joint_real"}, ["discriminator", "gradient penalty", "classes of x"], 0.5),
        ({"variant": "separate_real"}, ["discriminator", "gradient penalty", "classes of x"], 1.0),
        ({"game": "non_saturating"}, ["discriminator", "classes of x", "classes of D(G(z))"], 1.0),
        ({"game": "non_saturating", "variant": "joint_real"}, ["discriminator", "classes of x"], 0.5),
        ({"penalty": 0.0}, ["discriminator", "classes of x", "classes of D(G(z))"], 1.0),
    ],
)  # fmt: skip
def test_terms_and_totals_of_the_experiments(fields, terms, adversarial):
    method = tiny(**fields)
    batch = a_batch(method)
    outputs = method.forward_generators(batch)
    found = method.loss("discriminator", batch, outputs)
    assert list(found) == terms + WATCHED
    weights = {"discriminator": adversarial, "gradient penalty": method.config.penalty}
    expected = sum(weights.get(name, 1.0) * found[name] for name in terms)
    assert method.total(found).item() == pytest.approx(expected.item(), rel=1e-6)

    of_generator = method.loss("generator", batch, outputs)
    assert list(of_generator) == ["generator", "classes of G(z)"]
    expected = adversarial * of_generator["generator"] + of_generator["classes of G(z)"]
    assert method.total(of_generator).item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_terms_are_those_of_the_formulas():
    method = tiny()
    batch = a_batch(method)
    fake = method.forward_generators(batch)["fake"]
    torch.manual_seed(3)
    terms = method.loss("discriminator", batch, {"fake": fake})
    real_scores, on_real = method.discriminator(batch["image"])
    fake_scores, on_fake = method.discriminator(fake)
    torch.manual_seed(3)
    penalty = losses.gradient_penalty(lambda x: method.discriminator(x)[0], batch["image"], fake)
    expected = {
        "discriminator": fake_scores.mean() - real_scores.mean(),
        "gradient penalty": penalty,
        "classes of x": acgan.classification_loss(on_real, batch["tags"]),
        "classes of D(G(z))": acgan.classification_loss(on_fake, batch["tags"]),
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-5, abs=1e-7), name


def test_classifiers_read_through_noise_and_the_critic_does_not():
    clear, veiled = tiny(), tiny(class_noise=0.5)
    veiled.load_state_dict(clear.state_dict())
    images = a_batch(clear)["image"]
    scores, answers = clear.score_and_read(images, images[:2])
    assert [len(answer) for answer in answers] == [2] * 4
    seen = []
    clear.discriminator.register_forward_hook(lambda *_: seen.append("clear"))
    handle = veiled.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    scores_again, answers_again = veiled.score_and_read(images, images[:2])
    handle.remove()
    assert torch.allclose(scores, scores_again, atol=1e-6)
    assert [len(answer) for answer in answers_again] == [2] * 4
    assert not torch.allclose(answers[0], answers_again[0], atol=1e-4)
    (given,) = seen
    assert torch.equal(given[:6], images)
    assert (given[6:] - images[:2]).std().item() == pytest.approx(0.5, rel=0.1)


def test_classifiers_lose_one_colour_of_some_images_and_the_critic_none():
    method = tiny(channels=3, class_channel_dropout=0.5)
    images = torch.full((400, 3, 16, 16), 0.5)
    veiled = method.veiled(images)
    lost = (veiled == 0).flatten(2).all(dim=2)  # [N, channels]: the whole channel is grey
    assert torch.equal(veiled[~lost], images[~lost])
    assert set(lost.sum(dim=1).tolist()) == {0, 1}
    assert lost.any(dim=1).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert (lost.float().mean(dim=0) - 1 / 6).abs().max() < 0.07  # no colour more often than another
    seen = []
    method.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    method.score_and_read(images[:8], images[:8])
    assert torch.equal(seen[0][:8], images[:8])


def test_how_much_reading_counts():
    terms = {"discriminator": 1.0, "classes of x": 2.0, "classes of D(G(z))": 3.0}
    terms = {name: torch.tensor(value) for name, value in terms.items()}
    assert tiny(reading_weight=10.0).total(terms).item() == pytest.approx(51)
    assert tiny().total(terms).item() == pytest.approx(6)


def test_the_discriminator_does_not_reach_the_generator():
    method = tiny()
    batch = a_batch(method)
    method.total(method.loss("discriminator", batch, method.forward_generators(batch))).backward()
    assert all(p.grad is None for p in method.generator.parameters())
    # the bias of the score shifts real and fake alike, so the Wasserstein game does not see it
    reached = [p.grad.any() for n, p in method.discriminator.named_parameters() if n != "critic.0.bias"]
    assert all(reached)


def test_the_generator_is_asked_for_the_tags_of_the_batch():
    method = tiny()
    batch = a_batch(method)
    fakes = []
    for tags in (batch["tags"], batch["tags"].flip(0)):
        torch.manual_seed(5)
        fakes.append(method.forward_generators(batch | {"tags": tags})["fake"])
    same = (batch["tags"] == batch["tags"].flip(0)).all(1)
    assert not same.all()
    assert not torch.allclose(fakes[0][~same], fakes[1][~same], atol=1e-3)


def test_the_tags_reach_the_generator_through_the_classifiers():
    method = tiny()
    batch = a_batch(method)
    with method.moving("generator"):
        terms = method.loss("generator", batch, method.forward_generators(batch))
        terms["classes of G(z)"].backward()
    assert all(p.grad.any() for p in method.generator.parameters() if p.dim() > 1)
    assert all(p.grad is None for p in method.discriminator.parameters())


# ---- one cycle of steps ------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"variant": "joint_real"},
        {"game": "non_saturating"},
        {"class_noise": 0.5, "class_channel_dropout": 0.5},
    ],
)
def test_five_critic_steps_to_one_of_the_generator(fields, precision):
    method = tiny(**fields)
    rule = turns.parse(method.turns)
    optimizers = {player: method.optimizer(player) for player in method.players}
    calls = {"generator": [], "discriminator": []}
    for name, network in method.networks.items():
        network.register_forward_hook(lambda *_, name=name: calls[name].append(torch.is_grad_enabled()))
    batch = a_batch(method)
    for step in range(5):
        before = {name: value.clone() for name, value in method.generator.state_dict().items()}
        terms = play(method, optimizers, batch, precision, rule, rule.movers(step, 10, {}))
        assert all(term.isfinite() for term in terms.values())
        moved = [n for n, v in method.generator.state_dict().items() if not torch.equal(v, before[n])]
        assert bool(moved) == (step == 4)
    assert calls["generator"] == [False] * 4 + [True]  # no graph where no generator moves
    penalised = method.config.game == "wasserstein"
    assert len(calls["discriminator"]) == 5 * (2 if penalised else 1) + 1


# ---- sampling ----------------------------------------------------------------------------------------


def test_tags_in_numbers_become_groups():
    one_hot = tiny().one_hot(torch.tensor([[5, 0, 2, 1]]))
    assert one_hot.tolist() == [[0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1]]


def test_samples_follow_noise_and_tags():
    method = tiny().train()
    noise = method.draw_noise(3, torch.Generator().manual_seed(0))
    tags = torch.tensor([[0, 1, 2, 0]] * 3)
    state = {name: value.clone() for name, value in method.state_dict().items()}
    images = method.sample(3, labels=tags, noise=noise)
    assert images.shape == (3, 3, 16, 16)
    assert images.abs().max() <= 1
    assert torch.equal(images, method.sample(3, labels=tags, noise=noise))
    tags[:, 0] = 5
    assert not torch.equal(images, method.sample(3, labels=tags, noise=noise))
    assert all(torch.equal(value, state[name]) for name, value in method.state_dict().items())
    drawn = method.draw_tags(2000, torch.Generator().manual_seed(0))
    assert drawn.min(dim=0).values.tolist() == [0] * 4
    assert drawn.max(dim=0).values.tolist() == [5, 3, 2, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, dtype=torch.long), r"tags are integers \[N, 4\]"),
        (torch.zeros(2, 3, dtype=torch.long), r"tags are integers \[N, 4\]"),
        (torch.zeros(2, 4), "tags are integers"),
        (torch.tensor([[0, 4, 0, 0]] * 2), "tags of kind 1 run from 4 to 4; this model knows 0 to 3"),
        (torch.tensor([[-1, 0, 0, 0]] * 2), "tags of kind 0 run from -1 to -1; this model knows 0 to 5"),
        (torch.zeros(3, 4, dtype=torch.long), "2 samples need 2 rows of tags, not 3"),
    ],
)
def test_tags_that_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        tiny().sample(2, labels=labels)


def test_noise_of_another_count_is_refused():
    method = tiny()
    with pytest.raises(ValueError, match="5 samples need 5 rows of noise, not 3"):
        method.sample(5, noise=method.draw_noise(3))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"variant": "both"},
            "variant is 'both'; it must be one of joint_real, joint_both, separate",
        ),
        ({"tag_sizes": (4,)}, r"tag_sizes is \(4,\); it needs two kinds or more"),
        ({"tag_sizes": (4, 1)}, r"tag_sizes is \(4, 1\); it needs two kinds or more"),
        ({"class_noise": -1.0}, "class_noise is -1.0; it must be 0 or more"),
        ({"class_channel_dropout": 1.5}, "class_channel_dropout is 1.5; it must be from 0 to 1"),
        ({"critic_steps": 0}, "critic_steps is 0; it must be 1 or more"),
        ({"image_size": 60}, "image_size is 60"),
    ],
)
def test_values_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny(**fields)
