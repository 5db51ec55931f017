"""Several processes that play one game: torchrun starts them, each works on its slice of every batch.

    torchrun --nproc-per-node 2 -m gan_course.cli train dcgan --data faces --out runs/faces

A process is called a rank. All ranks hold the same weights: they start from those of rank 0, and before
each move they average their gradients, so that each makes the move of the whole batch. Batch norm sees its
rank's slice, and the running statistics kept are those of rank 0. Rank 0 alone touches the run's folder.

Without torchrun every function here does what is right for a single process: next to nothing.
"""

import atexit
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from gan_course.methods.base import Batch

T = TypeVar("T")


def join(device: torch.device) -> torch.device:
    """Joins the other processes, if torchrun started any. Returns the device of this one.

    With CUDA, rank k of a machine takes the k-th GPU. Raises ValueError where there is none.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return device
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"torchrun started process {local + 1} on a machine with {torch.cuda.device_count()} GPUs; "
                "give --nproc-per-node as many as there are"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        # gloo beside nccl: plain objects and flags go from CPU to CPU, and no GPU waits for them
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return device


def ranks() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_seed(seed: int) -> int:
    """A seed for what the ranks must draw differently: their noise. That of rank 0 is `seed` itself."""
    return seed if rank() == 0 else int(np.random.SeedSequence([seed, rank()]).generate_state(1)[0])


def own_slice(batch: Batch) -> Batch:
    """This rank's part of the joint batch, whose size the number of ranks must divide."""
    return batch if ranks() == 1 else {key: value.chunk(ranks())[rank()] for key, value in batch.items()}


def share(tensors: Iterable[Tensor]) -> None:
    """Every rank's tensors become those of rank 0."""
    if ranks() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def average(tensors: Iterable[Tensor]) -> None:
    """Every rank's tensors become their mean over the ranks: one message for all of them."""
    tensors = [] if ranks() == 1 else list(tensors)
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= ranks()
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on any rank."""
    if ranks() == 1:
        return flag
    flags = torch.tensor(int(flag))
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return bool(flags)


def gather(value: T) -> list[T]:
    """The values of all ranks, in order, on every rank."""
    values: list[Any] = [value] * ranks()
    if ranks() > 1:
        dist.all_gather_object(values, value)
    return values


def on_first(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Calls the function on rank 0 alone; every rank gets its result, or raises its error."""
    if ranks() == 1:
        return function(*arguments, **named)
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = function(*arguments, **named)
        except Exception as error:  # the others must not wait for a result that never comes
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    result, error = outcome
    if error is not None:
        raise error
    return result
