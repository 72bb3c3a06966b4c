"""Affines of scans in any position."""

import numpy as np
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from nisf.geometry.orientation import SHORT_AXIS


def oblique(rng, degrees=30.0, spacing=(1.4, 1.6, 9.0)):
    """Affine of an array in canonical orientation, of a heart turned by up to ``degrees`` about a random axis."""
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.deg2rad(rng.uniform(0, degrees))).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ SHORT_AXIS * spacing
    affine[:3, 3] = rng.uniform(-90, 90, 3)
    return affine


def world(affine, voxel):
    """World points [..., 3], RAS mm, of voxels [..., 3]."""
    return apply_affine(affine, np.asarray(voxel, float))
