"""Who moves when: the rules, their text, and what a step does for those who rest."""

import csv
import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_course import methods, training
from gan_course.data import ImageSet
from gan_course.methods.base import Method
from gan_course.training import log, trainer, turns
from gan_course.training.trainer import play
from gan_course.training.turns import Alternating, ByAccuracy, ByLoss, EveryEpochs, Simultaneous

D, G = ("discriminator",), ("generator",)
BOTH = D + G


def movers(rule, steps: int, steps_per_epoch: int = 3, seen=()) -> list[tuple[str, ...]]:
    seen = list(seen) or [{}] * steps
    return [rule.movers(step, steps_per_epoch, seen[step]) for step in range(steps)]


def toy_images(count: int = 40) -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, 16, 16), dtype=torch.uint8, generator=rng)
    return ImageSet("toy", {"image": pixels})


def tiny(name: str = "gan", **fields) -> Method:
    torch.manual_seed(0)
    sizes = {
        "gan": {"data_shape": (1, 16, 16), "generator_features": 8, "discriminator_features": 4},
        "dcgan": {"image_size": 16, "channels": 1, "ngf": 2, "ndf": 2},
        "acgan": {"image_size": 16, "channels": 1, "ngf": 2, "ndf": 2, "bottleneck": 4},
    }
    return methods.build(name, **sizes[name] | fields)


def batch_for(method: Method, count: int = 8) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    tags = [torch.eye(n)[torch.arange(count) % n] for n in (6, 4, 3, 2)]
    return {"image": torch.rand(count, 1, 16, 16, generator=rng) * 2 - 1, "tags": torch.cat(tags, 1)}


def optimizers_of(method: Method) -> dict[str, torch.optim.Optimizer]:
    return {player: method.optimizer(player) for player in method.players}


def train(out, method=None, **settings) -> training.Run:
    fields = {"steps": 12, "batch_size": 8, "device": "cpu", "preview_count": 4, "progress": False}
    return training.train(method or tiny(), toy_images(), out, **fields | {"log_every": 1} | settings)


# ---- sequences ---------------------------------------------------------------------------------------


def test_sequences_of_movers():
    assert movers(Alternating(), 3) == [BOTH] * 3
    assert movers(Alternating(5), 10) == [D, D, D, D, BOTH] * 2
    assert movers(Alternating(1, 3), 6) == [G, G, BOTH] * 2
    assert movers(Simultaneous(), 3) == [BOTH] * 3
    assert movers(EveryEpochs(1), 9) == [D] * 3 + [G] * 3 + [D] * 3
    assert movers(EveryEpochs(2), 18) == [D] * 6 + [G] * 6 + [D] * 6


def test_by_loss_at_the_threshold():
    losses = [math.inf, 0.61, 0.6, 0.59, 0.7]
    seen = [{}] + [{"discriminator": loss, "generator": 9.0} for loss in losses[1:]]
    assert movers(ByLoss(0.6), 5, seen=seen) == [D, D, G, G, D]


def test_by_accuracy_at_the_threshold():
    seen = [{}] + [{"D accuracy": share} for share in (0.79, 0.8, 0.81, 0.5)]
    assert movers(ByAccuracy(0.8), 5, seen=seen) == [BOTH, BOTH, G, G, BOTH]


@given(k=st.integers(1, 50), cycles=st.integers(1, 4))
def test_alternating_gives_each_player_its_share(k, cycles):
    moves = movers(Alternating(k), k * cycles)
    assert sum(D[0] in who for who in moves) == k * cycles
    assert sum(G[0] in who for who in moves) == cycles
    mirrored = movers(Alternating(1, k), k * cycles)
    assert sum(D[0] in who for who in mirrored) == cycles
    assert all(who for who in moves + mirrored)  # nobody ever waits for nobody


# ---- text --------------------------------------------------------------------------------------------

RULES = st.one_of(
    st.builds(Alternating, st.integers(1, 10**6)),
    st.builds(Alternating, st.just(1), st.integers(1, 10**6)),
    st.just(Simultaneous()),
    st.builds(EveryEpochs, st.integers(1, 10**6)),
    st.builds(ByLoss, st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(ByAccuracy, st.floats(0.5, 1)),
)


@given(RULES)
def test_what_is_written_is_read(rule):
    assert turns.parse(turns.written(rule)) == rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("alternating", Alternating(1, 1)),
        ("alternating:5", Alternating(5, 1)),
        ("alternating:1:4", Alternating(1, 4)),
        ("simultaneous", Simultaneous()),
        ("epochs:2", EveryEpochs(2)),
        ("loss:-0.5", ByLoss(-0.5)),
        ("accuracy:1", ByAccuracy(1.0)),
    ],
)
def test_rules_as_a_user_writes_them(text, rule):
    assert turns.parse(text) == rule


