"""Every second frame of a cine hidden: how well the fit shows what it did not see. Used by ``cines.py --hide_frames``.

Two fits, with the even and with the odd frames hidden, so that each frame is hidden once, but for the last of an odd
number, whose neighbour is the first. The cycle is closed: the neighbours of the last frame are the one before and the
first.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def hidden_fits(settings: Mapping[str, object], entry: Mapping, frames: int) -> tuple[list[dict], dict[int, torch.Tensor]]:
    """Fits of a cine of ``frames`` evenly spaced frames with every second one hidden.

    Returns:
        ``psnr_fit`` and ``psnr_linear`` of each hidden ``frame``, on the voxels of the fitted field; and the labels
        [X, Y, Z] of these frames on the file's grid.
    """
    rows, labels = [], {}
    for parity in (0, 1):
        hidden = hidden_in(frames, parity)
        _, item = segmented(Segmenter(hold_out_frames=hidden, **settings), entry)
        image, shown = (item[key].as_tensor().float() for key in ("image", "recon"))
        for frame in hidden:
            true = image[..., frame]
            row = {"psnr_fit": psnr(true, shown[..., frame]), "psnr_linear": psnr(true, between(image, frame))}
            rows.append({"frame": frame, **row})
            labels[frame] = item["seg"].as_tensor()[0, ..., frame].numpy()
    return sorted(rows, key=lambda row: row["frame"]), labels
