"""Outlines of classes in a picture, as closed polygons small enough for a page."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import convolve1d, find_objects
from skimage.measure import approximate_polygon, find_contours

#: Polygon coordinates are integers in this fraction of a pixel.
PARTS = 10

#: Largest distance of a polygon from its outline, in pixels.
TOLERANCE = 0.08

#: Weights that average a point of a staircase and its neighbours.
SMOOTH = np.array([1, 4, 6, 4, 1]) / 16


def of_labels(labels: np.ndarray, classes: int) -> list[list]:
    """Outlines of a label map, its staircases smoothed.

    Args:
        labels: integer [X, Y].
        classes: number of classes, background included.

    Returns:
        ``[class, [x, y, x, y, ...]]`` for each polygon, pixel centres at multiples of ``PARTS``. Rings: the last point
        is joined to the first.
    """
    inside = ((number, (labels == number).astype(np.float32) - 0.5) for number in range(1, classes))
    return _polygons(inside, smooth=True)


def of_probabilities(probabilities: np.ndarray) -> list[list]:
    """Outlines of the likeliest class in class probabilities [K, X, Y], in the form of ``of_labels``."""
    best = np.sort(probabilities, axis=0)
    # lead of a class over the best other one: zero at its border, between the pixels
    baseline = np.where(probabilities == best[-1], best[-2], best[-1])
    return _polygons(((number, probabilities[number] - baseline[number]) for number in range(1, len(probabilities))))


def _polygons(fields: Iterable[tuple[int, np.ndarray]], smooth: bool = False) -> list[list]:
    """Zero lines of fields [X, Y], each with its class; outside the picture a field counts as below zero."""
    found = []
    for number, field in fields:
        box = find_objects((field > 0).astype(np.uint8))
        if not box:
            continue
        # the box about the class, and a ring below zero that closes outlines at the edge
        rows, columns = box[0]
        padded = np.pad(field, 1, constant_values=-0.5)[rows.start : rows.stop + 2, columns.start : columns.stop + 2]
        for line in find_contours(padded, 0.0):
            ring = line + (rows.start - 1, columns.start - 1)  # the first point is repeated at the end
            if smooth:
                ring[:-1] = convolve1d(ring[:-1], SMOOTH, axis=0, mode="wrap")
                ring[-1] = ring[0]
            ring = approximate_polygon(ring, TOLERANCE)[:-1]
            if len(ring) > 2:
                found.append([number, np.rint(ring * PARTS).astype(int).ravel().tolist()])
    return found
