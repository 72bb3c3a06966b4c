"""Calibration error of probabilities."""

import numpy as np


def calibration_error(stated: np.ndarray, right: np.ndarray) -> float:
    """Mean over 15 bins, weighted by their voxels, of |share right - stated probability|."""
    place = np.minimum((stated * 15).astype(int), 14)
    gaps = [abs(right[place == b].mean() - stated[place == b].mean()) * (place == b).mean() for b in set(place)]
    return float(sum(gaps))
