"""Pose: position, rotation and size of a subject's organ, so that its latent need not encode them.

``heart = S R (x - center)``: a shift, a rotation and one scale in plane, a shift and a scale along the long axis.
In normalised coordinates, whose unit is the half field of the coordinate frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from scipy import ndimage

#: Radii from the densest place within which voxels of the body count; one and a half times as many for the pointer.
REACH = 3.0

#: Length of a pose as a vector: centre x, y, z; angle (rad); logarithms of the scales in plane and along the long axis.
NUMBERS = 6


@dataclass(frozen=True)
class Pose:
    """Pose of one subject in its coordinate frame.

    Attributes:
        x, y, z: centre in normalised coordinates.
        angle: in-plane angle from the frame's first axis to the organ's, rad.
        in_plane, long_axis: logarithm of the size relative to the population's.
    """

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    angle: float = 0.0
    in_plane: float = 0.0
    long_axis: float = 0.0

    @classmethod
    def of(cls, values: torch.Tensor | Sequence[float]) -> Pose:
        """The pose from a vector [6]."""
        return cls(*(float(v) for v in values))

    def vector(self) -> torch.Tensor:
        """The pose as a vector [6], float32."""
        return torch.tensor(astuple(self), dtype=torch.float32)

    def apply(self, coords: np.ndarray) -> np.ndarray:
        """Frame coordinates [3, N] to the organ's own [3, N]."""
        x, y, z = coords[0] - self.x, coords[1] - self.y, coords[2] - self.z
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        plane, long = math.exp(-self.in_plane), math.exp(-self.long_axis)
        return np.stack([plane * (cos * x + sin * y), plane * (cos * y - sin * x), long * z])

    def invert(self, coords: np.ndarray) -> np.ndarray:
        """The organ's own coordinates [3, N] to the frame's [3, N]."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        plane, long = math.exp(self.in_plane), math.exp(self.long_axis)
        x, y, z = plane * coords[0], plane * coords[1], long * coords[2]
        return np.stack([cos * x - sin * y + self.x, sin * x + cos * y + self.y, z + self.z])

    def then(self, change: Pose) -> Pose:
        """The pose that equals this one followed by ``change``."""
        x, y, z = self.invert(np.array([[change.x], [change.y], [change.z]]))[:, 0]
        angle = (self.angle + change.angle + math.pi) % (2 * math.pi) - math.pi
        return Pose(x, y, z, angle, self.in_plane + change.in_plane, self.long_axis + change.long_axis)

    def change_to(self, other: Pose) -> Pose:
        """The change from this pose to the other: ``self.then(self.change_to(other)) == other``."""
        x, y, z = self.apply(np.array([[other.x], [other.y], [other.z]]))[:, 0]
        angle = (other.angle - self.angle + math.pi) % (2 * math.pi) - math.pi
        sizes = other.in_plane - self.in_plane, other.long_axis - self.long_axis
        return Pose(float(x), float(y), float(z), angle, *sizes)


def moved(coords: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Coordinates [..., D, N] under poses [..., 6] of one or several subjects; time is unchanged."""
    x, y, z = (coords[..., axis, :] - pose[..., axis, None] for axis in range(3))
    cos, sin = pose[..., 3, None].cos(), pose[..., 3, None].sin()
    plane, long = (-pose[..., 4, None]).exp(), (-pose[..., 5, None]).exp()
    found = [plane * (cos * x + sin * y), plane * (cos * y - sin * x), long * z]
    return torch.stack([*found, *coords[..., 3:, :].unbind(dim=-2)], dim=-2)


