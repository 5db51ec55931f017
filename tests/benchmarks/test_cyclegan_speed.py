"""What a step of CycleGAN costs, and what it cost as it is plainly written.

The two are timed in turn, in one process, on the same networks: what disturbs the machine disturbs both.
"""

import statistics
import time

import pytest
import torch
from torch.nn import functional as F

from gan_course.methods.cyclegan import CycleGAN, CycleGANConfig
from gan_course.training import choose_device
from gan_course.training.trainer import play

pytestmark = pytest.mark.slow  # not a part of make test

DEVICE = choose_device("auto")
SIZES = {"image_size": 64, "ngf": 32, "blocks": 6, "ndf": 32}
ROUNDS, WARMUP = 9, 2


def cyclegan() -> tuple[CycleGAN, dict[str, torch.Tensor]]:
    """CycleGAN, and a batch of one image of each domain, as in the paper."""
    torch.manual_seed(0)
    method = CycleGAN(CycleGANConfig(**SIZES)).to(DEVICE).train()
    return method, {name: torch.rand(1, 3, 64, 64, device=DEVICE) * 2 - 1 for name in method.needs}


def plain_optimizers(method: CycleGAN) -> dict[str, torch.optim.Optimizer]:
    """Adam, one parameter after the other."""
    return {
        player: torch.optim.Adam(method.parameters_of(player), lr=2e-4, betas=(0.5, 0.999), foreach=False)
        for player in method.players
    }


def plain_step(method: CycleGAN, optimizers, batch) -> tuple[float, float]:
    """The step as it is usually written, with the same mathematics.

    Nothing goes through a network together; the generators' cost is also differentiated with respect to
    the discriminators; both costs are read from the device at once.
    """
    a, b = batch["image_a"], batch["image_b"]
    ab, ba = method.generator_ab, method.generator_ba
    judge_a, judge_b = method.discriminator_a, method.discriminator_b

    def squares(scores, label):
        return F.mse_loss(scores, torch.full_like(scores, label))

    optimizers["generator"].zero_grad()
    fake_b, fake_a = ab(a), ba(b)
    cycle = F.l1_loss(ba(fake_b), a) + F.l1_loss(ab(fake_a), b)
    identity = F.l1_loss(ba(a), a) + F.l1_loss(ab(b), b)
    adversarial = squares(judge_b(fake_b), 1.0) + squares(judge_a(fake_a), 1.0)
    generator_cost = adversarial + 10 * cycle + 5 * identity
    generator_cost.backward()
    optimizers["generator"].step()

    optimizers["discriminator"].zero_grad()
    fake_b, fake_a = method.pools["b"](fake_b), method.pools["a"](fake_a)
    discriminator_cost = 0.5 * (squares(judge_a(a), 1.0) + squares(judge_a(fake_a), 0.0))
    discriminator_cost = discriminator_cost + 0.5 * (squares(judge_b(b), 1.0) + squares(judge_b(fake_b), 0.0))
    discriminator_cost.backward()
    optimizers["discriminator"].step()
    return discriminator_cost.item(), generator_cost.item()


def seconds(step) -> float:
    """Of one step; on a processor those that it worked, since others may work there too."""
    clock = time.process_time if DEVICE.type == "cpu" else time.perf_counter
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    begin = clock()
    step()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return clock() - begin


def test_the_lean_step_is_faster_than_the_plain_one(capsys):
    plain, batch = cyclegan()
    plain_adam = plain_optimizers(plain)
    lean, _ = cyclegan()
    lean_adam = {player: lean.optimizer(player) for player in lean.players}
    steps = {
        "plainly written": lambda: plain_step(plain, plain_adam, batch),
        "the trainer's": lambda: play(lean, lean_adam, batch),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(WARMUP + ROUNDS):
        for name, step in steps.items():
            taken = seconds(step)
            if number >= WARMUP:
                times[name].append(taken)
    ratios = [slow / fast for slow, fast in zip(*times.values(), strict=True)]
    ratio = statistics.median(ratios)
    with capsys.disabled():
        print(f"\none step of CycleGAN, {SIZES}, on {DEVICE} with {torch.get_num_threads()} threads")
        for name, taken in times.items():
            median, least = (1000 * of(taken) for of in (statistics.median, min))
            print(f"{name:>16}: median {median:.0f} ms, least {least:.0f} ms")
        print(f"{'ratio':>16}: median {ratio:.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
    assert ratio >= 1.1
