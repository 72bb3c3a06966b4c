"""Numbers packed small for a page."""

from __future__ import annotations

import zlib

import numpy as np


def packed(numbers: np.ndarray) -> bytes:
    """The zlib stream of an array's bytes, little-endian."""
    little = np.ascontiguousarray(numbers.astype(numbers.dtype.newbyteorder("<"), copy=False))
    return zlib.compress(little.tobytes(), 9)


def halves(numbers: np.ndarray) -> np.ndarray:
    """Low bytes, then high bytes of numbers of two bytes, which take less room apart."""
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, 2).T)
