"""What a step of SPADE costs against a plainly written one, and what CLADE saves.

Each group is one comparison in one run, its sides measured in turns: only its ratios mean anything elsewhere.
"""

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from gan_course.methods import spade
from gan_course.training import choose_device
from gan_course.training.trainer import play

pytestmark = pytest.mark.slow  # not a part of make test

DEVICE = choose_device("auto")
ROUNDS = 7
SIZES = {"image_size": 128, "label_nc": 10, "ngf": 16, "ndf": 16, "spade_features": 32}
"""Of the step: the proportions of the paper's networks, a quarter as wide."""
TABLE = {"image_size": 128, "label_nc": 151, "ngf": 16}
"""Of what CLADE saves: the classes of ADE20k and the paper's 128 features inside SPADE."""


def spade_of(**fields):
    """A method, its optimizers and a batch of one image."""
    torch.manual_seed(0)
    method = spade.SPADE(spade.SPADEConfig(**fields)).to(DEVICE).train()
    optimizers = {player: method.optimizer(player) for player in method.players}
    side, labels = method.config.image_size, method.config.label_nc
    coarse = torch.randint(labels, (1, side // 8, side // 8), device=DEVICE)
    label_map = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    image = torch.rand(1, 3, side, side, device=DEVICE) * 2 - 1
    return method, optimizers, {"image": image, "label_map": label_map}


def plain_optimizers(method):
    """As torch makes them where nothing is asked for."""
    rates = {"generator": 0.0001, "discriminator": 0.0004}
    return {
        player: torch.optim.Adam(method.parameters_of(player), lr=rates[player], betas=(0.0, 0.9))
        for player in method.players
    }


def plain_step(method, optimizers, batch) -> None:
    """The step as the authors' code takes it, on the same networks: both halves of each pair go through the
    discriminator with a graph, in the generator's turn too; the discriminator's weights collect gradients
    there that nobody uses; and the generator runs again for the discriminator's turn."""
    labels = method.config.label_nc
    planes = F.one_hot(batch["label_map"], labels).permute(0, 3, 1, 2).float().contiguous()
    real = torch.cat([planes, batch["image"]], dim=1)

    def judged(fake):
        return spade.divide(method.discriminator(torch.cat([torch.cat([planes, fake], dim=1), real])))

    optimizers["generator"].zero_grad()
    of_fake, of_real = judged(method.generator(batch["label_map"]))
    cost = -sum(maps[-1].mean() for maps in of_fake) / len(of_fake)
    for fakes, reals in zip(of_fake, of_real, strict=True):
        for a, b in zip(fakes[:-1], reals[:-1], strict=True):
            cost = cost + 10 / len(of_fake) * F.l1_loss(a, b.detach())
    cost.backward()
    optimizers["generator"].step()

    optimizers["discriminator"].zero_grad()
    with torch.no_grad():
        fake = method.generator(batch["label_map"])
    of_fake, of_real = judged(fake.detach().requires_grad_())
    pairs = zip(of_fake, of_real, strict=True)
    cost = sum(F.relu(1 + a[-1]).mean() + F.relu(1 - b[-1]).mean() for a, b in pairs) / len(of_fake)
    cost.backward()
    optimizers["discriminator"].step()


def generator_pass(method, batch) -> None:
    """A generator forward and backward, once."""
    method.generator.zero_grad(set_to_none=True)
    method.generator(batch["label_map"]).square().mean().backward()


def in_turns(sides: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median seconds of each side; they run in turns, so that what disturbs the machine disturbs all."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(ROUNDS + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            if round_:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(group: str, found: dict[str, float], slow: str, fast: str) -> float:
    """Prints the seconds, and returns how many times as long the slow side takes."""
    ratio = found[slow] / found[fast]
    listed = ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in found.items())
    print(f"\n{group} on {DEVICE}, {torch.get_num_threads()} threads: {listed}; ratio {ratio:.2f}")
    return ratio


def test_a_step_with_shared_images():
    ours, plain, exact = spade_of(**SIZES), spade_of(**SIZES), spade_of(**SIZES, exact_parity=True)
    written_out = (plain[0], plain_optimizers(plain[0]), plain[2])
    sides = {
        "plainly written": lambda: plain_step(*written_out),
        "the trainer's": lambda: play(*ours),
        "the trainer's, exact parity": lambda: play(*exact),
    }
    found = in_turns(sides)
    ratio = report("one step of SPADE, 128 x 128, 10 classes", found, "plainly written", "the trainer's")
    assert ratio >= 1.35


def test_what_clade_saves():
    of_spade, of_clade = spade_of(**TABLE), spade_of(**TABLE, norm="clade")
    sides = {
        "SPADE": lambda: generator_pass(of_spade[0], of_spade[2]),
        "CLADE": lambda: generator_pass(of_clade[0], of_clade[2]),
    }
    ratio = report("a generator forward and backward, 151 classes", in_turns(sides), "SPADE", "CLADE")
    assert ratio >= 2
