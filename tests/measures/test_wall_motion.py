"""A ball that beats, whose wall thickens and moves inwards by known amounts."""

import numpy as np
from helpers.analytic import BEAT, CAVITY, LARGEST, OUTER, a_scan, heart

from nisf.measures.measure import measure
from nisf.measures.wall_motion import inward_motion, thickening
from nisf.measures.wall_thickness import FoundWall, of_segments


def a_moving_heart(points, time, size):
    """The heart, moved as a whole by 5 mm to the side as it empties."""
    away = 2.5 * (1 - np.cos(2 * np.pi * (time - LARGEST)))
    return heart(points - [away, 0, 0], time, size)


def test_thickening_and_motion_are_those_of_the_ball_wherever_it_moves():
    smallest = CAVITY * (1 - BEAT)
    outer = (smallest**3 + OUTER**3 - CAVITY**3) ** (1 / 3)
    scan = a_scan(a_moving_heart)
    diastole, systole = (FoundWall.of(scan, time).wall for time in (LARGEST, LARGEST + 0.5))
    wanted = 100 * ((outer - smallest) / (OUTER - CAVITY) - 1)
    np.testing.assert_allclose(thickening(diastole, systole), wanted, atol=6)
    moved = inward_motion(diastole, systole)
    wide = BEAT * CAVITY * np.sqrt(np.maximum(1 - (2 * diastole.rays.level - 1) ** 2, 0))  # of a ball, at each level
    expected = of_segments(diastole.rays, wide[:, None] + 0 * diastole.radius[0])
    np.testing.assert_allclose(moved[6:12], expected[6:12], atol=0.3)
    assert np.all(moved > 0) and np.all(-inward_motion(systole, diastole)[:12] > 0)


def test_measures_hold_them_where_end_systole_is_known():
    times = (LARGEST, LARGEST + 0.5)
    found = measure(a_scan(times=times))["wall_motion"]
    assert [row["segment"] for row in found["segments"]] == list(range(1, 17))
    assert all(row["thickening"] > 20 and row["motion"] > 1 for row in found["segments"][:12])
    few = measure(a_scan(times=(0.0, 0.2, 0.4, 0.6)))
    assert few["wall_motion"] is None and few["wall_thickness"] is not None
    assert any("wall motion" in entry["measures"] for entry in few["refused"])
