"""Borders of classes in a picture, as closed polygons small enough to be put into a page."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import convolve1d, find_objects
from skimage.measure import approximate_polygon, find_contours

#: Polygons are whole numbers of such parts of a pixel.
PARTS = 10


#: Pixels that a polygon may lie off the outline that it stands for.
TOLERANCE = 0.08


#: Weights with which a point of a staircase and its neighbours are averaged.
SMOOTH = np.array([1, 4, 6, 4, 1]) / 16


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
    return _polygons(inside, smooth=True)


def of_probabilities(probabilities: np.ndarray) -> list[list]:
    """Outlines of the likeliest class in class probabilities [K, X, Y], as ``of_labels`` gives them."""
    best = np.sort(probabilities, axis=0)
    # how far a class is ahead of the best other one: zero at its border, between the pixels
    baseline = np.where(probabilities == best[-1], best[-2], best[-1])
    return _polygons(((number, probabilities[number] - baseline[number]) for number in range(1, len(probabilities))))


def _polygons(fields: Iterable[tuple[int, np.ndarray]], smooth: bool = False) -> list[list]:
    """Where fields [X, Y], each with its class, are zero; what is outside of the picture counts as below zero."""
    found = []
    for number, field in fields:
        box = find_objects((field > 0).astype(np.uint8))
        if not box:
            continue
        # the part about the class alone, and a ring below zero that closes what touches the edge
        rows, columns = box[0]
        padded = np.pad(field, 1, constant_values=-0.5)[rows.start : rows.stop + 2, columns.start : columns.stop + 2]
        for line in find_contours(padded, 0.0):
            ring = line + (rows.start - 1, columns.start - 1)  # the first point again at the end
            if smooth:
                ring[:-1] = convolve1d(ring[:-1], SMOOTH, axis=0, mode="wrap")
                ring[-1] = ring[0]
            ring = approximate_polygon(ring, TOLERANCE)[:-1]
            if len(ring) > 2:
                found.append([number, np.rint(ring * PARTS).astype(int).ravel().tolist()])
    return found
