"""Stacks of the training subjects in the memory of the training device, where a step's points are drawn for all its
subjects at once.

A draw from the store takes some hundred small operations for each subject of a step, about a millisecond, for which a
GPU would wait.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import astuple

import ignite.distributed as idist
import numpy as np
import torch
from monai.data import DataLoader
from monai.transforms import Randomizable
from torch.utils.data import Dataset

from nisf.geometry.pose import Pose, moved
from nisf.training.store import MappedDataset
from nisf.transforms.points import RandFramed, RandPointsd, frame_at, whole_frames
from nisf.transforms.scan import scan_of
from nisf.transforms.virtual_subjects import RandVirtualSubjectd, VirtualSubject
from nisf.utils import distributed
from nisf.utils.machine import free_memory
from nisf.utils.tensors import as_intensity

logger = logging.getLogger(__name__)

#: Share of the free memory that the stacks may take; the rest is for the network's activations.
SHARE = 0.6


def bytes_of(dataset: MappedDataset, subjects: Sequence[int]) -> int:
    """Size in bytes of the images and labels of some subjects of the store, both one byte per voxel."""
    items = (dataset.stored(subject) for subject in subjects)
    return sum(item["image"].numel() + item["label"].numel() for item in items)


def free_bytes(device: torch.device) -> int:
    """Free memory of a device; of main memory, this process's share."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory() // idist.get_nproc_per_node()


def hindrance_of(dataset: MappedDataset, device: torch.device) -> str | None:
    """Why the stacks of a store do not fit in the memory of a device, or None if they do."""
    needed, free = bytes_of(dataset, range(len(dataset))), free_bytes(device)
    sizes = f"{needed / 1e9:.2f} GB of stacks, {free / 1e9:.2f} GB free on {device}"
    if any(distributed.all_of([needed > SHARE * free])):
        return f"{sizes}: they do not fit"
    logger.info("%s: the stacks are kept there", sizes)
    return None


