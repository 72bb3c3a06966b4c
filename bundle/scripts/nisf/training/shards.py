"""A population trained by several processes: each has the latents of its own share of the subjects.

Subjects are dealt out to shards in turn; a process holds one shard, or all of them. A step draws the same number of
subjects from each shard, and its loss is the mean over shards. The network is the same everywhere
(``DistributedDataParallel``), and a checkpoint holds the whole table of latents, whatever the number of processes:
training goes on with more of them or with fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from nisf.models.losses import NISFLoss
from nisf.models.nisf import NISF, LatentTable
from nisf.training.population import Population, PopulationAdam, TrainingLoss
from nisf.training.store import MappedDataset
from nisf.utils import distributed


class ShardedLatents(LatentTable):
    """The rows of this process's subjects; ``state_dict`` is that of the whole ``LatentTable``.

    Args:
        num_subjects: of all processes.
        latent_size: length of a latent.
        std: standard deviation of the start values.
        copies: rows of each subject.
    """

    def __init__(self, num_subjects: int, latent_size: int, std: float = 1e-4, copies: int = 1) -> None:
        whole = LatentTable(num_subjects * copies, latent_size, std).weight.detach()
        own = whole.view(num_subjects, copies * latent_size)[distributed.rank() :: distributed.world()]
        super().__init__(len(own) * copies, latent_size, std)
        self.num_subjects, self.copies = num_subjects, copies
        self.weight.data.copy_(own.reshape(-1, latent_size))

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        """Latents [B, L] of rows [B] of the whole table, which have to be this process's own."""
        subject, copy = index // self.copies, index % self.copies
        return super().forward(subject // distributed.world() * self.copies + copy)

    def whole(self) -> torch.Tensor:
        """As ``LatentTable.whole``, from all processes."""
        return self.of_all(self.weight.detach())

    def of_all(self, own: torch.Tensor) -> torch.Tensor:
        """A tensor as large as the whole table from one as large as each process's rows."""
        rows = own.reshape(len(own) // self.copies, -1)
        return distributed.gathered(rows, self.num_subjects).reshape(-1, *own.shape[1:])

    def own_of(self, whole: torch.Tensor) -> torch.Tensor:
        """This process's rows of a tensor as large as the whole table."""
        rows = whole.reshape(self.num_subjects, -1)[distributed.rank() :: distributed.world()]
        return rows.reshape(-1, *whole.shape[1:])

    def state_dict(self, *args: object, **kwargs: object) -> dict:
        """The whole table; a call of all processes."""
        return {"weight": self.whole()}

    def load_state_dict(self, state: Mapping, *args: object, **kwargs: object) -> object:
        """Takes this process's rows of the whole table."""
        return super().load_state_dict({"weight": self.own_of(state["weight"])}, *args, **kwargs)


class ShardedPopulation(Population):
    """``Population`` whose network is trained by all processes together, its latents by this one.

    A rank's loss is a mean over its own subjects, so the gradients of its latents are scaled to those of the mean over
    all.
    """

    def __init__(self, network: NISF, latents: ShardedLatents, **options: object) -> None:
        super().__init__(network, latents, **options)
        if distributed.world() > 1:
            self.__dict__["fast"] = distributed.trained_together(self.fast)
            latents.weight.register_hook(lambda gradient: gradient / distributed.world())


class ShardedAdam(PopulationAdam):
    """``PopulationAdam`` whose state holds the moments of all processes' latents; a call of all of them."""

    def __init__(self, population: ShardedPopulation, **options: float) -> None:
        super().__init__(population, **options)
        self.latents = population.latents

    def state_dict(self) -> dict:
        """As ``PopulationAdam``."""
        return _with_moments(super().state_dict(), self.latents.of_all)

    def load_state_dict(self, state: dict) -> None:
        """As ``PopulationAdam``."""
        super().load_state_dict(_with_moments(state, self.latents.own_of))


def _with_moments(state: Mapping, change: object) -> dict:
    """A state whose moments of latents have gone through ``change``; what is no table stays."""
    weights, latents = state["parts"]
    moments = {
        row: {
            name: change(value) if torch.is_tensor(value) and value.ndim == 2 else value for name, value in of.items()
        }
        for row, of in latents["state"].items()
    }
    return {"parts": [weights, {**latents, "state": moments}]}


class ShardedLoss(TrainingLoss):
    """The mean over shards of the loss of each: Dice is of a shard's subjects, whoever holds it.

    Args:
        loss: of one shard.
        shards: of all processes.
    """

    def __init__(self, loss: NISFLoss, shards: int) -> None:
        super().__init__(loss)
        self.own = shards // distributed.world()

    def forward(self, output: tuple[torch.Tensor, torch.Tensor], target: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The mean over this process's shards, a scalar."""
        parts = []
        for logits, latent, intensity, label in zip(
            *(values.chunk(self.own) for values in (*output, target["intensity"], target["label"]))
        ):
            parts.append(self.loss(logits, intensity, label, latent))
        means = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        self.parts = {name: value.detach() for name, value in means.items()}
        return means["loss"]


class ShardSampler(Sampler):
    """Batches of (subject, seed): the same number from each of this process's shards, the same whoever holds a shard.

    Args:
        subjects: number of all.
        per_step: subjects of a step, of all shards together.
        steps: of an epoch.
        shards: of all processes.
        generator: seeded anew for each epoch (``handlers.EpochSeed``).

    Raises:
        InputError: see ``distributed.check_divisible``.
    """

    def __init__(self, subjects: int, per_step: int, steps: int, shards: int, generator: torch.Generator) -> None:
        self.subjects, self.steps, self.shards, self.generator = subjects, steps, shards, generator
        self.each = distributed.check_divisible(subjects, per_step, shards)

    def __len__(self) -> int:
        return self.steps

    def _draws(self, shard: int, seed: int) -> list[tuple[int, int]]:
        """An epoch's draws of one shard: every subject of it once, in another order each time, over and over."""
        draw, number = np.random.default_rng([seed, shard]), self.each * self.steps
        own = np.arange(shard, self.subjects, self.shards)
        rounds = -(-number // len(own))
        order = np.concatenate([draw.permutation(own) for _ in range(rounds)])[:number]
        return list(zip(order.tolist(), draw.integers(2**31, size=number).tolist()))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        seed = self.generator.initial_seed() % 2**63
        own = [self._draws(shard, seed) for shard in range(distributed.rank(), self.shards, distributed.world())]
        for step in range(self.steps):
            yield [one for draws in own for one in draws[step * self.each : (step + 1) * self.each]]


class SeededDraws(Dataset):
    """Items of (subject, seed): the random transforms see the seed alone, not what was drawn before.

    Args:
        dataset: of all subjects.
    """

    def __init__(self, dataset: MappedDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: tuple[int, int]) -> dict:
        subject, seed = draw
        self.dataset.transform.set_random_state(seed=seed)
        return self.dataset[subject]
