"""An exponential moving average of the weights: steadier pictures than any single moment of the game."""

import contextlib
from collections.abc import Iterator

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gan_course.methods.base import Method


class WeightAverage:
    """w_average <- decay * w_average + (1 - decay) * w, over the networks that sampling needs.

    Running statistics of batch norm are averaged with the weights, since they belong to them.
    A decay of 0 keeps the latest weights.
    """

    def __init__(self, method: Method, decay: float) -> None:
        self.networks = nn.ModuleDict({name: method.networks[name] for name in method.sampling_networks})
        self.averaged = None
        if decay > 0:
            average = get_ema_multi_avg_fn(decay)
            self.averaged = AveragedModel(self.networks, multi_avg_fn=average, use_buffers=True)

    def update(self) -> None:
        """Takes the networks' present weights in."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.networks)

    @property
    def current(self) -> nn.ModuleDict:
        """The networks to sample from: averaged where there is an average."""
        return self.networks if self.averaged is None else self.averaged.module

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
