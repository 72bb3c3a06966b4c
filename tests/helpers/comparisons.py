"""A stack with a ring of myocardium about an LV and an RV beside it, on which all sources agree."""

from dataclasses import replace

import numpy as np
import torch

from nisf.quality.classes import Classes
from nisf.quality.comparison import Comparison

SHAPE, FRAMES, SPACING = (40, 40, 6), 2, (2.0, 2.0, 9.0)
#: Brightness of background, LV, myocardium and RV.
BRIGHT = torch.tensor([0.2, 0.9, 0.3, 0.8])


def classes_of(shifts=None):
    """Class numbers [X, Y, Z, T]; each slice moved by whole pixels (x, y)."""
    x, y = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in SHAPE[:2]), indexing="ij")
    whole = torch.zeros((*SHAPE, FRAMES), dtype=torch.long)
    for z in range(SHAPE[2]):
        by = (0, 0) if shifts is None else shifts[z]
        away = torch.hypot(x - 20 - by[0], y - 20 - by[1])
        beside = torch.hypot(x - 8 - by[0], y - 20 - by[1]) < 5
        one = torch.where(beside & (away >= 9), 3, 0)
        one = torch.where(away < 9, 2, one)
        whole[:, :, z] = torch.where(away < 6, 1, one)[..., None]
    return whole


def probabilities(classes, sure=0.97):
    """Classes of class numbers [...]."""
    one_hot = torch.nn.functional.one_hot(classes, 4).movedim(-1, 0).float()
    return Classes(sure * one_hot + (1 - sure) / 3 * (1 - one_hot))


def comparison(**changes):
    """A comparison in which image, reconstruction and classes agree, except for the changes."""
    classes = classes_of()
    image, said = BRIGHT[classes].unsqueeze(0), probabilities(classes)
    affine = np.diag([*SPACING, 1.0])
    plain = Comparison(image, image, said, said, said, None, affine, list(range(SHAPE[2])), [0.0, 0.5])
    return replace(plain, **changes)


def noisy(spread, seed=0):
    """The image with normal noise, clipped to [0, 1]."""
    draw = np.random.default_rng(seed).normal(0, spread, (1, *SHAPE, FRAMES))
    return (comparison().image + torch.from_numpy(draw).float()).clamp(0, 1)
