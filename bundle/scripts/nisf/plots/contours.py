"""Borders of classes in a picture, as closed polygons small enough to be put into a page."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from skimage.measure import find_contours

#: Polygons are whole numbers of such parts of a pixel.
PARTS = 10


#: Pixels that a point may lie off the line between its neighbours and still be left out, and how often it is tried.
TOLERANCE, ROUNDS = 0.06, 3


def of_labels(labels: np.ndarray, classes: int) -> list[list]:
    """Outlines of a label map, its staircases smoothed.

    Args:
        labels: integer [X, Y].
        classes: number of classes, background included.

    Returns:
        ``[class, [x, y, x, y, ...]]`` for each polygon, pixel centres at whole multiples of ``PARTS``. Rings: the last
        point is joined to the first.
    """
    inside = ((number, (labels == number).astype(np.float32) - 0.5) for number in range(1, classes))
    return _polygons(inside, smooth=2)


def of_probabilities(probabilities: np.ndarray) -> list[list]:
    """Outlines of the likeliest class in class probabilities [K, X, Y], as ``of_labels`` gives them."""
    best = np.sort(probabilities, axis=0)
    # how far a class is ahead of the best other one: zero at its border, between the pixels
    baseline = np.where(probabilities == best[-1], best[-2], best[-1])
    return _polygons(((number, probabilities[number] - baseline[number]) for number in range(1, len(probabilities))), 0)


def _polygons(fields: Iterable[tuple[int, np.ndarray]], smooth: int) -> list[list]:
    """Where fields [X, Y], each with its class, are zero; what is outside of the picture counts as below zero."""
    found = []
    for number, field in fields:
        rows, columns = np.flatnonzero((field > 0).any(axis=1)), np.flatnonzero((field > 0).any(axis=0))
        if len(rows) == 0:
            continue
        # the part about the class alone, and a ring below zero that closes what touches the edge
        padded = np.pad(field, 1, constant_values=-0.5)[rows[0] : rows[-1] + 3, columns[0] : columns[-1] + 3]
        for line in find_contours(padded, 0.0):
            ring = _simpler(_smoothed(line[:-1] + (rows[0] - 1, columns[0] - 1), smooth))
            if len(ring) > 2:
                found.append([number, np.rint(ring * PARTS).astype(int).ravel().tolist()])
    return found


def _smoothed(ring: np.ndarray, times: int) -> np.ndarray:
    """Points [N, 2] of a ring, each moved towards the mean of its neighbours."""
    for _ in range(times):
        ring = 0.5 * ring + 0.25 * (np.roll(ring, 1, axis=0) + np.roll(ring, -1, axis=0))
    return ring


def _simpler(ring: np.ndarray) -> np.ndarray:
    """A ring [N, 2] without points that lie on the line between their neighbours; of two neighbours one stays."""
    for _ in range(ROUNDS):
        before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
        line, off = after - before, ring - before
        length = np.maximum(np.hypot(*line.T), 1e-9)
        idle = np.abs(line[:, 0] * off[:, 1] - line[:, 1] * off[:, 0]) / length < TOLERANCE
        idle[::2] = False
        if len(ring) - idle.sum() < 4:
            break
        ring = np.roll(ring[~idle], 1, axis=0)  # so that the next round tries the others
    return ring
