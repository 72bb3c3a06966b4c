"""Volumes of organs that are known, of the function and by adding up slices."""

import numpy as np
import pytest
from helpers.analytic import BEAT, CAVITY, HEART, OUTER, a_scan, ball, beat, rise
from helpers.true_scans import true_scan

from nisf.geometry.frame import CoordinateFrame
from nisf.measures.volumes import region_of, slice_volumes, volume_curves
from nisf.utils.errors import InputError

TIMES = np.array([0.0, 0.3, 0.55, 0.8])


@pytest.fixture(scope="module")
def curves():
    return volume_curves(a_scan(draws=12), TIMES)


def test_volumes_are_those_of_the_balls(curves):
    wall = ball(OUTER) - ball(CAVITY)
    np.testing.assert_allclose(curves.of("LV")[0], [ball(CAVITY * beat(t)) for t in TIMES], rtol=0.01)
    np.testing.assert_allclose(curves.of("MYO")[0], wall, rtol=0.01)
    fraction = 1 - curves.values[0, 3] / curves.values[0, 1]
    assert fraction == pytest.approx(1 - (1 - BEAT) ** 3, abs=0.005)


def test_draws_are_as_much_larger_as_their_hearts_are(curves):
    scan = a_scan(draws=12)
    sizes = np.array([1 + 0.01 * float(latent[0]) for latent, _ in scan.draws])
    for name in ("LV", "MYO"):  # the RV stays where it is and is cut by the others
        own, others = curves.of(name)[0], curves.of(name)[1:]
        np.testing.assert_allclose(others / own, np.repeat(sizes[:, None] ** 3, 4, axis=1), rtol=0.002)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_phantom_what_its_stack_holds_and_a_slice_beyond(seed):
    scan = true_scan(seed)
    found = volume_curves(scan, [0.0])
    truth = scan.heart.cavity_volumes(0.0)
    assert {name: found.of(name)[0, 0] for name in truth} == pytest.approx(truth, rel=0.015)


def test_what_lies_farther_than_a_slice_beyond_the_stack_is_left_out():
    scan = a_scan(organ=lambda points, time, size: tube(points), names={1: "tube"})
    length = {beyond: sum_of(region_of(scan, [0.0], beyond=beyond), scan) for beyond in (0.0, 1.0)}
    area = np.pi * 1.2**2  # cm2
    assert length[0.0] == pytest.approx(area * 11.2, rel=0.02)
    assert length[1.0] == pytest.approx(area * 12.8, rel=0.02)


def test_slices_stepped_aside_hold_as_much(curves):
    """A stack whose slices step 3 mm aside in 10 has voxels smaller than the product of their spacings."""
    scan = a_scan()
    affine = np.array(scan.frame.affine)
    step = 0.3 * affine[2, 2]
    affine[0, 2], affine[0, 3] = step, affine[0, 3] - step * (scan.frame.shape[2] - 1) / 2  # the middle stays
    scan.frame = CoordinateFrame.relative(affine, scan.frame.shape, scan.frame.times)
    found = volume_curves(scan, TIMES)
    for name in ("LV", "MYO"):
        np.testing.assert_allclose(found.of(name)[0], curves.of(name)[0], rtol=0.015)


def tube(points):
    """Along the slices, without an end, of a radius of 12 mm."""
    inside = rise(12.0 - np.hypot(points[:, 0], points[:, 1]))
    return np.stack([1 - inside, inside])


def sum_of(region, scan):
    return float(scan.classes(region.points)[1].sum() * region.cell)


def test_a_small_piece_elsewhere_does_not_count():
    def two(points, time, size):
        apart = rise(12.0 - np.linalg.norm(points, axis=1)) + rise(8 - np.linalg.norm(points - [45, 0, 0], axis=1))
        return np.stack([1 - apart, apart])

    assert volume_curves(a_scan(two, names={1: "body"}), [0.0]).values[0, 0] == pytest.approx(ball(12), rel=0.02)


def test_a_scan_of_nothing_is_refused():
    def nothing(points, time, size):
        return np.repeat([[0.97], [0.03]], len(points), axis=1)

    with pytest.raises(InputError, match="one: no organ is found"):
        volume_curves(a_scan(nothing, names={1: "body"}), [0.0])


def test_slices_are_added_up_with_the_gap_between_them():
    labels = np.zeros((4, 4, 3, 2), int)
    labels[0, 0, 0, 0] = labels[1, 1, :, 1] = 2
    turned = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 5], [0, 0, 10.0, 5], [0, 0, 0, 1]])
    found = slice_volumes(labels, turned, HEART)
    assert list(found) == ["LV", "MYO", "RV"]
    np.testing.assert_allclose(found["MYO"], [0.03, 0.09])
    np.testing.assert_allclose(found["LV"], 0)
