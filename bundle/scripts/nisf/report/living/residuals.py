"""Stacks of slices over time packed small: differences to a prediction, sorted by how large they are likely to be.

A value is predicted from four neighbours before it in its slice and the nine about it in the frame before, by weights
that fit each class best (least squares), in whole numbers so that a page computes the same. Values whose neighbours
were missed by much are likely to be missed by much, and those in the midst of nothing are nothing: what is alike is
together in a stream, for which zlib finds a short code.
"""

from __future__ import annotations

import zlib

import numpy as np

#: Sums of the neighbours' differences from which a value belongs to the next group.
GROUPS = (1, 3, 6, 12, 24, 48)

#: Weights of the neighbours are whole numbers of this part.
PART = 256

#: Places (frame, row, column) of the neighbours.
SEEN = [(0, 0, -1), (0, -1, 0), (0, -1, -1), (0, -1, 1)]
NEIGHBOURS = SEEN + [(-1, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]

#: Weights of the differences to the prediction in a sum: those of ``SEEN``, and of the same place one frame before.
DIFFERENCES = [((0, 0, -1), 2), ((0, -1, 0), 2), ((0, -1, -1), 1), ((0, -1, 1), 1), ((-1, 0, 0), 2)]

#: The most values of a class from which its weights are found.
FITTED = 40_000


def packed_residuals(values: np.ndarray, weights: np.ndarray | None = None) -> dict:
    """int8 [K, T, Z, Y, X] for JSON, as ``web/residuals.js`` reads it: the weights of each class in 1 / ``PART``, and
    the differences to the prediction, modulo 256, one zlib stream for each group.

    Args:
        values: numbers to be packed.
        weights: ``weights_of`` these or similar values.
    """
    weights = weights_of(values) if weights is None else weights
    groups, residuals = zip(*(_of_class(one, own) for one, own in zip(values, weights)))
    groups, residuals = np.concatenate(groups), np.concatenate(residuals)
    return {
        "groups": list(GROUPS),
        "weights": weights.tolist(),
        "packed": [_shortest(residuals[groups == group]) for group in range(len(GROUPS) + 2)],
    }


def weights_of(values: np.ndarray) -> np.ndarray:
    """Weights of the neighbours of each class's values [K, T, Z, Y, X], int32 [K, 13], in 1 / ``PART``."""
    rng, found = np.random.default_rng(0), []
    for one in values:
        padded, places = _padded(one), np.argwhere(one)
        t, z, y, x = rng.permutation(places)[:FITTED].T
        columns = [padded[1 + t + i, z, 1 + y + j, 1 + x + k] for i, j, k in NEIGHBOURS]
        best = np.linalg.lstsq(np.stack(columns, axis=-1).astype(float), one[t, z, y, x].astype(float), rcond=None)[0]
        found.append(np.rint(np.clip(best, -8, 8) * PART))
    return np.array(found, dtype=np.int32)


def predicted(neighbours: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Values, int16, from those of the ``NEIGHBOURS`` and their weights."""
    total = sum((n.astype(np.int32) * w for n, w in zip(neighbours, weights)), np.int32(PART // 2))
    return np.clip(total >> (PART.bit_length() - 1), -127, 127).astype(np.int16)


def _of_class(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups and residuals, uint8 [N] each, of the values of one class, [T, Z, Y, X]."""
    padded, missed = _padded(values), np.zeros_like(_padded(values))
    groups, residuals = np.zeros(values.shape, np.uint8), np.zeros(values.shape, np.int8)
    for t in range(len(values)):
        around = [_about(padded, t, place) for place in NEIGHBOURS]
        residuals[t] = (values[t] - predicted(around, weights)).astype(np.int8)
        missed[1 + t, :, 1:-1, 1:-1] = np.abs(residuals[t].astype(np.int16))
        amount = sum(factor * _about(missed, t, place) for place, factor in DIFFERENCES)
        lonely = ~np.any(around, axis=0)
        groups[t] = np.where(lonely, 0, 1 + np.searchsorted(GROUPS, amount, side="right"))
    return groups.ravel(), residuals.view(np.uint8).ravel()


def _padded(values: np.ndarray) -> np.ndarray:
    """Values [T, Z, Y, X] with zeros before the first frame and about each slice, int16."""
    return np.pad(values.astype(np.int16), ((1, 0), (0, 0), (1, 1), (1, 1)))


def _about(padded: np.ndarray, t: int, place: tuple[int, int, int]) -> np.ndarray:
    """The neighbours of a frame's values at one place, [Z, Y, X]."""
    i, j, k = place
    rows, columns = padded.shape[2] - 2, padded.shape[3] - 2
    return padded[1 + t + i, :, 1 + j : 1 + j + rows, 1 + k : 1 + k + columns]


def _shortest(numbers: np.ndarray) -> bytes:
    """The shortest zlib stream of bytes: with repetitions or, as is better for noise, without."""
    streams = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY):
        one = zlib.compressobj(9, strategy=strategy)
        streams.append(one.compress(numbers.tobytes()) + one.flush())
    return min(streams, key=len)
