"""Gauss-Newton steps on the latents of many subjects at once, for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from nisf.fit.linearize import by_entry_of, entry_by_latent
from nisf.fit.targets import UNET_SHARE
from nisf.models.nisf import NISF

#: Longest step, in standard deviations of the prior: few points can tell little, and no step is tried out.
LONGEST = 3.0


@dataclass(frozen=True)
class FitPoints:
    """What the fits of B subjects see.

    Attributes:
        coords: normalised coordinates [B, D, N].
        intensity: intensities [B, C, N] in [0, 1].
        unet_prob: U-Net probabilities [B, K, M] of every ``UNET_SHARE``-th point; None for none.
        unet_weight: weight of their cross entropy, see ``fit_gauss_newton``.
    """

    coords: torch.Tensor
    intensity: torch.Tensor
    unet_prob: torch.Tensor | None = None
    unet_weight: float = 0.1

    @property
    def unet_coords(self) -> torch.Tensor:
        """Coordinates [B, D, M] of the points with U-Net probabilities."""
        return self.coords[..., ::UNET_SHARE]

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        """Mean losses [B] of logits [B, C + K, N], without the prior."""
        channels = self.intensity.shape[1]
        image = F.binary_cross_entropy_with_logits(
            logits[:, :channels].to(self.intensity), self.intensity, reduction="none"
        )
        image = image.sum(dim=1).mean(dim=1)
        if self.unet_prob is None:
            return image
        log_p = logits[:, channels:, ::UNET_SHARE].to(self.intensity).log_softmax(dim=1)
        return image - self.unet_weight * (self.unet_prob * log_p).sum(dim=1).mean(dim=1)


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
    """One damped Gauss-Newton step of B subjects, as ``fit_gauss_newton`` takes it.

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
    factor, image = network.latent_factor, network.in_channels
    every = torch.eye(image + network.num_classes).to(factor)

    def jacobians(coords: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Logits [B, N, C + K] and a Jacobian [B, N, L] for each output."""
        of_latent, residual = network.modulation(latent)
        argument, by_latent = network.project(coords) + of_latent.unsqueeze(1), torch.cat(entry_by_latent(network))
        with torch.autocast(coords.device.type, torch.bfloat16, enabled=bf16):
            logits, by_entry = slopes(argument, residual.unsqueeze(1), outputs)
            found = [torch.cat(parts, dim=2) @ by_latent for parts in by_entry]
        # float32 sums: in bfloat16 the smallest curvatures would drown in the rounding of the largest
        return logits.to(factor), [one.to(factor) for one in found]

    z = torch.linalg.solve_triangular(factor, (latent - network.latent_mean).t(), upper=False).t()
    gradient = prior_weight * z
    matrix = (prior_weight + damping) * torch.eye(len(factor)).to(factor)
    logits, found = jacobians(points.coords, every[:image])
    for p, wanted, jacobian in zip(logits.sigmoid().unbind(dim=2), points.intensity.unbind(dim=1), found):
        gradient = gradient + _mean(jacobian, p - wanted)
        matrix = matrix + _outer(jacobian, (p * (1 - p)).unsqueeze(2) * jacobian)
    if points.unet_prob is not None:
        # a softmax ignores a constant added to all logits, so that of the first class may be held at zero
        logits, found = jacobians(points.unet_coords, every[image + 1 :] - every[image])
        of_classes = _of_classes(logits[..., image:].softmax(dim=2), points.unet_prob, found)
        gradient, matrix = (sums + points.unet_weight * added for sums, added in zip((gradient, matrix), of_classes))
    step = torch.linalg.solve(matrix, gradient)
    shorter = (LONGEST / step.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
    return latent - (shorter * step) @ factor.t(), matrix


def _of_classes(
    p: torch.Tensor, wanted: torch.Tensor, jacobians: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient [B, L] and matrix [B, L, L] of the mean cross entropy, as in ``linearize``; p is [B, N, K]."""
    p = p.unbind(dim=2)[1:]
    gradient = sum(_mean(one, seen - asked) for one, seen, asked in zip(jacobians, p, wanted.unbind(dim=1)[1:]))
    scaled = [seen.unsqueeze(2) * one for one, seen in zip(jacobians, p)]
    mean = sum(scaled)
    return gradient, sum(_outer(*pair) for pair in zip(jacobians, scaled)) - _outer(mean, mean)


def _mean(jacobian: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    """Mean over points of a residual [B, N] times its derivatives [B, N, L], [B, L]."""
    return (jacobian.transpose(1, 2) @ residual.unsqueeze(2))[..., 0] / jacobian.shape[1]


def _outer(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean over points of the products of [B, N, L] and [B, N, L], [B, L, L]."""
    return first.transpose(1, 2) @ second / first.shape[1]