EXAMPLES = "alternating:1:1, simultaneous, epochs:1, loss:1.0, accuracy:0.8"


@pytest.mark.parametrize(
    "text", ["", "chess", "alternating:x", "alternating:1:2:3", "simultaneous:1", "epochs:1.5", "loss:", ":5"]
)
def test_what_is_no_rule(text):
    with pytest.raises(ValueError) as raised:
        turns.parse(text)
    assert str(raised.value) == f"turns {text!r} is no rule; rules are written like these: {EXAMPLES}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "alternating:0",
            "turns alternating:0:1: moves are counted from 1, and one of the two numbers must be 1",
        ),
        (
            "alternating:5:2",
            "turns alternating:5:2: moves are counted from 1, and one of the two numbers must be 1",
        ),
        ("alternating:-3", "turns alternating:-3:1: moves are counted from 1"),
        ("epochs:0", "turns epochs:0: a turn lasts 1 epoch or more"),
        ("loss:nan", "turns loss:nan: the threshold must be a finite number"),
        ("loss:inf", "turns loss:inf: the threshold must be a finite number"),
        (
            "accuracy:0.4",
            "turns accuracy:0.4: the share of right answers must be from 0.5 (a coin) to 1",
        ),
        ("accuracy:nan", "turns accuracy:nan: the share of right answers must be from 0.5 (a coin) to 1"),
    ],
)
def test_rules_that_are_refused(text, message):
    for read in (turns.parse, lambda text: training.TrainingSettings(turns=text)):
        with pytest.raises(ValueError) as raised:
            read(text)
        assert str(raised.value).startswith(message)


@dataclasses.dataclass(frozen=True)
class Opening(turns.Turns):
    """A rule of the reader's: the discriminator alone for some steps, then both."""

    name = "opening"
    steps: int = 3

    def movers(self, step, steps_per_epoch, seen):
        return D if step < self.steps else BOTH


def test_a_rule_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setitem(turns.KINDS, Opening.name, Opening)
    run = train(tmp_path / "a", steps=5, turns="opening:2")
    assert run.card["settings"]["turns"] == "opening:2"
    assert [bool(math.isnan(loss)) for loss in run.log["generator"]] == [True, True, False, False, False]


# ---- moves -------------------------------------------------------------------------------------------


def test_five_to_one_moves_the_generator_every_fifth_step(tmp_path, monkeypatch):
    """In between, its weights and buffers stand still, and it runs without a graph."""
    method, graphs, weights = tiny("dcgan"), [], []
    forward = type(method).forward_generators

    def remember(self, batch):
        outputs = forward(self, batch)
        graphs.append(outputs["fake"].requires_grad)
        return outputs

    def keep(*arguments):
        terms = play(*arguments)
        weights.append({key: value.clone() for key, value in method.generator.state_dict().items()})
        return terms

    monkeypatch.setattr(type(method), "forward_generators", remember)
    monkeypatch.setattr(trainer, "play", keep)
    run = train(tmp_path / "a", method=method, steps=10, turns="alternating:5")
    assert graphs == [False, False, False, False, True] * 2  # once a step
    changed = [any(not torch.equal(a[key], b[key]) for key in a) for a, b in itertools.pairwise(weights)]
    assert changed == [False, False, False, True, False, False, False, False, True]
    moved = [k + 1 for k, loss in enumerate(run.log["generator"]) if not math.isnan(loss)]
    assert moved == [5, 10]
    assert not any(math.isnan(loss) for loss in run.log["discriminator"])


