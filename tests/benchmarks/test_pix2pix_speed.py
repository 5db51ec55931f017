"""What a step of pix2pix costs at the paper's size, against the same step written plainly.

Both work on equal networks and on one pair; the plain step's networks are made of torch's own layers. The
steps are timed in turn, so that what else the machine does slows both. Only the ratio means anything
elsewhere. `make bench` prints it.
"""

import copy
import statistics
import time

import pytest
import torch
from torch.nn import functional as F

from gan_course.methods.pix2pix import Pix2Pix, Pix2PixConfig
from gan_course.nn.transposed import ConvTranspose2d
from gan_course.training import choose_device
from gan_course.training.trainer import play

pytestmark = pytest.mark.slow  # not a part of make test

DEVICE = choose_device("auto")
ROUNDS = 9
AT_LEAST = 1.2


def require_gradients(network: torch.nn.Module, wanted: bool) -> None:
    for parameter in network.parameters():
        parameter.requires_grad = wanted


def of_plain_layers(method: Pix2Pix) -> Pix2Pix:
    """The same weights in the layers that anyone would write."""
    for module in method.modules():
        if isinstance(module, ConvTranspose2d):
            module.__class__ = torch.nn.ConvTranspose2d
    return method


def plain_step(method: Pix2Pix, optimizers: dict, batch: dict) -> dict[str, float]:
    """The order of the authors' code, with an optimizer that moves one tensor after the other, and every
    loss read from the device in every step."""
    generator, discriminator = method.generator, method.discriminator
    fake = generator(batch["input"])

    require_gradients(discriminator, True)
    optimizers["discriminator"].zero_grad()
    on_fake = discriminator(torch.cat((batch["input"], fake), 1).detach())
    fake_cost = F.binary_cross_entropy_with_logits(on_fake, torch.zeros_like(on_fake))
    on_real = discriminator(torch.cat((batch["input"], batch["image"]), 1))
    real_cost = F.binary_cross_entropy_with_logits(on_real, torch.ones_like(on_real))
    ((fake_cost + real_cost) * 0.5).backward()
    optimizers["discriminator"].step()

    require_gradients(discriminator, False)
    optimizers["generator"].zero_grad()
    judged = discriminator(torch.cat((batch["input"], fake), 1))
    adversarial = F.binary_cross_entropy_with_logits(judged, torch.ones_like(judged))
    distance = F.l1_loss(fake, batch["image"]) * 100
    (adversarial + distance).backward()
    optimizers["generator"].step()
    return {
        "D fake": fake_cost.item(),
        "D real": real_cost.item(),
        "G": adversarial.item(),
        "L1": distance.item(),
    }


def seconds(step) -> float:
    """Of one whole step: on a GPU the clock waits until the work is done."""
    start = time.perf_counter()
    step()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def test_step_against_a_plain_one(capsys):
    torch.manual_seed(0)
    method = Pix2Pix(Pix2PixConfig()).to(DEVICE).train()
    plain = of_plain_layers(copy.deepcopy(method))
    optimizers = {player: method.optimizer(player) for player in method.players}
    plain_optimizers = {
        player: torch.optim.Adam(plain.parameters_of(player), lr=2e-4, betas=(0.5, 0.999), foreach=False)
        for player in plain.players
    }
    batch = {name: torch.rand(1, 3, 256, 256, device=DEVICE) * 2 - 1 for name in ("input", "image")}
    steps = {
        "the trainer's": lambda: play(method, optimizers, batch),
        "plain": lambda: plain_step(plain, plain_optimizers, batch),
    }
    times = {name: [] for name in steps}
    for step in steps.values():
        seconds(step)
    for _ in range(ROUNDS):
        for name, step in steps.items():
            times[name].append(seconds(step))
    medians = {name: statistics.median(found) for name, found in times.items()}
    ratio = statistics.median(p / t for t, p in zip(*times.values(), strict=True))
    with capsys.disabled():
        print(
            f"\none step of pix2pix 256 x 256, batch 1, float32, {DEVICE}, {torch.get_num_threads()} threads:"
        )
        print("  " + ", ".join(f"{name} {1000 * median:.0f} ms" for name, median in medians.items()))
        print(f"  plain / the trainer's, median of {ROUNDS} pairs: {ratio:.2f}")
    assert ratio >= AT_LEAST
