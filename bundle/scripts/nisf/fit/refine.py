"""Gauss-Newton steps on the latents of many subjects at once, for training."""

from __future__ import annotations

import torch
from torch import nn

from nisf.models.nisf import NISF

#: Longest step, in standard deviations of the prior: few points can tell little, and no step is tried out.
LONGEST = 3.0


class FromEntry(nn.Module):
    """The intensities' logits of a network from its entry on.

    The latent acts on a point only through the first layer's argument and the residual, see ``fit.linearize``.
    """

    def __init__(self, network: NISF) -> None:
        super().__init__()
        self.network = network

    def forward(self, argument: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
        """Logits [B, N, C] of arguments [B, N, 2 H] and residuals [B, N, H]."""
        entered = self.network.first.activate(argument) + added
        return self.network.intensity_head(self.network.trunk(entered))


def refined(
    network: NISF,
    from_entry: nn.Module,
    coords: torch.Tensor,
    intensity: torch.Tensor,
    latent: torch.Tensor,
    prior_weight: float,
    damping: float,
    bf16: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One damped Gauss-Newton step on the intensities of B subjects, as ``fit_gauss_newton`` takes it.

    Args:
        network: network whose weights are kept as they are.
        from_entry: ``FromEntry(network)``, compiled or not.
        coords: normalised coordinates [B, D, N].
        intensity: intensities [B, C, N] in [0, 1].
        latent: latents [B, L].
        prior_weight: weight of the prior against the mean BCE of a point.
        damping: damping relative to the whitened prior.
        bf16: run the network in bfloat16.

    Returns:
        the latents [B, L] after the step and its matrix [B, L, L]: the curvature of the fit in units of the prior, with
        the damping.
    """
    factor, count = network.latent_factor, coords.shape[2]
    with torch.no_grad():
        of_latent, residual = network.modulation(latent)
        argument = network.project(coords) + of_latent.unsqueeze(1)
        by_argument = network.first.linear.weight[:, network.place_dims :] @ factor
        by_residual = network.residual(factor.t()).t()
    argument.requires_grad_()
    added = residual.unsqueeze(1).expand(-1, count, -1).contiguous().requires_grad_()
    with torch.enable_grad(), torch.autocast(coords.device.type, torch.bfloat16, enabled=bf16):
        logits = from_entry(argument, added).float()
        slopes = [
            torch.autograd.grad(logits[..., channel].sum(), (argument, added), retain_graph=True)
            for channel in range(logits.shape[2])
        ]
    with torch.no_grad():
        p, z = logits.sigmoid(), _whitened(latent - network.latent_mean, factor)
        eye = torch.eye(len(factor), device=factor.device)
        gradient, matrix = prior_weight * z, (prior_weight + damping) * eye
        for channel, (a, b) in enumerate(slopes):
            jacobian, seen = a @ by_argument + b @ by_residual, p[..., channel : channel + 1]
            wanted = intensity[:, channel].unsqueeze(2)
            gradient = gradient + (jacobian.transpose(1, 2) @ (seen - wanted))[..., 0] / count
            matrix = matrix + jacobian.transpose(1, 2) @ (jacobian * (seen * (1 - seen))) / count
        step = torch.linalg.solve(matrix, gradient)
        shorter = (LONGEST / step.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
        return latent - (shorter * step) @ factor.t(), matrix


def _whitened(offset: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Latents' offsets [B, L] from the prior's mean in units of the prior."""
    return torch.linalg.solve_triangular(factor, offset.t(), upper=False).t()