class Bilinear(Method):
    """min over theta, max over psi of theta * psi: two numbers, of which every move can be done by hand."""

    name = "bilinear"
    paper = "two parameters"
    players = {"discriminator": D, "generator": G}
    rate = 0.1

    def __init__(self) -> None:
        super().__init__(None)
        self.generator = nn.ParameterList([nn.Parameter(torch.tensor(1.0))])
        self.discriminator = nn.ParameterList([nn.Parameter(torch.tensor(2.0))])

    def forward_generators(self, batch):
        return {"fake": 1 * self.generator[0]}

    def loss(self, player, batch, outputs):
        if player == "discriminator":
            return {"discriminator": -outputs["fake"].detach() * self.discriminator[0]}
        return {"generator": outputs["fake"] * self.discriminator[0]}

    def optimizer(self, player):
        return torch.optim.SGD(self.parameters_of(player), lr=self.rate)

    def sample(self, count, **_): ...

    def draw_noise(self, count, rng=None): ...

    @property
    def point(self):
        return self.generator[0].item(), self.discriminator[0].item()


def test_simultaneous_moves_use_the_gradients_at_the_old_point():
    theta, psi, rate = 1.0, 2.0, Bilinear.rate
    game = Bilinear()
    play(game, optimizers_of(game), {}, turns=Simultaneous())
    assert game.point == pytest.approx((theta - rate * psi, psi + rate * theta))
    game = Bilinear()
    play(game, optimizers_of(game), {}, turns=Alternating())
    answered = psi + rate * theta
    assert game.point == pytest.approx((theta - rate * answered, answered))


@pytest.mark.parametrize(("who", "point"), [(D, (1.0, 2.1)), (G, (0.8, 2.0)), ((), (1.0, 2.0))])
def test_only_the_movers_move(who, point):
    for rule in (Alternating(), Simultaneous()):
        game = Bilinear()
        terms = play(game, optimizers_of(game), {}, turns=rule, movers=who)
        assert game.point == pytest.approx(point)
        assert set(terms) == set(who)


@pytest.mark.parametrize("rule", [Simultaneous(), Alternating()])
@pytest.mark.parametrize("name", ["gan", "dcgan", "acgan"])
def test_both_rules_give_every_player_its_own_gradients(name, rule):
    """Those of the generator's turn must not have reached the discriminator, in either order."""
    method = tiny(name)
    torch.manual_seed(5)
    play(method, optimizers_of(method), batch_for(method), turns=rule)
    alone = tiny(name)
    torch.manual_seed(5)
    play(alone, optimizers_of(alone), batch_for(alone), turns=rule, movers=D)
    for p, q in zip(method.discriminator.parameters(), alone.discriminator.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, atol=1e-9)
    assert all(p.grad.any() for p in method.parameters() if p.dim() > 1)


# ---- watching ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dcgan", "acgan"])
def test_who_is_watched_at_rest_gets_no_gradient_and_moves_no_buffer(name):
    """acgan: the watched loss holds a gradient penalty, which needs gradients of its own."""
    method = tiny(name)
    if name == "acgan":
        spectral_norm(method.discriminator.features[0])
    before = {key: value.clone() for key, value in method.discriminator.state_dict().items()}
    terms = play(method, optimizers_of(method), batch_for(method), turns=ByLoss(0.5), movers=G)
    assert {"discriminator", "D accuracy", "generator"} <= set(terms)
    assert all(p.grad is None for p in method.discriminator.parameters())
    after = method.discriminator.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(term.requires_grad for term in terms.values())
    assert any(p.grad is not None for p in method.generator.parameters())


@pytest.mark.parametrize(
    ("rule", "column"), [("loss:1.386", "discriminator"), ("accuracy:0.7", "D accuracy")]
)
def test_rules_that_watch_resume_to_the_same_bits(tmp_path, rule, column):
    method = lambda: tiny("dcgan", learning_rate=0.01)  # noqa: E731
    whole = train(tmp_path / "whole", method=method(), steps=16, turns=rule)
    parts = tmp_path / "parts"
    for steps in (5, 11, 16):
        train(parts, method=method(), steps=steps, turns=rule, resume=steps > 5)
    checkpoints = [torch.load(f / "checkpoint.pt", weights_only=True) for f in (parts, tmp_path / "whole")]
    assert all(torch.equal(checkpoints[0]["method"][key], v) for key, v in checkpoints[1]["method"].items())
    assert checkpoints[0]["seen"] == checkpoints[1]["seen"] != {}
    # the rule was kept: who moved follows from the line before
    parsed, log_of = turns.parse(rule), whole.log
    assert log_of[column].shape == (16,)
    seen = [{}] + [{column: float(value)} for value in log_of[column][:-1]]
    expected = movers(parsed, 16, seen=seen)
    assert [G[0] in who for who in expected] == [not math.isnan(v) for v in log_of["generator"]]
    assert len(set(expected)) == 2  # both kinds of steps were played


