"""The derivative of a fitted latent with respect to the weights, by the implicit function theorem."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from nisf.models.nisf import NISF

#: Length of the step, in standard deviations of the prior, over which a fit's slope is taken by a difference.
STEP = 0.5


class ThroughFit(torch.autograd.Function):
    """Fitted latents as they are; what a loss wants of them is passed on to the weights that the fit was made with.

    At the minimum z of a fit's loss E(z, w), ``dz / dw = -H^-1 d2E / dz dw``, so that the gradient of a loss that asks
    for a change g of z is that of ``-u . dE / dz`` with ``u = H^-1 g`` kept fixed: of a difference of the fit's loss
    between two latents, for one more step of the network at its points. Source: Rajeswaran et al., "Meta-Learning with
    Implicit Gradients", NeurIPS 2019, equation 6; the prior of the fit is their proximal term.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        latent: torch.Tensor,
        matrix: torch.Tensor,
        network: NISF,
        fast: nn.Module,
        coords: torch.Tensor,
        intensity: torch.Tensor,
        bf16: bool,
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        """The latents [B, L].

        Args:
            latent, matrix: latents and curvature from ``refined``.
            network, fast: the network, and the same compiled or not.
            coords, intensity: the fit's points [B, D, N] and intensities [B, C, N].
            bf16: run the network in bfloat16.
            weights: the weights of the network, which get the gradients.
        """
        ctx.save_for_backward(latent, matrix, coords, intensity)
        ctx.network, ctx.fast, ctx.bf16, ctx.weights = network, fast, bf16, weights
        return latent.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, wanted: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of the weights alone."""
        latent, matrix, coords, intensity = ctx.saved_tensors
        factor, channels = ctx.network.latent_factor, ctx.network.in_channels
        change = torch.linalg.solve(matrix, wanted.to(factor) @ factor)
        length = change.norm(dim=1, keepdim=True).clamp_min(1e-20)
        shift = (STEP / length * change) @ factor.t()
        ends = torch.cat([latent - shift, latent + shift])
        with torch.enable_grad(), torch.autocast(coords.device.type, torch.bfloat16, enabled=ctx.bf16):
            logits = ctx.fast(torch.cat([coords, coords]), ends)[:, :channels].to(latent)
        with torch.enable_grad():
            losses = F.binary_cross_entropy_with_logits(logits, torch.cat([intensity, intensity]), reduction="none")
            below, above = losses.sum(dim=1).mean(dim=1).chunk(2)
            loss = (length[:, 0] / (2 * STEP) * (below - above)).sum()
            found = torch.autograd.grad(loss, ctx.weights, allow_unused=True)
        return (*(None,) * 7, *found)
