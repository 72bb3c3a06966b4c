"""What a wrong affine has gone through: a heart that lies otherwise comes out as in the right file."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nisf.geometry.orientation import SHORT_AXIS, permuted_affine, short_axis_permutation
from nisf.geometry.wrong_affine import EXCHANGED, likely_change

SHAPE = (5, 6, 4)


def affine_of(seed):
    """Of an array in the usual orientation, of a heart that lies up to 20 degrees off the usual one."""
    affine = np.eye(4)
    vector = np.random.default_rng(seed).uniform(-0.2, 0.2, 3)
    affine[:3, :3] = Rotation.from_rotvec(vector).as_matrix() @ SHORT_AXIS * [1.4, 1.4, 8.0]
    return affine


def changed(array, order, flips):
    return np.flip(array.transpose(order), [axis for axis in range(3) if flips[axis]])


def turned(order, flips, quarter):
    """A change followed by a quarter turn in plane, or by none."""
    if not quarter:
        return order, flips
    x, y, z = flips
    return (order[1], order[0], 2), (not y, x, z) if quarter > 0 else (y, not x, z)


@pytest.mark.parametrize("quarter", [-1, 0, 1])
@pytest.mark.parametrize("signs", list(EXCHANGED))
def test_the_array_is_that_of_the_right_file(signs, quarter):
    """Also where the heart lies so that the image tells its direction to a quarter turn alone."""
    for seed in range(8):
        right, array = affine_of(seed), np.random.default_rng(seed).random(SHAPE)
        wrong = np.diag([*signs, 1]) @ right
        said = short_axis_permutation(wrong)
        stored, affine = changed(array, *said), permuted_affine(wrong, SHAPE, *said)
        true = short_axis_permutation(np.diag([*signs, 1]) @ affine)
        change, words = likely_change(affine, *turned(*true, quarter))
        if quarter == 0 or signs == (-1, -1, 1):
            np.testing.assert_array_equal(changed(stored, *change), array)
            assert words.startswith("as if")


def test_without_an_orientation_the_image_alone_counts():
    asked = ((0, 1, 2), (False, True, True))
    assert likely_change(np.diag([1.4, 1.4, 8.0, 1.0]), *asked) == (asked, "")
