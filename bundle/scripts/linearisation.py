"""Intensity loss of many points, linearised in the latent: value, gradient and Gauss-Newton matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from scripts.networks import NISF


@dataclass
class Linearised:
    """Sums over the points of each of B scans, as functions of the whitened latent z, ``latent = mean + factor z``.

    Attributes:
        loss: intensity BCE, [B].
        floor: the BCE that a perfect reconstruction would have (the entropy of the intensities), [B].
        squared: squared reconstruction error, [B].
        gradient: of the loss, [B, R].
        matrix: ``J^T diag(p (1 - p)) J``, the Gauss-Newton (Fisher) matrix of the BCE, [B, R, R].
        points: number of points.
    """

    loss: torch.Tensor
    floor: torch.Tensor
    squared: torch.Tensor
    gradient: torch.Tensor
    matrix: torch.Tensor
    points: int

    def __add__(self, other: Linearised) -> Linearised:
        return Linearised(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def jacobian(
    network: NISF, projected: torch.Tensor, latent: torch.Tensor, factor: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits of points and the derivatives of their intensity logits by the whitened latent.

    The latent enters a point through the first layer's argument and the residual alone. Both are leaves with one row a
    point, so one backward pass of the logits' sum gives each point's own derivative, and two products carry it on to
    the latent.

    Args:
        network: frozen.
        projected: ``network.project(coords)``, [B, N, 2 H].
        latent: [B, L].
        factor: [L, R].

    Returns:
        logits [B, C + K, N] and, for each image channel, the Jacobian [B, N, R].
    """
    of_latent, residual = network.modulation(latent)
    weight = network.first.linear.weight[:, network.coord_dims :] @ factor
    shortcut = network.residual(factor.t()).t()
    argument = (projected + of_latent.unsqueeze(1)).requires_grad_()
    added = residual.unsqueeze(1).expand(-1, projected.shape[1], -1).contiguous().requires_grad_()
    with torch.enable_grad():
        output = network.heads(network.trunk(network.first.activate(argument) + added))
        channels = output[..., : network.in_channels].unbind(dim=-1)
        parts = [torch.autograd.grad(c.sum(), (argument, added), retain_graph=c is not channels[-1]) for c in channels]
    return output.detach().transpose(1, 2), [a @ weight + b @ shortcut for a, b in parts]


@torch.no_grad()
def linearise(
    network: NISF, projected: torch.Tensor, intensity: torch.Tensor, latent: torch.Tensor, factor: torch.Tensor
) -> tuple[Linearised, torch.Tensor]:
    """The intensity loss of N points of each of B scans about their latents.

    Args:
        network: frozen.
        projected: ``network.project(coords)``, [B, N, 2 H].
        intensity: [B, C, N].
        latent: [B, L].
        factor: [L, R], from the whitened latent to the latent.

    Returns:
        the sums over points and channels, and the logits [B, C + K, N].
    """
    logits, jacobians = jacobian(network, projected, latent, factor)
    gradient, matrix = 0, 0
    for channel, slope in enumerate(jacobians):
        p = logits[:, channel].sigmoid()
        gradient = gradient + torch.einsum("bnr,bn->br", slope, p - intensity[:, channel])
        matrix = matrix + slope.transpose(1, 2) @ (slope * (p * (1 - p)).unsqueeze(-1))
    wanted = logits[:, : len(jacobians)]
    sums = Linearised(
        loss=_sum(F.binary_cross_entropy_with_logits(wanted, intensity, reduction="none")),
        floor=_sum(-torch.xlogy(intensity, intensity) - torch.xlogy(1 - intensity, 1 - intensity)),
        squared=_sum((wanted.sigmoid() - intensity).square()),
        gradient=gradient,
        matrix=matrix,
        points=intensity.shape[2],
    )
    return sums, logits


def _sum(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).double().sum(dim=1)
