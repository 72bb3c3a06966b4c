"""Every second frame of a cine hidden: how well the fit shows what it did not see. Used by ``cines.py --hide_frames``.

Two fits, with the even and with the odd frames hidden, so that each frame is hidden once, but for the last of an odd
number, whose neighbour is the first. The cycle is closed: the neighbours of the last frame are the one before and the
first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from monai.metrics import PSNRMetric
from segmented import segmented

from nisf import Segmenter


def hidden_in(frames: int, parity: int) -> list[int]:
    """Every second frame from ``parity`` (0 or 1) on, no two of them neighbours in the closed cycle."""
    return list(range(parity, frames - frames % 2, 2))


def psnr(image: torch.Tensor, guess: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB of a frame [C, X, Y, Z] whose intensities are in [0, 1]."""
    return float(PSNRMetric(max_val=1.0)(guess.unsqueeze(0), image.unsqueeze(0)))


def between(image: torch.Tensor, frame: int) -> torch.Tensor:
    """The mean of a frame's two neighbours in the closed cycle, [C, X, Y, Z] of [C, X, Y, Z, T]."""
    return (image[..., frame - 1] + image[..., (frame + 1) % image.shape[-1]]) / 2


def psnr_of_frames(item: Mapping[str, object]) -> list[float]:
    """PSNR of the reconstruction of each frame on the voxels of the fitted field, from an item of ``segmented``."""
    image, shown = fields_of(item)
    return [psnr(image[..., t], shown[..., t]) for t in range(image.shape[-1])]


def fields_of(item: Mapping[str, object]) -> tuple[torch.Tensor, torch.Tensor]:
    """Intensities and their reconstruction in the fitted field, [C, X, Y, Z, T]."""
    image = item["image"].as_tensor()
    return image.float(), item["pred_fitted"].as_tensor()[: len(image)].float()


def with_frames_hidden(settings: Mapping[str, object], entry: Mapping, frames: int) -> tuple[list[dict], np.ndarray]:
    """Fits of a cine of ``frames`` evenly spaced frames with every second one hidden.

    Returns:
        ``psnr_hidden`` of the reconstruction, ``psnr_residual`` of the reconstruction and the mean of what it leaves in
        the two neighbours, and ``psnr_linear`` of the neighbours' mean, of each hidden ``frame``; and labels
        [X, Y, Z, T] on the file's grid, each frame from the fit that did not see it, background in a frame that was
        never hidden.
    """
    rows, labels = [], None
    for parity in (0, 1):
        hidden = hidden_in(frames, parity)
        _, item = segmented(Segmenter(hold_out_frames=hidden, **settings), entry)
        image, shown = fields_of(item)
        for frame in hidden:
            guesses = {
                "psnr_hidden": shown[..., frame],
                "psnr_residual": shown[..., frame] + between(image - shown, frame),
                "psnr_linear": between(image, frame),
            }
            rows.append({"frame": frame, **{name: psnr(image[..., frame], guess) for name, guess in guesses.items()}})
        found = np.asarray(item["seg"])[0]
        labels = np.zeros_like(found) if labels is None else labels
        labels[..., hidden] = found[..., hidden]
    return sorted(rows, key=lambda row: row["frame"]), labels
