"""A fitted latent sampled on a grid, frame by frame: reconstruction and class probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from nisf.fit.blending import cut_off
from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF
from nisf.utils.compile import compiled, in_bf16

#: Points from which compiling the network (about 10 s on two cores) pays.
COMPILE_FROM = 2_000_000


def sample_grid(
    network: NISF,
    latent: torch.Tensor,
    frame: CoordinateFrame,
    chunk: int = 8192,
    dtype: torch.dtype = torch.float16,
    bf16: bool = False,
    step: int = 1,
) -> torch.Tensor:
    """Reconstruction and class probabilities on the grid of a coordinate frame.

    Evaluates ``chunk`` points at a time straight into the result, so little more memory is needed than for the result.
    Shows a progress bar in a terminal.

    Args:
        network: the trained network.
        latent: latent [L].
        frame: coordinate frame whose grid is sampled.
        chunk: points evaluated at once.
        dtype: data type of the result.
        bf16: whether to evaluate the layers after the first in bfloat16 if the hardware supports it.
        step: distance of the evaluated voxels along x and y; between them intensities and log probabilities are
            interpolated linearly.

    Returns:
        [C + K, X, Y, Z, T] in [0, 1] of ``dtype``, on the CPU.
    """
    device = network.latent_mean.device
    run = compiled(network, frame.size >= COMPILE_FROM * step**2, device)
    latent = latent.to(network.latent_mean).unsqueeze(0)

    def evaluate(coords: torch.Tensor) -> torch.Tensor:
        return network.probabilities(run(coords, latent))[0]

    first = network.in_channels
    found = _over_grid(evaluate, network, frame, first + network.num_classes, chunk, dtype, bf16, step=step)
    return found if step == 1 else _filled_in(found, first, frame, step)


def _stepped(size: int, step: int) -> torch.Tensor:
    """Indices of every ``step``-th voxel of an axis, and of the last."""
    return torch.cat([torch.arange(0, size - 1, step), torch.tensor([size - 1])])


def _weights(size: int, step: int) -> torch.Tensor:
    """Matrix [size, n] that interpolates linearly between the n voxels of ``_stepped``."""
    places = _stepped(size, step).double().numpy()
    columns = [np.interp(np.arange(size), places, unit) for unit in np.eye(len(places))]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def _filled_in(values: torch.Tensor, first: int, frame: CoordinateFrame, step: int) -> torch.Tensor:
    """Values at every ``step``-th voxel along x and y interpolated to all, [C + K, X, Y, Z, T]; C is ``first``."""
    along_x, along_y = (_weights(size, step) for size in frame.shape[:2])
    out = torch.empty((len(values), *frame.shape, len(frame.times)), dtype=values.dtype)
    for t in range(len(frame.times)):
        part = values[..., t].float()
        part[first:] = cut_off(part[first:].clamp_min(1e-7).log())
        part = torch.einsum("xa,yb,cabz->cxyz", along_x, along_y, part)
        part[first:] = part[first:].softmax(dim=0)
        out[..., t] = part.to(out.dtype)
    return out


@torch.no_grad()
def _over_grid(
    evaluate: Callable[[torch.Tensor], torch.Tensor],
    network: NISF,
    frame: CoordinateFrame,
    channels: int,
    chunk: int,
    dtype: torch.dtype,
    bf16: bool,
    step: int = 1,
) -> torch.Tensor:
    """Values of ``evaluate`` at all voxels of all frames, [channels, X, Y, Z, T] on the CPU.

    With ``step`` only at every ``step``-th voxel along x and y. ``evaluate`` takes coordinates [1, D, n] and returns
    [channels, n].
    """
    device, count = network.latent_mean.device, len(frame.times)
    every = torch.arange(frame.size // count).reshape(frame.shape)
    every = every[_stepped(frame.shape[0], step)][:, _stepped(frame.shape[1], step)] if step > 1 else every
    shape, voxels = every.shape, every.numel()
    coords = frame.points(every.flatten() * count).to(network.latent_mean)  # for the first frame
    # the last chunk is padded, as a compiled network would be compiled again for another size
    chunk = min(chunk, voxels)
    filled = torch.cat([coords, coords[:, : -voxels % chunk]], dim=1)
    out = torch.empty((count, channels, voxels), dtype=dtype)
    with in_bf16(device, bf16):
        for index, time in enumerate(tqdm(frame.times, desc="sampling", unit="frame", leave=False, disable=None)):
            filled[3:] = time  # an empty slice without time
            for start in range(0, voxels, chunk):
                part = slice(start, start + chunk)
                values = evaluate(filled[None, :, part])
                out[index, :, start : start + chunk] = values[:, : voxels - start].to(dtype).cpu()
    return out.permute(1, 2, 0).reshape(channels, *shape, count)
