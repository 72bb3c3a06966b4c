"""Stacks of slices packed small: differences to a prediction, sorted by how much they are likely to be.

The prediction of a value is that of LOCO-I (Weinberger, Seroussi and Sapiro, IEEE TIP 2000) from its neighbours to the
left and above. Values whose neighbours differ much are likely to miss it by much, and those in the midst of nothing are
nothing: what is alike lies together in the stream, so that zlib finds a short code for each group.
"""

from __future__ import annotations

import numpy as np

from nisf.report.living.packing import packed

#: Differences among the neighbours from which a value belongs to the next group.
GROUPS = (1, 4, 12, 24, 48, 96)


def packed_residuals(values: np.ndarray) -> dict:
    """int8 [K, T, Z, Y, X] for JSON, as ``web/residuals.js`` reads it: the number of values in each group, and their
    differences to the prediction, modulo 256, group by group."""
    groups, residuals = zip(*(_of_class(one.astype(np.int16)) for one in values))
    groups, residuals = np.concatenate(groups), np.concatenate(residuals)
    counts = np.bincount(groups, minlength=len(GROUPS) + 2)
    return {
        "groups": list(GROUPS),
        "counts": [int(n) for n in counts],
        "packed": packed(residuals[np.argsort(groups, kind="stable")]),
    }


def _of_class(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups and residuals, uint8 [N] each, of the values of one class, [T, Z, Y, X]."""
    around = np.pad(values, ((0, 0), (0, 0), (1, 0), (1, 1)))
    left, above = around[..., 1:, :-2], around[..., :-1, 1:-1]
    corner, other = around[..., :-1, :-2], around[..., :-1, 2:]
    before = np.concatenate([np.zeros_like(values[:1]), values[:-1]])
    low, high = np.minimum(left, above), np.maximum(left, above)
    expected = np.where(corner >= high, low, np.where(corner <= low, high, left + above - corner))
    steep = np.abs(left - corner) + np.abs(above - corner) + np.abs(above - other)
    group = 1 + np.searchsorted(GROUPS, steep, side="right")
    group[(left == 0) & (above == 0) & (corner == 0) & (other == 0) & (before == 0)] = 0
    return group.astype(np.uint8).ravel(), ((values - expected) % 256).astype(np.uint8).ravel()
