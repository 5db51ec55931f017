"""What a training step costs: images a second, memory, and who takes the time. On made-up data."""

import dataclasses
import sys
import time

import torch

from gan_course import data
from gan_course.data import ImageSet, UnpairedSet
from gan_course.methods import Method
from gan_course.training import log
from gan_course.training import turns as rules
from gan_course.training.settings import TrainingSettings, choose_device
from gan_course.training.trainer import laid_out, play
from gan_course.training.views import compiled

PARTS = ("data", "discriminator", "generator", "optimizer")
WARM_UP = 10
"""Steps before the clock starts: the first ones allocate, choose kernels, compile."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What was measured over `steps` steps."""

    steps: int
    images_per_second: float
    """Real images that went through a step, a second, with nothing in the way."""
    peak_bytes: int | None
    """The most memory that tensors held on the GPU; on a CPU, the most that the process ever took. None
    where the system does not say."""
    shares: dict[str, float]
    """Share of the time that each of PARTS takes, in steps that wait for the device after each part:
    making the batch; the discriminator's turn; the generator's turn, with the images that both players
    look at; the moves themselves."""


def measure(method: Method, settings: TrainingSettings, steps: int = 50) -> Cost:
    """Trains on made-up data for some steps, twice: once at full speed, once with a look at each part.

    Of the settings, batch_size, device, turns, precision, channels_last, compile and accumulate matter.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more")
    device = choose_device(settings.device)
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    method = method.to(device, memory_format=layout).train()
    players = compiled(method) if settings.compile else method
    optimizers = {player: method.optimizer(player) for player in method.players}
    turns = rules.parse(settings.turns or method.turns)
    batches = data.batches(
        made_up_images(method, 2 * settings.batch_size), settings.batch_size, device=device
    )
    clock = Clock(device)
    timed = {player: TimedOptimizer(player, optimizer, clock) for player, optimizer in optimizers.items()}

    def play_steps(count: int, optimizers: dict) -> None:
        seen: dict[str, float] = {}
        for step in range(count):
            batch = laid_out(next(batches), layout)
            clock.lap("data")
            clock.turn = "generator"  # until a player begins, the generators run
            movers = turns.movers(step, steps_per_epoch=1, seen=seen)
            terms = play(players, optimizers, batch, settings.precision, turns, movers, settings.accumulate)
            clock.lap(clock.turn)
            if turns.watches:
                seen = log.numbers(terms)

    play_steps(WARM_UP, optimizers)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    synchronise(device)
    begin = time.perf_counter()
    play_steps(steps, optimizers)
    synchronise(device)
    seconds = time.perf_counter() - begin
    peak = peak_bytes(device)

    clock.start()
    play_steps(steps, timed)
    total = sum(clock.seconds.values())
    return Cost(
        steps=steps,
        images_per_second=steps * settings.batch_size / seconds,
        peak_bytes=peak,
        shares={part: clock.seconds[part] / total for part in PARTS},
    )


def made_up_images(method: Method, count: int) -> ImageSet | UnpairedSet:
    """Noise as images, with the labels, tags, maps or second domain that the method is built for.

    Raises ValueError where the method needs something else.
    """
    config = method.config
    shape = getattr(config, "data_shape", None) or (config.channels, config.image_size, config.image_size)
    if len(shape) != 3:
        raise ValueError(f"data_shape is {shape}; the bench makes up images: channels height width")
    rng = torch.Generator().manual_seed(0)
    tensors = {"image": torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=rng)}
    classes = getattr(config, "num_classes", 0)
    if classes:
        tensors["label"] = torch.arange(count) % classes
    if hasattr(config, "tag_sizes"):
        groups = [torch.eye(places, dtype=torch.uint8) for places in config.tag_sizes]
        tensors["tags"] = torch.cat([group[torch.arange(count) % len(group)] for group in groups], dim=1)
    made_up = {
        "tags": ((count, 15), 2, torch.uint8),
        "input": ((count, getattr(config, "input_channels", 3), *shape[1:]), 256, torch.uint8),
        "label_map": ((count, *shape[1:]), getattr(config, "label_nc", 1), torch.uint8),
        "instance_map": ((count, *shape[1:]), 100, torch.int32),
    }
    for name in method.needs:
        if name in made_up and name not in tensors:
            size, values, dtype = made_up[name]
            tensors[name] = torch.randint(0, values, size, generator=rng).to(dtype)
    images = ImageSet("made up", tensors, class_names=tuple(map(str, range(classes))))
    if method.needs == ("image_a", "image_b"):
        return UnpairedSet(images, images)
    missing = [name for name in method.needs if name not in tensors]
    if missing:
        raise ValueError(f"{method.name} needs {', '.join(missing)}, which the bench cannot make up")
    return images


class Clock:
    """Adds up the seconds of each part of a step, waiting for the device at the end of each. Until it is
    started, it does nothing and waits for nothing."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.running = False
        self.turn = "generator"
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def start(self) -> None:
        synchronise(self.device)
        self.running, self.last = True, time.perf_counter()

    def lap(self, part: str) -> None:
        """What has passed since the last lap belongs to `part`."""
        if self.running:
            synchronise(self.device)
            now = time.perf_counter()
            self.seconds[part] += now - self.last
            self.last = now


class TimedOptimizer:
    """An optimizer that tells the clock when its player's turn begins and ends."""

    def __init__(self, player: str, optimizer: torch.optim.Optimizer, clock: Clock) -> None:
        self.player, self.optimizer, self.clock = player, optimizer, clock

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.clock.lap(self.clock.turn)
        self.clock.turn = self.player
        self.optimizer.zero_grad(set_to_none)

    def step(self) -> None:
        self.clock.lap(self.clock.turn)
        self.optimizer.step()
        self.clock.lap("optimizer")


def synchronise(device: torch.device) -> None:
    """Waits until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_bytes(device: torch.device) -> int | None:
    """See `Cost.peak_bytes`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
