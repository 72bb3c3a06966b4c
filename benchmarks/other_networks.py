"""Other ways for a latent to act on a network, used only by ``training_choices.py``.

``NISF`` takes a latent in at its first layer and as a residual, and a fit differentiates by these two places. Here the
first layer passes coordinates and latent on unchanged, so that later layers can use both freely.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from nisf.models.nisf import NISF, GaborLayer


class _AsTheyAre(nn.Module):
    """In place of the first layer: [..., D] -> [..., D + L], with zeros to which the residual adds the latent."""

    def __init__(self, coord_dims: int, latent_size: int) -> None:
        super().__init__()
        self.linear = nn.Module()
        self.linear.register_buffer("weight", torch.eye(coord_dims, coord_dims + latent_size))
        self.linear.register_buffer("bias", torch.zeros(coord_dims))
        self.latent_size = latent_size

    def activate(self, projected: torch.Tensor) -> torch.Tensor:
        return F.pad(projected, (0, self.latent_size))


class _Behind(nn.Module):
    """In place of the residual: [..., L] -> [..., D + L]."""

    def __init__(self, coord_dims: int) -> None:
        super().__init__()
        self.coord_dims = coord_dims

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return F.pad(latent, (self.coord_dims, 0))


class _Open(NISF):
    """A network whose layers see the coordinates and latent of each point; takes the options of ``NISF``."""

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        entry = self.first
        self.first = _AsTheyAre(self.coord_dims, self.latent_size)
        self.residual = _Behind(self.coord_dims)
        self.entry = self.entry_of(entry)

    def entry_of(self, first: GaborLayer) -> GaborLayer:
        """The first Gabor layer, made from that of ``NISF``."""
        return first


class EveryLayer(_Open):
    """The latent shifts the arguments of every layer (FiLM without its factor), not only of the first."""

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self.shifts = nn.ModuleList(nn.Linear(self.latent_size, 2 * self.hidden_size, bias=False) for _ in self.layers)
        for shift in self.shifts:
            nn.init.zeros_(shift.weight)

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """[B, N, D + L] -> [B, N, H]."""
        latent = x[..., self.coord_dims :]
        x = self.entry(x) + latent
        for layer, shift in zip(self.layers, self.shifts):
            x = layer.activate(layer.linear(x) + shift(latent)) + x
        return x


class LatentGrid(_Open):
    """Eight latents of an eighth of the size at the corners of a box, interpolated at each point."""

    #: Half width of the box, in normalised coordinates.
    HALF_WIDTH = 0.5

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self.shortcut = nn.Linear(self.latent_size // 8, self.hidden_size, bias=False)

    def entry_of(self, first: GaborLayer) -> GaborLayer:
        """The first Gabor layer, for coordinates and a latent of an eighth of the size."""
        layer = GaborLayer(self.coord_dims + self.latent_size // 8, self.hidden_size, self.omega0, self.sigma0)
        with torch.no_grad():
            layer.linear.weight.copy_(first.linear.weight[:, : layer.linear.in_features])
            layer.linear.bias.copy_(first.linear.bias)
        return layer

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """[B, N, D + L] -> [B, N, H]."""
        coords, latents = x[..., : self.coord_dims], x[..., self.coord_dims :].unflatten(-1, (8, -1))
        part = ((coords[..., :3] / self.HALF_WIDTH + 1) / 2).clamp(0, 1)
        weights = torch.ones_like(part[..., :1])
        for axis in range(3):
            ends = torch.stack([1 - part[..., axis], part[..., axis]], dim=-1)
            weights = (weights.unsqueeze(-1) * ends.unsqueeze(-2)).flatten(-2)
        latent = (weights.unsqueeze(-2) @ latents)[..., 0, :]
        x = self.entry(torch.cat([coords, latent], dim=-1)) + self.shortcut(latent)
        return super().trunk(x)
