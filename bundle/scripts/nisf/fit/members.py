"""Fits for each member of a committee, the first of which finds the pose for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps

import torch

from nisf.fit.joint import JointPoints
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.models.committee import Committee, members_of
from nisf.models.nisf import NISF

Fit = Callable[..., LatentFit]


def for_each_member(of_others: Callable[[dict], dict] = dict) -> Callable[[Fit], Fit]:
    """Makes a fit of a network one of committees too.

    Members are fitted one after the other, not together: together they would make up for each other's errors where the
    scan is seen, and where it is not the errors would stay. All have the pose that the first one found.

    Args:
        of_others: settings of the fits after the first from those of the first; the pose must not be fitted again.
    """

    def made(fit: Fit) -> Fit:
        @wraps(fit)
        def fit_each(network: NISF | Committee, points: GridPoints, *args: object, **settings: object) -> LatentFit:
            members = members_of(network)
            first = fit(members[0], points, *args, **settings)
            if len(members) == 1:
                return first
            placed = in_fitted_pose(points, first)
            others = [fit(member, placed, *args, **of_others(settings)) for member in members[1:]]
            return together([first, *others])

        return fit_each

    return made


def in_fitted_pose(points: GridPoints | JointPoints, fit: LatentFit) -> GridPoints | JointPoints:
    """The points of a scan, its U-Net probabilities and other series in the pose and slice shifts of a fit."""
    if isinstance(points, JointPoints):
        series = [one.moved(fit.pose.cpu()) for one in points.series]
        return JointPoints(in_fitted_pose(points.scan, fit), series)
    unet_prob = points.unet_prob and replace(points.unet_prob, frame=fit.frame(points.unet_prob.frame))
    return replace(points, frame=fit.frame(points.frame), unet_prob=unet_prob)


def together(fits: Sequence[LatentFit]) -> LatentFit:
    """The fits of all members as one: their latents one after the other, the pose of the first.

    The history has the mean loss of the members after as many steps of each, or its last ones. The posterior has no
    correlations between members.
    """
    first = fits[0]
    reasons = list(dict.fromkeys(fit.reason for fit in fits))
    return replace(
        first,
        latent=torch.cat([fit.latent for fit in fits]),
        history=_history([fit.history for fit in fits]),
        points=sum(fit.points for fit in fits),
        seconds=sum(fit.seconds for fit in fits),
        reason="; ".join(reasons),
        covariance=_covariance(fits),
    )


def _history(histories: Sequence[Sequence[dict]]) -> list[dict]:
    """A row for each step of the longest of the members' histories."""
    rows = []
    for step in range(max(map(len, histories))):
        at = [history[min(step, len(history) - 1)] for history in histories]
        loss = sum(row["loss"] for row in at) / len(at)
        rows.append({"step": step + 1, "loss": loss, "points": sum(row["points"] for row in at)})
    return rows


def _covariance(fits: Sequence[LatentFit]) -> torch.Tensor | None:
    """Covariance of all latents, then of the pose if the first fit has one; None if the fits have none."""
    if any(fit.covariance is None for fit in fits):
        return None
    size, first = len(fits[0].latent), fits[0].covariance
    whole = torch.block_diag(first[:size, :size], *[fit.covariance for fit in fits[1:]], first[size:, size:])
    end = len(whole) - (len(first) - size)
    whole[:size, end:], whole[end:, :size] = first[:size, size:], first[size:, :size]
    return whole
