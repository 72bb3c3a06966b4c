"""The voxels of a scan as points, made on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose
from nisf.utils.errors import InputError
from nisf.utils.tensors import as_intensity, unravelled


@dataclass
class GridPoints:
    """The voxels of a scan as points, made on demand so that the coordinates of a long cine are never all in memory.

    Attributes:
        frame: coordinate frame of the scan, with the same grid as ``image``.
        image: [C, X, Y, Z, T], uint8 or float in [0, 1].
        kept_slices, kept_frames: slices and frames that may be seen; None for all.
        unet_prob: U-Net probabilities [K, X, Y, Z, T'] of some frames, as separate points, or None.
        mask: voxels [X, Y, Z] that may be seen, or None for all.
    """

    frame: CoordinateFrame
    image: torch.Tensor
    kept_slices: list[int] | None = None
    unet_prob: GridPoints | None = None
    kept_frames: list[int] | None = None
    mask: torch.Tensor | None = None

    def __post_init__(self) -> None:
        grid = (*self.frame.shape, len(self.frame.times))
        if tuple(self.image.shape[1:]) != grid:
            found = tuple(self.image.shape[1:])
            raise InputError(f"the image's grid {found} is not that of its coordinate frame {grid}")
        kept = zip((self.kept_slices, self.kept_frames), grid[2:])
        self._slices, self._frames = (torch.tensor(list(range(n)) if k is None else k) for k, n in kept)
        # rank of each place [X, Y, kept slices] among those that may be seen, -1 for the others; and the inverse
        self._rank = self._places = None
        if self.mask is not None:
            allowed = self.mask[:, :, self._slices].reshape(-1)
            self._places = allowed.nonzero()[:, 0]
            self._rank = torch.where(allowed, allowed.cumsum(0) - 1, -1)
            if not len(self._places):
                raise InputError(
                    "the mask leaves no voxel that may be seen; give one that is 1 inside the valid region"
                )

    def __len__(self) -> int:
        x, y, z, t = self._grid
        return (x * y * z if self._places is None else len(self._places)) * t

    @property
    def _grid(self) -> tuple[int, int, int, int]:
        """Number of voxels along x and y, and of slices and frames that may be seen."""
        return self.image.shape[1], self.image.shape[2], len(self._slices), len(self._frames)

    def moved(self, change: torch.Tensor) -> GridPoints:
        """The same voxels with their pose followed by ``change`` [6]."""
        return replace(self, frame=self.frame.moved(Pose.of(change))) if bool((change != 0).any()) else self

    def flat(self, number: torch.Tensor) -> torch.Tensor:
        """Flat grid index of the points ``number`` [N] in 0..len - 1."""
        rest, t = number // len(self._frames), number % len(self._frames)
        rest = rest if self._places is None else self._places[rest]
        plane, z = rest // len(self._slices), rest % len(self._slices)
        n_z, n_t = self.image.shape[3:]
        return (plane * n_z + self._slices[z]) * n_t + self._frames[t]

    def slices_of(self, number: torch.Tensor) -> torch.Tensor:
        """Slice number of each of the points ``number`` [N]."""
        return self.flat(number) // self.image.shape[4] % self.image.shape[3]

    def take(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates [D, N] and intensities [C, N] of the points ``number``."""
        indices = self.flat(number)
        where = unravelled(indices, self.image.shape[1:])
        return self.frame.points(indices), as_intensity(self.image[(slice(None), *where)])

    @property
    def unet_frames(self) -> list[int]:
        """Numbers of the frames that have U-Net probabilities."""
        times = () if self.unet_prob is None else self.unet_prob.frame.times
        return [number for number, time in enumerate(self.frame.times) if time in times]

    def unet_prob_at(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Numbers [M] of those of the points ``number`` [N] with U-Net probabilities, and these [K, M]."""
        place = torch.full((len(self.frame.times),), -1)
        place[self.unet_frames] = torch.arange(len(self.unet_frames))
        where = unravelled(self.flat(number), self.image.shape[1:])
        seen = place[where[3]] >= 0
        x, y, z, t = (axis[seen] for axis in where)
        return number[seen], as_intensity(self.unet_prob.image[:, x, y, z, place[t]])

    def sampling_order(self, count: int, seed: int = 0) -> torch.Tensor:
        """Numbers of ``count`` points spread evenly over the scan; any first part of the list is spread evenly too.

        A scrambled Sobol sequence over x, y, slice and time. A scan of at most ``count`` points gives all of them, in
        random order.
        """
        if count >= len(self):
            return torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        share = len(self) / float(np.prod(self._grid))  # part of the grid inside the mask
        unit = torch.quasirandom.SobolEngine(4, scramble=True, seed=seed).draw(int(count / share * 1.1) + 1)
        number = torch.zeros(len(unit), dtype=torch.long)
        for axis, size in enumerate(self._grid):
            number = number * size + (unit[:, axis] * size).long().clamp(max=size - 1)
        if self._rank is not None:
            rank = self._rank[number // len(self._frames)]
            number = (rank * len(self._frames) + number % len(self._frames))[rank >= 0]
        return number[:count]

    def nearest(self, coords: torch.Tensor) -> torch.Tensor:
        """Intensities [C, N] of the voxels nearest to ``coords`` [D, N], among those that may be seen.

        The cardiac cycle is closed: a time of 0.95 is near 0. Outside the grid the outermost voxels are used.
        """
        wanted = coords.cpu().double().numpy()
        if self.frame.pose is not None:
            wanted = np.concatenate([self.frame.pose.invert(wanted[:3]), wanted[3:]])
        where = [_nearest(self.frame.axis(axis), wanted[axis]) for axis in range(3)]
        slices = self._slices.numpy()
        where[2] = slices[_nearest(self.frame.axis(2)[slices], wanted[2])]
        if self.frame.dims == 4:
            frames = self._frames.numpy()
            away = wanted[3][:, None] - np.asarray(self.frame.times)[frames][None]
            where.append(frames[np.abs(away - np.rint(away)).argmin(axis=1)])
        else:
            where.append(np.zeros(coords.shape[1], dtype=int))
        return as_intensity(self.image[(slice(None), *(torch.from_numpy(w) for w in where))])


def _nearest(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of the nearest of ``places`` [M] for each of ``wanted`` [N]."""
    return np.abs(wanted[:, None] - places[None]).argmin(axis=1)
