"""Quality features of the single slices of a stack."""

from __future__ import annotations

import torch

from nisf.quality.classes import Classes
from nisf.quality.comparison import Comparison

#: Classes that make up the body of the organ: LV and myocardium.
BODY = (1, 2)

#: Minimum area of the body in a slice whose position is compared, mm2.
LEAST_AREA = 150.0

#: Standard deviation of the intensities below which a slice is empty.
LEAST_STD = 0.01


def slice_errors(comparison: Comparison) -> list[float]:
    """Root mean square difference of reconstruction and image in each slice."""
    squared = (comparison.recon - comparison.image).square()
    if comparison.mask is None:
        return squared.mean(dim=(0, 1, 2, 4)).sqrt().tolist()
    inside = comparison.mask.float()[None, ..., None].expand_as(squared)
    return ((squared * inside).sum(dim=(0, 1, 2, 4)) / inside.sum(dim=(0, 1, 2, 4)).clamp_min(1)).sqrt().tolist()


def empty_slices(comparison: Comparison) -> list[int]:
    """Numbers of the empty slices."""
    std = comparison.image.std(dim=(1, 2), correction=0).amax(dim=(0, 2))
    return [number for number, one in zip(comparison.slices, std.tolist()) if one < LEAST_STD]


def slice_shifts(comparison: Comparison) -> list[float]:
    """How far each slice is out of line in plane, mm; 0 where the body is too small to tell.

    The offset from the body's centroid in the latent's own classes, which know of no breath-holds, to that in the U-Net
    probabilities, minus the median offset of all slices.
    """
    if comparison.unet is None:
        return [0.0] * len(comparison.slices)
    (own, enough), (seen, as_well) = (_centroids(one, comparison) for one in (comparison.own, comparison.unet))
    known = enough & as_well
    if int(known.sum()) < 3:
        return [0.0] * len(comparison.slices)
    way = seen - own
    away = (way - way[known].median(dim=0).values).norm(dim=1)
    return torch.where(known, away, 0.0).tolist()


def _centroids(classes: Classes, comparison: Comparison) -> tuple[torch.Tensor, torch.Tensor]:
    """Centroids of the body in each slice over all frames, mm [Z', 2], and which slices have enough of it."""
    body = sum(classes.of(kind).sum(dim=3) for kind in BODY).float()  # [X, Y, Z']
    area = body.sum(dim=(0, 1))
    x, y = (torch.arange(n, dtype=torch.float32) * s for n, s in zip(body.shape[:2], comparison.spacing))
    sums = torch.stack([x @ body.sum(dim=1), y @ body.sum(dim=0)], dim=1)
    pixel = comparison.spacing[0] * comparison.spacing[1]
    return sums / area.clamp_min(1)[:, None], area * pixel / len(comparison.times) > LEAST_AREA
