"""How a synthetic heart is scanned: stack, file orientation, contrast, bias, noise, breath-holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine

from nisf.phantom.anatomy import turned
from nisf.phantom.body import Tissue
from nisf.phantom.heart import Heart
from nisf.utils.errors import InputError

# Balanced steady-state brightness (blood = 1) and texture, per tissue.
_BRIGHTNESS = {
    Tissue.AIR: (0.01, 0.0),
    Tissue.SKIN_FAT: (1.05, 0.06),
    Tissue.MUSCLE: (0.32, 0.06),
    Tissue.LUNG: (0.09, 0.05),
    Tissue.LIVER: (0.45, 0.05),
    Tissue.STOMACH: (0.30, 0.15),
    Tissue.MEDIASTINUM: (0.70, 0.12),
    Tissue.SPINE: (0.50, 0.10),
    Tissue.VESSEL: (0.95, 0.05),
    Tissue.HEART_FAT: (0.85, 0.08),
    Tissue.ATRIUM_BLOOD: (0.98, 0.06),
    Tissue.LV_BLOOD: (1.0, 0.05),
    Tissue.RV_BLOOD: (0.96, 0.06),
    Tissue.MYOCARDIUM: (0.37, 0.03),
    Tissue.PAPILLARY: (0.42, 0.03),
    Tissue.RV_WALL: (0.42, 0.05),
}


@dataclass
class Acquisition:
    """How one heart is scanned. Lengths in mm, times in seconds; the array order [X, Y, Z] is that of the file."""

    shape: tuple[int, int, int]
    frames: int
    affine: np.ndarray  # voxel index -> world RAS mm, [4, 4], values exact in float32 so that files keep them
    thickness: float
    frame_duration: float
    brightness: np.ndarray  # [tissues]
    texture: np.ndarray  # [tissues]
    noise: float  # Rician, as a fraction of the blood's brightness
    bias: np.ndarray  # [3] log brightness slope across the field of view, along the canonical axes
    blur: float  # in-plane point spread, standard deviation in voxels
    scale: float  # stored value of blood
    shifts: np.ndarray | None = None  # [slices, 3] world mm: breath-hold shift of each slice
    subsamples: int = 3  # through the slice thickness

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        heart: Heart,
        matrix=(80, 112),
        voxel_mm=(1.6, 2.2),
        slices=(8, 12),
        thickness_mm=(8.0, 9.5),
        gap_mm=(0.0, 1.0),
        frames=(8, 16),
        noise=(0.02, 0.07),
        bias=0.35,
        contrast=0.1,
        shift_slices=0.0,
        subsamples=3,
    ) -> Acquisition:
        """Draw a scan planned on `heart`.

        matrix, voxel_mm, slices, thickness_mm, gap_mm, frames, noise: a number, or a range (low, high) to draw from
        bias: standard deviation of the log brightness slope across the field of view
        contrast: relative standard deviation of each tissue's brightness
        shift_slices: standard deviation in mm of each slice's breath-hold shift, 0 for none
        Raises InputError where a range is empty or not positive.
        """
        nx, ny = _whole(rng, matrix, "matrix"), _whole(rng, matrix, "matrix")
        voxel = _real(rng, voxel_mm, "voxel_mm")
        thickness, gap = _real(rng, thickness_mm, "thickness_mm"), _real(rng, gap_mm, "gap_mm", zero=True)
        spacing = thickness + gap
        # planning aims at the mitral plane but is inexact: the base may be below the first slice or outside the stack
        first = rng.normal(-0.15, 0.45) * spacing
        needed = (heart.lv_length + heart.apex_wall - first) / spacing + rng.normal(1.3, 1.0)
        low, high = _range(slices, "slices")
        nz = int(np.clip(np.ceil(needed), low, high))
        axes = turned(heart.axes, rng, np.deg2rad(3.5), np.deg2rad(10))
        middle = axes @ (heart.middle() - 14 * heart.axes[0]) + [*rng.normal(0, 6, 2), 0]
        centre = np.array([*middle[:2], axes[2] @ heart.centre + first + 0.5 * (nz - 1) * spacing]) @ axes
        affine, shape = _file_order(rng, axes, centre, (nx, ny, nz), (voxel, voxel, spacing))
        brightness, texture = _tissue_tables(rng, contrast)
        count = _whole(rng, frames, "frames")
        acquisition = cls(
            shape=shape,
            frames=count,
            affine=affine,
            thickness=thickness,
            frame_duration=float(np.float32(rng.uniform(0.65, 1.15) / count)),
            brightness=brightness,
            texture=texture,
            noise=_real(rng, noise, "noise", zero=True),
            bias=(rng.normal(0, bias, 3) * [1, 1, 0.3] - [0.0, 0.5 * bias, 0.0]) @ axes,
            blur=rng.uniform(0.35, 0.6),
            scale=rng.uniform(180, 900),
            subsamples=int(subsamples),
        )
        shifts = rng.standard_normal((nz, 3)) * [1, 1, 0.7] @ axes
        acquisition.shifts = shifts * shift_slices if shift_slices else None
        return acquisition

    def world(self, index: np.ndarray | None = None) -> np.ndarray:
        """World positions [N, 3] float64 of the voxel centres: all in array order, or those at `index` [N, 3]."""
        if index is None:
            index = np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), -1).reshape(-1, 3)
        return apply_affine(self.affine, index)

    def seen(self) -> np.ndarray:
        """World positions [N, 3] of what the voxels show: their centres, moved by the breath-hold shifts."""
        world = self.world()
        if self.shifts is None:
            return world
        return (world.reshape(*self.shape, 3) + self.shifts).reshape(-1, 3)

    @property
    def times(self) -> np.ndarray:
        """Fraction of the cardiac cycle of each frame [T]."""
        return np.arange(self.frames) / self.frames


def _range(value, name: str, zero: bool = False) -> tuple:
    low, high = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, value)
    numbers = all(isinstance(one, (int, float)) for one in (low, high))
    if not numbers or low > high or low < 0 or (low == 0 and not zero):
        raise InputError(f"Phantom option {name} = {value} is not a positive number or range (low, high); correct it.")
    return low, high


def _real(rng, value, name: str, zero: bool = False) -> float:
    return float(rng.uniform(*_range(value, name, zero)))


def _whole(rng, value, name: str) -> int:
    return int(rng.integers(*_range(value, name), endpoint=True))


def _file_order(rng, axes, centre, size, voxel):
    """Affine and shape of a scan stored with random flips and, half the time, swapped in-plane axes.

    axes: rows are the canonical directions; centre: world position of the stack's middle.
    """
    order = (1, 0, 2) if rng.random() < 0.5 else (0, 1, 2)
    signs = rng.choice([-1.0, 1.0], 3)
    affine = np.eye(4)
    for column, (axis, sign) in enumerate(zip(order, signs)):
        affine[:3, column] = axes[axis] * sign * voxel[axis]
    shape = tuple(size[axis] for axis in order)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine.astype(np.float32).astype(np.float64), shape


def _tissue_tables(rng, contrast: float):
    """Brightness and texture per tissue [tissues] of one scan."""
    mean, std = np.array([_BRIGHTNESS[t] for t in Tissue]).T
    mean = mean * np.exp(np.clip(rng.normal(0, contrast, len(mean)), -2.5 * contrast, 2.5 * contrast))
    for pool in (Tissue.LV_BLOOD, Tissue.RV_BLOOD, Tissue.ATRIUM_BLOOD, Tissue.VESSEL):
        mean[pool] = _BRIGHTNESS[pool][0] * (1 + rng.uniform(-0.05, 0.05))  # the same blood, only flow differs
    mean[Tissue.STOMACH] *= rng.choice([0.3, 1.0, 2.0])  # gas, wall, fluid
    mean[Tissue.PAPILLARY] = mean[Tissue.MYOCARDIUM] * 1.1
    return mean, std * rng.uniform(0.6, 1.4)
