"""World points to voxels, which nibabel.affines lacks; its ``apply_affine`` maps voxels to world points."""

from __future__ import annotations

import numpy as np
from nibabel.affines import apply_affine


def world_to_voxel(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """World points [..., 3] to fractional voxels [..., 3]; ``affine`` [4, 4] maps voxel indices to world (RAS mm)."""
    return apply_affine(np.linalg.inv(affine), points)
