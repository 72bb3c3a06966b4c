"""Class evidence blended into what a fitted latent says: the one knows the slice, the other the heart.

The product of the two (a weighted mean of their log probabilities) where both are known. Elsewhere, in slices and
frames that the evidence has not seen, the difference between the two is interpolated from those that it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from scripts.point_sets import as_intensity
from scripts.points import GridPoints

#: Probabilities below it are taken for it: neither of the two may rule a class out.
LEAST = 1e-4


def combine(logits: torch.Tensor, evidence: torch.Tensor, weight: float) -> torch.Tensor:
    """Logits of the network and class evidence, [K, ...] each, to the logits of both; ``weight`` is the evidence's."""
    own = _cut_off(logits)
    return own + weight * _difference(own, evidence)


@torch.no_grad()
def blend(
    probabilities: torch.Tensor, evidence: GridPoints, frames: Sequence[int], weight: float, temperature: float
) -> torch.Tensor:
    """Class probabilities on a scan's grid with the class evidence blended in.

    Args:
        probabilities: calibrated, [K, X, Y, Z, T].
        evidence: of the same slices, some frames and the slices that were seen.
        frames: numbers of the frames that the evidence is of, ascending.
        weight: of the evidence, from 0 (none) to 1.
        temperature: by which the network's logits were divided.

    Returns:
        [K, X, Y, Z, T] of the same type; calibrated with the same temperature.
    """
    out = torch.empty_like(probabilities)
    depth, count = probabilities.shape[3:]
    kept = list(range(depth)) if evidence.kept_slices is None else list(evidence.kept_slices)
    own = [_log(probabilities[..., t], temperature) for t in frames]
    differences = [weight * _difference(one, evidence.image[..., place]) for place, one in enumerate(own)]
    differences = torch.stack([_over_slices(d, kept, depth) for d in differences])
    for t in range(count):
        (before, after), share = _around(t, list(frames), count)
        difference = (1 - share) * differences[before] + share * differences[after]
        logits = _log(probabilities[..., t], temperature) + difference
        out[..., t] = (logits / temperature).softmax(dim=0).to(out.dtype)
    return out


def _log(probabilities: torch.Tensor, temperature: float) -> torch.Tensor:
    """Log probabilities before calibration, [K, X, Y, Z]."""
    return _cut_off(probabilities.float().clamp_min(1e-7).log() * temperature)


def _cut_off(logits: torch.Tensor) -> torch.Tensor:
    """Log probabilities [K, ...], none below that of ``LEAST``."""
    return logits.log_softmax(dim=0).clamp_min(np.log(LEAST))


def _difference(own: torch.Tensor, evidence: torch.Tensor) -> torch.Tensor:
    """Of the evidence's log probabilities from the network's own, [K, ...]."""
    return as_intensity(evidence).clamp_min(LEAST).log() - own


def _over_slices(values: torch.Tensor, kept: list[int], depth: int) -> torch.Tensor:
    """[K, X, Y, Z] whose slices outside ``kept`` are interpolated linearly from those inside."""
    places = np.interp(np.arange(depth), kept, np.arange(len(kept)))
    low, high = np.floor(places).astype(int), np.ceil(places).astype(int)
    share = torch.from_numpy(places - low).float()
    inside = values[..., kept]
    return (1 - share) * inside[..., low] + share * inside[..., high]


def _around(t: int, frames: list[int], count: int) -> tuple[tuple[int, int], float]:
    """Places in ``frames`` of the ones before and after frame ``t`` of a closed cycle, and the share of the latter."""
    before = max((place for place, frame in enumerate(frames) if frame <= t), default=len(frames) - 1)
    after = (before + 1) % len(frames)
    gap = (frames[after] - frames[before]) % count
    return (before, after), ((t - frames[before]) % count) / gap if gap else 0.0
