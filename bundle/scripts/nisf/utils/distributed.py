"""The processes of a run that ``torchrun`` starts: who this one is, what only the first does, what all put together.

Without ``torchrun`` there is one process and all of this does nothing. The group itself is Ignite's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TypeVar

import ignite.distributed as idist
import torch
import torch.distributed as dist
from ignite.distributed import get_rank as rank
from ignite.distributed import get_world_size as world
from torch.nn.parallel import DistributedDataParallel

from nisf.utils.errors import InputError

T = TypeVar("T")


def join() -> int:
    """Joins the group that ``torchrun`` set up (NCCL with a GPU for each process, else gloo); returns the rank.

    Processes but the first keep quiet unless something is wrong.
    """
    if "LOCAL_RANK" in os.environ and not dist.is_initialized():
        of_gpus = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
        idist.initialize("nccl" if of_gpus else "gloo")
    if idist.get_rank() > 0:
        logging.getLogger().setLevel(logging.WARNING)
        logging.disable(logging.INFO)
    return idist.get_rank()


def leave() -> None:
    """Waits for the others and leaves the group."""
    if dist.is_initialized():
        idist.barrier()
        idist.finalize()


def own_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    if dist.is_initialized() and dist.get_backend() == "nccl":
        return torch.device("cuda", idist.get_local_rank())
    return torch.device("cuda" if torch.cuda.is_available() and world() == 1 else "cpu")


def first_alone(function: Callable[[], T]) -> T:
    """Calls on the first process, then on the others, which find what it left on disk."""
    with idist.one_rank_first():
        return function()


def shares(number: int) -> range:
    """Which of ``number`` things are this process's own."""
    return range(rank(), number, world())


def share_of(number: int, name: str) -> int:
    """How many of ``number`` things each process has.

    Raises:
        InputError: they cannot be shared evenly; ``name`` is the setting.
    """
    if number % world():
        raise InputError(f"{name} is {number}, which {world()} processes cannot share; make it a multiple")
    return number // world()


def trained_together(network: torch.nn.Module) -> torch.nn.Module:
    """The network in ``DistributedDataParallel`` where there are several processes."""
    if world() == 1:
        return network
    device = next(network.parameters()).device
    where = [device.index] if device.type == "cuda" else None
    # buffers are set alike by every process
    return DistributedDataParallel(network, device_ids=where, broadcast_buffers=False)


def of_all(tensor: torch.Tensor) -> torch.Tensor:
    """The tensors [B, ...] of all processes, one after another: B alike everywhere.

    A process has the gradient of its own part alone, times their number, because ``DistributedDataParallel`` takes the
    mean over them.
    """
    if world() == 1:
        return tensor
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world())]
    dist.all_gather(parts, tensor.detach().contiguous())
    parts[rank()] = tensor
    whole = torch.cat(parts)
    if whole.requires_grad:
        whole.register_hook(lambda gradient: gradient * world())
    return whole


def mean_of_rows(gradient: torch.Tensor) -> torch.Tensor:
    """The mean over the processes of a sparse gradient [N, L] that has as many rows in each; sends these rows alone.

    NCCL, unlike gloo, cannot reduce sparse tensors, so ``DistributedDataParallel`` is not asked to.
    """
    rows, values = of_all(gradient._indices()[0]), of_all(gradient._values())
    return torch.sparse_coo_tensor(rows.unsqueeze(0), values / world(), gradient.shape)


def mean_over(values: list[float]) -> list[float]:
    """The mean over the processes of each number."""
    return [idist.all_reduce(value) / world() for value in values]


def all_of(things: list[T]) -> list[T]:
    """The lists of all processes, one after another; plain Python values."""
    return [one for part in idist.all_gather(things) for one in part]
