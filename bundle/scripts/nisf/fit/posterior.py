"""The result of a fit: the latent, its pose and their posterior."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from nisf.fit.blending import Correction
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import NUMBERS, Pose
from nisf.utils.errors import InputError


@dataclass
class LatentFit:
    """The result of a fit.

    Attributes:
        latent: latent [L].
        history: one entry per step: ``step`` (1-based), ``loss`` (intensity BCE), ``points`` seen so far.
        points: total number of point evaluations.
        seconds: wall-clock time.
        reason: why the fit stopped.
        covariance: posterior covariance float64, if the method gives one: [L, L], or [L + 6, L + 6] of latent and
            pose if both were fitted.
        pose: change [6] of the pose that the fit started with; zeros if none was fitted.
        effects: effects of the acquisition on each slice [slices, 4] (``variables.EFFECTS``), or None.
        correction: what the U-Net adds to the latent's classes, once both are sampled.
    """

    latent: torch.Tensor
    history: list[dict] = field(default_factory=list)
    points: int = 0
    seconds: float = 0.0
    reason: str = ""
    covariance: torch.Tensor | None = None
    pose: torch.Tensor = field(default_factory=lambda: torch.zeros(NUMBERS))
    effects: torch.Tensor | None = None
    correction: Correction | None = None

    def start(self, frame: CoordinateFrame) -> CoordinateFrame:
        """The scan's coordinate frame with the fitted slice shifts, in the pose that the fit started with."""
        return frame if self.effects is None else frame.shifted(self.effects[:, 2:])

    def frame(self, frame: CoordinateFrame) -> CoordinateFrame:
        """The scan's coordinate frame with the fitted slice shifts and pose."""
        return self.start(frame).moved(Pose.of(self.pose))

    def sample(self, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Draws of latents [count, L] and poses [count, 6] from the posterior.

        Raises:
            InputError: the fit has no covariance.
        """
        if self.covariance is None:
            raise InputError("this fit has no posterior to draw from; fit with fit_gauss_newton")
        values, vectors = torch.linalg.eigh(self.covariance.cpu().double())
        generator = torch.Generator().manual_seed(seed)
        unit = torch.randn(count, len(values), dtype=torch.double, generator=generator)
        draws = (unit * values.clamp_min(0).sqrt()) @ vectors.t()
        size = len(self.latent)
        poses = self.pose.to(self.latent) + torch.zeros(count, NUMBERS).to(self.latent)
        poses[:, : draws.shape[1] - size] += draws[:, size:].to(poses)
        return self.latent + draws[:, :size].to(self.latent), poses
