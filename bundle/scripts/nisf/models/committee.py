"""Several networks as one function, the mean of their logits; each has a part of the latent of its own.

Networks of one form that were trained from different initial weights are wrong in different ways where a scan shows
little, as between its slices, and their mean is wrong less (Lakshminarayanan et al., Simple and Scalable Predictive
Uncertainty Estimation using Deep Ensembles, NeurIPS 2017).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Optional

import torch
from torch import nn

from nisf.models.nisf import NISF
from nisf.utils.errors import InputError


class Committee(nn.Module):
    """The mean of the logits of two or more ``NISF`` of one shape, used as one ``NISF`` is.

    The latent is the members' latents one after the other, and so is the prior over it. What is not the members' own,
    as pose prior and temperature, is that of the first.

    Args:
        members: networks of one shape.

    Raises:
        InputError: fewer than two members, or of different shapes.
    """

    # TorchScript compiles `forward` alone
    __jit_unused_properties__ = [
        "num_classes", "in_channels", "coord_dims", "latent_size", "latent_mean", "latent_factor",
        "num_subjects", "pose_factor", "fit_steps", "temperature",
    ]  # fmt: skip

    def __init__(self, members: Sequence[NISF]) -> None:
        super().__init__()
        if len(members) < 2 or any(one.options() != members[0].options() for one in members):
            raise InputError("a committee needs two or more networks of one shape")
        self.members = nn.ModuleList(members)
        self.size, self.each = len(members), members[0].latent_size

    def forward(self, coords: torch.Tensor, latent: Optional[torch.Tensor] = None) -> torch.Tensor:
        """Logits [B, C + K, N], as ``NISF.forward``, of latents [B, L] of all members; None for their priors' means."""
        found = torch.zeros(1, device=coords.device)
        for number, member in enumerate(self.members):
            own: Optional[torch.Tensor] = None
            if latent is not None:
                own = latent[:, number * self.each : (number + 1) * self.each]
            found = found + member(coords, own)
        return found / self.size

    @torch.jit.unused
    def options(self) -> dict[str, float]:
        """The arguments of ``network_of`` for a committee of this shape."""
        return {**self.members[0].options(), "members": self.size}

    @torch.jit.unused
    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """As ``NISF.probabilities``."""
        return self.members[0].probabilities(logits)

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self.members[0].num_classes

    @property
    def in_channels(self) -> int:
        """Number of image channels C."""
        return self.members[0].in_channels

    @property
    def coord_dims(self) -> int:
        """Number of coordinates D."""
        return self.members[0].coord_dims

    @property
    def latent_size(self) -> int:
        """Length L of the latents of all members."""
        return self.size * self.each

    @property
    def latent_mean(self) -> torch.Tensor:
        """Mean of the prior over latents, [L]."""
        return torch.cat([one.latent_mean for one in self.members])

    @property
    def latent_factor(self) -> torch.Tensor:
        """Lower Cholesky factor of its covariance, [L, L]."""
        return torch.block_diag(*[one.latent_factor for one in self.members])

    @property
    def num_subjects(self) -> torch.Tensor:
        """Number of latents that the first prior was made from."""
        return self.members[0].num_subjects

    @property
    def pose_factor(self) -> torch.Tensor:
        """Cholesky factor of the prior over poses, [6, 6]."""
        return self.members[0].pose_factor

    @property
    def fit_steps(self) -> torch.Tensor:
        """Number of Adam steps of a fit."""
        return self.members[0].fit_steps

    @property
    def temperature(self) -> torch.Tensor:
        """Divisor of the class logits before the softmax."""
        return self.members[0].temperature


class MeanOf(nn.Module):
    """The mean of the logits of several networks that take the same input."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The members' output, averaged."""
        found = self.members[0](x)
        for member in self.members[1:]:
            found = found + member(x)
        return found / len(self.members)


def of_members(member: NISF, members: int = 1) -> NISF | Committee:
    """A network, or a committee of as many copies of it, to be filled with weights."""
    return member if members == 1 else Committee([copy.deepcopy(member) for _ in range(members)])


def network_of(members: int = 1, **options: float) -> NISF | Committee:
    """An untrained network or committee from its ``options()``."""
    return of_members(NISF(**options), members)


def members_of(network: NISF | Committee) -> list[NISF]:
    """The networks of a committee, or a network that is none by itself."""
    return list(network.members) if isinstance(network, Committee) else [network]


def shaped_as(network: NISF | Committee, state: Mapping[str, torch.Tensor]) -> NISF | Committee:
    """An untrained network of as many members as some weights are of; itself if it has as many."""
    first = members_of(network)[0]
    members = members_in(state)
    if members == len(members_of(network)):
        return network
    return of_members(first, members)


def members_in(state: Mapping[str, torch.Tensor], within: str = "") -> int:
    """Number of networks that the weights in a part of a state, as ``unet.``, are of."""
    start = f"{within}members."
    return len({name[len(start) :].split(".")[0] for name in state if name.startswith(start)}) or 1
