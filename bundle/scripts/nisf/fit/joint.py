"""Several series: other stacks and single points of the same subject, fitted together in world coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.affine import world_to_voxel
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.orientation import spacing_of
from nisf.geometry.pose import Pose
from nisf.models.nisf import NISF
from nisf.utils.errors import InputError

#: Points of a series that are used to match its intensities.
MATCHED = 4096


@dataclass
class SeriesPoints:
    """Intensities anywhere in the world, as points of another scan's coordinate frame.

    Attributes:
        frame: the scan's coordinate frame.
        voxels: fractional voxels [N, 3] of that scan's grid.
        times: fractions of the cycle [N].
        intensity: [C, N] in [0, 1].
    """

    frame: CoordinateFrame
    voxels: np.ndarray
    times: np.ndarray
    intensity: torch.Tensor

    @classmethod
    def of_world(
        cls, frame: CoordinateFrame, points: np.ndarray, times: np.ndarray, intensity: torch.Tensor
    ) -> SeriesPoints:
        """The world points [N, 3] (RAS mm) within a slice's distance of the scan's grid; the others are left out, as no
        training scan reached that far.

        Raises:
            InputError: no point is that near.
        """
        near = frame.beyond(points) <= spacing_of(frame.affine)[2]
        if not near.any():
            raise InputError("no point of the series lies within the scan; are both of one subject and one session?")
        voxels = world_to_voxel(frame.affine, points[near])
        return cls(frame, voxels, np.asarray(times)[near], intensity[:, torch.from_numpy(near)])

    def __len__(self) -> int:
        return len(self.voxels)

    def moved(self, change: torch.Tensor) -> SeriesPoints:
        """The same points with the pose followed by ``change`` [6]."""
        return replace(self, frame=self.frame.moved(Pose.of(change))) if bool((change != 0).any()) else self

    def take(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates [D, N] and intensities [C, N] of the points ``number``."""
        place = number.numpy()
        coords = self.frame.voxel_to_normalised(self.voxels[place]).T
        coords = np.concatenate([coords, self.times[place][None]])[: self.frame.dims]
        return torch.from_numpy(coords.astype(np.float32)), self.intensity[:, number]

    def sampling_order(self, count: int, seed: int = 0) -> torch.Tensor:
        """Numbers of ``count`` points, or of all, in random order."""
        return torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:count]

    def matched(self, network: NISF, fit: LatentFit) -> SeriesPoints:
        """The points with intensities matched to a fit's reconstruction by gain and offset, by least squares.

        Each channel has its own gain and offset. If the gain is not positive, as for a series unrelated to the fit,
        the intensities stay as they are.
        """
        number = self.sampling_order(MATCHED)
        coords, seen = self.moved(fit.pose.cpu()).take(number)
        with torch.no_grad():
            logits = network(coords.unsqueeze(0).to(network.latent_mean), fit.latent.unsqueeze(0))
        wanted, out = logits[0, : network.in_channels].sigmoid().cpu(), self.intensity.clone()
        for channel in range(len(out)):
            one = torch.stack([seen[channel], torch.ones(len(number))], dim=1)
            gain, offset = torch.linalg.lstsq(one, wanted[channel].unsqueeze(1)).solution[:, 0].tolist()
            if gain > 0:
                out[channel] = (gain * out[channel] + offset).clamp(0, 1)
        return replace(self, intensity=out)


@dataclass
class JointPoints:
    """A scan and other series as one source of points for a fit.

    Attributes:
        scan: main scan; its U-Net probabilities, pose and initial latent are used.
        series: the other series.
    """

    scan: GridPoints
    series: Sequence[SeriesPoints]

    @property
    def parts(self) -> list:
        """The scan, then the series."""
        return [self.scan, *self.series]

    @property
    def frame(self) -> CoordinateFrame:
        """The scan's coordinate frame."""
        return self.scan.frame

    @property
    def unet_prob(self) -> GridPoints | None:
        """The scan's U-Net probabilities."""
        return self.scan.unet_prob

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def slices_of(self, number: torch.Tensor) -> torch.Tensor:
        """Slice numbers as in ``GridPoints.slices_of``; -1 for points of the series."""
        mine = number < len(self.scan)
        return torch.where(mine, self.scan.slices_of(torch.where(mine, number, 0)), -1)

    def take(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates and intensities as in ``GridPoints.take``; numbers run through the scan, then the series."""
        starts = np.cumsum([0, *map(len, self.parts)])
        coords = torch.empty(self.frame.dims, len(number))
        intensity = torch.empty(self.scan.image.shape[0], len(number))
        for part, low, high in zip(self.parts, starts[:-1], starts[1:]):
            mine = (number >= low) & (number < high)
            if bool(mine.any()):
                coords[:, mine], intensity[:, mine] = part.take(number[mine] - int(low))
        return coords, intensity

    def sampling_order(self, count: int, seed: int = 0) -> torch.Tensor:
        """Numbers of about ``count`` points, half of them from the scan and half from the series, if they have as many.

        Any first part of the list has the same mix.
        """
        starts, found = np.cumsum([0, *map(len, self.parts)]), []
        quota = max(1, count // 2 // len(self.series))
        of_series = [part.sampling_order(quota, seed) for part in self.series]
        of_scan = self.scan.sampling_order(max(count - sum(map(len, of_series)), 1), seed)
        for numbers, start in zip([of_scan, *of_series], starts):
            place = torch.arange(len(numbers)) / len(numbers)
            found.append((place, numbers + int(start)))
        places, numbers = (torch.cat(values) for values in zip(*found))
        return numbers[places.argsort(stable=True)][:count]

    def nearest(self, coords: torch.Tensor) -> torch.Tensor:
        """Intensities of the scan's nearest voxels."""
        return self.scan.nearest(coords)


def fit_together(
    network: NISF,
    scan: GridPoints,
    series: Sequence[SeriesPoints],
    fit: Callable[[NISF, GridPoints], LatentFit],
) -> LatentFit:
    """Fits the scan alone, then with the series, whose intensities are matched to the first fit's reconstruction.

    Args:
        network: the trained network.
        scan: the stack.
        series: other series in the scan's coordinate frame.
        fit: fit function, as in ``NISFInferer``.

    Returns:
        the second fit, with the points and seconds of both.
    """
    alone = fit(network, scan)
    if not series:
        return alone
    together = fit(network, JointPoints(scan, [one.matched(network, alone) for one in series]))
    together.points += alone.points
    together.seconds += alone.seconds
    return together