class CachedStacks:
    """Images, labels and frames of S subjects as a few tensors on one device.

    Args:
        dataset: the filled store.
        subjects: numbers of the subjects.
        device: device of the tensors.
    """

    def __init__(self, dataset: MappedDataset, subjects: Sequence[int], device: torch.device | str) -> None:
        items = [dataset.stored(subject) for subject in subjects]
        frames = [scan_of(item["image"]).frame for item in items]
        self.place = {subject: place for place, subject in enumerate(subjects)}
        self.device, self.dims = torch.device(device), frames[0].dims
        self.channels = items[0]["image"].shape[0]
        self.size = self._table([item["image"].shape[1:4] for item in items], torch.long)
        self.scale, self.offset = (
            self._table([getattr(frame, name) for frame in frames]) for name in ("scale", "offset")
        )
        self.pose = self._table([astuple(frame.pose or Pose()) for frame in frames])
        # the time points of all subjects one after another, then the boxes of their labels, then their voxels
        counts = [len(frame.times) for frame in frames]
        self.frames, self.first_frame = self._table(counts, torch.long), self._table(_starts(counts), torch.long)
        self.times = self._table([time for frame in frames for time in frame.times])
        self.boxes = self._table([box for item in items for box in item["boxes"]], torch.long)
        self.seen = self._table([box for item in items for box in item["seen"]], torch.long)
        self.whole = self._table([whole_frames(item) for item in items], torch.long)
        counts = [item["label"].numel() for item in items]
        self.first_voxel = self._table(_starts(counts), torch.long)
        self.image = torch.empty(self.channels * sum(counts), dtype=torch.uint8, device=self.device)
        self.label = torch.empty(sum(counts), dtype=torch.int8, device=self.device)
        for start, count, item in zip(_starts(counts), counts, items):
            for kept, channels, name in ((self.image, self.channels, "image"), (self.label, 1, "label")):
                part = kept[channels * start : channels * (start + count)]
                part.copy_(item[name].permute(4, 0, 1, 2, 3).reshape(-1))

    def _table(self, values: Sequence, kind: torch.dtype = torch.double) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=kind, device=self.device)

    def draw(
        self, places: torch.Tensor, framing: RandFramed, sampling: RandPointsd, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draws as ``RandFramed`` and ``RandPointsd`` do, from the subjects at ``places`` [B].

        Returns:
            a frame [B] and voxels [B, 3, N] for each.
        """
        drawn = own_rand(len(places), generator=generator, device=self.device, dtype=torch.double)
        frame = frame_at(drawn, self.frames[places], self.whole[places], framing.whole_share)
        unit = own_rand(len(places), 3, sampling.num_points, generator=generator, device=self.device)
        near, margin = sampling.near, self._table(sampling.margins, torch.long)
        start, end = self.seen[self.first_frame[places] + frame].unbind(dim=2)
        low, high = self.boxes[self.first_frame[places] + frame].unbind(dim=2)
        low, high = (low - margin).maximum(start), (high + margin).minimum(end)
        everywhere, close = unit.split([sampling.num_points - near, near], dim=2)
        voxels = [_within(everywhere, start, end), _within(close, low, high)]
        return frame, torch.cat(voxels, dim=2)

    def at(self, places: torch.Tensor, frame: torch.Tensor, voxels: torch.Tensor) -> dict[str, torch.Tensor]:
        """``coords`` [B, D, N], ``intensity`` [B, C, N] and ``label`` [B, 1, N] as ``gather_points`` gives them."""
        coords = voxels * self.scale[places, :, None] + self.offset[places, :, None]
        coords = moved(coords, self.pose[places])
        time = self.times[self.first_frame[places] + frame]
        coords = torch.cat([coords, time[:, None, None].expand(-1, 1, voxels.shape[2])], dim=1)[:, : self.dims]
        size = self.size[places]
        voxel = (voxels[:, 0] * size[:, 1:2] + voxels[:, 1]) * size[:, 2:3] + voxels[:, 2]
        grid, start = size.prod(dim=1), self.first_voxel[places]
        label = (start + frame * grid)[:, None] + voxel
        channel = torch.arange(self.channels, device=self.device)
        first = self.channels * (start + frame * grid)[:, None] + channel * grid[:, None]
        return {
            "coords": coords.float(),
            "intensity": as_intensity(self.image[first.unsqueeze(2) + voxel.unsqueeze(1)]),
            "label": self.label[label].long().unsqueeze(1),
        }


def own_rand(number: int, *shape: int, **options: object) -> torch.Tensor:
    """``torch.rand``: this process's rows of what a single process would draw for all subjects."""
    world, rank = distributed.world(), distributed.rank()
    return torch.rand(number * world, *shape, **options)[rank::world]


def _starts(counts: Sequence[int]) -> list[int]:
    """Where each of several parts begins."""
    return np.concatenate([[0], np.cumsum(counts)])[:-1].tolist()


def _within(unit: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Whole numbers [B, 3, N] of half-open ranges, ends [B, 3], from numbers in [0, 1)."""
    low, high = low.unsqueeze(2), high.unsqueeze(2)
    return (low + (unit * (high - low)).long()).minimum(high - 1)


class CachedLoader(DataLoader):
    """MONAI's DataLoader over a store; with ``cache`` the stacks are on ``device``, where the batches are made.

    If they do not fit, if every voxel is wanted, or if the random transforms are not ``RandFramed``, ``RandPointsd``
    and ``RandVirtualSubjectd``, the batches come from the store, and the log says so. The draws are seeded for each
    epoch. Each of several processes holds the stacks of all subjects and draws its rows of a step.

    Args:
        dataset: dataset that the DataLoader reads.
        store: the store behind it.
        cache: whether to keep the stacks on ``device``.
        device: device of the training.
        seeds: generator whose seed ``handlers.EpochSeed`` sets.
        options: options of the DataLoader.
    """

    def __init__(
        self,
        dataset: Dataset,
        store: MappedDataset,
        cache: bool,
        device: torch.device,
        seeds: torch.Generator,
        **options: object,
    ) -> None:
        super().__init__(dataset, **options)
        self.store, self.cache, self.device = store, cache, torch.device(device)
        self.seeds = seeds
        self.cached: tuple[CachedStacks, VirtualSubject] | None = None

    def __iter__(self) -> Iterator[dict]:
        if self.cache and self.cached is None:
            self._fill()
        return self._batches() if self.cached else super().__iter__()

    def _fill(self) -> None:
        """Copies the stacks to the device, if every process can."""
        subjects = range(len(self.store))
        if (hindrance := self._hindrance() or hindrance_of(self.store, self.device)) is not None:
            logger.warning("%s, points are drawn from the store", hindrance)
            self.cache = False
            return
        *_, self.framing, self.points, virtual = self.store.transform.flatten().transforms
        self.copies = virtual.copies
        self.cached = CachedStacks(self.store, subjects, self.device), virtual.every(subjects, self.device)

    def _hindrance(self) -> str | None:
        """Why the points cannot be drawn on the device, or None."""
        steps = self.store.transform.flatten().transforms
        first = next((place for place, step in enumerate(steps) if isinstance(step, Randomizable)), len(steps))
        if [type(step) for step in steps[first:]] != [RandFramed, RandPointsd, RandVirtualSubjectd]:
            return "the random transforms are not those of the cache"
        return "every voxel is wanted" if steps[-2].num_points is None else None

    def _batches(self) -> Iterator[dict[str, torch.Tensor]]:
        """The batches of an epoch."""
        seed = int(np.random.SeedSequence([self.seeds.initial_seed() % 2**63, 0]).generate_state(1)[0])
        generator = torch.Generator(self.device).manual_seed(seed)
        for batch in self.batch_sampler:
            yield self._drawn([one if isinstance(one, int) else one[0] for one in batch], generator)  # (subject, seed)

    def _drawn(self, subjects: Sequence[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """A batch of some subjects."""
        stacks, virtual = self.cached
        places = torch.tensor([stacks.place[subject] for subject in subjects], device=self.device)
        copy = own_rand(len(places), generator=generator, device=self.device)
        copy = (copy * self.copies).long().clamp_max(self.copies - 1)
        points = stacks.at(places, *stacks.draw(places, self.framing, self.points, generator))
        index = torch.tensor(subjects, device=self.device) * self.copies + copy
        return {**virtual.rows(places * self.copies + copy).show(points), "index": index}
