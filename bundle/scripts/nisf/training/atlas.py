"""The template of a population and the fields that deform it into each subject's organ, from the labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data.utils import json_hashing
from torch.nn import functional as F

from nisf.training.slice_net import labelled
from nisf.training.store import MappedDataset
from nisf.transforms.anatomy import Anatomies
from nisf.transforms.scan import scan_of
from nisf.utils.distributed import first_alone
from nisf.utils.tensors import likeliest, save_tensors

logger = logging.getLogger(__name__)

#: Version of the registration; a new number makes old files unused.
VERSION = 1
#: Nodes along z, y, x of the lattice on which labels are compared, and of that of the displacements.
LATTICE, NODES = (20, 36, 36), (8, 10, 10)
#: Steps of the registration, and how many there are between new templates.
STEPS, RENEWED = 120, 10
STEP_SIZE = 0.01
#: Weights of the bending, the slopes and the size of the displacements against the mean squared label difference.
BENDING, SLOPE, SIZE = 1.5, 0.15, 0.02
#: Subjects registered at once.
TOGETHER = 20
#: How much wider than the organs the box is.
MARGIN = 1.5


def kept_anatomies(store: MappedDataset) -> Anatomies:
    """``anatomies_of`` a store, kept in a file beside its stacks; the first of several processes makes it."""
    content = [store.hash_func(item).decode() for item in store.data]
    path = Path(store.cache_dir) / f"anatomies{json_hashing([content, VERSION]).decode()}.pt"

    def made() -> Anatomies:
        if not path.is_file():
            save_tensors(vars(anatomies_of(store)), path)
        return Anatomies(**torch.load(path, weights_only=True))

    return first_alone(made)


def anatomies_of(store: MappedDataset) -> Anatomies:
    """Registers the labels of a store's subjects to a common template (a groupwise registration).

    The mean squared difference between the classes of each deformed subject and the template, the mean of all, is
    minimised by Adam over displacements on a coarse lattice, smoothed by penalties on curvature, slope and size.
    Subjects with phases ED and ES have a field at each; if any has one labelled frame alone, one field is made.

    Raises:
        InputError: a subject has no labelled frame.
    """
    items = [store.stored(index) for index in range(len(store))]
    frames = [_phases(item) for item in items]
    if not all(len(found) == 2 for found in frames):
        frames = [found[:1] for found in frames]
    low, high = _box(items, frames)
    lattice = _lattice(low, high)
    fields, count = [], 1 + max(int(item["label"].max()) for item in items)
    for phase, name in enumerate(["first", "second"][: len(frames[0])]):
        seen = [classes_at(item, found[phase], lattice, count) for item, found in zip(items, frames)]
        classes, mask = (torch.stack(values) for values in zip(*seen))
        fields.append(register(classes, mask, lattice, name))
    second = [scan_of(item["image"]).frame.times[found[-1]] for item, found in zip(items, frames)]
    return Anatomies(torch.stack(fields, dim=1), low, high, torch.tensor(second).float())


def _phases(item: Mapping) -> list[int]:
    """Numbers of the labelled frames of ED and ES, or of the first labelled frame."""
    frames, phases = labelled(item["label"]), item.get("phases", {})
    known = [phases[name] for name in ("ED", "ES") if phases.get(name) in frames]
    return known if len(known) == 2 else frames[:1]


def _box(items: Sequence[Mapping], frames: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Corners [3] of a box around the organs of all subjects, in normalised coordinates."""
    ends = []
    for item, numbers in zip(items, frames):
        frame = scan_of(item["image"]).frame
        corners = np.array([item["boxes"][number] for number in numbers], dtype=float)  # [T, 3, 2]
        voxels = np.stack([corners[..., 0].min(axis=0), corners[..., 1].max(axis=0) - 1])
        places = frame.voxel_to_normalised(np.array(np.meshgrid(*voxels.T)).reshape(3, -1).T)
        ends.append([places.min(axis=0), places.max(axis=0)])
    low, high = np.median(np.array(ends), axis=0)
    middle, half = (high + low) / 2, MARGIN * (high - low) / 2
    return torch.from_numpy(middle - half).float(), torch.from_numpy(middle + half).float()


