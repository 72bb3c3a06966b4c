"""Gauss-Newton fit of latent and pose."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from nisf.fit.frozen import fitting_mode
from nisf.fit.members import for_each_member
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.fit.prior import initial_latent
from nisf.fit.search import GaussNewtonSearch
from nisf.fit.targets import GrowingTargets
from nisf.fit.variables import ACQUISITION, Variables
from nisf.models.nisf import NISF
from nisf.utils.errors import InputError, check_counts


def _in_known_pose(settings: dict) -> dict:
    """Settings of a fit without those that move the scan's points."""
    gain_and_offset = tuple(settings.get("acquisition", (0.0,) * ACQUISITION))[:4]
    return {**settings, "pose": False, "acquisition": (*gain_and_offset, 0.0, 0.0)}


@for_each_member(_in_known_pose)
def fit_gauss_newton(
    network: NISF,
    points: GridPoints,
    prior_weight: float = 1e-4,
    final_points: int = 4096,
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
    callback: Callable[[int, torch.Tensor, torch.Tensor], None] | None = None,
) -> LatentFit:
    """Maximum a posteriori latent by damped Gauss-Newton (Levenberg-Marquardt) on the intensities, weights frozen.

    Minimises ``mean BCE(intensity) + prior_weight / 2 * |z|^2`` with ``latent = mean + factor z``, |z| the Mahalanobis
    distance from the prior over training latents. ``1 / prior_weight`` is the number of independent observations that
    the scan counts as. The posterior covariance is the inverse of that objective's Gauss-Newton matrix.

    Each step solves ``(G + (prior_weight + damping) I) dz = -gradient``, with G the Fisher matrix of the BCE, and is
    kept if the loss of the points in use falls; the damping follows the gain ratio (Nielsen 1999). G leaves out
    the residuals' curvature and mostly overestimates that of the loss; the last step shows by how much, and the next
    one is lengthened to match, at most twofold. The fit starts with few points and doubles them as the steps get small.
    Of a ``Committee`` each member is fitted (``fit.members``), and ``callback`` is called for each.

    Args:
        network: the trained network with its prior; its weights are not changed.
        points: the scan.
        prior_weight: weight of the prior against the mean BCE of a point.
        final_points: points of the last steps, spread evenly over the scan.
        start_points: points of the first step.
        iterations: maximum number of steps.
        tolerance: with all points in use, stop when a step lowers the loss by less than this fraction of its excess
            over that of a perfect reconstruction.
        growth: the same fraction, below which the points are doubled.
        damping: damping of the first step.
        chunk: points evaluated at once; bounds the memory.
        seed: random seed of the points.
        pose: whether to fit the pose together with the latent, if the network has a prior over it.
        unet_weight: weight of the cross entropy to the U-Net probabilities, if the scan has any, relative to the
            intensities' BCE.
        acquisition: standard deviations of the effects of scanner and breath-holds, fitted together with the latent:
            gain and offset of the intensities' logits of the whole stack, then of each slice, and shifts of each slice
            along x and y (normalised). All zero: not fitted.
        callback: called with (step, latent [L], change of the pose [6]) after each step.

    Raises:
        InputError: a count is below 1, prior_weight is not above 0, or the loss is not finite at the start.
    """
    started = time.perf_counter()
    check_counts("the fit", final_points=final_points, start_points=start_points, iterations=iterations, chunk=chunk)
    if not prior_weight > 0:
        raise InputError(f"prior_weight of the fit is {prior_weight}; it must be above 0")
    with fitting_mode(network), torch.no_grad():
        stds = torch.as_tensor(acquisition, dtype=torch.float32)
        variables = Variables(network, pose, points.frame.shape[2], stds)
        targets = GrowingTargets(
            network,
            points,
            variables,
            final_points=final_points,
            start_points=start_points,
            chunk=chunk,
            seed=seed,
            unet_weight=unet_weight,
        )
        initial = initial_latent(network, points)
        search = GaussNewtonSearch(
            network, variables, targets, prior_weight=prior_weight, damping=damping, initial=initial
        )
        for step in range(1, iterations + 1):
            search.step()
            if callback is not None:
                callback(step, search.latent, search.pose)
            if search.update_state(tolerance, growth):
                break
        return LatentFit(
            latent=search.latent,
            history=search.history,
            points=search.points,
            seconds=time.perf_counter() - started,
            reason=search.reason or f"all {iterations} iterations done",
            covariance=search.covariance().cpu(),
            pose=search.pose.cpu(),
            effects=search.effects.cpu(),
        )
