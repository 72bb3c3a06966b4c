"""Gauss-Newton steps on the latents of many subjects at once, for training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from nisf.fit.linearize import by_entry_of, entry_by_latent
from nisf.models.nisf import NISF

#: Longest step, in standard deviations of the prior: few points can tell little, and no step is tried out.
LONGEST = 3.0


@dataclass(frozen=True)
class FitPoints:
    """What the fits of B subjects see.

    Attributes:
        coords: normalised coordinates [B, D, N].
        intensity: intensities [B, C, N] in [0, 1].
    """

    coords: torch.Tensor
    intensity: torch.Tensor

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        """Mean losses [B] of logits [B, C + K, N], without the prior."""
        image = logits[:, : self.intensity.shape[1]].to(self.intensity)
        losses = F.binary_cross_entropy_with_logits(image, self.intensity, reduction="none")
        return losses.sum(dim=1).mean(dim=1)


class EntrySlopes(nn.Module):
    """Logits of a network and their derivatives by its entry, see ``linearize.by_entry_of``."""

    def __init__(self, network: NISF) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, argument: torch.Tensor, residual: torch.Tensor, outputs: torch.Tensor
    ) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
        """As ``by_entry_of``."""
        return by_entry_of(self.network, argument, residual, outputs)


@torch.no_grad()
def refined(
    network: NISF,
    slopes: nn.Module,
    points: FitPoints,
    latent: torch.Tensor,
    prior_weight: float,
    damping: float,
    bf16: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One damped Gauss-Newton step on the intensities of B subjects, as ``fit_gauss_newton`` takes it.

    Args:
        network: network whose weights are kept as they are.
        slopes: ``EntrySlopes(network)``, compiled or not.
        points: what the fits see.
        latent: latents [B, L].
        prior_weight: weight of the prior against the mean BCE of a point.
        damping: damping relative to the whitened prior.
        bf16: run the network in bfloat16.

    Returns:
        the latents [B, L] after the step and its matrix [B, L, L]: the curvature of the fit in units of the prior, with
        the damping.
    """
    factor, count, channels = network.latent_factor, points.coords.shape[2], network.in_channels
    (of_latent, residual), by_latent = network.modulation(latent), torch.cat(entry_by_latent(network))
    argument = network.project(points.coords) + of_latent.unsqueeze(1)
    kind = {"dtype": factor.dtype, "device": factor.device}
    outputs = torch.eye(channels, channels + network.num_classes, **kind)
    with torch.autocast(factor.device.type, torch.bfloat16, enabled=bf16):
        logits, by_entry = slopes(argument, residual.unsqueeze(1), outputs)
        # float32 below: the smallest curvatures of a bfloat16 sum would drown in the rounding of the largest
        jacobians = [(torch.cat(parts, dim=2) @ by_latent).to(factor) for parts in by_entry]
    z = torch.linalg.solve_triangular(factor, (latent - network.latent_mean).t(), upper=False).t()
    gradient, matrix = prior_weight * z, (prior_weight + damping) * torch.eye(len(factor), **kind)
    seen = logits[..., :channels].to(factor).sigmoid()
    for p, wanted, jacobian in zip(seen.unbind(dim=2), points.intensity.unbind(dim=1), jacobians):
        gradient = gradient + (jacobian.transpose(1, 2) @ (p - wanted).unsqueeze(2))[..., 0] / count
        matrix = matrix + jacobian.transpose(1, 2) @ (jacobian * (p * (1 - p)).unsqueeze(2)) / count
    step = torch.linalg.solve(matrix, gradient)
    shorter = (LONGEST / step.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
    return latent - (shorter * step) @ factor.t(), matrix
