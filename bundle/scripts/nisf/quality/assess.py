"""Quality features of a fit, from the scan alone, without labels.

``benchmarks/failures.py`` measures how well each of them detects failures; ``verdict.py`` makes a verdict of them.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.models.nisf import NISF
from nisf.quality.comparison import Comparison
from nisf.quality.image_features import (
    contrast_of,
    expected_dice,
    least_share,
    ncc,
    noise_of,
    roughness,
    uncertainty_of,
    volume_of,
)
from nisf.quality.slice_features import empty_slices, slice_errors, slice_shifts
from nisf.quality.stack_features import cut_ends, upside_down


def quality_of(
    network: NISF, fit: LatentFit, points: GridPoints, values: torch.Tensor, final: torch.Tensor | None = None
) -> dict[str, float]:
    """The numbers of ``assess``, without those of the slices."""
    return assess(network, fit, points, values, final)[0]


@torch.no_grad()
def assess(
    network: NISF, fit: LatentFit, points: GridPoints, values: torch.Tensor, final: torch.Tensor | None = None
) -> tuple[dict[str, float], dict[str, list]]:
    """Numbers that reveal a failed fit, for the whole scan and for its slices.

    Args:
        network: network with its prior.
        fit: fit of ``points``.
        points: points of the scan.
        values: the latent's own prediction [C + K, X, Y, Z, T] on the scan's grid, see ``sample_grid``.
        final: classes [K, X, Y, Z, T] with the U-Net probabilities blended in; None if they were not.

    Returns:
        two dictionaries. For the scan, NaN where a number is unknown, for example without U-Net probabilities:

        ``reconstruction_error``: root mean square difference of reconstruction and image, intensities in [0, 1]; the
        reconstruction has the gain and offset of the acquisition if they were fitted. ``slice_error``: that of the
        worst slice. ``ncc``: normalised cross-correlation of image and reconstruction around the organ.
        ``prior_distance``: distance of the latent from the prior's mean in standard deviations, root mean square over
        its numbers; ``pose_distance``: the same for the change of pose.
        ``uncertainty``: mean over the voxels taken for a class of one minus its probability; 1 if there are none.
        ``unet_uncertainty``: the same for the U-Net probabilities. ``expected_dice``: Dice of the final classes
        expected from their own probabilities.
        ``disagreement``: one minus the mean Dice between the latent's own classes and those of the U-Net probabilities.
        ``worst_disagreement``: that of the worst class.
        ``slice_shift``: mm, of the slice furthest out of line. ``empty_slices``: number of empty slices.
        ``contrast``: by how much the first class is brighter than the second; ``contrast_error``: its difference from
        the reconstruction's. ``noise``: standard deviation of the pixel noise.
        ``volume``, ``unet_volume``: mL, all classes, mean over frames, of the final classes and of the U-Net.
        ``least_share``: the rarest class's share of it. ``roughness``: roughness of the first class's volume curve.
        ``upside_down``: nats by which the U-Net fits a mean heart better with base and apex exchanged.
        ``base_cut``, ``apex_cut``: see ``cut_ends``.

        For the slices that were seen: ``number`` (from the base, 0-based), ``error``, ``shift_mm``, and ``empty``, the
        numbers of the empty ones.
    """
    comparison = Comparison.of(network, fit, points, values, final)
    slices = {
        "number": comparison.slices,
        "error": slice_errors(comparison),
        "shift_mm": slice_shifts(comparison),
        "empty": empty_slices(comparison),
    }
    frames = points.kept_frames or list(range(values.shape[-1]))
    whole = values[network.in_channels :] if final is None else final
    numbers = {
        "reconstruction_error": float(comparison.known(comparison.recon - comparison.image).square().mean().sqrt()),
        "slice_error": max(slices["error"]),
        "ncc": ncc(comparison),
        "prior_distance": _distance(network.latent_factor, fit.latent - network.latent_mean),
        "pose_distance": _distance(network.pose_factor, fit.pose) if bool(network.pose_factor.any()) else 0.0,
        "uncertainty": uncertainty_of(comparison.own),
        "expected_dice": expected_dice(comparison.final),
        "slice_shift": max(slices["shift_mm"]),
        "empty_slices": float(len(slices["empty"])),
        "noise": noise_of(comparison),
        "volume": volume_of(comparison.final, comparison),
        "least_share": least_share(comparison.final),
        "roughness": roughness(whole[..., frames]),
        "upside_down": upside_down(network, points),
        **_against_unet(comparison),
        **dict(zip(("base_cut", "apex_cut"), cut_ends(network, fit, points, values))),
    }
    numbers["contrast"], expected = contrast_of(comparison)
    numbers["contrast_error"] = abs(numbers["contrast"] - expected)
    return numbers, slices


def _against_unet(comparison: Comparison) -> dict[str, float]:
    """Features from the U-Net probabilities and their comparison with the latent's classes; NaN without a U-Net."""
    if comparison.unet is None:
        return dict.fromkeys(("disagreement", "worst_disagreement", "unet_uncertainty", "unet_volume"), math.nan)
    dice = comparison.own.dice(comparison.unet)
    return {
        "disagreement": 1 - float(np.mean(dice)),
        "worst_disagreement": 1 - min(dice),
        "unet_uncertainty": uncertainty_of(comparison.unet),
        "unet_volume": volume_of(comparison.unet, comparison),
    }


def _distance(factor: torch.Tensor, offset: torch.Tensor) -> float:
    """Root mean square of the whitened ``offset``."""
    offset = offset.to(factor).double().unsqueeze(1)
    return float(torch.linalg.solve_triangular(factor.double(), offset, upper=False).square().mean().sqrt())
