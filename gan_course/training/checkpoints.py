"""The full state of a run on disk, and the one before it."""

import warnings
from pathlib import Path
from typing import Any

import torch

from gan_course.training.files import replacing

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


def save(folder: Path, state: dict[str, Any]) -> Path:
    """Writes `state` to FOLDER/checkpoint.pt; the checkpoint that was there becomes the previous one.

    A run killed at any moment leaves at least one readable checkpoint: the new one is written beside
    them before either name moves.
    """
    path = folder / NAME
    with replacing(path, previous=folder / PREVIOUS) as temporary:
        torch.save(state, temporary)
    return path


def exists(folder: Path) -> bool:
    """Whether there is anything to resume from."""
    return (folder / NAME).exists() or (folder / PREVIOUS).exists()


def load(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The newest readable checkpoint of a run. Never unpickles anything but tensors and plain values.

    Raises:
        FileNotFoundError: the folder holds no checkpoint.
        ValueError: neither checkpoint can be read; the message names them.
    """
    found = [folder / name for name in (NAME, PREVIOUS) if (folder / name).exists()]
    if not found:
        raise FileNotFoundError(f"no checkpoint in {folder}: expected {NAME} or {PREVIOUS}")
    for path in found:
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            int(state["step"])  # a checkpoint, and not just any file of torch's
            return state
        except Exception as error:  # a damaged file fails in as many ways as it has bytes
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            warnings.warn(f"{path} cannot be read ({reason})", stacklevel=2)
    raise ValueError(
        f"no readable checkpoint: {' and '.join(map(str, found))} are damaged; start the run afresh"
    )


def random_state() -> dict[str, Any]:
    """The state of torch's random generators, on the CPU and on every device."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restores what `random_state` returned; devices that this machine lacks are passed over."""
    torch.set_rng_state(state["cpu"].cpu())
    for index, gpu_state in enumerate(state.get("cuda", [])[: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(gpu_state.cpu(), index)
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"].cpu())
