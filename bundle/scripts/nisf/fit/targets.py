"""The points of a scan that a fit compares: few at first, then more."""

from __future__ import annotations

import torch

from nisf.fit.linearize import Targets
from nisf.fit.points import GridPoints
from nisf.fit.variables import Variables
from nisf.models.nisf import NISF

#: Number of intensity points for each point with U-Net probabilities, which costs as much as two.
UNET_SHARE = 2


class GrowingTargets:
    """Points spread evenly over a scan, in chunks that bound the memory: intensities and some U-Net probabilities.

    Args:
        network: the trained network.
        scan: the scan, with or without U-Net probabilities.
        variables: variables of the fit.
        final_points: number of points at the end.
        start_points: number of points at the start.
        chunk: points evaluated at once.
        seed: random seed of the points.
        unet_weight: weight of the U-Net probabilities; 0 leaves them out.

    Attributes:
        chunks: the points in use.
    """

    def __init__(
        self,
        network: NISF,
        scan: GridPoints,
        variables: Variables,
        *,
        final_points: int,
        start_points: int,
        chunk: int,
        seed: int,
        unet_weight: float,
    ) -> None:
        self.network, self.scan, self.variables = network, scan, variables
        self.chunk, self.unet_weight = chunk, unet_weight
        self.unet_prob = scan.unet_prob if unet_weight > 0 else None
        self._all = min(final_points, *(len(source) for source in (scan, self.unet_prob) if source is not None))
        self._numbers = self._order(scan, seed)
        self._unet_numbers = None if self.unet_prob is None else self._order(self.unet_prob, seed + 1000)
        self.chunks: list[Targets] = []
        self._in_use = 0
        self._take(min(start_points, self._all))

    def _order(self, source: GridPoints, seed: int) -> torch.Tensor:
        return source.sampling_order(self._all, seed)[: self._all]

    @property
    def complete(self) -> bool:
        """Whether all points are in use."""
        return self._in_use == self._all

    def grow(self) -> list[Targets]:
        """Doubles the points in use; returns the added chunks."""
        before = len(self.chunks)
        self._take(min(2 * self._in_use, self._all))
        return self.chunks[before:]

    def _take(self, count: int) -> None:
        """Increases the points in use to ``count``."""
        for start in range(self._in_use, count, self.chunk):
            stop = min(start + self.chunk, count)
            self.chunks.append(self._targets(self.scan, self._numbers[start:stop]))
            unet_part = slice(start // UNET_SHARE, stop // UNET_SHARE)
            if self.unet_prob is not None and unet_part.stop > unet_part.start:
                weight = UNET_SHARE * self.unet_weight
                self.chunks.append(self._targets(self.unet_prob, self._unet_numbers[unet_part], weight))
        self._in_use = count

    def _targets(self, source: GridPoints, number: torch.Tensor, weight: float | None = None) -> Targets:
        """Targets of numbered points: intensities, or U-Net probabilities if a weight is given."""
        coords, wanted = (values.to(self.network.latent_mean) for values in source.take(number))
        fitted = self.variables
        # if nothing moves the coordinates, their product is the same for every latent and is computed once
        projected = None if fitted.moves else self.network.project(coords)
        slices = source.slices_of(number) if fitted.has_acquisition else None
        return Targets(coords, wanted, weight is not None, 1.0 if weight is None else weight, projected, slices)
