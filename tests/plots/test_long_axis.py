"""The picture of a long-axis plane: the slices where they cut it, the outlines where the classes are."""

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.ndimage import label as pieces

from nisf.plots.long_axis import long_axis_figure

SLICES = 4
APART = 15.0


@pytest.fixture
def scene():
    """A stack whose slices lie 15 mm apart and a plane of 1 mm pixels that cuts them at right angles."""
    stack_affine = np.diag([2.0, 2.0, APART, 1.0])
    plane_affine = np.eye(4)
    plane_affine[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]], float).T  # u along x, v along the slices
    plane_affine[:3, 3] = (0, 20, -5)
    image = np.full((60, 64, 2), 40.0)
    image[0] = 0
    classes = np.zeros((60, 64, 2), np.uint8)
    classes[5:55, 5:60, 0] = 1
    classes[20:40, 20:40, 1] = 1
    return (np.random.default_rng(0).random((30, 30, SLICES)), stack_affine), (image, plane_affine), classes


def near(picture, colour):
    """Pixels of about a colour (three numbers from 0 to 1)."""
    return np.abs(picture[..., :3] - colour).max(axis=-1) < 0.25


def drawn(path, stack, plane, classes, frames):
    return imread(long_axis_figure(path, stack, plane, classes, frames, labels={}))


def test_each_slice_cuts_the_plane_in_one_line(tmp_path, scene):
    stack, plane, classes = scene
    picture = drawn(tmp_path / "a.png", stack, plane, classes, {"ED": 0})
    yellow = near(picture, (1.0, 0.83, 0.3)).any(axis=1)  # dashes of a horizontal line share their rows
    rows = pieces(yellow)[1]
    assert rows == SLICES
    centres = [np.mean(np.flatnonzero(pieces(yellow)[0] == k)) for k in range(1, rows + 1)]
    assert np.ptp(np.diff(centres)) < 2  # evenly apart, as the slices are


def test_outlines_follow_the_frame_that_is_shown(tmp_path, scene):
    stack, plane, classes = scene
    large, small, none = (
        near(drawn(tmp_path / f"{frame}.png", stack, plane, labels, {"": frame}), (1.0, 0.23, 0.19)).sum()
        for frame, labels in ((0, classes), (1, classes), (0, 0 * classes))
    )
    assert large > 1.5 * small > 0 and none == 0
