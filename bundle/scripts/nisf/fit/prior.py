"""The Gaussian prior over latents, and the initial latent of a fit that is derived from it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from nisf.fit.points import GridPoints
from nisf.geometry.frame import CoordinateFrame
from nisf.models.committee import Committee, members_of
from nisf.models.nisf import NISF


@torch.no_grad()
def set_prior(network: NISF, latents: torch.Tensor) -> float:
    """Writes mean, covariance factor and number of the training latents [N, L] into the network's buffers.

    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf, 2004): there may be fewer subjects
    than dimensions.

    Returns:
        the shrinkage, from 0 (the sample covariance) to 1.
    """
    from sklearn.covariance import ledoit_wolf

    values = latents.detach().cpu().double()
    covariance, shrinkage = ledoit_wolf(values.numpy())
    covariance = torch.from_numpy(covariance)
    # if all latents are equal, as before the first step, the factor must still be invertible
    jitter = 1e-12 + 1e-6 * covariance.diagonal().mean()
    factor = torch.linalg.cholesky(covariance + jitter * torch.eye(len(covariance), dtype=torch.double))
    network.latent_mean.copy_(values.mean(dim=0))
    network.latent_factor.copy_(factor)
    network.num_subjects.fill_(len(values))
    return float(shrinkage)


#: Minimum standard deviation of each number of a pose, as a validation set is small.
LEAST = 0.01


@torch.no_grad()
def set_pose_prior(network: NISF, changes: torch.Tensor) -> None:
    """Sets the prior over changes of a starting pose from those of validation subjects, [N, 6].

    Mean zero and no correlations, as there may be few subjects.
    """
    std = changes.double().square().mean(dim=0).sqrt().clamp_min(LEAST)
    network.pose_factor.copy_(torch.diag(std))


def bounds_of(frames: Iterable[CoordinateFrame], dims: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Low and high corners [dims] of the normalised coordinates that the scans' voxels span; the whole cycle in time.

    Posed frames, whose boxes are turned, give the field in plane and the mean span along the long axis.
    """
    spans = torch.tensor([_span(frame) for frame in frames])
    low, high = spans[:, 0].amin(dim=0), spans[:, 1].amax(dim=0)
    posed = spans[:, 2, 0] > 0
    if bool(posed.any()):
        low[2], high[2] = spans[posed, 0, 2].mean(), spans[posed, 1, 2].mean()
    return torch.cat([low, torch.zeros(dims - 3)]), torch.cat([high, torch.ones(dims - 3)])


def _span(frame: CoordinateFrame) -> list[list[float]]:
    """Low and high ends along the axes, and whether the frame is posed."""
    ends = np.array([[frame.axis(axis).min(), frame.axis(axis).max()] for axis in range(3)]).T
    if frame.pose is None:
        return [*ends.tolist(), [0.0] * 3]
    along = frame.pose.apply(np.stack([[frame.pose.x] * 2, [frame.pose.y] * 2, ends[:, 2]]))[2]
    low, high = frame.field
    return [[low, low, along.min()], [high, high, along.max()], [1.0] * 3]


@torch.no_grad()
def set_initial_latent(
    network: NISF | Committee,
    low: torch.Tensor,
    high: torch.Tensor,
    draws: int = 2000,
    noise: float = 0.02,
    seed: int = 0,
) -> None:
    """Fills the buffers of the initial latent: the best linear estimate of a latent from intensities at fixed probes.

    Latents are drawn from the prior and the network gives the intensities of each at the probes. The linear minimum
    mean square error estimate of a latent, ``cov(h, y) (cov(y, y) + noise I)^-1 (y - mean)``, uses the whole prior,
    whereas a Gauss-Newton step from the mean uses the slope at the mean alone. No data is needed.

    Args:
        network: network whose prior is set; of a committee, each member.
        low, high: corners [D] of the box of normalised coordinates over which the probes are spread.
        draws: number of latents.
        noise: variance of an intensity about that of the network.
        seed: random seed of probes and draws.
    """
    for member in members_of(network):
        _set_initial_latent(member, low, high, draws, noise, seed)


def _set_initial_latent(
    network: NISF, low: torch.Tensor, high: torch.Tensor, draws: int, noise: float, seed: int
) -> None:
    mean, probes = network.latent_mean, network.guess_coords.shape[1]
    unit = torch.quasirandom.SobolEngine(network.coord_dims, scramble=True, seed=seed).draw(probes).t()
    coords = (low[:, None] + (high - low)[:, None] * unit).to(mean)
    z = torch.randn(draws, len(mean), generator=torch.Generator().manual_seed(seed)).to(mean)
    offsets = z @ network.latent_factor.t()
    seen = torch.cat([_intensities(network, coords, mean + part) for part in offsets.split(16)])
    centred = seen - seen.mean(dim=0)
    covariance = (centred.t() @ centred / draws).double()
    covariance.diagonal().add_(noise)
    gain = torch.linalg.solve(covariance, (centred.t() @ offsets / draws).double()).t()
    network.guess_coords.copy_(coords)
    network.guess_mean.copy_(seen.mean(dim=0).reshape(network.in_channels, probes))
    network.guess_gain.copy_(gain)


def _intensities(network: NISF, coords: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
    """Intensities [N, C * M] of latents [N, L] at coordinates [D, M]."""
    logits = network(coords.expand(len(latent), -1, -1), latent)
    return logits[:, : network.in_channels].sigmoid().flatten(1)


@torch.no_grad()
def initial_latent(network: NISF, points: GridPoints) -> torch.Tensor:
    """The initial latent [L] from the intensities nearest to the probes; the prior's mean if no probes are set."""
    seen = points.nearest(network.guess_coords).to(network.latent_mean)
    return network.latent_mean + network.guess_gain @ (seen - network.guess_mean).flatten()
