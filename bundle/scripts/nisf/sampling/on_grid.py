"""A fitted latent sampled on a grid: reconstruction and class probabilities."""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from nisf.geometry.frame import CoordinateFrame
from nisf.level_sets.label_map import coarse_steps
from nisf.models.nisf import NISF
from nisf.sampling.coarse_to_fine import CoarseToFine
from nisf.utils.compile import compiled, in_bf16

#: Points from which compiling the network (about 10 s on two cores) pays, and part of a grid that is evaluated unless
#: all of it is.
COMPILE_FROM, SHARE = 2_000_000, 0.25

#: Voxels of the frames that are sampled together.
TOGETHER = 1_000_000


def sample_grid(
    network: NISF,
    latent: torch.Tensor,
    frame: CoordinateFrame,
    chunk: int = 4096,
    dtype: torch.dtype = torch.float16,
    bf16: bool = False,
    coarsest: float = 0.0,
) -> torch.Tensor:
    """Reconstruction and class probabilities on the grid of a coordinate frame.

    Samples some frames at a time straight into the result, so little more memory is needed than for the result. Shows a
    progress bar in a terminal.

    Args:
        network: the trained network.
        latent: latent [L].
        frame: coordinate frame whose grid is sampled.
        chunk: points evaluated at once.
        dtype: data type of the result.
        bf16: whether to evaluate the layers after the first in bfloat16 if the hardware supports it.
        coarsest: maximum distance of the first samples in plane, mm; more are taken where classes or intensities
            change, see ``CoarseToFine``. 0 evaluates every voxel.

    Returns:
        [C + K, X, Y, Z, T] in [0, 1] of ``dtype``, on the CPU.
    """
    evaluate, steps = _Evaluation(network, latent, frame, chunk, coarsest), (*coarse_steps(frame, coarsest)[:2], 1)
    first, classes, times = network.in_channels, network.num_classes, len(frame.times)
    out = torch.empty((first + classes, *frame.shape, times), dtype=dtype)
    count = max(1, TOGETHER * times // frame.size)
    with in_bf16(network.latent_mean.device, bf16), tqdm(
        total=times, desc="sampling", unit="frame", leave=False, disable=None
    ) as bar:
        for start in range(0, times, count):
            frames = range(start, min(start + count, times))
            # slices and frames are one axis, along which nothing is interpolated
            shape = (*frame.shape[:2], frame.shape[2] * len(frames))
            values = CoarseToFine(shape, steps, lambda v: evaluate(v, frames), first, classes).values
            found = torch.from_numpy(values).unflatten(3, (frame.shape[2], len(frames)))
            out[:first, ..., start : frames.stop] = found[:first]
            out[first:, ..., start : frames.stop] = found[first:].softmax(dim=0)
            bar.update(len(frames))
    return out


class _Evaluation:
    """Intensities and log probabilities of voxels, evaluated in chunks.

    Args:
        network, latent, frame, chunk, coarsest: as in ``sample_grid``.
    """

    def __init__(
        self, network: NISF, latent: torch.Tensor, frame: CoordinateFrame, chunk: int, coarsest: float
    ) -> None:
        self.network, self.frame, self.chunk = network, frame, min(chunk, frame.size // len(frame.times))
        self.latent = latent.to(network.latent_mean).unsqueeze(0)
        points = frame.size * (SHARE if coarsest else 1)
        self.compiled = compiled(network, points >= COMPILE_FROM, network.latent_mean.device)

    @torch.no_grad()
    def __call__(self, voxels: np.ndarray, frames: range) -> np.ndarray:
        """[C + K, N] at voxels [N, 3], whose third number counts slices and ``frames``, the frames fastest."""
        places, times = np.divmod(voxels[:, 2], len(frames))
        where = (voxels[:, 0], voxels[:, 1], places, times + frames.start)
        flat = np.ravel_multi_index(where, (*self.frame.shape, len(self.frame.times)))
        coords = self.frame.points(torch.from_numpy(flat)).to(self.latent)
        out, first = np.empty((self.network.in_channels + self.network.num_classes, len(voxels)), np.float32), 0
        for part in coords.split(self.chunk, dim=1):
            out[:, first : first + part.shape[1]] = self._of(part).cpu().numpy()
            first += part.shape[1]
        return out

    def _of(self, coords: torch.Tensor) -> torch.Tensor:
        """[C + K, n] at coordinates [D, n]."""
        count = coords.shape[1]
        if 2 * count > self.chunk:
            # a compiled network would be compiled again for another size
            filled = torch.nn.functional.pad(coords[None], (0, self.chunk - count), mode="replicate")
            logits = self.compiled(filled, self.latent)[0, :, :count].float()
        else:
            logits = self.network(coords[None], self.latent)[0].float()
        classes = (logits[self.network.in_channels :] / self.network.temperature).log_softmax(dim=0)
        return torch.cat([logits[: self.network.in_channels].sigmoid(), classes])
