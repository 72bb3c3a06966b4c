"""Anatomies between anatomies: points of one subject moved towards the shape of others, without resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

#: Steps of the search for the template's place of a point; the fields are smooth, so that few are enough.
INVERSIONS = 3


@dataclass(frozen=True)
class Anatomies:
    """How a template is deformed into the organ of each of S subjects, at one or two phases of the cycle.

    The place x of a subject s lies at the template's place q where ``q + u_s(q) = x``. A weighted mean of the subjects'
    displacements is the shape of a new organ, ``v = sum_i m_i u_i / sqrt(S)``: with independent standard normal m_i it
    has the mean and the covariance of the population (a statistical deformation model, Rueckert et al., IEEE TMI 2003).
    A point follows it part of the way, ``x' = x + share (v(q) - u_s(q))``.

    Attributes:
        fields: displacements [S, P, 3, Z, Y, X] in normalised coordinates, with mean zero over subjects, on a lattice
            over the box; beyond it those of its border hold.
        low, high: corners [3] of the box (x, y, z).
        second: time of each subject's second phase [S]; the first is at 0. Unused with one phase.
    """

    fields: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    second: torch.Tensor

    def __len__(self) -> int:
        return len(self.fields)

    def to(self, device: torch.device | str) -> Anatomies:
        """The same on a device."""
        return Anatomies(**{name: value.to(device) for name, value in vars(self).items()})

    def move(self, coords: torch.Tensor, subject: torch.Tensor, mix: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Coordinates [B, D, N] of some subjects, moved towards new anatomies.

        Args:
            coords: normalised coordinates [B, D, N]; with time as the fourth, if there are two phases.
            subject: numbers of the subjects [B].
            mix: weights m of all subjects [B, S].
            share: share of the way [B]; 0 leaves a subject as it is.
        """
        own, places = self.fields[subject], coords[:, :3]
        target = (mix @ self.fields.flatten(1)).reshape(own.shape) / math.sqrt(len(self))
        weights = self._phases(coords, subject)
        at = places
        for _ in range(INVERSIONS):
            at = places - self._displacement(own, at, weights)
        step = share[:, None, None] * self._displacement(target - own, at, weights)
        return torch.cat([places + step, coords[:, 3:]], dim=1)

    def _phases(self, coords: torch.Tensor, subject: torch.Tensor) -> torch.Tensor:
        """How much of each phase the moments of points have, [B, P, N]: smoothly to the second phase and back."""
        if self.fields.shape[1] == 1:
            return torch.ones_like(coords[:, :1])
        time, second = coords[:, 3] % 1.0, self.second[subject, None]
        there = torch.where(time < second, time / second, (1 - time) / (1 - second))
        of_second = (0.5 * math.pi * there).sin().square()
        return torch.stack([1 - of_second, of_second], dim=1)

    def _displacement(self, fields: torch.Tensor, places: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Displacements [B, 3, N] of fields [B, P, 3, Z, Y, X] at places [B, 3, N], for weights of phases [B, P, N]."""
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        grid = ((places - middle[:, None]) / half[:, None]).transpose(1, 2)[:, None, None]
        found = F.grid_sample(fields.flatten(1, 2), grid, padding_mode="border", align_corners=True)[:, :, 0, 0]
        return (found.unflatten(1, fields.shape[1:3]) * weights.unsqueeze(2)).sum(dim=1)
