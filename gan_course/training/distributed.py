"""One batch over several GPUs of one machine."""

import copy

import torch
from torch import nn

from gan_course.methods.base import Method


def split_over_gpus(method: Method, gpus: int) -> Method:
    """A view of `method` whose networks split each batch over the first `gpus` CUDA devices.

    It shares every parameter and buffer with `method`, which goes on being what is optimised, averaged
    and saved. With one GPU or none asked for, it is `method` itself.

    Raises ValueError if the machine has fewer GPUs.
    """
    if gpus <= 1:
        return method
    if gpus > torch.cuda.device_count():
        raise ValueError(f"{gpus} GPUs are asked for; this machine has {torch.cuda.device_count()}")
    view = copy.copy(method)
    view._modules = {name: nn.DataParallel(network, range(gpus)) for name, network in method.networks.items()}
    return view
