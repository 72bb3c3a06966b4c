"""A fitted latent read on a grid, frame by frame: reconstruction, class probabilities, their uncertainty."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tqdm import tqdm

from scripts.acceleration import compiled, has_bf16
from scripts.blending import Correction, cut_off
from scripts.geometry import CoordinateFrame
from scripts.networks import NISF
from scripts.pose import moved

#: Points from which compiling the network (about 10 s on two cores) pays.
COMPILE_FROM = 2_000_000


def sample_grid(
    network: NISF,
    latent: torch.Tensor,
    frame: CoordinateFrame,
    chunk: int = 8192,
    dtype: torch.dtype = torch.float16,
    bf16: bool = False,
) -> torch.Tensor:
    """Reconstruction and class probabilities on the grid of a coordinate frame.

    Frame by frame and ``chunk`` points at a time straight into the result, so memory is the result's and little more.
    A terminal sees a progress bar.

    Args:
        network: the trained network.
        latent: [L].
        frame: whose grid is sampled.
        chunk: points evaluated at once.
        dtype: of the result.
        bf16: evaluate the layers after the first in bfloat16 where the hardware has it.

    Returns:
        [C + K, X, Y, Z, T] in [0, 1] of ``dtype``, on the CPU.
    """
    device = network.latent_mean.device
    run = compiled(network, frame.size >= COMPILE_FROM, device)
    latent = latent.to(network.latent_mean).unsqueeze(0)

    def evaluate(coords: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor:
        return network.probabilities(run(coords, latent))[0]

    return _over_grid(evaluate, network, frame, network.in_channels + network.num_classes, chunk, dtype, bf16)


def sample_uncertainty(
    network: NISF,
    draws: tuple[torch.Tensor, torch.Tensor],
    frame: CoordinateFrame,
    chunk: int = 8192,
    dtype: torch.dtype = torch.float16,
    bf16: bool = False,
    correction: Correction | None = None,
) -> torch.Tensor:
    """What draws from a posterior over latents say of each voxel.

    Args:
        network: the trained network.
        draws: latents [n, L] and poses [n, 6], see ``LatentFit.sample``.
        frame: whose grid is sampled, in the pose that the fit started with.
        chunk: points times draws evaluated at once.
        dtype: of the result.
        bf16: as in ``sample_grid``.
        correction: what class evidence adds to the classes of every draw.

    Returns:
        [K + 2, X, Y, Z, T]: the mean over draws of each class's probability, the entropy of that mean (nats, at most
        ln K), and the standard deviation over draws of the probability of the class that is likeliest in the mean.
    """
    latents, poses = (values.to(network.latent_mean) for values in draws)

    def evaluate(coords: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor:
        logits = network(moved(coords.expand(len(poses), -1, -1), poses), latents)[:, network.in_channels :].float()
        if added is not None:
            logits = torch.stack([cut_off(one) + added for one in logits])
        return spread_of((logits / network.temperature).softmax(dim=1))

    chunk = max(1, chunk // len(latents))
    return _over_grid(evaluate, network, frame, network.num_classes + 2, chunk, dtype, bf16, correction)


def spread_of(every: torch.Tensor) -> torch.Tensor:
    """Class probabilities of draws [n, K, N] to the maps of ``sample_uncertainty`` [K + 2, N]."""
    mean = every.mean(dim=0)
    likeliest = mean.argmax(dim=0).expand(len(every), 1, -1)
    spread = every.gather(1, likeliest).std(dim=0, correction=0)
    entropy = -torch.xlogy(mean, mean).sum(dim=0, keepdim=True)
    return torch.cat([mean, entropy, spread])


@torch.no_grad()
def _over_grid(
    evaluate: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor],
    network: NISF,
    frame: CoordinateFrame,
    channels: int,
    chunk: int,
    dtype: torch.dtype,
    bf16: bool,
    correction: Correction | None = None,
) -> torch.Tensor:
    """``evaluate`` on all voxels of all frames, [channels, X, Y, Z, T] on the CPU.

    It is given coordinates [1, D, n] and what the correction adds there, [K, n] or None, and gives [channels, n].
    """
    device, count = network.latent_mean.device, len(frame.times)
    voxels = frame.size // count
    coords = frame.points(torch.arange(voxels) * count).to(network.latent_mean)  # of the first frame
    # the last chunk is filled up: a compiled network would be compiled anew for another size
    chunk = min(chunk, voxels)
    filled = torch.cat([coords, coords[:, : -voxels % chunk]], dim=1)
    out = torch.empty((count, channels, voxels), dtype=dtype)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16 and has_bf16(device)):
        for index, time in enumerate(tqdm(frame.times, desc="sampling", unit="frame", leave=False, disable=None)):
            filled[3:] = time  # no row where there is no time
            added = None if correction is None else correction.on_grid(time).flatten(1).to(device)
            added = None if added is None else torch.cat([added, added[:, : -voxels % chunk]], dim=1)
            for start in range(0, voxels, chunk):
                part = slice(start, start + chunk)
                values = evaluate(filled[None, :, part], None if added is None else added[:, part])
                out[index, :, start : start + chunk] = values[:, : voxels - start].to(dtype).cpu()
    return out.permute(1, 2, 0).reshape(channels, *frame.shape, count)
