"""Quality features of the whole scan: noise, contrast, volumes, and the uncertainty of the result."""

from __future__ import annotations

import math

import torch

from nisf.geometry.affine import voxel_ml
from nisf.quality.classes import Classes
from nisf.quality.comparison import Comparison

#: Minimum number of frames of a volume curve for its roughness, and the number of harmonics of a smooth one.
CURVE, HARMONICS = 12, 4

#: Minimum number of voxels to measure a class's brightness.
LEAST = 20


def noise_of(comparison: Comparison) -> float:
    """Standard deviation of the pixels' noise, from the median of their mixed second differences in plane."""
    corners = [comparison.image[:, a : a - 1 or None, b : b - 1 or None] for a in (0, 1) for b in (0, 1)]
    mixed = corners[0] - corners[1] - corners[2] + corners[3]
    known = torch.stack([(one > 0) & (one < 1) for one in corners]).all(dim=0)  # clipped intensities have no noise
    mixed = mixed[known]
    return float(1.4826 * mixed.abs().median() / 2) if len(mixed) else 0.0


def contrast_of(comparison: Comparison) -> tuple[float, float]:
    """By how much the first class (LV blood) is brighter than the second (myocardium), in image and reconstruction.

    Medians over the voxels where latent and U-Net agree; NaN if either class is too small there.
    """
    inside = [comparison.own.of(kind) & comparison.baseline.of(kind) for kind in (1, 2)]
    if min(int(one.sum()) for one in inside) < LEAST:
        return math.nan, math.nan
    image, recon = (values.mean(dim=0) for values in (comparison.image, comparison.recon))
    return tuple(float(values[inside[0]].median() - values[inside[1]].median()) for values in (image, recon))


def ncc(comparison: Comparison) -> float:
    """Normalised cross-correlation of image and reconstruction around the organ; 0 if there is no organ."""
    near = (comparison.own.probabilities[0] < 0.5) | (comparison.baseline.probabilities[0] < 0.5)
    if int(near.sum()) < LEAST:
        return 0.0
    pairs = torch.stack([comparison.image.mean(dim=0)[near], comparison.recon.mean(dim=0)[near]])
    found = torch.corrcoef(pairs)[0, 1]
    return float(found) if bool(found.isfinite()) else 0.0


def volume_of(classes: Classes, comparison: Comparison) -> float:
    """Volume of all classes [K, X, Y, Z', T'] in the slices, mL, mean over frames."""
    return classes.found * voxel_ml(comparison.affine) / len(comparison.times)


def least_share(classes: Classes) -> float:
    """Share of the rarest class in all classes' voxels; 0 if nothing is found."""
    return min(classes.counts[1:]) / classes.found if classes.found else 0.0


def roughness(classes: torch.Tensor) -> float:
    """How uneven the first class's volume curve is: root mean square of its fast part, relative to its range.

    The fast part is the curve without its mean and first ``HARMONICS`` harmonics, which describe a beating heart well.

    Args:
        classes: probabilities [K, X, Y, Z, T] of all frames of a full cycle, evenly spaced.

    Returns:
        NaN for fewer than ``CURVE`` frames or a curve that does not move.
    """
    if classes.shape[-1] < CURVE:
        return math.nan
    curve = torch.stack([classes[1, ..., t].sum(dtype=torch.float64) for t in range(classes.shape[-1])])
    waves = torch.fft.rfft(curve)
    waves[: HARMONICS + 1] = 0
    span = float(curve.max() - curve.min())
    rest = torch.fft.irfft(waves, n=len(curve))
    return float(rest.square().mean().sqrt()) / span if span > 1e-6 else math.nan


def expected_dice(classes: Classes) -> float:
    """Mean Dice of the likeliest classes if their probabilities were right and voxels independent.

    For each class the ratio of expected sums, ``2 sum p / (n + sum p)``, with the upper sum over the n voxels taken
    for it; 0 if no voxel is taken for any class.
    """
    scores = []
    for kind, count in list(enumerate(classes.counts))[1:]:
        probability = classes.probabilities[kind]
        if count:
            scores.append(2 * float((probability * classes.of(kind)).sum()) / (count + float(probability.sum())))
    return sum(scores) / len(scores) if scores else 0.0


def uncertainty_of(classes: Classes) -> float:
    """Mean over the voxels taken for a class of one minus its probability; 1 if there are none."""
    sure = sum(float((classes.probabilities[k] * classes.of(k)).sum()) for k in range(1, len(classes.counts)))
    return 1 - sure / classes.found if classes.found else 1.0
