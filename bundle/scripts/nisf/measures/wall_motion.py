"""How the left ventricle's wall thickens and moves from end diastole to end systole, by segment."""

from __future__ import annotations

import numpy as np

from nisf.measures.wall import MEASURED, Wall
from nisf.measures.wall_thickness import of_segments, thickness


def thickening(diastole: Wall, systole: Wall) -> np.ndarray:
    """Increase of the thickness of segments 1 to 16 in per cent of that at end diastole, [16]; NaN where unknown."""
    before, after = (of_segments(wall.rays, thickness(wall)) for wall in (diastole, systole))
    return 100 * (after - before) / before


def inward_motion(diastole: Wall, systole: Wall) -> np.ndarray:
    """Motion of the inner surface towards the long axis in segments 1 to 16, mm, [16]; negative away from it.

    The distance from the axis at end diastole less that at end systole, at the same fraction of the cavity's length and
    the same angle. Each time point has its own axis, so that a heart moved as a whole has no motion.
    """
    level = diastole.rays.level
    moved = diastole.radius[0] - systole.radius[0]
    moved[(level <= MEASURED[0]) | (level >= MEASURED[1])] = np.nan
    return of_segments(diastole.rays, moved)
