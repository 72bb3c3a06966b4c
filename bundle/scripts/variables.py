"""What a fit looks for, as one whitened vector: the latent and, where the prior knows one, a change of the pose."""

from __future__ import annotations

import torch

from scripts.networks import NISF
from scripts.pose import NUMBERS


class Variables:
    """The variables v [B, M] of a fit, each v ~ N(0, I): ``latent = mean + factor z`` and ``pose = pose_factor u``.

    The pose is that of the organ against the frame in which the fit starts.

    Args:
        network: with its priors.
        pose: fit the pose as well, where the network has a prior over it.
    """

    def __init__(self, network: NISF, pose: bool = True) -> None:
        self.network = network
        self.latent_size = network.latent_factor.shape[1]
        self.has_pose = pose and bool((network.pose_factor != 0).any())

    @property
    def size(self) -> int:
        """M."""
        return self.latent_size + NUMBERS * self.has_pose

    def whitened(self, latent: torch.Tensor) -> torch.Tensor:
        """Latents [B, L] in an unchanged pose to v [B, M]."""
        offset = (latent - self.network.latent_mean).t().double()
        z = torch.linalg.solve_triangular(self.network.latent_factor.double(), offset, upper=False).t()
        return torch.cat([z, z.new_zeros(len(z), self.size - self.latent_size)], dim=1).to(latent)

    def latent(self, v: torch.Tensor) -> torch.Tensor:
        """[B, L]."""
        return self.network.latent_mean + v[:, : self.latent_size] @ self.network.latent_factor.t()

    def pose(self, v: torch.Tensor) -> torch.Tensor:
        """[B, 6]; zeros where it is not fitted."""
        if not self.has_pose:
            return v.new_zeros(len(v), NUMBERS)
        return v[:, self.latent_size :] @ self.network.pose_factor.t()

    def factor(self) -> torch.Tensor:
        """From v to the latent and, where it is fitted, the pose below it; a covariance of v becomes one of these."""
        return torch.block_diag(self.network.latent_factor, *[self.network.pose_factor] * self.has_pose)