# ---- accumulation ------------------------------------------------------------------------------------


def with_noise_in_the_batch(method: Method) -> Method:
    """A method whose noise is given, so that parts of a batch have parts of its noise."""
    method.forward_generators = lambda batch: {"fake": method.generator(batch["noise"])}
    return method


@pytest.mark.parametrize("rule", [Simultaneous(), Alternating()])
@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulation_gives_the_gradients_of_the_whole_batch(parts, rule):
    gradients, terms = [], []
    for accumulate in (1, parts):
        method = with_noise_in_the_batch(tiny("gan", input_dropout=0.0, hidden_dropout=0.0))
        batch = batch_for(method) | {"noise": method.draw_noise(8, torch.Generator().manual_seed(3))}
        terms.append(play(method, optimizers_of(method), batch, turns=rule, accumulate=accumulate))
        gradients.append({key: p.grad for key, p in method.named_parameters()})
    for key, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][key], atol=1e-7, rtol=1e-4), key
        assert gradient.any()
    for key, term in terms[0].items():
        assert term.item() == pytest.approx(terms[1][key].item(), abs=1e-6)


def test_a_batch_that_cannot_be_parted():
    with pytest.raises(ValueError, match="a batch of 10 cannot be worked through in 4 equal parts"):
        training.TrainingSettings(batch_size=10, accumulate=4)


def test_a_run_that_accumulates(tmp_path):
    run = train(tmp_path / "a", steps=3, accumulate=4)
    assert run.card["settings"]["accumulate"] == 4
    assert all(math.isfinite(loss) for loss in run.log["generator"])


# ---- the log -----------------------------------------------------------------------------------------


def test_a_player_who_moves_for_the_first_time_gets_a_column(tmp_path):
    """Epochs of 5 steps: D moves in 1 to 5, G in 6 to 10, D in 11 and 12."""
    run = train(tmp_path / "a", turns="epochs:1")
    with (run.path / "log.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0][-1] == "generator"  # the new column is the last one
    assert {len(line) for line in lines} == {len(lines[0])}
    assert [math.isnan(v) for v in run.log["generator"]] == [True] * 5 + [False] * 5 + [True] * 2
    assert [math.isnan(v) for v in run.log["discriminator"]] == [False] * 5 + [True] * 5 + [False] * 2
    assert run.log["step"].tolist() == list(range(1, 13))
    assert all(run.log["images_per_second"] > 0)


def test_a_log_with_a_new_column_can_be_cut_before_it(tmp_path):
    path = tmp_path / "log.csv"
    log.append(path, {"step": 1, "discriminator": 0.5})
    log.append(path, {"step": 2, "generator": 0.25, "discriminator": 0.5})
    log.append(path, {"step": 3, "discriminator": 0.125})
    read = log.read(path)
    assert list(read) == ["step", "discriminator", "generator"]
    assert read["discriminator"].tolist() == [0.5, 0.5, 0.125]
    assert read["generator"][1] == 0.25 and math.isnan(read["generator"][0])
    log.cut(path, 1)
    log.append(path, {"step": 2, "generator": 0.75})
    assert log.read(path)["generator"].tolist()[1:] == [0.75]


def test_the_interval_divides_by_the_steps_that_had_the_term():
    interval = log.Interval()
    for step in range(4):
        terms = {"discriminator": torch.tensor(float(step))}
        interval.add(terms | ({"generator": torch.tensor(8.0)} if step == 3 else {}))
    assert interval.means() == {"discriminator": 1.5, "generator": 8.0}


# ---- through the trainer -----------------------------------------------------------------------------


def test_the_methods_own_rule_and_the_users(tmp_path):
    own = train(tmp_path / "a", method=tiny("gan"), steps=1)
    assert own.card["settings"]["turns"] == "alternating:1:1"
    asked = train(tmp_path / "b", method=tiny("gan"), steps=1, turns="alternating:1:2")
    assert asked.card["settings"]["turns"] == "alternating:1:2"
    assert turns.parse(tiny("acgan", critic_steps=3).turns) == Alternating(3)
    with pytest.raises(ValueError, match="turns was alternating:1:1 and is now simultaneous"):
        train(tmp_path / "a", method=tiny("gan"), steps=2, turns="simultaneous", resume=True)
