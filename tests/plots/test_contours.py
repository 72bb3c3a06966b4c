"""Outlines in a page: closed, at the border, small."""

import numpy as np
import pytest

from nisf.plots.contours import PARTS, of_labels, of_probabilities


def ring(one):
    return np.array(one[1]).reshape(-1, 2) / PARTS


def area(points):
    x, y = points.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def disc(radius, centre=(30, 25), shape=(64, 56)):
    x, y = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(x - centre[0], y - centre[1]) < radius


def test_a_disc_has_its_area_place_and_few_points():
    labels = disc(12).astype(int)
    (one,) = of_labels(labels, 2)
    assert one[0] == 1 and len(ring(one)) < 60
    assert area(ring(one)) == pytest.approx(labels.sum(), rel=0.03)
    np.testing.assert_allclose((ring(one).min(axis=0) + ring(one).max(axis=0)) / 2, (30, 25), atol=0.3)
    assert np.abs(np.hypot(*(ring(one) - (30, 25)).T) - 12).max() < 0.9


def test_each_class_and_piece_has_its_own():
    labels = np.where(disc(14), 2, 0)
    labels[disc(9)] = 1
    labels[2:5, 2:6] = 3
    found = of_labels(labels, 4)
    assert [number for number, _ in found] == [1, 2, 2, 3]
    outer, inner = sorted((area(ring(one)) for one in found if one[0] == 2), reverse=True)
    assert outer - inner == pytest.approx((labels == 2).sum(), rel=0.05)
    assert area(ring(found[3])) == pytest.approx(12, rel=0.35)


def test_what_touches_the_edge_is_closed_there():
    labels = np.zeros((20, 16), int)
    labels[:6] = 1
    (one,) = of_labels(labels, 2)
    assert area(ring(one)) == pytest.approx(6 * 16, rel=0.05)
    assert ring(one).min() >= -0.6


def test_a_lone_voxel_is_not_lost():
    labels = np.zeros((9, 9), int)
    labels[4, 5] = 1
    (one,) = of_labels(labels, 2)
    np.testing.assert_allclose(ring(one).mean(axis=0), (4, 5), atol=0.1)


def test_probabilities_place_the_border_between_the_pixels():
    x = np.arange(20)[:, None] * np.ones((1, 12))
    for place in (7.3, 7.8):
        second = 1 / (1 + np.exp(-(x - place)))
        (one,) = of_probabilities(np.stack([1 - second, second]))
        assert ring(one)[:, 0].min() == pytest.approx(place, abs=0.1)


def test_the_likeliest_class_wins_also_below_one_half():
    probabilities = np.zeros((3, 10, 10))
    probabilities[0], probabilities[1], probabilities[2] = 0.3, 0.3, 0.2
    probabilities[1, 3:7, 3:7], probabilities[2, 3:7, 3:7] = 0.25, 0.45
    found = of_probabilities(probabilities)
    assert [number for number, _ in found] == [2]
    assert of_labels(np.zeros((5, 5), int), 4) == []
