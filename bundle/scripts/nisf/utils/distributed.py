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


def rank() -> int:
    """Number of this process, from 0."""
    return idist.get_rank()


def world() -> int:
    """Number of processes."""
    return idist.get_world_size()


def own_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    if dist.is_initialized() and dist.get_backend() == "nccl":
        return torch.device("cuda", idist.get_local_rank())
    return torch.device("cuda" if torch.cuda.is_available() and world() == 1 else "cpu")


def first_alone(function: Callable[[], T]) -> T:
    """Calls on the first process, then on the others, which find what it left on disk."""
    if rank() > 0:
        idist.barrier()
    found = function()
    if rank() == 0:
        idist.barrier()
    return found


def shares(number: int) -> range:
    """Which of ``number`` things are this process's own."""
    return range(rank(), number, world())


def gathered(rows: torch.Tensor, number: int) -> torch.Tensor:
    """The rows [number, ...] of all processes, in order, from each one's own (``shares``)."""
    if world() == 1:
        return rows
    most = -(-number // world())
    padded = torch.cat([rows, rows.new_zeros(most - len(rows), *rows.shape[1:])]).contiguous()
    parts = [torch.empty_like(padded) for _ in range(world())]
    dist.all_gather(parts, padded)
    return torch.stack(parts, dim=1).flatten(0, 1)[:number]


def trained_together(network: torch.nn.Module) -> torch.nn.Module:
    """The network in ``DistributedDataParallel`` where there are several processes; outside checkpoints' names."""
    if world() == 1:
        return network
    device = next(network.parameters()).device
    where = [device.index] if device.type == "cuda" else None
    # buffers are set alike by every process
    return DistributedDataParallel(network, device_ids=where, broadcast_buffers=False)


def mean_over(values: list[float]) -> list[float]:
    """The mean over the processes of each number."""
    if world() == 1:  # where Ignite would take the first GPU there is, also of a run on the CPU
        return values
    total = idist.all_reduce(torch.tensor(values, dtype=torch.double, device=idist.device()))
    return (total / world()).tolist()


def all_of(things: list[T]) -> list[T]:
    """The lists of all processes, one after another; plain Python values."""
    if world() == 1:
        return things
    parts: list = [None] * world()
    dist.all_gather_object(parts, things)
    return [one for part in parts for one in part]


def check_divisible(subjects: int, per_step: int, shards: int) -> int:
    """The subjects of a step that each shard gives.

    Raises:
        InputError: the shards cannot give the same number each, or one would be empty.
    """
    if per_step % shards:
        raise InputError(f"subjects_per_step is {per_step}, which {shards} shards cannot share; make it a multiple")
    if subjects < shards or shards % world():
        raise InputError(
            f"{subjects} training subjects in {shards} shards on {world()} processes: start no more processes than "
            "there are subjects, and make shards a multiple of them"
        )
    return per_step // shards
