"""The voxels of a scan as points, made on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from scripts.errors import InputError
from scripts.geometry import CoordinateFrame
from scripts.point_sets import as_intensity
from scripts.pose import Pose


@dataclass
class GridPoints:
    """The voxels of a scan as points, made on demand so that a long cine is never held as coordinates.

    Attributes:
        frame: the scan's coordinate frame, of the same grid as ``image``.
        image: [C, X, Y, Z, T], uint8 or float in [0, 1].
        kept_slices: slices that may be seen; None is all of them.
        evidence: class probabilities [K, X, Y, Z, T'] of some frames as points of their own, or None.
    """

    frame: CoordinateFrame
    image: torch.Tensor
    kept_slices: list[int] | None = None
    evidence: GridPoints | None = None

    def __post_init__(self) -> None:
        grid = (*self.frame.shape, len(self.frame.times))
        if tuple(self.image.shape[1:]) != grid:
            found = tuple(self.image.shape[1:])
            raise InputError(f"the image's grid {found} is not that of its coordinate frame {grid}")
        self._seen = None if self.kept_slices is None else torch.tensor(self.kept_slices)

    def __len__(self) -> int:
        return int(np.prod(self._grid))

    @property
    def _grid(self) -> tuple[int, int, int, int]:
        """Numbers of voxels along x, y, the slices that may be seen, and time."""
        x, y, z, t = self.image.shape[1:]
        return x, y, z if self._seen is None else len(self._seen), t

    def moved(self, change: torch.Tensor) -> GridPoints:
        """The same voxels with their pose followed by ``change`` [6]."""
        return replace(self, frame=self.frame.moved(Pose.of(change))) if bool((change != 0).any()) else self

    def flat(self, number: torch.Tensor) -> torch.Tensor:
        """Flat grid index of the points ``number`` [N] in 0..len - 1."""
        if self._seen is None:
            return number
        n_z, n_t = self.image.shape[3], self.image.shape[4]
        t, rest = number % n_t, number // n_t
        kept = len(self._seen)
        return ((rest // kept) * n_z + self._seen[rest % kept]) * n_t + t

    def take(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates [D, N] and intensities [C, N] of the points ``number``."""
        indices = self.flat(number)
        where = torch.unravel_index(indices, self.image.shape[1:])
        return self.frame.points(indices), as_intensity(self.image[(slice(None), *where)])

    @property
    def evidence_frames(self) -> list[int]:
        """Numbers of the frames that have class evidence."""
        times = () if self.evidence is None else self.evidence.frame.times
        return [number for number, time in enumerate(self.frame.times) if time in times]

    def evidence_at(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the points ``number`` [N] those whose frame has evidence, [M], and their class evidence [K, M]."""
        place = torch.full((len(self.frame.times),), -1)
        place[self.evidence_frames] = torch.arange(len(self.evidence_frames))
        where = torch.unravel_index(self.flat(number), self.image.shape[1:])
        seen = place[where[3]] >= 0
        x, y, z, t = (axis[seen] for axis in where)
        return number[seen], as_intensity(self.evidence.image[:, x, y, z, place[t]])

    def spread(self, count: int, seed: int = 0) -> torch.Tensor:
        """Numbers of ``count`` points spread evenly over the scan; every beginning of the list is spread evenly too.

        A scrambled Sobol sequence over x, y, slice and time. Of a scan with no more than ``count`` points all are
        given, in random order.
        """
        if count >= len(self):
            return torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        unit = torch.quasirandom.SobolEngine(4, scramble=True, seed=seed).draw(count)
        number = torch.zeros(count, dtype=torch.long)
        for axis, size in enumerate(self._grid):
            number = number * size + (unit[:, axis] * size).long().clamp(max=size - 1)
        return number

    def nearest(self, coords: torch.Tensor) -> torch.Tensor:
        """Intensities [C, N] of the voxels nearest to ``coords`` [D, N], among the slices that may be seen.

        The cardiac cycle is closed: a time of 0.95 is near to 0. Outside the grid its outermost voxels are taken.
        """
        wanted = coords.cpu().double().numpy()
        if self.frame.pose is not None:
            wanted = np.concatenate([self.frame.pose.invert(wanted[:3]), wanted[3:]])
        where = [_nearest(self.frame.axis(axis), wanted[axis]) for axis in range(3)]
        if self._seen is not None:
            kept = self._seen.numpy()
            where[2] = kept[_nearest(self.frame.axis(2)[kept], wanted[2])]
        if self.frame.dims == 4:
            away = wanted[3][:, None] - np.asarray(self.frame.times)[None]
            where.append(np.abs(away - np.rint(away)).argmin(axis=1))
        else:
            where.append(np.zeros(coords.shape[1], dtype=int))
        return as_intensity(self.image[(slice(None), *(torch.from_numpy(w) for w in where))])


def _nearest(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of the nearest of ``places`` [M] for each of ``wanted`` [N]."""
    return np.abs(wanted[:, None] - places[None]).argmin(axis=1)
