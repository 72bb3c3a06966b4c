"""How far what the U-Net adds may be off where it matters least, so that the page of a long scan stays small.

A value changes the probabilities by no more than p (1 - p) of a class times its own change, over the temperature. Where
one class is all but sure, in all that is near in place and time, values may be off by much: they are taken to be what
they are predicted to be. Near borders they stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from nibabel.affines import apply_affine
from scipy.ndimage import maximum_filter, minimum_filter

from nisf.fit.blending import Correction, cut_off
from nisf.level_sets.refine import between
from nisf.report.living.residuals import NEIGHBOURS, predicted
from nisf.sampling.fitted_scan import FittedScan

#: Voxels between the places in a slice, and the most frames, at which the network is asked.
STEP, FRAMES = 3, 25

#: Random points at which the change is measured.
POINTS = 20_000


def unsureness(fitted: FittedScan) -> np.ndarray:
    """The largest p (1 - p) of each class about each of the correction's voxels, float32 [K, X, Y, Z', T']."""
    correction, temperature = fitted.correction, float(fitted.network.temperature)
    logits = _logits(fitted) + correction.values.numpy() * np.float32(correction.scale)
    logits = np.exp((logits - logits.max(axis=0)) / np.float32(temperature))
    logits /= logits.sum(axis=0)
    found = np.empty_like(logits)
    for own, out in zip(logits, found):
        low, high = (
            of(own, size=3, mode=["nearest", "nearest", "nearest", "wrap"]) for of in (minimum_filter, maximum_filter)
        )
        nearest = np.clip(0.5, low, high)  # to the border, of what the class may be in between
        out[:] = nearest * (1 - nearest)
    return found


def nearly(fitted: FittedScan, unsure: np.ndarray, share: float, weights: np.ndarray) -> Correction:
    """The fit's correction with values that are easy to predict, where they change no probability by more than about a
    share; ``weights`` are those of the prediction."""
    correction = fitted.correction
    parts = len(unsure) * correction.scale * np.maximum(unsure, 1e-6)  # all classes may be off at once
    steps = share * float(fitted.network.temperature) / parts
    values = _predictable(correction.values.numpy(), np.minimum(steps, 254).astype(np.int16), weights)
    return replace(correction, values=torch.from_numpy(values))


@torch.no_grad()
def change(fitted: FittedScan, other: Correction) -> float:
    """The largest difference of a probability at random points and times with another correction."""
    rng, worst = np.random.default_rng(0), 0.0
    for time in rng.uniform(size=10):
        points = apply_affine(fitted.frame.affine, rng.uniform(0, np.array(fitted.frame.shape) - 1, (POINTS // 10, 3)))
        logits, voxels = fitted.logits(points, time), fitted.voxels(points)
        own = cut_off(logits[fitted.network.in_channels :])
        both = [
            ((own + one.at(voxels, time)) / float(fitted.network.temperature)).softmax(dim=0)
            for one in (fitted.correction, other)
        ]
        worst = max(worst, float((both[0] - both[1]).abs().max()))
    return worst


def _logits(fitted: FittedScan) -> np.ndarray:
    """Log probabilities of the network alone at the correction's voxels, float32 [K, X, Y, Z', T'], linear between some
    of them."""
    correction = fitted.correction
    classes, *plane, depth, count = correction.values.shape
    knots = [np.unique([*range(0, n, STEP), n - 1]) for n in plane]
    frames = np.arange(0, count, -(-count // FRAMES))
    places = np.stack(np.meshgrid(*knots, correction.slices, indexing="ij"), axis=-1).reshape(-1, 3)
    points = apply_affine(fitted.frame.affine, places)
    found = np.empty((classes, *plane, depth, len(frames) + 1), np.float32)
    for place, frame in enumerate(frames):
        own = cut_off(fitted.logits(points, correction.times[frame])[fitted.network.in_channels :])
        own = own.numpy().reshape(classes, *map(len, knots), depth)
        own = between(own, 1, knots[0], np.arange(plane[0]))
        found[..., place] = between(own, 2, knots[1], np.arange(plane[1]))
    found[..., -1] = found[..., 0]  # the cycle is closed
    return between(found, 4, np.append(frames, count), np.arange(count))


def _predictable(values: np.ndarray, steps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values int8 [K, X, Y, Z, T] within some steps of these that are as near to their prediction as can be."""
    width, height, frames = values.shape[1], values.shape[2], values.shape[4]
    rim = ((1, 0), (1, 1), (1, 1), (0, 0), (0, 0))
    wanted, free = (np.pad(a.transpose(4, 2, 1, 0, 3).astype(np.int16), rim) for a in (values, steps))
    found, shape = np.zeros_like(wanted), wanted.shape[:3]
    across = np.array([shape[1] * shape[2], shape[2], 1])
    away = [int(np.dot(place, across)) for place in NEIGHBOURS]
    flat, wanted, free = (a.reshape(-1, *a.shape[3:]) for a in (found, wanted, free))
    # a value waits for its neighbours: those of one front have all of theirs in earlier ones
    places = np.stack(np.meshgrid(*map(np.arange, (frames, height, width)), indexing="ij"), axis=-1).reshape(-1, 3)
    fronts = places @ [4, 2, 1]
    order = np.argsort(fronts, kind="stable")
    numbers = (places + 1) @ across
    for front in np.split(numbers[order], np.flatnonzero(np.diff(fronts[order])) + 1):
        expected = predicted([flat[front + n] for n in away], weights.T[:, :, None])
        own, by = wanted[front], free[front]
        flat[front] = np.clip(expected, np.maximum(own - by, -127), np.minimum(own + by, 127))
    return found[1:, 1:-1, 1:-1].transpose(3, 2, 1, 4, 0).astype(np.int8)
