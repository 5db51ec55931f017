"""How long, how fast and how often: what a run needs to know beside the paper and the data."""

import dataclasses

import torch

from gan_course.methods.base import option
from gan_course.training import turns


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """One run. The command line is derived from these fields."""

    steps: int = option(0, "training steps, each on one batch; 0: count in epochs")
    epochs: float = option(0.0, "passes over the data, where steps is 0. Both 0: 25 epochs")
    batch_size: int = option(64, "images in a batch")
    seed: int = option(0, "seed of everything: weights, noise, order of the data")
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps")
    turns: str = option(
        "", "who moves when: alternating:K, simultaneous, epochs:K, loss:L or accuracy:A; empty: as the paper"
    )
    accumulate: int = option(1, "parts that a batch is worked through in, to save memory")
    precision: str = option("float32", "float32, or bfloat16 for mixed precision")
    channels_last: bool = option(False, "store images with the channels last: faster convolutions")
    compile: bool = option(False, "compile the networks (torch.compile): slow to start, then faster on a GPU")
    ema: float = option(0.0, "decay of the average of the generator's weights, e.g. 0.999; 0: no average")
    warmup: int = option(0, "first steps, over which the learning rates rise linearly")
    decay: float = option(0.0, "last share of the run over which the learning rates fall linearly, e.g. 0.5")
    flip: bool = option(False, "mirror each training image with probability 1/2")
    crop_size: int = option(0, "pixels of a random square cut out of each training image; 0: the whole")
    gpus: int = option(1, "CUDA devices that share each batch within one process (torchrun is faster)")
    tensorboard: bool = option(False, "write for TensorBoard too (needs the package tensorboard)")
    log_every: int = option(50, "steps between two lines of log.csv")
    sample_every: int = option(500, "steps between two sample grids")
    save_every: int = option(500, "steps between two checkpoints")
    measure_every: float = option(0.0, "epochs between two lines of fid.csv; 0: never")
    preview_count: int = option(64, "images in a sample grid")

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", str(self.device))  # a torch.device is welcome; a card holds text
        counts = ("batch_size", "accumulate", "gpus", "log_every", "sample_every", "save_every")
        for name in (*counts, "preview_count"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("steps", "epochs", "seed", "warmup", "crop_size", "measure_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if self.steps and self.epochs:
            raise ValueError(f"steps {self.steps} and epochs {self.epochs} are both given; give one")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is {self.ema}; it must be at least 0 and below 1")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay is {self.decay}; it must be from 0 to 1")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"a batch of {self.batch_size} cannot be worked through in {self.accumulate} equal parts"
            )
        if self.turns:
            turns.parse(self.turns)
        if self.compile and self.gpus > 1:
            raise ValueError(f"compile does not go with {self.gpus} GPUs in one process; take torchrun")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}; it must be float32 or bfloat16")

    def total_steps(self, count: int) -> int:
        """Steps of the whole run over `count` images; incomplete batches are left out."""
        if self.steps:
            return self.steps
        return max(1, round((self.epochs or 25) * (count // self.batch_size)))


def learning_rate_factor(step: int, total: int, decay: float = 0.0, warmup: int = 0) -> float:
    """What the learning rates are multiplied with at `step`, counted from 0.

    It rises linearly over the first `warmup` steps, stays 1, and falls linearly over the last share
    `decay` of the run; the step after the last one would have 0. A pure function of the step, so that
    it needs no place in a checkpoint.
    """
    rise = (step + 1) / warmup if warmup else 1.0
    fall = (total - step) / (decay * total) if decay else 1.0
    return min(1.0, rise, fall)


def choose_device(asked: str) -> torch.device:
    """The device of that name; "auto" takes a CUDA GPU, then Apple's, then the CPU.

    Raises ValueError for a name that is none or a device that the machine does not have.
    """
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise ValueError(f"device is {asked!r}; it must be auto, cpu, cuda, cuda:N or mps") from None
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= here.get(device.type, 0):
        raise ValueError(f"device {asked!r} is not on this machine; take cpu or auto")
    return device
