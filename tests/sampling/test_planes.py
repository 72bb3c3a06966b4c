"""The heart's axes and long-axis planes, found in scans whose hearts are known."""

import numpy as np
import pytest
from helpers.true_scans import true_scan

from nisf.sampling.planes import heart_axes, long_axis_plane
from nisf.utils.errors import InputError


def angle(first, second):
    return np.degrees(
        np.arccos(np.clip(abs(np.dot(first, second)) / np.linalg.norm(first) / np.linalg.norm(second), 0, 1))
    )


@pytest.mark.parametrize("seed", range(4))
def test_axes_are_those_of_the_heart(seed):
    scan = true_scan(seed)
    axes = heart_axes(scan)
    lateral, _, apex = scan.heart.axes
    assert angle(axes.axis, apex) < 8 and np.dot(axes.axis, apex) < 0  # apex to base
    assert np.linalg.norm(axes.base - scan.heart.centre) < 12  # a slice distance and the tilt of the base
    tip = scan.heart.centre + apex * (scan.heart.lv_length + scan.heart.apex_wall)
    assert np.linalg.norm(axes.apex - tip) < 15
    assert angle(axes.to_right, lateral) < 25 and np.dot(axes.to_right, lateral) < 0


def test_the_planes_hold_the_axis_and_the_4_chamber_plane_the_right_ventricle_on_its_left():
    axes = heart_axes(true_scan(0))
    for name in ("4-chamber", "2-chamber"):
        grid = long_axis_plane(name, axes, size=160.0, spacing=2.0)
        voxels = (np.stack([axes.apex, axes.base, axes.right]) - grid.affine[:3, 3]) @ np.linalg.inv(
            grid.affine[:3, :3]
        ).T
        np.testing.assert_allclose(voxels[:2, 2], 0, atol=1e-6)  # apex and base lie in it
        assert voxels[0, 1] > voxels[1, 1]  # apex below
        if name == "4-chamber":
            assert abs(voxels[2, 2]) < 1e-6 and voxels[2, 0] < voxels[0, 0]
        else:
            assert abs(voxels[2, 2]) * 2.0 > 20  # mm; the RV lies off the 2-chamber plane


def test_a_plane_or_a_scan_that_has_none_is_refused():
    scan = true_scan(0)
    with pytest.raises(InputError, match="'3-chamber' is unknown"):
        long_axis_plane("3-chamber", heart_axes(scan))
    scan.class_names = {1: "anterior", 2: "posterior"}
    with pytest.raises(InputError, match="need the classes LV, MYO and RV"):
        heart_axes(scan)
