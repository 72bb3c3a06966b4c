"""Scans of analytic organs, whose measures are known."""

from dataclasses import dataclass

import numpy as np
import torch

from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF
from nisf.sampling.fitted_scan import FittedScan

HEART = {1: "LV", 2: "MYO", 3: "RV"}
#: mm and mL of the beating heart at its largest.
CAVITY, OUTER, RIGHT, APART = 26.0, 35.0, 24.0, 34.0
#: Largest relative shortening of the radius, and the time of the largest radius.
BEAT, LARGEST = 0.25, 0.3


def ball(radius):
    """Volume in mL of a ball with a radius in mm."""
    return 4 / 3 * np.pi * radius**3 / 1000


def rise(depth, width=1.5):
    """A logistic function of the depth within a surface, mm; it rises from 10 to 90% in ``width``."""
    return 0.5 + 0.5 * np.tanh(np.asarray(depth) * np.log(9) / width)


def beat(time):
    """Radius of the cavity at a fraction of the cycle, relative to the largest."""
    return 1 - BEAT * (1 - np.cos(2 * np.pi * (time - LARGEST))) / 2


def heart(points, time, size, shift=(0.0, 0.0, 0.0)):
    """A ball of blood in a wall of equal volume at any time, and a right ventricle, a ball cut by it; [4, N].

    ``shift`` moves the wall's outer surface, mm.
    """
    cavity = size * CAVITY * beat(time)
    outer = (cavity**3 + (size * OUTER) ** 3 - (size * CAVITY) ** 3) ** (1 / 3)
    left = rise(outer - np.linalg.norm(points - np.array(shift), axis=1))
    blood = rise(cavity - np.linalg.norm(points, axis=1))
    right = rise(size * RIGHT - np.linalg.norm(points + [APART, 0, 0], axis=1))
    return np.stack([(1 - left) * (1 - right), left * blood, left * (1 - blood), (1 - left) * right])


@dataclass
class AnalyticScan(FittedScan):
    """``organ(points, time, size)`` gives its probabilities; the size is one and a hundredth of the latent's first
    number."""

    organ: object = heart

    def read(self, points, time=0.0, compile=False):
        size = 1 + 0.01 * float(self.latent[0])
        classes = torch.from_numpy(self.organ(np.asarray(points, dtype=float), time % 1.0, size)).float()
        return torch.cat([torch.zeros(1, len(points)), classes])


def a_scan(organ=heart, times=tuple(np.arange(10) / 10), names=HEART, draws=0, duration=0.0, spacing=(2.0, 2.0, 8.0)):
    """An organ about the origin in a canonical stack that contains it."""
    shape = tuple(int(round(n)) for n in np.array([140, 130, 112]) / spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing - [15, 0, 0]
    frame = CoordinateFrame.relative(affine, shape, times)
    network = NISF(num_classes=1 + len(names), hidden_size=8, latent_size=8, num_layers=2)
    generator = np.random.default_rng(0)
    others = [(torch.full((8,), float(generator.standard_normal())), frame) for _ in range(draws)]
    return AnalyticScan(
        network, torch.zeros(8), frame, class_names=names, subject="one", duration=duration, draws=others, organ=organ
    )
