"""Quality features of the stack: whether base and apex are exchanged, or an end of the organ is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose
from nisf.models.nisf import NISF
from nisf.quality.slice_features import BODY

#: Number of points of the U-Net probabilities that are compared.
POINTS = 4096

#: Voxels from one point to the next along x and y beyond the stack, and number of points evaluated at once.
STEP, CHUNK = 2, 8192


def flipped(frame: CoordinateFrame) -> CoordinateFrame:
    """The frame of the same scan with its slices mirrored about the organ's centre."""
    middle = (frame.pose or Pose()).z
    scale, offset = list(frame.scale), list(frame.offset)
    scale[2], offset[2] = -scale[2], 2 * middle - offset[2]
    return replace(frame, scale=tuple(scale), offset=tuple(offset))


@torch.no_grad()
def upside_down(network: NISF, points: GridPoints, seed: int = 0) -> float:
    """How much better the U-Net probabilities fit the population's mean heart when the stack is flipped.

    The difference of mean cross entropies (nats per point) at points near the organ, as it is minus flipped: above
    zero the flipped stack fits better. The latent is the prior's mean, because a fitted one has adapted to the stack as
    it is. NaN without U-Net probabilities.
    """
    unet_prob = points.unet_prob
    if unet_prob is None or unet_prob.frame.pose is None:
        return float("nan")
    number = unet_prob.sampling_order(POINTS, seed)[:POINTS]
    losses = [
        _loss(network, replace(unet_prob, frame=one), number) for one in (unet_prob.frame, flipped(unet_prob.frame))
    ]
    return losses[0] - losses[1]


def _loss(network: NISF, unet_prob: GridPoints, number: torch.Tensor) -> float:
    """Mean cross entropy of numbered points of the U-Net probabilities under the prior's mean."""
    coords, wanted = (values.unsqueeze(0).to(network.latent_mean) for values in unet_prob.take(number))
    logits = network(coords)[:, network.in_channels :]
    return float(F.cross_entropy(logits, wanted))


@torch.no_grad()
def cut_ends(network: NISF, fit: LatentFit, points: GridPoints, values: torch.Tensor) -> tuple[float, float]:
    """How much of the organ's body continues beyond the stack's first and last slice, by the fitted latent.

    The area of the body one slice distance beyond either end, in the first frame that may be seen, relative to that in
    the largest slice of the stack, in ``values`` as in ``assess``: 0 where the body has ended, 1 where it is as large
    as ever.
    """
    frame, first = fit.frame(points.frame), points.kept_frames[0] if points.kept_frames else 0
    largest = float(_areas(values[network.in_channels :, ::STEP, ::STEP, :, first].argmax(dim=0)).max())
    if not largest:
        return 0.0, 0.0
    x, y = (np.arange(0, n, STEP) for n in frame.shape[:2])
    voxels = np.stack(np.meshgrid(x, y, (-1, frame.shape[2]), indexing="ij"), axis=-1)
    coords = frame.voxel_to_normalised(voxels.reshape(-1, 3))
    coords = np.concatenate([coords, np.full((len(coords), 1), frame.times[first])], axis=1)[:, : network.coord_dims]
    parts = torch.from_numpy(coords.T.copy()).to(network.latent_mean).split(CHUNK, dim=1)
    latent = fit.latent.to(network.latent_mean).unsqueeze(0)
    found = torch.cat([network(part[None], latent)[0, network.in_channels :].argmax(dim=0) for part in parts])
    base, apex = _areas(found.reshape(voxels.shape[:3])).tolist()
    return base / largest, apex / largest


def _areas(classes: torch.Tensor) -> torch.Tensor:
    """Voxels of the body in each slice of classes [X, Y, Z]."""
    return sum((classes == kind) for kind in BODY).sum(dim=(0, 1)).double()
