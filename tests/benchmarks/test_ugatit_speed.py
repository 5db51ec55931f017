"""What a step of U-GAT-IT light costs, and what it cost as it is plainly written.

The two are timed in turn, in one process, on the same networks: what disturbs the machine disturbs both.
"""

import statistics
import time

import pytest
import torch
from torch.nn import functional as F

from gan_course.methods.ugatit import UGATIT, UGATITConfig
from gan_course.training import choose_device
from gan_course.training.trainer import play

pytestmark = pytest.mark.slow  # not a part of make test

DEVICE = choose_device("auto")
SIZES = {"image_size": 64, "light": True, "ngf": 32, "ndf": 32, "discriminator_layers": 5}
ROUNDS, WARMUP = 7, 2


def ugatit() -> tuple[UGATIT, dict[str, torch.Tensor]]:
    """U-GAT-IT light, and a batch of one image of each domain, as in the paper."""
    torch.manual_seed(0)
    method = UGATIT(UGATITConfig(**SIZES)).to(DEVICE).train()
    return method, {name: torch.rand(1, 3, 64, 64, device=DEVICE) * 2 - 1 for name in method.needs}


def plain_optimizers(method: UGATIT) -> dict[str, torch.optim.Optimizer]:
    """Adam, one parameter after the other."""
    return {
        player: torch.optim.Adam(
            method.parameters_of(player), lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4, foreach=False
        )
        for player in method.players
    }


def plain_step(method: UGATIT, optimizers, batch) -> tuple[float, float]:
    """The step as it is usually written, with the same mathematics.

    The translations are made twice, and the discriminators' cost is also differentiated with respect to
    the generators; the generators' cost also with respect to the discriminators; nothing goes through a
    network together; both costs are read from the device at once.
    """
    real_a, real_b = batch["image_a"], batch["image_b"]
    ab, ba, networks = method.generator_ab, method.generator_ba, method.networks
    bce = F.binary_cross_entropy_with_logits

    def judge(domain, images, label):
        cost = 0
        for place in ("global", "local"):
            scores, logits, _ = networks[f"discriminator_{place}_{domain}"](images)
            cost = cost + F.mse_loss(scores, torch.full_like(scores, label))
            cost = cost + F.mse_loss(logits, torch.full_like(logits, label))
        return cost

    optimizers["discriminator"].zero_grad()
    fake_b, fake_a = ab(real_a).image, ba(real_b).image
    discriminator_cost = judge("a", real_a, 1.0) + judge("b", real_b, 1.0)
    discriminator_cost = discriminator_cost + judge("a", fake_a, 0.0) + judge("b", fake_b, 0.0)
    discriminator_cost.backward()
    optimizers["discriminator"].step()

    optimizers["generator"].zero_grad()
    (fake_b, logits_a, _), (fake_a, logits_b, _) = ab(real_a), ba(real_b)
    cycle = F.l1_loss(ba(fake_b).image, real_a) + F.l1_loss(ab(fake_a).image, real_b)
    (same_a, logits_same_a, _), (same_b, logits_same_b, _) = ba(real_a), ab(real_b)
    identity = F.l1_loss(same_a, real_a) + F.l1_loss(same_b, real_b)
    cam = bce(logits_a, torch.ones_like(logits_a)) + bce(logits_same_b, torch.zeros_like(logits_same_b))
    cam = cam + bce(logits_b, torch.ones_like(logits_b)) + bce(logits_same_a, torch.zeros_like(logits_same_a))
    adversarial = judge("a", fake_a, 1.0) + judge("b", fake_b, 1.0)
    generator_cost = adversarial + 10 * cycle + 10 * identity + 1000 * cam
    generator_cost.backward()
    optimizers["generator"].step()
    method.constrain("generator")
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
    plain, batch = ugatit()
    plain_adam = plain_optimizers(plain)
    lean, _ = ugatit()
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
        print(f"\none step of U-GAT-IT light, {SIZES}, on {DEVICE} with {torch.get_num_threads()} threads")
        for name, taken in times.items():
            median, least = (1000 * of(taken) for of in (statistics.median, min))
            print(f"{name:>16}: median {median:.0f} ms, least {least:.0f} ms")
        print(f"{'ratio':>16}: median {ratio:.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
    assert ratio >= 1.4
