"""Realistic faults put into good scans: a stack in, the same stack with a fault out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage


@dataclass
class Stack:
    """A scan in the order of its file, slices along the third axis.

    Attributes:
        image: [X, Y, Z, T], 99% of it in [0, 1].
        label: [X, Y, Z, T], internal class numbers.
        affine: [4, 4].
        spacing: voxel size in mm.
        elsewhere: function that draws a stack of the same subject without the heart; None where impossible.
    """

    image: np.ndarray
    label: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, float, float]
    elsewhere: Callable[[np.random.Generator], Stack] | None = None


def missing_slices(stack: Stack, draw: np.random.Generator) -> Stack:
    """At random: two to four slices of the heart blank, or a third to a half of its slices cut off at one end."""
    heart = np.flatnonzero((stack.label > 0).any(axis=(0, 1, 3)))
    if draw.random() < 0.5:
        image = stack.image.copy()
        image[:, :, draw.choice(heart, min(int(draw.integers(2, 5)), len(heart) - 2), replace=False)] = 0
        return replace(stack, image=image)
    gone = max(1, round(draw.uniform(0.33, 0.5) * len(heart)))
    left = slice(int(heart[0]) + gone, None) if draw.random() < 0.5 else slice(None, int(heart[-1]) + 1 - gone)
    affine = stack.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (left.start or 0)
    return replace(stack, image=stack.image[:, :, left], label=stack.label[:, :, left], affine=affine)


def motion(stack: Stack, draw: np.random.Generator) -> Stack:
    """Breath-holds: each slice moved in plane, label too, by a normal draw of 2 to 10 mm standard deviation."""
    spread = draw.uniform(2, 10)
    image, label = stack.image.copy(), stack.label.copy()
    for place in range(image.shape[2]):
        by = [*(spread * draw.standard_normal(2) / stack.spacing[:2]), 0]
        image[:, :, place] = ndimage.shift(stack.image[:, :, place], by, order=1, mode="nearest")
        label[:, :, place] = ndimage.shift(stack.label[:, :, place], by, order=0, mode="nearest")
    return replace(stack, image=image, label=label)


def noise(stack: Stack, draw: np.random.Generator) -> Stack:
    """Normal noise of 0.05 to 0.5 of the brightest intensities."""
    return replace(stack, image=stack.image + draw.normal(0, draw.uniform(0.05, 0.5), stack.image.shape))


def inverted(stack: Stack, draw: np.random.Generator) -> Stack:
    """Inverted intensities."""
    return replace(stack, image=1 - stack.image.clip(0, 1))


def gamma(stack: Stack, draw: np.random.Generator) -> Stack:
    """Another contrast: a gamma of 0.33 to 0.67 or of 1.5 to 3."""
    power = np.exp(draw.choice([-1, 1]) * draw.uniform(0.4, 1.1))
    return replace(stack, image=stack.image.clip(0, 1) ** power)


def no_heart(stack: Stack, draw: np.random.Generator) -> Stack:
    """At random: a stack elsewhere in the same body, the part of each slice beside the heart, or noise alone."""
    kind = draw.choice(["elsewhere", "beside", "noise"], p=[0.5, 0.4, 0.1])
    if kind == "noise":
        return replace(stack, image=draw.random(stack.image.shape), label=np.zeros_like(stack.label))
    if kind == "elsewhere" and stack.elsewhere is not None:
        return stack.elsewhere(draw)
    box = [np.flatnonzero((stack.label > 0).any(axis=tuple({0, 1, 2, 3} - {axis}))) for axis in (0, 1)]
    parts = [(axis, part) for axis in (0, 1) for part in (slice(0, box[axis][0]), slice(box[axis][-1] + 1, None))]
    size = [len(range(*part.indices(stack.image.shape[axis]))) * stack.spacing[axis] for axis, part in parts]
    axis, part = parts[int(np.argmax(size))]
    index = (slice(None),) * axis + (part,)
    affine = stack.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (part.start or 0)
    return replace(stack, image=stack.image[index], label=stack.label[index], affine=affine)


def upside_down(stack: Stack, draw: np.random.Generator) -> Stack:
    """The slices in reversed order, label too, the affine as it was: the apex is where the file says the base is."""
    return replace(stack, image=stack.image[:, :, ::-1], label=stack.label[:, :, ::-1])


FAULTS: dict[str, Callable[[Stack, np.random.Generator], Stack]] = {
    "as it is": lambda stack, draw: stack,
    "missing slices": missing_slices,
    "motion": motion,
    "noise": noise,
    "inverted": inverted,
    "gamma": gamma,
    "no heart": no_heart,
    "upside down": upside_down,
}


def spoilt(stack: Stack, fault: str, number: int, seed: int = 0) -> Stack:
    """The stack of a subject with one of ``FAULTS``; the same draw for the same subject's number and seed."""
    return FAULTS[fault](stack, np.random.default_rng([seed, list(FAULTS).index(fault), number]))
