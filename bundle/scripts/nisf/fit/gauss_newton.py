"""Gauss-Newton fits of latent and pose."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from nisf.fit.frozen import fitting_mode
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.fit.search import GaussNewtonSearch
from nisf.fit.variables import ACQUISITION
from nisf.models.nisf import NISF
from nisf.utils.errors import InputError


def check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"{name} of the fit is {value}; it must be 1 or more")


def fit_gauss_newton(network: NISF, points: GridPoints, **options: object) -> LatentFit:
    """The latent of one scan and its posterior; see ``fit_gauss_newton_batch``."""
    return fit_gauss_newton_batch(network, [points], **options)[0]


def fit_gauss_newton_batch(
    network: NISF,
    scans: Sequence[GridPoints],
    prior_weight: float = 1e-4,
    final_points: int = 8192,
    start_points: int = 2048,
    iterations: int = 30,
    tolerance: float = 3e-3,
    growth: float = 0.2,
    damping: float = 1e-4,
    chunk: int = 4096,
    seed: int = 0,
    pose: bool = True,
    unet_weight: float = 0.1,
    acquisition: Sequence[float] = (0.0,) * ACQUISITION,
    callback: Callable[[int, torch.Tensor], None] | None = None,
) -> list[LatentFit]:
    """Maximum a posteriori latents by damped Gauss-Newton (Levenberg-Marquardt) on the intensities, weights frozen.

    Minimises ``mean BCE(intensity) + prior_weight / 2 * |z|^2`` with ``latent = mean + factor z``, |z| the Mahalanobis
    distance from the prior over training latents. ``1 / prior_weight`` is the number of independent observations that
    the scan is worth. The posterior covariance is the inverse of that objective's Gauss-Newton matrix.

    Each step solves ``(G + (prior_weight + damping) I) dz = -gradient``, with G the Fisher matrix of the BCE, and is
    kept if the loss of the points in use falls; the damping follows the gain ratio (Nielsen 1999). G takes no account
    of the residuals' curvature and mostly overstates the loss's; the last step's outcome tells by how much, and the
    next is lengthened to match, at most twofold. The points are a few at first and double as the steps get small.

    Args:
        network: the trained network with its prior; its weights are not changed.
        scans: one or more, fitted side by side on equal numbers of points.
        prior_weight: weight of the prior against the mean BCE of a point.
        final_points: points of a scan in the end, spread evenly over it.
        start_points: points at first.
        iterations: the most steps.
        tolerance: with all points, done when a step lowers the loss by less than this part of what is left of it
            (beyond that of a perfect reconstruction).
        growth: the same part below which the points are doubled.
        damping: at first.
        chunk: points of a scan evaluated at once; bounds the memory.
        seed: of the points.
        pose: fit the pose together with the latent, where the network has a prior over it.
        unet_weight: weight of the cross entropy of the U-Net probabilities against the intensities' BCE, where all the
            scans have U-Net.
        acquisition: standard deviations of what the scanner and the breath-holds may have done, fitted together with
            the latent: gain and offset of the intensities' logits of the whole stack, then of each slice, and shifts
            of each slice along x and y (normalised). All zero: not fitted.
        callback: called with (step, latents [B, L]) after each step.

    Raises:
        InputError: a count is below 1, prior_weight is not above 0, or the loss is no number at the start.
    """
    started = time.perf_counter()
    check_counts(final_points=final_points, start_points=start_points, iterations=iterations, chunk=chunk)
    if not prior_weight > 0:
        raise InputError(f"prior_weight of the fit is {prior_weight}; it must be above 0")
    with fitting_mode(network), torch.no_grad():
        search = GaussNewtonSearch(
            network,
            scans,
            prior_weight,
            final_points,
            start_points,
            chunk,
            damping,
            seed,
            pose,
            unet_weight,
            torch.as_tensor(acquisition, dtype=torch.float32),
        )
        for step in range(1, iterations + 1):
            search.step()
            if callback is not None:
                callback(step, search.latents())
            if search.update_state(tolerance, growth):
                break
        found = zip(
            search.latents(),
            search.history,
            search.reasons,
            search.covariances().cpu(),
            search.poses().cpu(),
            search.effects().cpu(),
        )
    seconds = (time.perf_counter() - started) / len(scans)
    return [
        LatentFit(
            latent,
            history,
            search.points,
            seconds,
            reason or f"all {iterations} iterations done",
            covariance,
            pose,
            effects=effects,
        )
        for latent, history, reason, covariance, pose, effects in found
    ]
