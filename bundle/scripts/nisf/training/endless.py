"""A population without end: virtual subjects that are born, shown for some steps, and replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from nisf.training.stack_cache import CachedStacks, hindrance_of
from nisf.training.store import MappedDataset
from nisf.transforms.points import RandFramed, RandPointsd
from nisf.transforms.virtual_subjects import RandVirtualSubjectd, VirtualSubject
from nisf.utils.distributed import share_of, shares
from nisf.utils.errors import InputError, check_counts

#: Frames from which the points of a step's fit are drawn.
FIT_FRAMES = 4


@dataclass(frozen=True)
class Group:
    """Virtual subjects that are shown together.

    Attributes:
        places: numbers of the subjects that they come from [B].
        virtual: how each is moved and shaded.
    """

    places: torch.Tensor
    virtual: VirtualSubject


class EndlessLoader:
    """Batches of points of groups of virtual subjects, each of which is replaced by a new one after some visits.

    A batch has the points of ``Population`` (``coords``, ``intensity``, ``label``, ``index``), others from the whole
    field by which the latents are fitted (``fit_coords`` [B, D, M], ``fit_intensity`` [B, C, M]), and whether the group
    is ``new``. The groups differ in age. What is drawn depends on the seeds and on the number of the group or epoch
    alone; each of several processes draws its rows of a group.

    Args:
        store: filled store of the subjects.
        virtual: the virtual subjects' moves; ``copies`` is not used.
        points: how the points of a step are drawn.
        device: device of the training.
        seeds: generator whose seed ``handlers.EpochSeed`` sets.
        subjects: virtual subjects of a group, B.
        groups: number of groups, G.
        visits: steps for which a group is shown.
        steps: steps of an epoch.
        fit_points: points by which the latents are fitted at each step, M.

    Raises:
        InputError: a number is below 1, several processes cannot share a group evenly, or the stacks do not fit in the
            device's memory.
    """

    def __init__(
        self,
        store: MappedDataset,
        virtual: RandVirtualSubjectd,
        points: RandPointsd,
        device: torch.device,
        seeds: torch.Generator,
        subjects: int,
        groups: int,
        visits: int,
        steps: int,
        fit_points: int,
    ) -> None:
        counts = {"subjects": subjects, "groups": groups, "visits": visits, "steps": steps, "fit_points": fit_points}
        check_counts("the training", **counts)
        share_of(subjects, "subjects_per_step")
        self.store, self.virtual, self.points, self.device = store, virtual, points, torch.device(device)
        self.seeds, self.subjects, self.visits, self.steps = seeds, subjects, visits, steps
        self.fitting = RandPointsd(max(fit_points // FIT_FRAMES, 1))
        self.framing = RandFramed()
        self.number = torch.arange(groups)
        # staggered, so that a step's group is new as often as any other
        self.age = (torch.arange(groups) * visits) // groups
        self.born, self.stacks = groups, None
        self._groups: dict[int, Group] = {}

    def __len__(self) -> int:
        return self.steps

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Numbers and ages of the groups, for checkpoints."""
        return {"number": self.number, "age": self.age, "born": torch.tensor(self.born)}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Takes the groups of a checkpoint."""
        self.number, self.age, self.born = state["number"].clone(), state["age"].clone(), int(state["born"])

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        if self.stacks is None:
            self._fill()
        seed = int(np.random.SeedSequence([self.seeds.initial_seed() % 2**63, 1]).generate_state(1)[0])
        on_device, order = torch.Generator(self.device).manual_seed(seed), torch.Generator().manual_seed(seed)
        turns: list[int] = []
        for _ in range(self.steps):
            turns = turns or torch.randperm(len(self.number), generator=order).tolist()
            yield self._batch(turns.pop(), on_device)

    def _fill(self) -> None:
        """Copies the stacks to the device."""
        if (hindrance := hindrance_of(self.store, self.device)) is not None:
            raise InputError(f"{hindrance}; train with the latent table of train.json, which reads them from the disk")
        self.stacks = CachedStacks(self.store, range(len(self.store)), self.device)

    def _batch(self, turn: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The batch of a group, which is replaced first if its time is over."""
        if self.age[turn] >= self.visits:
            self._groups.pop(int(self.number[turn]), None)
            self.number[turn], self.age[turn], self.born = self.born, 0, self.born + 1
        group, new = self._group(int(self.number[turn])), self.age[turn] == 0
        self.age[turn] += 1
        shown = self._shown(group, self.points, generator)
        fitted = [self._shown(group, self.fitting, generator) for _ in range(FIT_FRAMES)]
        names = ("coords", "intensity")
        index = turn * self.subjects + torch.tensor(shares(self.subjects), device=self.device)
        return {
            **{name: shown[name] for name in (*names, "label")},
            **{f"fit_{name}": torch.cat([part[name] for part in fitted], dim=2) for name in names},
            "index": index,
            "new": new,
        }

    def _shown(self, group: Group, points: RandPointsd, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Points of a frame of each subject of a group."""
        found = self.stacks.at(group.places, *self.stacks.draw(group.places, self.framing, points, generator))
        return group.virtual.show(found)

    def _group(self, number: int) -> Group:
        """This process's rows of the group of a number."""
        if number not in self._groups:
            rng, own = np.random.default_rng([self.virtual.seed, number]), list(shares(self.subjects))
            places = torch.from_numpy(rng.integers(len(self.store), size=self.subjects))[own]
            first = number * self.subjects
            moves = [VirtualSubject.drawn([self.virtual.seed, first + row], **self.virtual.options) for row in own]
            self._groups[number] = Group(places.to(self.device), VirtualSubject.stacked(moves, self.device))
        return self._groups[number]
