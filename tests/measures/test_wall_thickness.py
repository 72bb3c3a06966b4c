"""Walls whose thickness is known, and which segment is where."""

from functools import partial

import numpy as np
import pytest
from helpers.analytic import BEAT, CAVITY, LARGEST, OUTER, a_scan, heart
from helpers.true_scans import true_scan

from nisf.measures.wall import BESIDE, COARSE, wall_near, wall_of
from nisf.measures.wall_thickness import SEGMENTS, FoundWall, segment_numbers, thickness_values
from nisf.sampling.planes import heart_axes
from nisf.utils.errors import InputError

THICK = OUTER - CAVITY


def segments(scan, time=LARGEST):
    return thickness_values(scan, FoundWall.of(scan, time))[0]


def test_a_shell_is_as_thick_everywhere_along_its_normal():
    """In planes across the axis it would be thicker by half at the tip."""
    np.testing.assert_allclose(segments(a_scan()), THICK, atol=0.3)


def test_the_wall_thickens_as_the_cavity_empties():
    smallest = CAVITY * (1 - BEAT)
    outer = (smallest**3 + OUTER**3 - CAVITY**3) ** (1 / 3)
    np.testing.assert_allclose(segments(a_scan(), LARGEST + 0.5), outer - smallest, atol=0.3)


@pytest.mark.parametrize(
    ("shift", "thick", "thin"),
    [
        ((4.0, 0, 0), (5, 6, 11, 12, 16), (2, 3, 8, 9, 14)),  # lateral, septal
        ((0, 4.0, 0), (4, 10, 15), (1, 7, 13)),  # inferior, anterior
        ((0, -4.0, 0), (1, 7, 13), (4, 10, 15)),
    ],
)
def test_segments_lie_where_they_are_called(shift, thick, thin):
    found = segments(a_scan(partial(heart, shift=shift)))
    assert found[np.array(thick) - 1].min() > THICK + 1.5
    assert found[np.array(thin) - 1].max() < THICK - 1.5


@pytest.mark.parametrize("shift", [4.0, -4.0])
def test_the_apex_is_at_the_far_end_of_the_stack(shift):
    """Moved towards it, the outer surface leaves the wall thicker there; moved away, thinner."""
    base, middle, apex = np.split(np.sign(shift) * segments(a_scan(partial(heart, shift=(0, 0, shift)))), [6, 12])
    assert apex.mean() > middle.mean() + 0.5 and middle.mean() > base.mean() + 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_a_phantoms_wall_is_that_of_its_parameters(seed):
    """Its wall is ``wall`` thick at the base, about its outline's harmonics, and the cavity is shifted in it."""
    scan = true_scan(seed)
    found, true = segments(scan, 0.0), scan.heart
    assert found[:6].mean() == pytest.approx(true.wall, abs=0.5)
    x, y = true.inner_shift  # towards the lateral and the inferior wall, which are thinner for it
    assert found[[4, 5, 10, 11]].mean() - found[[1, 2, 7, 8]].mean() == pytest.approx(-1.7 * x, abs=0.6)
    assert found[[3, 9]].mean() - found[[0, 6]].mean() == pytest.approx(-1.9 * y, abs=0.8)


def test_numbers_of_segments_by_level_and_angle():
    angle = np.array([30.0, 90, 150, 210, 270, 330])  # from the septum by way of the anterior wall
    found = segment_numbers(np.array([0.1, 0.5, 0.9]), angle)
    assert found[0].tolist() == [2, 1, 6, 5, 4, 3]
    assert found[1].tolist() == [8, 7, 12, 11, 10, 9]
    assert found[2].tolist() == [14, 13, 16, 16, 15, 14]
    assert SEGMENTS[1] == "basal anteroseptal" and SEGMENTS[15] == "apical lateral" and len(SEGMENTS) == 16


def test_draws_of_larger_hearts_have_thicker_walls():
    scan = a_scan(draws=4)
    found = thickness_values(scan, FoundWall.of(scan, LARGEST))
    sizes = np.array([1 + 0.01 * float(latent[0]) for latent, _ in scan.draws])
    np.testing.assert_allclose(found[1:].mean(axis=1) - found[0].mean(), THICK * (sizes - 1), atol=0.15)


def test_a_scan_without_a_ventricle_is_refused():
    def no_left(points, time, size):
        classes = heart(points, time, size)
        return np.stack([classes[0] + classes[1] + classes[2], 0 * classes[1], 0 * classes[2], classes[3]])

    with pytest.raises(InputError, match="no LV or no RV"):
        FoundWall.of(a_scan(no_left), 0.0)


def test_a_draws_wall_searched_near_the_fits_is_that_of_a_search_along_whole_rays():
    scan = a_scan(draws=2)
    axes = heart_axes(scan, LARGEST)
    wall = wall_of(scan, LARGEST, axes, COARSE)
    for drawn in scan.drawn():
        drawn.latent = drawn.latent * 20  # a fifth larger or smaller: some of its surfaces are far from the fit's
        near, whole = wall_near(drawn, LARGEST, axes, wall, 0.0), wall_of(drawn, LARGEST, axes, COARSE)
        known = np.isfinite(whole.radius)[:, (wall.rays.level > 0) & (wall.rays.level < 1)]
        assert known.mean() > 0.95
        beside = (wall.rays.level > BESIDE[0]) & (wall.rays.level < BESIDE[1])
        np.testing.assert_allclose(near.radius[:, beside], whole.radius[:, beside], atol=0.1)
