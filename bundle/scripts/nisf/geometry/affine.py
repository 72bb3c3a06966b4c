"""What nibabel.affines lacks: world points to voxels, and a voxel's volume."""

from __future__ import annotations

import numpy as np
from nibabel.affines import apply_affine


def world_to_voxel(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """World points [..., 3] to fractional voxels [..., 3]; ``affine`` [4, 4] maps voxel indices to world (RAS mm)."""
    return apply_affine(np.linalg.inv(affine), points)


def voxel_ml(affine: np.ndarray) -> float:
    """Volume of a voxel in mL; the axes of ``affine`` [4, 4] (mm) need not be at right angles (sheared stacks)."""
    return float(abs(np.linalg.det(np.asarray(affine, dtype=float)[:3, :3]))) / 1000
