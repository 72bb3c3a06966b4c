"""A heart with smooth class probabilities, known everywhere, to test surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Class names by number.
CLASS_NAMES = {0: "background", 1: "LV", 2: "MYO", 3: "RV"}


@dataclass(frozen=True)
class SoftHeart:
    """Left ventricle of ellipsoids cut off at the base, and a crescent-shaped right one about it.

    Attributes:
        cavity: half axes of the left cavity, mm.
        wall: thickness of the myocardium, thinner towards the septum and the apex, mm.
        right: half axes of the ellipsoid that, without the left ventricle, is the right cavity, mm.
        offset: offset of that ellipsoid's centre, mm.
        base: height of the plane at which all end, mm above the centre.
        width: distance in mm over which a probability rises from 10 to 90 %.
        beat: relative shrinking of the left cavity at half the cycle.
    """

    cavity: tuple[float, float, float] = (25.0, 24.0, 50.0)
    wall: tuple[float, float] = (8.0, 6.0)
    right: tuple[float, float, float] = (34.0, 42.0, 46.0)
    offset: tuple[float, float, float] = (-28.0, 0.0, 3.0)
    base: float = 28.0
    width: float = 2.5
    beat: float = 0.25

    def __call__(self, points: np.ndarray, time: float = 0.0) -> np.ndarray:
        """Probabilities [4, N] at points [N, 3] in mm about the heart's centre, and a fraction of the cycle."""
        below = self.base - points[:, 2]
        scale = np.array([1.0, 1.0, 0.5])  # the long axis shortens less
        cavity = np.array(self.cavity) * (1 - self.beat * scale * (1 - np.cos(2 * np.pi * time)) / 2)
        centre = np.array([(self.wall[0] - self.wall[1]) / 2, 0.0, 0.0])
        outer = np.array(self.cavity) + np.array([sum(self.wall) / 2, self.wall[0], self.wall[1]])
        left = self._rise(np.minimum(ellipsoid_depth(points - centre, outer), below))
        blood = self._rise(np.minimum(ellipsoid_depth(points, cavity), below))
        right = self._rise(np.minimum(ellipsoid_depth(points - np.array(self.offset), self.right), below))
        return np.stack([(1 - left) * (1 - right), left * blood, left * (1 - blood), (1 - left) * right])

    def _rise(self, depth: np.ndarray) -> np.ndarray:
        """Logistic function of the depth within a surface."""
        return 0.5 + 0.5 * np.tanh(depth * np.log(9) / self.width)


def ellipsoid_depth(points: np.ndarray, half_axes: tuple[float, float, float] | np.ndarray) -> np.ndarray:
    """Approximate depth of points [N, 3] in an ellipsoid about the origin, mm, negative outside; exact in its sign."""
    relative = points / np.asarray(half_axes)
    radius = np.linalg.norm(relative, axis=1)
    steepness = np.linalg.norm(relative / np.asarray(half_axes), axis=1)
    return radius * (1 - radius) / np.maximum(steepness, 1e-9)
