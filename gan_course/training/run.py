"""A run on disk: its card, its log, its samples, its generator."""

import dataclasses
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from gan_course import __version__, methods
from gan_course.methods import Method
from gan_course.training import log
from gan_course.training.files import replacing

CARD = "run.json"
WEIGHTS = "generator.safetensors"
ENTRIES = ("method", "config", "data", "settings", "step")  # what reading a run relies on


@dataclasses.dataclass
class Run:
    """What training left behind, ready to look at and to sample from."""

    path: Path
    card: dict[str, Any]
    method: Method

    @property
    def log(self) -> dict[str, np.ndarray]:
        """Columns of log.csv by name: step, the terms of the losses, images_per_second, seconds."""
        return log.read(self.path / "log.csv")

    @property
    def samples(self) -> list[tuple[int, Path]]:
        """(step, sample grid) through training, all from the same noise."""
        return [(int(path.stem), path) for path in sorted((self.path / "samples").glob("*.png"))]


def versions() -> dict[str, str]:
    """What computed a run: the versions of everything that its numbers depend on."""
    libraries = {name: metadata.version(name) for name in ("torch", "torchvision", "numpy")}
    return {"gan_course": __version__, "python": platform.python_version(), **libraries}


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Writes run.json."""
    with replacing(folder / CARD) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n")


def read_card(folder: Path | str) -> dict[str, Any]:
    """Reads run.json. Raises FileNotFoundError or ValueError naming the file."""
    path = Path(folder) / CARD
    if not path.exists():
        raise FileNotFoundError(f"{folder} is not a run: it has no {CARD}")
    try:
        card = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not a run card: {error}") from error
    missing = [name for name in ENTRIES if not isinstance(card, dict) or name not in card]
    if missing:
        raise ValueError(f"{path} is not a run card: it has no entry {', '.join(missing)}")
    return card


def save_weights(path: Path, networks: nn.ModuleDict) -> None:
    """Writes the state of the networks as safetensors: tensors only, nothing to execute."""
    with replacing(path) as temporary:
        save_file({name: value.contiguous() for name, value in networks.state_dict().items()}, temporary)


def load_weights(path: Path, method: Method) -> Method:
    """Fills the sampling networks of `method` from a safetensors file, and returns it in evaluation mode.

    Raises FileNotFoundError, or ValueError where the file does not fit the method.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: the run has not saved a generator yet")
    networks = nn.ModuleDict({name: method.networks[name] for name in method.sampling_networks})
    try:
        networks.load_state_dict(load_file(path))
    except Exception as error:  # safetensors has an error class of its own
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ValueError(f"{path} does not fit {method.name}: {reason}") from error
    return method.eval()


def open_run(folder: Path | str, device: torch.device | str = "cpu") -> Run:
    """A run that was trained before, with the weights that it saved last.

    Raises FileNotFoundError or ValueError naming what is missing or damaged.
    """
    folder = Path(folder)
    card = read_card(folder)
    method = methods.build(card["method"], **card["config"])
    load_weights(folder / WEIGHTS, method)
    return Run(folder, card, method.to(device))


def machine(device: torch.device) -> dict[str, Any]:
    """Where a run was computed, as far as its speed depends on it."""
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device)}
    return {"device": str(device), "threads": torch.get_num_threads(), "cpus": os.cpu_count()}
