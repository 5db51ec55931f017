"""An exponential moving average of the weights: steadier pictures than any single moment of the game."""

import contextlib
import copy
from collections.abc import Iterator

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gan_course.methods.base import Method


class WeightAverage:
    """w_average <- d * w_average + (1 - d) * w, over the networks that sampling needs.

    d is `decay`, or (1 + step) / (10 + step) while that is smaller, so that the first weights, which
    know nothing, are soon forgotten. Running statistics of batch norm are averaged with the weights,
    since they belong to them. A decay of 0 keeps the latest weights.

    torch's AveragedModel is not used: it reads its counter, a tensor, at every step, which on a GPU
    makes the machine wait for the device.
    """

    def __init__(self, method: Method, decay: float) -> None:
        self.decay = decay
        self.networks = nn.ModuleDict({name: method.networks[name] for name in method.sampling_networks})
        self.averaged = copy.deepcopy(self.networks) if decay > 0 else None

    def update(self, step: int) -> None:
        """Takes the networks' present weights in, after `step` steps."""
        if self.averaged is not None:
            average = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))
            average(fractional_state(self.averaged), fractional_state(self.networks), None)

    @property
    def current(self) -> nn.ModuleDict:
        """The networks to sample from: averaged where there is an average."""
        return self.networks if self.averaged is None else self.averaged

    @contextlib.contextmanager
    def applied(self, method: Method) -> Iterator[None]:
        """Within: the method samples from the averaged networks."""
        for name, network in self.current.items():
            setattr(method, name, network)
        try:
            yield
        finally:
            for name, network in self.networks.items():
                setattr(method, name, network)


def fractional_state(networks: nn.Module) -> list[Tensor]:
    """Parameters and buffers that can be averaged: counters cannot."""
    return [value.detach() for value in networks.state_dict().values() if value.is_floating_point()]
