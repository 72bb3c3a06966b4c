"""Grids in the world: where their voxels lie."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.grid import Grid, mean_step
from nisf.geometry.orientation import spacing_of
from nisf.utils.errors import InputError


def oblique(spacing=(1.5, 1.2, 8.0), seed=0):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() * spacing
    affine[:3, 3] = [11.0, -42.0, 7.0]
    return affine


def corners(grid):
    """World points of the outer corners, voxel edges included, sorted."""
    ends = np.array(list(itertools.product(*[(-0.5, n - 0.5) for n in grid.shape])))
    found = apply_affine(grid.affine, ends)
    return found[np.lexsort(np.round(found, 6).T)]


def test_world_points_are_those_of_nibabel():
    grid = Grid(oblique(), (3, 4, 5))
    index = np.argwhere(np.ones(grid.shape))
    np.testing.assert_allclose(grid.world(), nib.affines.apply_affine(grid.affine, index))
    np.testing.assert_allclose(np.concatenate(list(grid.slabs(20))), grid.world())


def test_other_voxels_fill_the_same_box():
    frame = CoordinateFrame.relative(oblique(), (20, 30, 5), (0.0, 0.5))
    whole, fine = Grid.of_scan(frame), Grid.of_scan(frame, (1.0, 1.0, 1.0))
    assert fine.shape == (30, 36, 40) and fine.times == (0.0, 0.5)
    np.testing.assert_allclose(spacing_of(fine.affine), 1.0)
    np.testing.assert_allclose(corners(fine), corners(whole), atol=1e-9)


def test_a_plane_holds_its_points_and_has_its_spacing():
    points = np.array([[10.0, 0, 5], [40, 20, 0], [0, 30, 30]])
    grid = Grid.through(points, 100.0, 2.0)
    assert grid.shape == (50, 50, 1)
    np.testing.assert_allclose(spacing_of(grid.affine), 2.0)
    voxels = (points - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
    np.testing.assert_allclose(voxels[:, 2], 0, atol=1e-9)
    np.testing.assert_allclose(voxels[:, :2].mean(axis=0), 24.5)  # about their mean
    np.testing.assert_allclose(voxels[1, 1], voxels[0, 1], atol=1e-9)  # the first axis, from the first to the second


@pytest.mark.parametrize("points", [[[0, 0, 0], [1, 1, 1], [3, 3, 3]], [[0, 0, 0], [0, 0, 0], [1, 0, 0]], [[1, 2, 3]]])
def test_points_that_make_no_plane_are_refused(points):
    with pytest.raises(InputError, match="three points of three numbers|not on one line"):
        Grid.through(points, 100.0, 1.0)


def test_a_crop_keeps_voxels_where_they_were():
    grid = Grid(oblique(), (20, 30, 5))
    wanted = grid.world().reshape(20, 30, 5, 3)
    part = grid.cropped(wanted[5:9, 7:8, 2:4].reshape(-1, 3), 3.1)
    np.testing.assert_allclose(part.world(), wanted[2:12, 4:11, 1:5].reshape(-1, 3), atol=1e-9)
    inside = grid.cropped(wanted.reshape(-1, 3), 100.0)
    assert inside.shape == grid.shape and np.allclose(inside.affine, grid.affine)


@pytest.mark.parametrize(
    "times, step", [((0.3,), 1), ((0, 0.25, 0.5, 0.75), 0.25), ((0.1, 0.2, 0.4), 0.15), ((0.6, 0), 0.6)]
)
def test_the_mean_step_of_frames_need_not_fill_the_cycle(times, step):
    assert mean_step(times) == pytest.approx(step)
