"""A fitted latent sampled on a grid: reconstruction and class probabilities."""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from nisf.geometry.frame import CoordinateFrame
from nisf.level_sets.cells import EVERY
from nisf.level_sets.label_map import coarse_steps
from nisf.level_sets.refine import nodes_of
from nisf.models.nisf import NISF
from nisf.sampling.coarse_to_fine import CoarseToFine, follow_boundaries
from nisf.utils.compile import compiled, in_bf16

#: Points from which compiling the network (about 10 s on two cores) pays, and part of a grid that is evaluated unless
#: all of it is.
COMPILE_FROM, SHARE = 2_000_000, 0.25

#: Maximum time between the first samples, fraction of the cycle.
APART = 0.1

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
        coarsest: maximum distance of the first samples in plane, mm, in frames at most ``APART`` of the cycle apart;
            more are taken where classes or intensities change, see ``CoarseToFine``. 0 evaluates every voxel.

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
            frames = np.arange(start, min(start + count, times))
            found = torch.from_numpy(_of_frames(evaluate, frames, steps))
            out[:first, ..., start : start + count] = found[:first]
            out[first:, ..., start : start + count] = found[first:].softmax(dim=0)
            bar.update(len(frames))
    return out


def frames_apart(frame: CoordinateFrame) -> int:
    """Frames from one that is sampled first to the next: a power of two, over at most ``APART`` of the cycle."""
    gaps = np.abs(np.diff(frame.times))
    if not gaps.any():  # one frame, or a static function
        return 1
    return 2 ** max(int(np.log2(APART / gaps.max() + 1e-6)), 0)  # 1e-6: rounding of equal gaps


def _of_frames(evaluate: _Evaluation, frames: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """Intensities and log probabilities [C + K, X, Y, Z, F] of numbered frames.

    Frames ``frames_apart`` are sampled from coarse to fine in plane. Those between are evaluated where the label or the
    intensities change from frame to frame and beside boundaries, and interpolated linearly elsewhere.
    """
    network, shape = evaluate.network, evaluate.frame.shape
    kinds = network.in_channels, network.num_classes
    (picked,) = nodes_of((len(frames),), (evaluate.frames_apart,))
    # slices and frames are one axis, along which nothing is interpolated
    folded = (*shape[:2], shape[2] * len(picked))
    values = CoarseToFine(folded, steps, lambda voxels: evaluate(voxels, frames[picked]), *kinds).values
    if len(picked) == len(frames):
        return values.reshape(len(values), *shape, len(frames))
    # each voxel is a row of frames
    rows = (int(np.prod(shape)), len(frames), 1)

    def of_all(voxels: np.ndarray) -> np.ndarray:
        return evaluate(voxels, frames)

    def of_rows(places: np.ndarray) -> np.ndarray:
        x, y, z = np.unravel_index(places[:, 0], shape)
        return of_all(np.stack([x, y, z * len(frames) + places[:, 1]], axis=1))

    first = values.reshape(len(values), rows[0], len(picked), 1)
    read = CoarseToFine(rows, (1, evaluate.frames_apart, 1), of_rows, *kinds, first)
    folded = (*shape[:2], shape[2] * len(frames))
    values, known = read.values.reshape(-1, *folded), read.known.reshape(folded)
    follow_boundaries(values, known, [axis for axis in EVERY if steps[axis] > 1], of_all, network.in_channels)
    return values.reshape(len(values), *shape, len(frames))


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
        self.frames_apart = frames_apart(frame) if coarsest else 1
        self.compiled = compiled(network, points >= COMPILE_FROM, network.latent_mean.device)

    @torch.no_grad()
    def __call__(self, voxels: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """[C + K, N] at voxels [N, 3], whose third number counts slices and ``frames``, the frames fastest."""
        places, times = np.divmod(voxels[:, 2], len(frames))
        where = (voxels[:, 0], voxels[:, 1], places, frames[times])
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
