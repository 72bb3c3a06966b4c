"""Places at which several parts of a calculation ask for the same function, each evaluated once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

#: Distance in voxels below which two places are one.
SAME = 1e-3


@dataclass(frozen=True)
class SharedPlaces:
    """Lists of voxels, each at one time point, whose common places are evaluated once.

    Attributes:
        voxels: time point to the fractional voxels [M, 3] to be evaluated at it.
        rows: of each list its time point and the rows [N] of ``voxels`` that hold its values.
    """

    voxels: dict[float, np.ndarray]
    rows: list[tuple[float, np.ndarray]]

    @classmethod
    def of(cls, lists: Sequence[tuple[np.ndarray, float]]) -> SharedPlaces:
        """The places of lists of voxels [N, 3] with their time points."""
        voxels, rows = {}, [(0.0, np.zeros(0, int))] * len(lists)
        for time in dict.fromkeys(time for _, time in lists):
            here = [number for number, (_, other) in enumerate(lists) if other == time]
            every = np.concatenate([lists[number][0] for number in here])
            first, back = _distinct(every)
            voxels[time] = every[first]
            ends = np.cumsum([len(lists[number][0]) for number in here])[:-1]
            for number, own in zip(here, np.split(back, ends)):
                rows[number] = (time, own)
        return cls(voxels, rows)

    def values(self, evaluate: Callable[[np.ndarray, float], torch.Tensor]) -> list[torch.Tensor]:
        """Values [C, N] of each list from a function of voxels [M, 3] and a time point that gives [C, M]."""
        found = {time: evaluate(voxels, time) for time, voxels in self.voxels.items()}
        return [found[time][:, rows] for time, rows in self.rows]


def _distinct(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the distinct ones of voxels [N, 3], and which of these each one is, [N]."""
    if not len(voxels):
        return np.zeros(0, int), np.zeros(0, int)
    steps = np.rint(voxels / SAME).astype(np.int64)
    steps -= steps.min(axis=0)
    # one number for each place: np.unique sorts these some ten times as fast as rows
    _, first, back = np.unique(
        np.ravel_multi_index(steps.T, steps.max(axis=0) + 1), return_index=True, return_inverse=True
    )
    return first, back.ravel()
