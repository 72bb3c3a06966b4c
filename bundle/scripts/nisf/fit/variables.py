"""The variables of a fit as one whitened vector: the latent and, if they have a prior, pose and acquisition.

The acquisition is what scanner and breath-holds did to a stack: gain and offset of the intensities' logits, of the
whole stack and of each slice, and a shift of each slice in plane.
"""

from __future__ import annotations

import torch

from nisf.geometry.pose import NUMBERS
from nisf.models.nisf import NISF
from nisf.utils.errors import InputError

#: Numbers of a slice: gain and offset (``logit -> (1 + gain) logit + offset``), shift along x and along y (normalised).
EFFECTS = 4

#: Standard deviations that make up the prior: whole gain, whole offset, a slice's gain, offset, shift x, shift y.
ACQUISITION = 6


def factor_of(stds: torch.Tensor, slices: int) -> torch.Tensor:
    """From whitened variables to the effects on each slice, [slices + 1, 4, M].

    A variable whose standard deviation is zero is left out. The last row, for points outside the stack, is zero.

    Args:
        stds: standard deviations [6], see ``ACQUISITION``.
        slices: number of slices.

    Raises:
        InputError: the standard deviations are not six numbers of zero or more.
    """
    if tuple(stds.shape) != (ACQUISITION,) or not bool((stds >= 0).all()):
        raise InputError(f"acquisition of the fit is {stds.tolist()}; {ACQUISITION} standard deviations are needed")
    columns = []
    for effect in range(2):
        whole = stds.new_zeros(slices + 1, EFFECTS)
        whole[:slices, effect] = stds[effect]
        columns.append(whole)
    for effect in range(EFFECTS):
        for place in range(slices):
            one = stds.new_zeros(slices + 1, EFFECTS)
            one[place, effect] = stds[2 + effect]
            columns.append(one)
    kept = [column for column in columns if bool((column != 0).any())]
    return torch.stack(kept, dim=-1) if kept else stds.new_zeros(slices + 1, EFFECTS, 0)


class Variables:
    """The variables v [M] of a fit, v ~ N(0, I): ``latent = mean + factor z``, ``pose = pose_factor u`` and the effects
    of the acquisition on each slice.

    The pose is that of the organ relative to the frame in which the fit starts.

    Args:
        network: network with its priors.
        pose: whether to fit the pose as well, if the network has a prior over it.
        slices: number of slices in the stack.
        acquisition: standard deviations [6] of the acquisition's effects (``ACQUISITION``); zero for not fitted.
    """

    def __init__(
        self, network: NISF, pose: bool = True, slices: int = 0, acquisition: torch.Tensor | None = None
    ) -> None:
        self.network = network
        self.latent_size = network.latent_factor.shape[1]
        self.has_pose = pose and bool((network.pose_factor != 0).any())
        stds = network.latent_mean.new_zeros(6) if acquisition is None else acquisition.to(network.latent_mean)
        self.of_slices = factor_of(stds, slices)

    @property
    def known(self) -> int:
        """Number of variables of latent and pose, which come before those of the acquisition."""
        return self.latent_size + NUMBERS * self.has_pose

    @property
    def size(self) -> int:
        """Number of variables, M."""
        return self.known + self.of_slices.shape[2]

    @property
    def moves(self) -> bool:
        """Whether anything moves the points."""
        return self.has_pose or self.has_acquisition

    @property
    def has_acquisition(self) -> bool:
        """Whether the acquisition is fitted."""
        return self.of_slices.shape[2] > 0

    def effects(self, v: torch.Tensor) -> torch.Tensor:
        """Effects of the acquisition on each slice, [slices + 1, 4]; the last row, for no slice, is zero."""
        return self.of_slices @ v[self.known :]

    def whitened(self, latent: torch.Tensor) -> torch.Tensor:
        """The variables v [M] of a latent [L] in an unchanged pose."""
        offset = (latent - self.network.latent_mean).double()
        z = torch.linalg.solve_triangular(self.network.latent_factor.double(), offset[:, None], upper=False)[:, 0]
        return torch.cat([z, z.new_zeros(self.size - self.latent_size)]).to(latent)

    def latent(self, v: torch.Tensor) -> torch.Tensor:
        """Latent, [L]."""
        return self.network.latent_mean + self.network.latent_factor @ v[: self.latent_size]

    def pose(self, v: torch.Tensor) -> torch.Tensor:
        """Pose, [6]; zeros if it is not fitted."""
        if not self.has_pose:
            return v.new_zeros(NUMBERS)
        return self.network.pose_factor @ v[self.latent_size : self.known]

    def factor(self) -> torch.Tensor:
        """Matrix from the variables of latent and pose to the latent and, if it is fitted, the pose."""
        return torch.block_diag(self.network.latent_factor, *[self.network.pose_factor] * self.has_pose)
