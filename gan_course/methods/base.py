"""What the trainer may ask of a paper, and nothing else.

A method owns its networks and answers a handful of questions. The trainer's loop is written against
these answers only, so that one loop serves every paper, and a paper is one file.
"""

import contextlib
import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

Batch = dict[str, Tensor]


def option(default: Any, help: str) -> Any:
    """A field of a configuration: its default (the paper's value) and its meaning, in one place.

    The command line is derived from these fields, so the help text is written nowhere else.
    """
    return dataclasses.field(default=default, metadata={"help": help})


class Method(nn.Module, ABC):
    """A paper: its networks, its players, its losses, its way of sampling.

    Subclasses register their networks as attributes (`self.generator = ...`), and nothing else that
    is a module, so that the networks of a method are exactly its children.
    """

    name: ClassVar[str]
    """What the command line calls it."""
    paper: ClassVar[str]
    """Authors, year, title."""
    config_class: ClassVar[type]
    """The frozen dataclass of its configuration."""
    players: ClassVar[dict[str, tuple[str, ...]]]
    """Who moves, in the paper's order, and the networks that each player's move changes."""
    sampling_networks: ClassVar[tuple[str, ...]] = ("generator",)
    """The networks that sampling needs: what is averaged over training and saved for use."""
    loss_weights: ClassVar[dict[str, float]] = {}
    """Weight of a named term; 1 where nothing is said. A term of weight 0 is watched, not minimised."""
    needs: ClassVar[tuple[str, ...]] = ("image",)
    """What a batch must hold."""
    translates: ClassVar[tuple[str, ...]] = ()
    """What of a batch sampling starts from; nothing for a method that makes images from noise."""
    turns: str = "alternating:1"
    """Who moves when, in the paper (training/turns.py); a property where the configuration decides."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return dict(self.named_children())

    @abstractmethod
    def forward_generators(self, batch: Batch) -> Batch:
        """What both players look at, computed once a step: {"fake": [N, C, H, W], ...}."""

    @abstractmethod
    def loss(self, player: str, batch: Batch, outputs: Batch) -> dict[str, Tensor]:
        """Named scalar terms of a player's cost. Names are unique among the players."""

    @abstractmethod
    def sample(
        self,
        count: int,
        *,
        labels: Tensor | None = None,
        noise: Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """`count` images in [-1, 1], [count, C, H, W], without touching any training state.

        A method that translates also takes `inputs`: what of a batch it starts from (`translates`).
        """

    def draw_noise(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """Noise for `count` samples, on the method's device; of no length where a method takes none."""
        return torch.zeros(count, 0, device=self.device)

    @abstractmethod
    def optimizer(self, player: str) -> torch.optim.Optimizer:
        """The paper's optimizer over the networks that the player moves."""

    def preview(self, count: int, rng: torch.Generator, examples: Batch | None = None) -> Batch:
        """What the sample grid is drawn from, again and again through training: what `grid` takes.

        `examples` are `count` rows of data, for a method that starts from data.
        """
        return {"noise": self.draw_noise(count, rng)}

    def grid(self, preview: Batch) -> tuple[Tensor, int]:
        """The pictures of the sample grid, [M, C, H, W] in [-1, 1], and how many stand in a row."""
        count = len(next(iter(preview.values())))
        return self.sample(count, **preview), max(1, round(math.sqrt(count)))

    def noise_for(self, count: int, noise: Tensor | None, rng: torch.Generator | None) -> Tensor:
        """The noise that `sample` was given, or new noise. Raises ValueError unless it has `count` rows."""
        if noise is None:
            return self.draw_noise(count, rng)
        if len(noise) != count:
            raise ValueError(f"{count} samples need {count} rows of noise, not {len(noise)}")
        return noise

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the terms that a player minimises."""
        weighted = [
            self.loss_weights.get(name, 1.0) * term for name, term in terms.items() if self.minimises(name)
        ]
        return torch.stack(weighted).sum() if len(weighted) > 1 else weighted[0]

    def minimises(self, term: str) -> bool:
        """Whether a term is minimised, or only watched."""
        return self.loss_weights.get(term, 1.0) != 0

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        """The parameters that a player's move changes."""
        return [p for network in self.players[player] for p in self.networks[network].parameters()]

    @contextlib.contextmanager
    def moving(self, *players: str) -> Iterator[None]:
        """Within: only the networks of these players take gradients or move their buffers.

        The waiting networks stay in training mode (their batch norm still uses the batch's own
        statistics, as the papers do); they only stop collecting: the running statistics of batch norm
        and the vectors of spectral normalisation stay as they are.
        """
        moved = {network for player in players for network in self.players[player]}
        waiting = [net for name, net in self.networks.items() if name not in moved]
        modules = [m for net in waiting for m in net.modules()]
        parameters = [p for net in waiting for p in net.parameters() if p.requires_grad]
        collecting = [m for m in modules if getattr(m, "track_running_stats", False)]
        normalised = [m for m in modules if isinstance(m, _SpectralNorm) and m.training]
        for parameter in parameters:
            parameter.requires_grad_(False)
        for module in collecting:
            module.track_running_stats = False
        for module in normalised:
            module.training = False
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(True)
            for module in collecting:
                module.track_running_stats = True
            for module in normalised:
                module.training = True

    def constrain(self, player: str) -> None:
        """Brings the weights that the player has just moved back to where the paper wants them."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.parameters()).device


@contextlib.contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Within: evaluation mode and no gradients; the former mode afterwards.

    Sampling in training mode would move the running statistics of batch norm.
    """
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for network, mode in zip(networks, modes, strict=True):
            network.train(mode)


def draw(kind: str, shape: tuple[int, ...], rng: torch.Generator | None, device: torch.device) -> Tensor:
    """Noise of the named kind: "uniform" on [-1, 1) or standard "normal".

    A generator on the CPU is drawn from there and moved, so that one seed gives one noise everywhere.
    """
    source = rng.device if rng is not None else device
    if kind == "uniform":
        return (torch.rand(shape, generator=rng, device=source) * 2 - 1).to(device)
    return torch.randn(shape, generator=rng, device=source).to(device)


def check_noise(kind: str) -> None:
    """Raises ValueError unless `draw` knows the kind."""
    if kind not in ("uniform", "normal"):
        raise ValueError(f"noise is {kind!r}; it must be uniform or normal")


def check_inputs(method: Method, count: int, inputs: Batch | None) -> Batch:
    """What of a batch the method starts from, on its device.

    Raises ValueError where `inputs` does not hold `count` rows of each.
    """
    for name in method.translates:
        if inputs is None or name not in inputs:
            raise ValueError(
                f"{method.name} makes images from {' and '.join(method.translates)}, not from noise alone: "
                f"give `inputs`, a batch that holds {name}"
            )
        if len(inputs[name]) != count:
            raise ValueError(f"{count} samples need {count} rows of {name}, not {len(inputs[name])}")
    return {name: inputs[name].to(method.device) for name in method.translates}


def check_labels(labels: Tensor, count: int, num_classes: int) -> Tensor:
    """The labels as int64 [count]. Raises ValueError unless they are `count` integers below `num_classes`."""
    labels = torch.as_tensor(labels)
    if labels.shape != (count,) or labels.is_floating_point():
        raise ValueError(
            f"{count} samples need {count} integer labels, "
            f"not a tensor of {labels.dtype} and shape {tuple(labels.shape)}"
        )
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}; "
            f"this model knows 0 to {num_classes - 1}"
        )
    return labels.long()


def check_positive(config: Any, *names: str) -> None:
    """Raises ValueError unless each of these fields is 1 or more."""
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be 1 or more")


def check_power_of_two(image_size: int, smallest: int = 16, largest: int = 256) -> None:
    """Raises ValueError unless `image_size` is a power of two in [smallest, largest]."""
    if not (smallest <= image_size <= largest and image_size & (image_size - 1) == 0):
        sizes = ", ".join(str(2**k) for k in range(smallest.bit_length() - 1, largest.bit_length()))
        raise ValueError(f"image_size is {image_size}; it must be one of {sizes}")
