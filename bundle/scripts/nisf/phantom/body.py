"""What surrounds the synthetic heart: chest wall, lungs, liver, stomach, spine, great vessels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np


class Tissue(IntEnum):
    """Tissue classes of the phantom; finer than the labels, because a scanner sees more than the labels name."""

    AIR = 0
    SKIN_FAT = 1
    MUSCLE = 2
    LUNG = 3
    LIVER = 4
    STOMACH = 5
    MEDIASTINUM = 6
    SPINE = 7
    VESSEL = 8
    HEART_FAT = 9
    ATRIUM_BLOOD = 10
    LV_BLOOD = 11
    RV_BLOOD = 12
    MYOCARDIUM = 13
    PAPILLARY = 14
    RV_WALL = 15


@dataclass
class Body:
    """A chest as an elliptic cylinder along the patient's long axis, at rest.

    All lengths are millimetres; positions are RAS offsets from the middle of the left ventricle, so that the
    chest always contains the heart.
    """

    centre_x: float = 35.0
    centre_y: float = -8.0
    radius_x: float = 165.0
    radius_y: float = 112.0
    skin_fat: float = 14.0
    wall: float = 16.0
    dome_height: float = -46.0
    liver_dome: float = 32.0
    liver_edge: float = 5.0
    mediastinum: float = 22.0
    aorta_radius: float = 12.0
    rib_phase: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator) -> Body:
        """Draw one body."""
        return cls(
            centre_x=rng.normal(35, 6),
            centre_y=rng.normal(-8, 5),
            radius_x=rng.uniform(145, 185),
            radius_y=rng.uniform(102, 124),
            skin_fat=rng.uniform(6, 22),
            wall=rng.uniform(12, 20),
            dome_height=rng.normal(-46, 5),
            liver_dome=rng.uniform(15, 45),
            liver_edge=rng.normal(5, 15),
            mediastinum=rng.uniform(14, 30),
            aorta_radius=rng.uniform(10, 14),
            rib_phase=rng.uniform(0, 2 * np.pi),
        )

    def tissue(self, offsets: np.ndarray) -> np.ndarray:
        """Tissue class at RAS offsets [N, 3] in mm from the middle of the left ventricle -> uint8 [N]."""
        values = {f.name: offsets.dtype.type(getattr(self, f.name)) for f in fields(self)}
        c = _Numbers(values)
        x, y, z = offsets[:, 0] - c.centre_x, offsets[:, 1] - c.centre_y, offsets[:, 2]
        out = np.full(len(offsets), Tissue.LUNG, np.uint8)
        out[np.abs(x) < c.mediastinum - y * 0.1] = Tissue.MEDIASTINUM
        _below_diaphragm(out, c, x, y, z)
        out[(x / 24) ** 2 + ((y + c.radius_y - 52) / 22) ** 2 < 1] = Tissue.SPINE
        out[(x + 26) ** 2 + (y + c.radius_y - 62) ** 2 < c.aorta_radius**2] = Tissue.VESSEL
        # distance to the skin, to first order: exact on both axes of the ellipse
        depth = (1 - np.sqrt((x / c.radius_x) ** 2 + (y / c.radius_y) ** 2)) * c.radius_y
        in_wall = depth < c.skin_fat + c.wall
        out[in_wall] = Tissue.MUSCLE
        middle = np.abs(depth - c.skin_fat - c.wall * 0.6) < c.wall * 0.25
        out[middle & (np.cos(z * 0.22 + np.abs(x) * 0.1 + c.rib_phase) > 0.4)] = Tissue.SPINE
        out[depth < c.skin_fat] = Tissue.SKIN_FAT
        out[depth < 0] = Tissue.AIR
        return out


class _Numbers:
    """The body's numbers in the dtype of the points, so that float32 points stay float32."""

    def __init__(self, values: dict):
        self.__dict__.update(values)


def _below_diaphragm(out, c, x, y, z) -> None:
    """Write liver and stomach under the diaphragm, which is higher on the right and lower towards the front."""
    dome = c.dome_height + c.liver_dome * np.exp(-(((x - 45) / 60) ** 2)) - 0.0022 * y * y - 0.12 * y
    depth = dome - z
    below = depth > 0
    out[below] = Tissue.LIVER
    left = below & (x < c.liver_edge - c.centre_x - 0.2 * y)
    out[left] = Tissue.STOMACH
    out[left & (depth < 7)] = Tissue.MEDIASTINUM
