"""What a fit looks for, as one whitened vector: the latent and, where the prior knows them, pose and acquisition.

Acquisition is what the scanner and the breath-holds did to a stack, beside the heart in it: gain and offset of the
intensities' logits, of the whole stack and of each slice, and a shift of each slice in plane.
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

    A variable whose standard deviation is zero is left out. The last row, of points that lie in no slice of the stack,
    is zero.

    Args:
        stds: standard deviations [6], see ``ACQUISITION``.
        slices: number of slices.

    Raises:
        InputError: they are not six numbers of zero or more.
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

    The pose is that of the organ against the frame in which the fit starts.

    Args:
        network: with its priors.
        pose: fit the pose as well, where the network has a prior over it.
        slices: number of the stack's slices.
        acquisition: standard deviations [6] of the acquisition's effects (``ACQUISITION``); zero is not fitted.
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
        """Variables of latent and pose, which come before those of the acquisition."""
        return self.latent_size + NUMBERS * self.has_pose

    @property
    def size(self) -> int:
        """M."""
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
        """Effects of the acquisition on each slice, [slices + 1, 4]; the last of them, of no slice, is zero."""
        return self.of_slices @ v[self.known :]

    def whitened(self, latent: torch.Tensor) -> torch.Tensor:
        """A latent [L] in an unchanged pose to v [M]."""
        offset = (latent - self.network.latent_mean).double()
        z = torch.linalg.solve_triangular(self.network.latent_factor.double(), offset[:, None], upper=False)[:, 0]
        return torch.cat([z, z.new_zeros(self.size - self.latent_size)]).to(latent)

    def latent(self, v: torch.Tensor) -> torch.Tensor:
        """[L]."""
        return self.network.latent_mean + self.network.latent_factor @ v[: self.latent_size]

    def pose(self, v: torch.Tensor) -> torch.Tensor:
        """[6]; zeros where it is not fitted."""
        if not self.has_pose:
            return v.new_zeros(NUMBERS)
        return self.network.pose_factor @ v[self.latent_size : self.known]

    def factor(self) -> torch.Tensor:
        """From the first of v to the latent and, where it is fitted, the pose below it; so does a covariance."""
        return torch.block_diag(self.network.latent_factor, *[self.network.pose_factor] * self.has_pose)
