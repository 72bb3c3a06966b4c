"""What a fit knows of its own quality, from the scan alone: no label is looked at.

Each number is small for a fit to be trusted; ``benchmarks/failures.py`` says how well each tells failures apart.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.metrics import compute_dice
from torch.nn import functional as F

from scripts.networks import NISF
from scripts.point_sets import as_intensity
from scripts.points import GridPoints

if TYPE_CHECKING:
    from scripts.fitting import LatentFit

#: The most frames that are looked at.
FRAMES = 10


@torch.no_grad()
def quality_of(network: NISF, fit: LatentFit, points: GridPoints, values: torch.Tensor) -> dict[str, float]:
    """Numbers by which a failed fit shows.

    Args:
        network: with its prior.
        fit: of ``points``.
        points: the scan.
        values: the latent's own prediction [C + K, X, Y, Z, T] on the scan's grid, see ``sample_grid``.

    Returns:
        ``reconstruction_error``: root mean square difference of reconstruction and image, intensities in [0, 1]; the
        reconstruction with the gain and offset of the acquisition, where they were fitted.
        ``prior_distance``: of the latent from the prior's mean, in standard deviations, root mean square over its
        numbers; ``pose_distance``: the same of the pose's change.
        ``doubt``: mean over the voxels taken for a class of one minus its probability; 1 where none is.
        ``disagreement``: one minus the mean Dice between the latent's own classes and those of the class evidence; NaN
        without evidence.
    """
    seen = points.kept_frames or list(range(values.shape[-1]))
    frames = points.evidence_frames or [
        seen[i] for i in sorted({round(j) for j in np.linspace(0, len(seen) - 1, FRAMES)})
    ]
    kept = points.kept_slices or list(range(values.shape[3]))
    said = values[..., frames][..., kept, :].float()
    recon, classes = said[: network.in_channels], said[network.in_channels :]
    if fit.effects is not None and bool(fit.effects.any()):
        gain, offset = fit.effects[kept, :2].t()[:, None, None, None, :, None]
        recon = ((1 + gain) * recon.clamp(1e-3, 1 - 1e-3).logit() + offset).sigmoid()
    image = as_intensity(points.image[..., frames][..., kept, :])
    best, found = classes.max(dim=0)
    inside = found > 0
    return {
        "reconstruction_error": float(_known(recon - image, points, kept).square().mean().sqrt()),
        "prior_distance": _distance(network.latent_factor, fit.latent - network.latent_mean),
        "pose_distance": _distance(network.pose_factor, fit.pose) if bool(network.pose_factor.any()) else 0.0,
        "doubt": float((1 - best)[inside].mean()) if bool(inside.any()) else 1.0,
        "disagreement": math.nan if points.evidence is None else _disagreement(found, points, kept, len(classes)),
    }


def _known(values: torch.Tensor, points: GridPoints, kept: list[int]) -> torch.Tensor:
    """Of [C, X, Y, Z', T'] those voxels that may be seen."""
    return values if points.mask is None else values[:, points.mask[:, :, kept]]


def _distance(factor: torch.Tensor, offset: torch.Tensor) -> float:
    """Root mean square of the whitened ``offset``."""
    offset = offset.to(factor).double().unsqueeze(1)
    return float(torch.linalg.solve_triangular(factor.double(), offset, upper=False).square().mean().sqrt())


def _disagreement(found: torch.Tensor, points: GridPoints, kept: list[int], classes: int) -> float:
    """One minus the mean Dice of [X, Y, Z', T'] against the evidence; of classes that it does not have nothing."""
    said = points.evidence.image[..., kept, :].argmax(dim=0)
    first, second = (F.one_hot(one.flatten(), classes).t().unsqueeze(0) for one in (found, said))
    dice = compute_dice(first, second, include_background=False)[0]
    return 1 - float(dice.nanmean()) if bool(dice.isfinite().any()) else 1.0
