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
class Node:
    """Places in the U-Net's slices, in one of its frames.

    Attributes:
        voxels: fractional voxels [N, 3] of the grid.
        time: time point of the frame.
        weight: weight of the U-Net times that of the interpolation, [N].
    """

    voxels: np.ndarray
    time: float
    weight: torch.Tensor


@dataclass(frozen=True)
class Correction:
    """What the U-Net adds to the log probabilities (``cut_off``) of a fitted latent, anywhere in a scan.

    A posterior draw is another latent beside the same U-Net probabilities e. The correction of the fit is
    ``w (log e - log q)``, interpolated between seen slices and frames, with the fit's own probabilities q; for a draw
    with the probabilities p it has to be ``w (log e - log p)``. So a draw adds ``w (log q - log p)``, interpolated in
    the same way (``nodes``, ``of_difference``). In a seen slice and frame a draw is then ``(1 - w) log p + w log e``.

    Attributes:
        values: [K, X, Y, Z', T'] int8, for the slices and frames that the U-Net has seen.
        scale: log probability of one unit of ``values``.
        slices: numbers of those slices, ascending, among ``depth`` slices of the grid.
        times: time points of those frames, fractions of a closed cycle, ascending.
        mask: voxels [X, Y, Z'] in which the U-Net counts; None for all.
    """

    values: torch.Tensor
    scale: float
    slices: tuple[int, ...]
    depth: int
    times: tuple[float, ...]
    mask: torch.Tensor | None = None

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
        mask = None if unet_prob.mask is None else unet_prob.mask[:, :, kept].bool()
        scale = -weight * float(np.log(LEAST)) / 127
        out = torch.zeros((*probabilities.shape[:3], len(kept), len(frames)), dtype=torch.int8)
        for place, frame in enumerate(frames if scale else []):
            own = _uncalibrated(probabilities[..., frame][..., kept], temperature)
            found = weight * _difference(own, unet_prob.image[..., place][..., kept])
            if mask is not None:  # ignore the U-Net in voxels that may not be seen
                found = found * mask
            out[..., place] = (found / scale).round().clamp(-127, 127).to(torch.int8)
        return cls(out, scale, kept, depth, tuple(unet_prob.frame.times), mask)

    @property
    def weight(self) -> float:
        """Weight of the U-Net, from 0 (none) to 1."""
        return -127 * self.scale / float(np.log(LEAST))

    def frame(self, time: float) -> torch.Tensor:
        """The correction at one time point in the slices that the U-Net has seen, [K, X, Y, Z']."""
        return self.scale * self._at_time(self.values, time)

    def on_grid(self, time: float) -> torch.Tensor:
        """The correction at one time point in every slice of the grid, [K, X, Y, Z]."""
        return self._in_every_slice(self.frame(time))

    def at(self, voxels: np.ndarray, time: float) -> torch.Tensor:
        """The correction at fractional voxels [N, 3] of the grid and a time point, [K, N].

        Linear between voxels; it fades to nothing within a slice's distance beyond the first and the last slice.
        """
        return _interpolated(self.frame(time), voxels, self._places(voxels[:, 2])) * self._fading(voxels)

    def nodes(self, voxels: np.ndarray, time: float) -> list[Node]:
        """The places in seen slices and frames between which the correction at voxels [N, 3] is interpolated; in plane
        they are where the voxels are."""
        places, (near, share) = self._places(voxels[:, 2]), _around(time, self.times)
        low, high, found = np.floor(places).astype(int), np.ceil(places).astype(int), []
        for place, of_slice in ((low, 1 - (places - low)), (high, places - low)):
            counts = self.weight * self._fading(voxels) * torch.from_numpy(of_slice).float()
            if self.mask is not None:
                counts = counts * _interpolated(self.mask[None].float(), voxels, place)[0]
            at = np.column_stack([voxels[:, :2], np.array(self.slices)[place]])
            for frame, of_frame in zip(near, (1 - share, share)):
                if of_frame > 0 and bool(counts.any()):
                    found.append(Node(at, self.times[frame], of_frame * counts))
        return found

    def of_difference(self, difference: torch.Tensor, columns: tuple[torch.Tensor, ...], time: float) -> torch.Tensor:
        """A difference of log probabilities weighted and interpolated as the correction is.

        Args:
            difference: in columns of the grid, at the frames of ``times``, [..., columns, Z, T'].
            columns: indices along x and y of the columns.
            time: time point.

        Returns:
            [..., columns, Z].
        """
        seen = self.weight * self._at_time(difference[..., list(self.slices), :], time)
        return self._in_every_slice(seen if self.mask is None else seen * self.mask[columns].to(seen))

    def _at_time(self, values: torch.Tensor, time: float) -> torch.Tensor:
        """Values [..., T'] of the U-Net's frames at a time point, [...]."""
        (before, after), share = _around(time, self.times)
        return (1 - share) * values[..., before].float() + share * values[..., after].float()

    def _in_every_slice(self, values: torch.Tensor) -> torch.Tensor:
        """Values [..., Z'] of the U-Net's slices in every slice of the grid, [..., Z]."""
        places = self._places(np.arange(self.depth))
        low, high = np.floor(places).astype(int), np.ceil(places).astype(int)
        share = torch.from_numpy(places - low).to(values)
        return (1 - share) * values[..., low] + share * values[..., high]

    def _fading(self, voxels: np.ndarray) -> torch.Tensor:
        """Factors [N] from 1 in the stack to 0 a slice's distance beyond it."""
        beyond = np.maximum(-voxels[:, 2], voxels[:, 2] - (self.depth - 1))
        return torch.from_numpy(np.clip(1 - beyond, 0, 1)).float()

    def _places(self, slices: np.ndarray) -> np.ndarray:
        """Fractional slice numbers to fractional places among the seen slices."""
        return np.interp(slices, self.slices, np.arange(len(self.slices)))

    def to_dict(self) -> dict:
        """Tensors and plain types, for a file that is loaded with ``weights_only=True``."""
        plain = {"scale": self.scale, "slices": list(self.slices), "depth": self.depth, "times": list(self.times)}
        return {"values": self.values, "mask": self.mask, **plain}

    @classmethod
    def from_dict(cls, plain: Mapping) -> Correction:
        """The correction that ``to_dict`` described."""
        slices, times = tuple(plain["slices"]), tuple(plain["times"])
        return cls(plain["values"], float(plain["scale"]), slices, int(plain["depth"]), times, plain.get("mask"))


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


def _interpolated(values: torch.Tensor, voxels: np.ndarray, places: np.ndarray) -> torch.Tensor:
    """Values [K, X, Y, Z'] at the positions in plane of voxels [N, 3] and at fractional places [N] among the Z' slices,
    [K, N]; linear, and constant beyond."""
    index = np.column_stack([voxels[:, :2], places])
    last = np.maximum(np.array(values.shape[1:]) - 1, 1)
    # grid_sample takes its coordinates in reversed order and from -1 to 1
    unit = torch.from_numpy((2 * index / last - 1)[:, ::-1].copy()).float()
    found = F.grid_sample(values.unsqueeze(0), unit[None, None, None], padding_mode="border", align_corners=True)
    return found[0, :, 0, 0]


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
