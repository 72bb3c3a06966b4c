"""Class probabilities with the likeliest classes, which several features need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from nisf.utils.tensors import likeliest


@dataclass(frozen=True)
class Classes:
    """Class probabilities [K, ...]; what is found from them is found once.

    Attributes:
        probabilities: [K, ...].
    """

    probabilities: torch.Tensor

    @cached_property
    def likeliest(self) -> torch.Tensor:
        """Likeliest class of each voxel, uint8 [...]."""
        return likeliest(self.probabilities).to(torch.uint8)

    @cached_property
    def counts(self) -> list[int]:
        """Number of voxels of each class, K of them."""
        return [int(self.of(kind).count_nonzero()) for kind in range(len(self.probabilities))]

    def of(self, kind: int) -> torch.Tensor:
        """Voxels of a class, bool [...]."""
        return self.likeliest == kind

    @property
    def found(self) -> int:
        """Number of voxels of all classes but the background."""
        return sum(self.counts[1:])

    def dice(self, other: Classes) -> list[float]:
        """Dice with the likeliest classes of another, for each class that the other has; [0] if it has none."""
        common = [int((self.of(kind) & other.of(kind)).count_nonzero()) for kind in range(len(self.counts))]
        counts = list(zip(common, self.counts, other.counts))[1:]
        return [2 * both / (own + said) for both, own, said in counts if said] or [0.0]
