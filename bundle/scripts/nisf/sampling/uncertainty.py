"""How sure a fit is of each voxel's class: maps from posterior draws on the scan's grid."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from nisf.fit.blending import Correction, cut_off
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import moved
from nisf.models.committee import Committee, members_of
from nisf.models.nisf import NISF
from nisf.utils.compile import in_bf16


@torch.no_grad()
def sample_uncertainty(
    network: NISF,
    fit: LatentFit,
    draws: tuple[torch.Tensor, torch.Tensor],
    frame: CoordinateFrame,
    chunk: int = 8192,
    dtype: torch.dtype = torch.float16,
    bf16: bool = False,
) -> torch.Tensor:
    """Mean, entropy and standard deviation over posterior draws in each voxel.

    Args:
        network: the trained network.
        fit: the fit; with a ``correction`` each draw is blended with the same U-Net probabilities.
        draws: latents [n, L] and poses [n, 6], see ``LatentFit.sample``.
        frame: coordinate frame whose grid is sampled, in the pose that the fit started with.
        chunk: number of points times draws evaluated at once.
        dtype: data type of the result.
        bf16: whether to use bfloat16, as in ``sample_grid``.

    Returns:
        [K + 2, X, Y, Z, T]: the mean over draws of each class's probability, the entropy of that mean (nats, at most
        ln K), and the standard deviation over draws of the likeliest class's probability.
    """
    device, (width, height, depth) = network.latent_mean.device, frame.shape
    # the fit itself comes first
    latents, poses = (
        torch.cat([own[None].to(network.latent_mean), many.to(network.latent_mean)])
        for own, many in zip((fit.latent, fit.pose), draws)
    )
    out = torch.empty((network.num_classes + 2, width * height, depth, len(frame.times)), dtype=dtype)
    voxels = torch.arange(frame.size // len(frame.times)).reshape(-1, depth) * len(frame.times)
    size = max(1, chunk // len(latents) // depth)
    with in_bf16(device, bf16):
        for columns in torch.arange(len(voxels)).split(size):
            coords, every = frame.points(voxels[columns].flatten()).to(latents), []
            for time in frame.times:
                coords[3:] = time  # an empty slice without time
                logits = _logits(network, moved(coords.expand(len(poses), -1, -1), poses), latents)
                every.append(logits.float().cpu().unflatten(2, (len(columns), depth)))
            place = (columns // height, columns % height)
            for t, classes in enumerate(_blended(every, fit.correction, place, frame.times)):
                maps = uncertainty_maps((classes / float(network.temperature)).softmax(dim=1).flatten(2))
                out[:, columns, :, t] = maps.unflatten(1, (len(columns), depth)).to(dtype)
    return out.unflatten(1, (width, height))


def _logits(network: NISF | Committee, coords: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """Class logits of a fit and its draws, [1 + n, K, N]; draws of a committee are of one member each, in turn."""
    members, found = members_of(network), torch.empty(len(latents), network.num_classes, coords.shape[2]).to(coords)
    found[:1] = network(coords[:1], latents[:1])[:, network.in_channels :].to(found)
    for number, (member, own) in enumerate(zip(members, latents.chunk(len(members), dim=1))):
        rows = slice(1 + number, None, len(members))
        if len(own[rows]):
            found[rows] = member(coords[rows], own[rows])[:, network.in_channels :].to(found)
    return found


def _blended(
    every: list[torch.Tensor], correction: Correction | None, place: tuple[torch.Tensor, ...], times: tuple[float, ...]
) -> Iterator[torch.Tensor]:
    """Logits of the draws [n, K, columns, Z] at each time point, the U-Net blended in.

    Args:
        every: logits of the fit and its draws at each time point, [1 + n, K, columns, Z].
        correction: correction of the fit, or None.
        place: indices of the columns along x and y.
        times: the time points.
    """
    if correction is None:
        yield from (logits[1:] for logits in every)
        return
    own = [logits.log_softmax(dim=1) for logits in every]
    own = [torch.stack([cut_off(one) for one in logits]) for logits in own]
    seen = torch.stack([own[times.index(time)] for time in correction.times], dim=-1)
    difference = seen[:1] - seen[1:]
    for logits, time in zip(own, times):
        added = correction.on_grid(time)[:, place[0], place[1]]
        yield logits[1:] + added + correction.of_difference(difference, place, time)


def uncertainty_maps(every: torch.Tensor) -> torch.Tensor:
    """The maps of ``sample_uncertainty`` [K + 2, N] from class probabilities of draws [n, K, N]."""
    mean = every.mean(dim=0)
    likeliest = mean.argmax(dim=0).expand(len(every), 1, -1)
    std = every.gather(1, likeliest).std(dim=0, correction=0)
    entropy = -torch.xlogy(mean, mean).sum(dim=0, keepdim=True)
    return torch.cat([mean, entropy, std])
