"""The processes of a run started by ``torchrun``: rank, work of the first process only, and combined values.

Without ``torchrun`` there is one process and this module does nothing. The group itself is Ignite's.
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

    Only the first process logs below the level of warnings.
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
    """Calls ``function`` in the first process, then in the others, which find its files on disk."""
    with idist.one_rank_first():
        return function()


def shares(number: int) -> range:
    """Indices of this process's share of ``number`` things."""
    return range(rank(), number, world())


def share_of(number: int, name: str) -> int:
    """Number of things of each process, out of ``number``.

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
    # every process sets the buffers to the same values
    return DistributedDataParallel(network, device_ids=where, broadcast_buffers=False)


def of_all(tensor: torch.Tensor) -> torch.Tensor:
    """The concatenated tensors [B, ...] of all processes, with the same B.

    A process has the gradient of its own part, times the number of processes, because ``DistributedDataParallel`` takes
    the mean over them.
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
    """The mean over the processes of a sparse gradient [N, L] with equally many rows in each; sends only these rows.

    NCCL, unlike gloo, cannot reduce sparse tensors, so ``DistributedDataParallel`` is not asked to.
    """
    rows, values = of_all(gradient._indices()[0]), of_all(gradient._values())
    return torch.sparse_coo_tensor(rows.unsqueeze(0), values / world(), gradient.shape)


def mean_over(values: list[float]) -> list[float]:
    """The mean of each number over the processes."""
    return [idist.all_reduce(value) / world() for value in values]


def all_of(things: list[T]) -> list[T]:
    """The concatenated lists of all processes; plain Python values."""
    return [one for part in idist.all_gather(things) for one in part]