def _lattice(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Places [3, Z, Y, X] of the lattice of the labels."""
    axes = [torch.linspace(float(low[a]), float(high[a]), LATTICE[2 - a]) for a in range(3)]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return torch.stack([x, y, z])


def classes_at(item: Mapping, frame: int, lattice: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes [K, Z, Y, X] of a stored subject's labelled frame at the lattice's places, linear between voxels, and
    where the subject was seen [1, Z, Y, X]."""
    label, where = item["label"].as_subclass(torch.Tensor)[0, ..., frame].long(), scan_of(item["image"]).frame
    voxels = torch.from_numpy(where.normalised_to_voxel(lattice.flatten(1).t().double().numpy()))
    grid = ((voxels + 0.5) * 2 / torch.tensor(label.shape) - 1).reshape(1, *lattice.shape[1:], 3).float()
    seen = (grid.abs() <= 1).all(dim=-1).float()
    one_hot = F.one_hot(label, count).permute(3, 2, 1, 0).float()
    return F.grid_sample(one_hot[None], grid, padding_mode="border", align_corners=False)[0], seen


def register(classes: torch.Tensor, seen: torch.Tensor, lattice: torch.Tensor, name: str) -> torch.Tensor:
    """Displacements [S, 3, Z', Y', X'] on a coarse lattice that bring S subjects onto their mean, see ``anatomies_of``.

    Args:
        classes, seen: as from ``classes_at``, [S, K, Z, Y, X] and [S, 1, Z, Y, X].
        lattice: places [3, Z, Y, X].
        name: of the phase, for the log.
    """
    fields = torch.zeros(len(classes), 3, *NODES, requires_grad=True)
    optimizer = torch.optim.Adam([fields], lr=STEP_SIZE)
    parts = torch.arange(len(classes)).split(TOGETHER)
    for step in range(STEPS):
        if step % RENEWED == 0:
            template = _template(classes, seen, fields, lattice, parts)
            logger.info("atlas: %s phase, step %d of %d", name, step, STEPS)
        for part in parts:
            shown, there = _deformed(classes[part], fields[part], lattice), _deformed(seen[part], fields[part], lattice)
            difference = (there * (shown - template).square()).sum(dim=1).mean(dim=(1, 2, 3)).sum()
            (difference + _roughness(fields[part])).backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            fields -= fields.mean(dim=0)
    agreement = [_overlap(classes[part], fields[part].detach(), lattice, template) for part in parts]
    logger.info("atlas: %s phase, mean Dice of the subjects with the template %.3f", name, torch.cat(agreement).mean())
    return fields.detach()


def _deformed(values: torch.Tensor, fields: torch.Tensor, lattice: torch.Tensor) -> torch.Tensor:
    """Values [S, K, Z, Y, X] of subjects at the places where the template's lattice lies in them."""
    shift = F.interpolate(fields, size=lattice.shape[1:], mode="trilinear", align_corners=True)
    low, high = lattice.flatten(1).amin(dim=1), lattice.flatten(1).amax(dim=1)
    unit = ((lattice + shift).movedim(1, -1) - (high + low) / 2) * 2 / (high - low)
    return F.grid_sample(values, unit, padding_mode="border", align_corners=True)


@torch.no_grad()
def _template(
    classes: torch.Tensor,
    seen: torch.Tensor,
    fields: torch.Tensor,
    lattice: torch.Tensor,
    parts: Sequence[torch.Tensor],
) -> torch.Tensor:
    """Mean classes [K, Z, Y, X] of the deformed subjects that were seen at a place."""
    total, number = 0.0, 0.0
    for part in parts:
        there = _deformed(seen[part], fields[part], lattice)
        total = total + (there * _deformed(classes[part], fields[part], lattice)).sum(dim=0)
        number = number + there.sum(dim=0)
    return total / number.clamp_min(1.0)


def _roughness(fields: torch.Tensor) -> torch.Tensor:
    """Penalty on curvature, slope and size of displacements [S, 3, Z, Y, X], summed over subjects."""

    def mean(values: torch.Tensor) -> torch.Tensor:
        return values.square().flatten(1).mean(dim=1).sum()

    curved = sum(mean(fields.diff(n=2, dim=axis)) for axis in (2, 3, 4))
    sloped = sum(mean(fields.diff(dim=axis)) for axis in (2, 3, 4))
    return BENDING * curved + SLOPE * sloped + SIZE * mean(fields)


@torch.no_grad()
def _overlap(
    classes: torch.Tensor, fields: torch.Tensor, lattice: torch.Tensor, template: torch.Tensor
) -> torch.Tensor:
    """Dice of each deformed subject and class but the background with the template, [S, K - 1]."""
    own, common = likeliest(_deformed(classes, fields, lattice).transpose(0, 1)), likeliest(template)
    pairs = [(own == k, common == k) for k in range(1, len(template))]
    return torch.stack([2 * (a & b).sum((1, 2, 3)) / (a.sum((1, 2, 3)) + b.sum()).clamp_min(1) for a, b in pairs], 1)
