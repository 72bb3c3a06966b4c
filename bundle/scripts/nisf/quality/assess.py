"""What a fit knows of its own quality, from the scan alone: no label is looked at.

``benchmarks/failures.py`` says how well each number tells failures apart; ``trust.py`` makes a verdict of them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from monai.metrics import compute_dice
from torch.nn import functional as F

from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.models.nisf import NISF
from nisf.quality.comparison import Look
from nisf.quality.image_features import (
    contrast_of,
    doubt_of,
    expected_dice,
    least_share,
    likeness,
    noise_of,
    roughness,
    volume_of,
)
from nisf.quality.slice_features import empty_slices, slice_errors, slice_shifts
from nisf.quality.stack_features import cut_ends, upside_down


def quality_of(
    network: NISF, fit: LatentFit, points: GridPoints, values: torch.Tensor, final: torch.Tensor | None = None
) -> dict[str, float]:
    """The numbers of ``assess`` alone."""
    return assess(network, fit, points, values, final)[0]


@torch.no_grad()
def assess(
    network: NISF, fit: LatentFit, points: GridPoints, values: torch.Tensor, final: torch.Tensor | None = None
) -> tuple[dict[str, float], dict[str, list]]:
    """Numbers by which a failed fit shows, of the whole scan and of its slices.

    Args:
        network: with its prior.
        fit: of ``points``.
        points: the scan.
        values: the latent's own prediction [C + K, X, Y, Z, T] on the scan's grid, see ``sample_grid``.
        final: classes [K, X, Y, Z, T] with the class evidence blended in; None where nothing was.

    Returns:
        two dictionaries. Of the scan, NaN where a number cannot be known, as without class evidence:

        ``reconstruction_error``: root mean square difference of reconstruction and image, intensities in [0, 1]; the
        reconstruction with the gain and offset of the acquisition, where they were fitted. ``slice_error``: that of
        the worst slice. ``likeness``: correlation of image and reconstruction about the organ.
        ``prior_distance``: of the latent from the prior's mean, in standard deviations, root mean square over its
        numbers; ``pose_distance``: the same of the pose's change.
        ``doubt``: mean over the voxels taken for a class of one minus its probability; 1 where none is.
        ``evidence_doubt``: the same of the class evidence. ``expected_dice``: of the final classes by their own
        probabilities.
        ``disagreement``: one minus the mean Dice between the latent's own classes and those of the class evidence.
        ``worst_disagreement``: of the worst class.
        ``slice_shift``: mm, of the slice that lies most out of line. ``empty_slices``: their number.
        ``contrast``: by how much the first class is brighter than the second; ``contrast_error``: its difference from
        the reconstruction's. ``noise``: standard deviation of the pixels' noise.
        ``volume``, ``evidence_volume``: mL, all classes, mean over frames, of the final classes and of the evidence.
        ``least_share``: the rarest class's part of it. ``roughness``: of the first class's volume curve.
        ``upside_down``: nats by which the evidence fits a mean heart better with base and apex exchanged.
        ``base_cut``, ``apex_cut``: see ``cut_ends``.

        Of the slices that were seen: ``number`` (from the base, 0-based), ``error``, ``shift_mm``, and the numbers of
        those that are ``empty``.
    """
    look = Look.of(network, fit, points, values, final)
    slices = {
        "number": look.slices,
        "error": slice_errors(look),
        "shift_mm": slice_shifts(look),
        "empty": empty_slices(look),
    }
    frames = points.kept_frames or list(range(values.shape[-1]))
    whole = values[network.in_channels :] if final is None else final
    numbers = {
        "reconstruction_error": float(look.known(look.recon - look.image).square().mean().sqrt()),
        "slice_error": max(slices["error"]),
        "likeness": likeness(look),
        "prior_distance": _distance(network.latent_factor, fit.latent - network.latent_mean),
        "pose_distance": _distance(network.pose_factor, fit.pose) if bool(network.pose_factor.any()) else 0.0,
        "doubt": doubt_of(look.own),
        "expected_dice": expected_dice(look.final),
        "slice_shift": max(slices["shift_mm"]),
        "empty_slices": float(len(slices["empty"])),
        "noise": noise_of(look),
        "volume": volume_of(look.final, look),
        "least_share": least_share(look.final),
        "roughness": roughness(whole[..., frames]),
        "upside_down": upside_down(network, points),
        **_against_evidence(look),
        **dict(zip(("base_cut", "apex_cut"), cut_ends(network, fit, points))),
    }
    numbers["contrast"], expected = contrast_of(look)
    numbers["contrast_error"] = abs(numbers["contrast"] - expected)
    return numbers, slices


def _against_evidence(look: Look) -> dict[str, float]:
    """What the class evidence says of itself and of the latent's classes; NaN without evidence."""
    if look.evidence is None:
        return dict.fromkeys(("disagreement", "worst_disagreement", "evidence_doubt", "evidence_volume"), math.nan)
    dice = _dice(look.own.argmax(dim=0), look.evidence.argmax(dim=0), len(look.own))
    return {
        "disagreement": 1 - float(np.mean(dice)),
        "worst_disagreement": 1 - min(dice),
        "evidence_doubt": doubt_of(look.evidence),
        "evidence_volume": volume_of(look.evidence, look),
    }


def _distance(factor: torch.Tensor, offset: torch.Tensor) -> float:
    """Root mean square of the whitened ``offset``."""
    offset = offset.to(factor).double().unsqueeze(1)
    return float(torch.linalg.solve_triangular(factor.double(), offset, upper=False).square().mean().sqrt())


def _dice(found: torch.Tensor, said: torch.Tensor, classes: int) -> list[float]:
    """Dice of two class maps, of each class that the second has; [0] where it has none."""
    first, second = (F.one_hot(one.flatten(), classes).t().unsqueeze(0) for one in (found, said))
    dice = compute_dice(first, second, include_background=False)[0]
    return dice[dice.isfinite()].tolist() or [0.0]
