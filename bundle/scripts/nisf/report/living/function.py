"""A fitted scan packed for a page: weights with the latent folded in, the coordinate frame, the U-Net's correction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple

import numpy as np
import torch

from nisf.fit.blending import Correction
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.orientation import spacing_of
from nisf.models.committee import members_of
from nisf.models.nisf import NISF
from nisf.report.living.packing import halves, packed
from nisf.report.living.residuals import packed_residuals
from nisf.sampling.fitted_scan import FittedScan

#: Steps of the largest weight of a row.
MOST_STEPS = 32767


def function_data(fitted: FittedScan) -> dict:
    """The function for JSON, as ``web/model.js`` reads it: sizes, frame, and numbers as zlib streams.

    ``weights`` holds float32: the first layer's part of place and time [2 H, places], the latent's part and bias [2 H],
    the latent's residual [H]; of each further layer bias [2 H] and step [2 H]; of the first image channel and the
    classes weight [1 + K, H] and bias [1 + K]. ``steps`` holds the weights [2 H, W] of the further layers as int16, low
    bytes before high bytes, to be multiplied with the step of their row. The members of a committee stand side by side,
    H units in all (``hidden``) with W of each (``width``); their heads are divided by their number.
    """
    members = members_of(fitted.network)
    network = members[0]
    weights, steps = _weights(members, fitted.latent)
    return {
        "hidden": len(members) * network.hidden_size,
        "width": network.hidden_size,
        "places": network.place_dims,
        "layers": network.num_layers,
        "rows": 1 + network.num_classes,
        "omega": network.omega0,
        "sigma": network.sigma0,
        "temperature": float(network.temperature),
        "weights": packed(np.concatenate([part.ravel() for part in weights])),
        "steps": packed(halves(np.concatenate([part.ravel() for part in steps]).astype("<i2"))),
        "frame": _frame(fitted.frame),
        "correction": fitted.correction and correction_data(fitted.correction),
    }


@torch.no_grad()
def _weights(members: Sequence[NISF], latent: torch.Tensor) -> tuple[list[np.ndarray], list[np.ndarray]]:
    latents = latent.to(members[0].latent_mean).split(members[0].latent_size)
    of_latent, residual = zip(*(one.modulation(own) for one, own in zip(members, latents)))
    places = members[0].place_dims
    parts = [_units(one.first.linear.weight[:, :places] for one in members), _units(of_latent), torch.cat(residual)]
    steps = []
    for layers in zip(*(one.layers for one in members)):
        weight = _units(layer.linear.weight for layer in layers)
        step = (weight.abs().amax(dim=1, keepdim=True) / MOST_STEPS).clamp_min(torch.finfo(torch.float32).tiny)
        parts += [_units(layer.linear.bias for layer in layers), step]
        steps.append((weight / step).round().cpu().numpy())
    heads = [torch.cat([one.intensity_head.weight[:1], one.class_head.weight]) for one in members]
    biases = [torch.cat([one.intensity_head.bias[:1], one.class_head.bias]) for one in members]
    parts += [torch.cat(heads, dim=1) / len(members), torch.stack(biases).mean(dim=0)]
    return [part.detach().cpu().float().numpy() for part in parts], steps


def _units(of_members: Iterable[torch.Tensor]) -> torch.Tensor:
    """Rows of all members, each [2 W, ...]: frequencies of all units first, then their scales."""
    return torch.cat([half for halves in zip(*(rows.chunk(2) for rows in of_members)) for half in halves])


def _frame(frame: CoordinateFrame) -> dict:
    affine = np.asarray(frame.affine, dtype=float)
    return {
        "to_world": affine[:3].tolist(),
        "to_voxel": np.linalg.inv(affine)[:3].tolist(),
        "shape": [int(n) for n in frame.shape],
        "spacing": [float(s) for s in spacing_of(affine)],
        "scale": [float(s) for s in frame.scale],
        "offset": [float(o) for o in frame.offset],
        "pose": None if frame.pose is None else [float(p) for p in astuple(frame.pose)],
        "shifts": [[float(x), float(y)] for x, y in frame.shifts],
    }


def values_of(correction: Correction) -> np.ndarray:
    """The values as they are packed, [K, T', Z', Y, X]."""
    return correction.values.numpy().transpose(0, 4, 3, 2, 1)


def correction_data(correction: Correction, weights: np.ndarray | None = None) -> dict:
    """What the U-Net adds for JSON; ``weights`` as of ``packed_residuals``."""
    return {
        "residuals": packed_residuals(values_of(correction), weights),
        "shape": [int(n) for n in correction.values.shape[1:4]],
        "scale": float(correction.scale),
        "slices": [int(s) for s in correction.slices],
        "depth": int(correction.depth),
        "times": [float(t) for t in correction.times],
    }
