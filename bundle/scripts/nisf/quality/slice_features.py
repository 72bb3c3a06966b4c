"""Signs of a failed fit that each slice of a stack shows by itself."""

from __future__ import annotations

import torch

from nisf.quality.comparison import Look

#: Classes that make up the body of the organ: LV and myocardium.
BODY = (1, 2)


#: A slice whose cut through the body is smaller has no place worth comparing, mm2.
LEAST_AREA = 150.0


#: A slice is empty where its intensities spread by less.
LEAST_SPREAD = 0.01


def slice_errors(look: Look) -> list[float]:
    """Root mean square difference of reconstruction and image in each slice."""
    squared = (look.recon - look.image).square()
    if look.mask is None:
        return squared.mean(dim=(0, 1, 2, 4)).sqrt().tolist()
    inside = look.mask.float()[None, ..., None].expand_as(squared)
    return ((squared * inside).sum(dim=(0, 1, 2, 4)) / inside.sum(dim=(0, 1, 2, 4)).clamp_min(1)).sqrt().tolist()


def empty_slices(look: Look) -> list[int]:
    """Numbers of the slices in which there is nothing to see."""
    spread = look.image.std(dim=(1, 2), correction=0).amax(dim=(0, 2))
    return [number for number, one in zip(look.slices, spread.tolist()) if one < LEAST_SPREAD]


def slice_shifts(look: Look) -> list[float]:
    """How far each slice lies out of line in plane, mm; 0 where the body is too small to tell.

    The way from the body's centroid in the latent's own classes, which know of no breath-holds, to that in the class
    evidence, less the median way of all slices.
    """
    if look.evidence is None:
        return [0.0] * len(look.slices)
    (own, enough), (seen, as_well) = _centroids(look.own, look), _centroids(look.evidence, look)
    known = enough & as_well
    if int(known.sum()) < 3:
        return [0.0] * len(look.slices)
    way = seen - own
    away = (way - way[known].median(dim=0).values).norm(dim=1)
    return torch.where(known, away, 0.0).tolist()


def _centroids(classes: torch.Tensor, look: Look) -> tuple[torch.Tensor, torch.Tensor]:
    """Centroids of the body in each slice over all frames, mm [Z', 2], and which slices have enough of it."""
    found = classes.argmax(dim=0)
    body = sum((found == kind).float() for kind in BODY).sum(dim=3)  # [X, Y, Z']
    area = body.sum(dim=(0, 1))
    x, y = (torch.arange(n, dtype=torch.float32) * s for n, s in zip(body.shape[:2], look.spacing))
    sums = torch.stack([x @ body.sum(dim=1), y @ body.sum(dim=0)], dim=1)
    pixel = look.spacing[0] * look.spacing[1]
    return sums / area.clamp_min(1)[:, None], area * pixel / len(look.times) > LEAST_AREA