def slopes(coords: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Derivatives of the first three coordinates from ``moved`` with respect to the pose, [N, 3, 6].

    Args:
        coords: result of ``moved``, [D, N].
        pose: pose [6].
    """
    x, y, z = coords[:3]
    none = torch.zeros_like(x)
    cos, sin = pose[3].cos(), pose[3].sin()
    plane, long = (-pose[4]).exp(), (-pose[5]).exp()
    rows = [
        [none - plane * cos, none - plane * sin, none, y, -x, none],
        [none + plane * sin, none - plane * cos, none, -x, -y, none],
        [none, none, none - long, none, none, -z],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)


def pose_of_classes(
    classes: np.ndarray,
    places: tuple[np.ndarray, np.ndarray, np.ndarray],
    body: Sequence[int],
    pointer: int | None,
    radius: float,
    length: float,
) -> Pose | None:
    """The pose of a segmentation, from its moments.

    Only voxels near the place where the body is densest count, so that pieces elsewhere that a network mistook for the
    organ have no effect. The centre is that of the body; the angle is the direction from the pointer's centre to it
    (the right ventricle is towards negative x); sizes are the body's root mean square distances in plane and along the
    long axis, relative to the population's.

    Args:
        classes: integer classes [X, Y, Z, T]; all frames have the same weight.
        places: normalised coordinates of the voxels along the three axes.
        body: classes that make up the body (LV and myocardium).
        pointer: class that shows the direction (RV); None leaves the angle 0.
        radius, length: root mean square distances of the population, in normalised coordinates.

    Returns:
        the pose, or None if there is no body.
    """
    weight = np.isin(classes, list(body)).sum(axis=3).astype(float)
    if weight.sum() == 0:
        return None
    away = _distance(places, _densest(weight, places, radius))
    weight = weight * (away <= REACH * radius)[..., None]
    center, variance = _moments(weight, places)
    angle = 0.0
    beside = (classes == pointer).sum(axis=3) * (away <= 1.5 * REACH * radius)[..., None]
    if pointer is not None and beside.any():
        there, _ = _moments(beside.astype(float), places)
        angle = math.atan2(center[1] - there[1], center[0] - there[0])
    plane, long = math.sqrt(max(variance[0] + variance[1], 1e-6)), math.sqrt(max(variance[2], 1e-6))
    return Pose(*(float(c) for c in center), angle, math.log(plane / radius), math.log(long / length))


def quarter_turns(
    classes: np.ndarray, spacing: Sequence[float], body: Sequence[int] | None, pointer: int | None, radius: float
) -> int:
    """Quarter turns, from the first axis to the second, by which an organ is turned away from its usual direction.

    Args:
        classes: integer classes [X, Y, Z, T].
        spacing: voxel sizes, mm.
        body, pointer: as in ``pose_of_classes``; None for organs without a direction.
        radius: mm, root mean square distance of the population's bodies from their centre in plane.

    Returns:
        0 to 3; 0 if the direction is unknown.
    """
    if body is None or pointer is None:
        return 0
    places = tuple(np.arange(count) * size for count, size in zip(classes.shape, spacing))
    pose = pose_of_classes(classes, places, body, pointer, radius, radius)
    return 0 if pose is None else round(pose.angle / (math.pi / 2)) % 4


def phase_frames(classes: np.ndarray, body: Sequence[int], cavity: int) -> list[int]:
    """Numbers of the frames of ED and ES: those with most and least of a class, among the frames that show the body.

    Args:
        classes: integer classes [X, Y, Z, T].
        body: classes that make up the body.
        cavity: the class, the LV of a heart.

    Returns:
        two numbers, ascending; one if a single frame shows the body, none if no frame does.
    """
    shown = np.flatnonzero(np.isin(classes, list(body)).any(axis=(0, 1, 2)))
    if not len(shown):
        return []
    volumes = (classes[..., shown] == cavity).sum(axis=(0, 1, 2))
    return sorted({int(shown[volumes.argmax()]), int(shown[volumes.argmin()])})


def _densest(weight: np.ndarray, places: tuple[np.ndarray, ...], radius: float) -> tuple[float, float]:
    """The in-plane point with most of the weights [X, Y, Z] within about ``radius``."""
    flat = weight.sum(axis=2)
    widths = [radius / abs(place[1] - place[0]) if len(place) > 1 else 0.0 for place in places[:2]]
    x, y = np.unravel_index(np.argmax(ndimage.gaussian_filter(flat, widths, mode="constant")), flat.shape)
    return float(places[0][x]), float(places[1][y])


def _distance(places: tuple[np.ndarray, ...], center: tuple[float, float]) -> np.ndarray:
    """Distance of each voxel from a point in plane, [X, Y]."""
    return np.hypot(places[0][:, None] - center[0], places[1][None] - center[1])


def _moments(weight: np.ndarray, places: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of weights [X, Y, Z] along the three axes, including a voxel's extent."""
    mean, variance = np.zeros(3), np.zeros(3)
    for axis, place in enumerate(places):
        share = weight.sum(axis=tuple(a for a in range(3) if a != axis))
        share = share / share.sum()
        mean[axis] = share @ place
        step = abs(place[1] - place[0]) if len(place) > 1 else 0.0
        variance[axis] = share @ (place - mean[axis]) ** 2 + step**2 / 12
    return mean, variance
