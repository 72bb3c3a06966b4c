"""U-Net probabilities blended with those of a fitted latent: the U-Net knows the slice, the latent the heart.

Where both are known the result is their product (a weighted mean of log probabilities). In slices and frames that the
U-Net has not seen, and between them, the difference between the two is interpolated from those that it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from nisf.fit.points import GridPoints
from nisf.utils.tensors import as_intensity

#: Lower bound of a probability: neither of the two may rule a class out.
LEAST = 1e-4


def combine(logits: torch.Tensor, unet_prob: torch.Tensor, weight: float) -> torch.Tensor:
    """Network logits and U-Net probabilities, [K, ...] each, blended; ``weight`` is the U-Net's."""
    own = cut_off(logits)
    return own + weight * _difference(own, unet_prob)


def cut_off(logits: torch.Tensor) -> torch.Tensor:
    """Log probabilities [K, ...], none below that of ``LEAST``."""
    return logits.log_softmax(dim=0).clamp_min(np.log(LEAST))


@dataclass(frozen=True)
class Correction:
    """What the U-Net adds to the log probabilities (``cut_off``) of a fitted latent, anywhere in a scan.

    Attributes:
        values: [K, X, Y, Z', T'] int8, for the slices and frames that the U-Net has seen.
        scale: log probability of one unit of ``values``.
        slices: numbers of those slices, ascending, among ``depth`` slices of the grid.
        times: time points of those frames, fractions of a closed cycle, ascending.
    """

    values: torch.Tensor
    scale: float
    slices: tuple[int, ...]
    depth: int
    times: tuple[float, ...]

    @classmethod
    def of(
        cls, probabilities: torch.Tensor, unet_prob: GridPoints, weight: float, temperature: float, frames: list[int]
    ) -> Correction:
        """The correction from both probabilities on a scan's grid.

        Args:
            probabilities: calibrated probabilities of the latent, [K, X, Y, Z, T].
            unet_prob: U-Net probabilities on the same grid, in some frames and slices.
            weight: weight of the U-Net, from 0 (none) to 1.
            temperature: divisor of the network's logits.
            frames: numbers of the U-Net's frames.
        """
        depth = probabilities.shape[3]
        kept = tuple(range(depth)) if unet_prob.kept_slices is None else tuple(unet_prob.kept_slices)
        scale = -weight * float(np.log(LEAST)) / 127
        out = torch.zeros((*probabilities.shape[:3], len(kept), len(frames)), dtype=torch.int8)
        for place, frame in enumerate(frames if scale else []):
            own = _uncalibrated(probabilities[..., frame][..., kept], temperature)
            found = weight * _difference(own, unet_prob.image[..., place][..., kept])
            if unet_prob.mask is not None:  # ignore the U-Net in voxels that may not be seen
                found = found * unet_prob.mask[:, :, kept]
            out[..., place] = (found / scale).round().clamp(-127, 127).to(torch.int8)
        return cls(out, scale, kept, depth, tuple(unet_prob.frame.times))

    def frame(self, time: float) -> torch.Tensor:
        """The correction at one time point in the slices that the U-Net has seen, [K, X, Y, Z']."""
        (before, after), share = _around(time, self.times)
        found = (1 - share) * self.values[..., before].float() + share * self.values[..., after].float()
        return self.scale * found

    def on_grid(self, time: float) -> torch.Tensor:
        """The correction at one time point in every slice of the grid, [K, X, Y, Z]."""
        values, places = self.frame(time), self._places(np.arange(self.depth))
        low, high = np.floor(places).astype(int), np.ceil(places).astype(int)
        share = torch.from_numpy(places - low).float()
        return (1 - share) * values[..., low] + share * values[..., high]

    def at(self, voxels: np.ndarray, time: float) -> torch.Tensor:
        """The correction at fractional voxels [N, 3] of the grid and a time point, [K, N].

        Linear between voxels; it fades to nothing within a slice's distance beyond the first and the last slice.
        """
        voxels = np.asarray(voxels, dtype=float)
        index = np.stack([voxels[:, 0], voxels[:, 1], self._places(voxels[:, 2])], axis=1)
        last = np.maximum(np.array(self.values.shape[1:4]) - 1, 1)
        # grid_sample takes its coordinates in reversed order and from -1 to 1
        unit = torch.from_numpy((2 * index / last - 1)[:, ::-1].copy()).float()
        found = F.grid_sample(
            self.frame(time).unsqueeze(0), unit[None, None, None], padding_mode="border", align_corners=True
        )
        beyond = np.maximum(-voxels[:, 2], voxels[:, 2] - (self.depth - 1))
        return found[0, :, 0, 0] * torch.from_numpy(np.clip(1 - beyond, 0, 1)).float()

    def _places(self, slices: np.ndarray) -> np.ndarray:
        """Fractional slice numbers to fractional places among the seen slices."""
        return np.interp(slices, self.slices, np.arange(len(self.slices)))

    def to_dict(self) -> dict:
        """Tensors and plain types, for a file that is loaded with ``weights_only=True``."""
        plain = {"scale": self.scale, "slices": list(self.slices), "depth": self.depth, "times": list(self.times)}
        return {"values": self.values, **plain}

    @classmethod
    def from_dict(cls, plain: Mapping) -> Correction:
        """The correction that ``to_dict`` described."""
        slices, times = tuple(plain["slices"]), tuple(plain["times"])
        return cls(plain["values"], float(plain["scale"]), slices, int(plain["depth"]), times)


@torch.no_grad()
def blend(
    probabilities: torch.Tensor, correction: Correction, times: tuple[float, ...], temperature: float
) -> torch.Tensor:
    """Class probabilities on a scan's grid with the U-Net probabilities blended in.

    Args:
        probabilities: calibrated probabilities, [K, X, Y, Z, T].
        correction: correction on the same grid.
        times: fraction of the cycle of each frame.
        temperature: divisor of the network's logits.

    Returns:
        [K, X, Y, Z, T] of the same type; calibrated with the same temperature.
    """
    out = torch.empty_like(probabilities)
    for t, time in enumerate(times):
        logits = _uncalibrated(probabilities[..., t], temperature) + correction.on_grid(time)
        out[..., t] = (logits / temperature).softmax(dim=0).to(out.dtype)
    return out


def _uncalibrated(probabilities: torch.Tensor, temperature: float) -> torch.Tensor:
    """Log probabilities before calibration, [K, ...]."""
    return cut_off(probabilities.float().clamp_min(1e-7).log() * temperature)


def _difference(own: torch.Tensor, unet_prob: torch.Tensor) -> torch.Tensor:
    """Log probabilities of the U-Net minus those of the network, [K, ...]."""
    return as_intensity(unet_prob).clamp_min(LEAST).log() - own


def _around(time: float, times: tuple[float, ...]) -> tuple[tuple[int, int], float]:
    """Indices in ``times`` of the time points before and after ``time`` in a closed cycle, and weight of the latter."""
    before = int(np.searchsorted(times, time + 1e-9, side="right")) - 1  # -1, the last, where none is before
    before %= len(times)
    after = (before + 1) % len(times)
    gap = (times[after] - times[before]) % 1.0
    return (before, after), min(((time - times[before]) % 1.0) / gap, 1.0) if gap else 0.0
