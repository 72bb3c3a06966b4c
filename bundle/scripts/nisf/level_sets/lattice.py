"""A box in the world in which surfaces are searched, and the lattice of points that covers it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine

from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.orientation import directions, spacing_of
from nisf.utils.errors import InputError

#: Maximum spacing of the first lattice in mm: any ball of 1 mL (radius 6.2 mm) contains one of its points.
COARSEST = 6.0

#: Maximum number of samples: about 0.4 GB for each surface and each copy of it.
MOST = 100_000_000


def coarse_step(spacing: float, coarsest: float = COARSEST) -> int:
    """The largest power of two of steps of ``spacing`` mm that is at most ``coarsest`` mm long, or 1."""
    # the tolerance is for spacings that come from a rotated affine
    return 2 ** int(np.floor(np.log2(max(coarsest / spacing, 1.0)) + 1e-6))


@dataclass(frozen=True)
class Box:
    """A box in the world; everything outside it is background.

    Attributes:
        corner: low corner, RAS mm, [3].
        axes: unit vectors along its edges, columns of [3, 3].
        size: lengths of its edges, mm.
    """

    corner: np.ndarray
    axes: np.ndarray
    size: tuple[float, float, float]

    @classmethod
    def around(cls, frame: CoordinateFrame) -> Box:
        """The box of a grid up to the edges of its outer voxels, with one more slice at both ends of the stack."""
        margin, shape = np.array([0.5, 0.5, 1.5]), np.array(frame.shape)
        corner = apply_affine(frame.affine, -margin)
        size = (shape - 1 + 2 * margin) * np.array(spacing_of(frame.affine))
        return cls(corner, directions(frame.affine), tuple(float(s) for s in size))


@dataclass(frozen=True)
class Lattice:
    """Points ``spacing`` mm apart that cover a box and extend beyond it, so that every surface in the box is closed.

    Attributes:
        box: box that is covered.
        spacing: distance between points, mm.
        coarse: steps between points of the first, coarsest lattice; a power of two.
    """

    box: Box
    spacing: float
    coarse: int

    @classmethod
    def over(cls, box: Box, spacing: float, coarsest: float = COARSEST) -> Lattice:
        """The lattice whose coarsest steps are at most ``coarsest`` mm, but at least ``spacing``.

        Raises:
            InputError: the spacing is not positive, or so small that the lattice would not fit in memory.
        """
        if not spacing > 0:
            raise InputError(f"spacing: {spacing} is not a distance in mm; give a positive number, as 1.0")
        if np.prod(np.array(box.size) / spacing + 2) > MOST:
            raise InputError(f"spacing: {spacing} mm makes more than {MOST:,} samples; give a larger one")
        return cls(box, float(spacing), coarse_step(spacing, coarsest))

    @property
    def cells(self) -> np.ndarray:
        """Steps along the three axes, multiples of ``coarse``, [3]."""
        wanted = self._inner() + 1
        return -(-wanted // self.coarse) * self.coarse

    @property
    def size(self) -> int:
        """Number of samples within the box."""
        return int(np.prod([(self._depth(a, np.arange(n + 1)) > 0).sum() for a, n in enumerate(self.cells)]))

    def _inner(self) -> np.ndarray:
        # without the tolerance 30 mm of 0.1 mm steps would be 301
        return np.ceil(np.array(self.box.size) / self.spacing - 1e-6).astype(int)

    def _along(self, index: np.ndarray) -> np.ndarray:
        """Sample numbers [N, 3] to mm from the box's corner; the first sample does not depend on ``coarse``."""
        over = ((self._inner() + 1) * self.spacing - np.array(self.box.size)) / 2
        return index * self.spacing - over

    def _depth(self, axis: int, index: np.ndarray) -> np.ndarray:
        """Depth of samples inside the box along one axis, in steps; negative outside."""
        along = self._along(index[:, None])[:, axis]
        return np.minimum(along, self.box.size[axis] - along) / self.spacing

    def depth(self) -> np.ndarray:
        """Depth of all samples inside the box, in steps, [X, Y, Z]; negative outside."""
        x, y, z = (self._depth(a, np.arange(n + 1)).astype(np.float32) for a, n in enumerate(self.cells))
        return np.minimum(np.minimum(x[:, None, None], y[:, None]), z)

    def points(self, index: np.ndarray) -> np.ndarray:
        """(Fractional) sample numbers [N, 3] to world points, RAS mm."""
        return self.box.corner + self._along(np.asarray(index, dtype=float)) @ self.box.axes.T
