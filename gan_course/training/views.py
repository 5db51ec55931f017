"""Other ways to call the same networks: compiled, or split over the GPUs of one machine."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gan_course.methods.base import Method


def view(method: Method, wrap: Callable[[nn.Module], nn.Module]) -> Method:
    """`method` with every network called through `wrap(network)`.

    The view shares every parameter and buffer with `method`, which goes on being what is optimised,
    averaged and saved, under the names that it always had.
    """
    seen = copy.copy(method)
    seen._modules = {name: wrap(network) for name, network in method.networks.items()}
    return seen


def split_over_gpus(method: Method, gpus: int) -> Method:
    """A view whose networks split each batch over the first `gpus` CUDA devices, within one process.

    With one GPU or none asked for, it is `method` itself. Several processes (torchrun) are faster.

    Raises ValueError if the machine has fewer GPUs.
    """
    if gpus <= 1:
        return method
    if gpus > torch.cuda.device_count():
        raise ValueError(f"{gpus} GPUs are asked for; this machine has {torch.cuda.device_count()}")
    return view(method, lambda network: nn.DataParallel(network, range(gpus)))


class Compiled(nn.Module):
    """A network that torch.compile makes faster, when it is called for the first time.

    Inputs that are leaves and ask for a gradient are the points of a gradient penalty: its own gradient
    is one of second order, which torch.compile does not have, so there the plain network answers.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.compiled = torch.compile(network)

    def forward(self, *inputs, **named):
        penalised = any(isinstance(x, Tensor) and x.is_leaf and x.requires_grad for x in inputs)
        return (self.network if penalised else self.compiled)(*inputs, **named)


def compiled(method: Method) -> Method:
    """A view whose networks are compiled."""
    return view(method, Compiled)
