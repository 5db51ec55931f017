"""What a training step costs. `make bench` prints a table for each group; the numbers in brackets are ratios.

Each group is one comparison on one machine in one run: only its ratios mean anything elsewhere.
"""

import pytest
import torch

from gan_course import methods
from gan_course.training import choose_device
from gan_course.training.trainer import laid_out, play

pytestmark = pytest.mark.slow  # not a part of make test

DEVICE = choose_device("auto")
SIZES = {"image_size": 64, "channels": 3, "ngf": 32, "ndf": 32}
BATCH_SIZE = 64
ROUNDS = 5


def dcgan(layout: torch.memory_format = torch.contiguous_format):
    """A DCGAN of 64 x 64 pixels, its optimizers, and a batch in the same memory layout."""
    torch.manual_seed(0)
    method = methods.build("dcgan", **SIZES).to(DEVICE, memory_format=layout).train()
    optimizers = {player: method.optimizer(player) for player in method.players}
    images = torch.rand(BATCH_SIZE, 3, 64, 64, device=DEVICE) * 2 - 1
    return method, optimizers, laid_out({"image": images}, layout)


def measure(benchmark, step) -> None:
    """Times whole steps: on a GPU the clock waits until the work is done."""

    def finished_step():
        step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    benchmark.extra_info |= {"device": str(DEVICE), "threads": torch.get_num_threads(), **SIZES}
    benchmark.pedantic(finished_step, rounds=ROUNDS, warmup_rounds=2)


def wasteful_step(method, optimizers, batch) -> dict[str, float]:
    """The step of many tutorials, with the same mathematics: the generator runs again for its own turn, the
    discriminator's turn carries gradients into the generator, the generator's turn computes gradients of the
    discriminator, and every loss is read from the device at once."""
    discriminator, generator, game = method.discriminator, method.generator, method.game
    optimizers["discriminator"].zero_grad()
    optimizers["generator"].zero_grad()
    fake = generator(method.draw_noise(BATCH_SIZE))
    cost = game.discriminator(discriminator(batch["image"]), discriminator(fake))
    cost.backward()
    optimizers["discriminator"].step()
    optimizers["generator"].zero_grad()
    generator_cost = game.generator(discriminator(generator(method.draw_noise(BATCH_SIZE))))
    generator_cost.backward()
    optimizers["generator"].step()
    return {"discriminator": cost.item(), "generator": generator_cost.item()}


def reference_step(method, optimizers, batch) -> dict[str, torch.Tensor]:
    """The step of the well-known example code: one generator pass, but gradients of the discriminator are
    computed in the generator's turn and thrown away."""
    discriminator, game = method.discriminator, method.game
    optimizers["discriminator"].zero_grad()
    fake = method.generator(method.draw_noise(BATCH_SIZE))
    cost = game.discriminator(discriminator(batch["image"]), discriminator(fake.detach()))
    cost.backward()
    optimizers["discriminator"].step()
    optimizers["generator"].zero_grad()
    generator_cost = game.generator(discriminator(fake))
    generator_cost.backward()
    optimizers["generator"].step()
    return {"discriminator": cost, "generator": generator_cost}


STEPS = {
    "trainer": lambda *state: play(*state, "float32"),
    "gradients of D wasted": reference_step,
    "second G pass, no detach": wasteful_step,
}


@pytest.mark.benchmark(group="one step of DCGAN 64 x 64, float32")
@pytest.mark.parametrize("name", list(STEPS))
def test_economy_of_the_step(benchmark, name):
    state = dcgan()
    measure(benchmark, lambda: STEPS[name](*state))


@pytest.mark.benchmark(group="one step of DCGAN 64 x 64, the trainer's")
@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_and_layout(benchmark, precision, layout):
    memory_format = torch.channels_last if layout == "channels last" else torch.contiguous_format
    state = dcgan(memory_format)
    measure(benchmark, lambda: play(*state, precision))


@pytest.mark.benchmark(group="one step of DCGAN 64 x 64 in which only the discriminator moves")
@pytest.mark.parametrize("name", ["as the trainer does", "generator with a graph"])
def test_a_step_of_the_discriminator_alone(benchmark, name):
    method, optimizers, batch = dcgan()

    def with_a_graph():
        outputs = method.forward_generators(batch)
        terms = method.loss("discriminator", batch, outputs)
        optimizers["discriminator"].zero_grad()
        method.total(terms).backward()
        optimizers["discriminator"].step()

    def alone():
        play(method, optimizers, batch, movers=("discriminator",))

    measure(benchmark, alone if name == "as the trainer does" else with_a_graph)


@pytest.mark.benchmark(group="one step of DCGAN 64 x 64, the batch worked through in parts")
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_accumulation(benchmark, parts):
    method, optimizers, batch = dcgan()
    measure(benchmark, lambda: play(method, optimizers, batch, accumulate=parts))
