"""Samples some steps apart, down to those of the grid: linear between, none evaluated twice."""

import numpy as np

from nisf.level_sets import refine
from nisf.level_sets.refine import CoarseSamples

SHAPE, STEPS = (11, 8, 2), (4, 2, 1)  # 11 and 8 points end after a shorter step


def slope(index):
    """Two values that are linear in the place."""
    return np.stack([index @ [1.0, -2.0, 3.0] + 0.5, index @ [0.0, 1.0, 0.0]])


def test_a_linear_function_comes_back_on_every_point_from_the_first_samples():
    samples = CoarseSamples(SHAPE, STEPS, 2)
    samples.ask(np.ones_like(samples.known), slope)
    assert [along.tolist() for along in samples.nodes] == [[0, 4, 8, 10], [0, 2, 4, 6, 7], [0, 1]]
    while samples.axes:
        samples.refine()
    grid = np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(samples.values, slope(grid).reshape(2, *SHAPE), atol=1e-5)
    assert samples.evaluated == samples.known.sum() == 4 * 5 * 2


def test_no_sample_is_evaluated_twice_however_many_are_read_at_once(monkeypatch):
    monkeypatch.setattr(refine, "PART", 7)
    samples, asked = CoarseSamples(SHAPE, STEPS, 2), []

    def watched(index):
        asked.extend(map(tuple, index.tolist()))
        return slope(index)

    samples.ask(np.ones_like(samples.known), watched)
    while samples.axes:
        samples.refine()
        samples.ask(np.ones_like(samples.known), watched)
    assert len(asked) == len(set(asked)) == samples.evaluated == np.prod(SHAPE)


def test_a_divided_cell_gives_its_corners_and_all_between_them():
    samples = CoarseSamples(SHAPE, STEPS, 1)
    cells = np.zeros((3, 4, 2), bool)  # along the third axis samples are as fine as points
    cells[2, 3, 1] = True
    wanted = samples.divided(cells)
    samples.refine()
    places = [samples.nodes[axis][index] for axis, index in enumerate(np.nonzero(wanted))]
    assert sorted(zip(*(p.tolist() for p in places))) == [(x, y, 1) for x in (8, 10) for y in (6, 7)]
