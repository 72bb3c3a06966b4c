"""Volumes of organs that are known, of the function and by adding up slices."""

import numpy as np
import pytest
from helpers.analytic import BEAT, CAVITY, HEART, OUTER, a_scan, ball, beat, rise
from helpers.true_scans import true_scan

from nisf.geometry.frame import CoordinateFrame
from nisf.measures.conventions import SLICES, WHOLE_HEART
from nisf.measures.volumes import parts_of, region_of, slice_volumes, volume_curves
from nisf.utils.errors import InputError

TIMES = np.array([0.0, 0.3, 0.55, 0.8])


@pytest.fixture(scope="module")
def curves():
    return volume_curves(a_scan(draws=12), TIMES, convention=WHOLE_HEART)


def area(radius, z):
    """mm2 of a ball's disc at a height."""
    return np.pi * np.maximum(radius**2 - np.asarray(z) ** 2, 0)


def heights(slices, distance):
    return (np.arange(slices) - (slices - 1) / 2) * distance


def test_of_slices_what_their_areas_add_up_to_and_nothing_beyond_them():
    found = volume_curves(a_scan(draws=12), TIMES)
    whole = [area(CAVITY * beat(t), heights(14, 8.0)).sum() * 8 / 1000 for t in TIMES]
    np.testing.assert_allclose(found.of("LV")[0], whole, rtol=0.01)
    cut = a_scan(spacing=(2.0, 2.0, 8.0))
    cut.frame = CoordinateFrame.relative(cut.frame.affine, (*cut.frame.shape[:2], 6), cut.frame.times)  # its first six
    for convention, z in ((SLICES, heights(14, 8.0)[:6]), (WHOLE_HEART, np.linspace(-60, 0, 4000))):
        values = volume_curves(cut, [0.3], convention=convention).values[0, 0]
        wanted = area(CAVITY, z).sum() * 8 / 1000 if convention == SLICES else ball(CAVITY) / 2
        assert values == pytest.approx(wanted, rel=0.02), convention
    # two slices tell of a tenth of the ball more or less; the draws say what the fit does not know
    assert found.draws[:, 0, 0].std() == pytest.approx(3 * 0.01 * found.values[0, 0], rel=0.5)


def test_wide_gaps_are_filled_by_what_the_function_says_there():
    assert [parts_of(distance) for distance in (8, 10, 12, 12.5, 20, 36, 40)] == [1, 1, 1, 3, 3, 3, 5]
    scan = a_scan(spacing=(2.0, 2.0, 28.0))  # four slices
    values = volume_curves(scan, [0.3]).values[0, 0]
    apart = [area(CAVITY, heights(4, 28.0) + 28 / 3 * k).sum() * 28 / 3 / 1000 for k in (-1, 0, 1)]
    alone = area(CAVITY, heights(4, 28.0)).sum() * 28 / 1000
    assert values == pytest.approx(sum(apart), rel=0.01)
    assert abs(values - ball(CAVITY)) < 0.5 * abs(alone - ball(CAVITY))


def test_slices_are_counted_as_label_files_are():
    scan = true_scan(1)
    points = np.stack(np.meshgrid(*map(np.arange, scan.frame.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    labels = scan.heart.label(points @ scan.frame.affine[:3, :3].T + scan.frame.affine[:3, 3], 0.0)
    counted = slice_volumes(labels.reshape(*scan.frame.shape, 1), np.asarray(scan.frame.affine), HEART)
    found = volume_curves(scan, [0.0])
    assert {n: found.of(n)[0, 0] for n in counted} == pytest.approx({n: v[0] for n, v in counted.items()}, rel=0.015)


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
        np.testing.assert_allclose(others / own, np.repeat(sizes[:, None] ** 3, 4, axis=1), rtol=0.003)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_phantom_what_its_stack_holds_and_a_slice_beyond(seed):
    scan = true_scan(seed)
    found = volume_curves(scan, [0.0], convention=WHOLE_HEART)
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
    found = volume_curves(scan, TIMES, convention=WHOLE_HEART)
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

    scan = a_scan(two, names={1: "body"})
    assert volume_curves(scan, [0.0], convention=WHOLE_HEART).values[0, 0] == pytest.approx(ball(12), rel=0.02)


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
