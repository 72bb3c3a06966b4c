"""Virtual subjects: point sets moved, bent and re-windowed, exactly and without resampling.

A coordinate network learns from points, so a subject is shown moved by moving the coordinates of its points, and keeps
every intensity and label as it was measured.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.transforms import RandomizableTransform


class VirtualSubject:
    """One way of moving, bending and re-windowing a subject; the same for the same seed.

    ``x' = A (x + bend(x)) + shift``, with A a turn about the long axis, scales and shears, and ``bend`` a sum of a few
    long sine waves. Intensities get a gamma, a contrast and a bias field linear in the coordinates.

    Args:
        seed: which one; None leaves everything as it is.
        shift: standard deviation of the shift, in normalised coordinates.
        turn: standard deviation of the turn about the long axis, rad.
        scale: standard deviation of the logarithms of the three scales.
        shear: standard deviation of the shears.
        bend: root mean square of the bending along each axis, in normalised coordinates.
        waves: number of waves.
        gamma: standard deviation of the logarithm of gamma.
        contrast: standard deviation of the logarithm of the contrast about a half.
        bias: standard deviation of the bias field's slopes.
    """

    #: wave numbers of the bending, in half turns per unit: the shortest wave is as long as the field is wide
    SHORTEST = 1.0

    def __init__(
        self,
        seed: list[int] | None,
        shift: float,
        turn: float,
        scale: float,
        shear: float,
        bend: float,
        waves: int,
        gamma: float,
        contrast: float,
        bias: float,
    ) -> None:
        draw = np.random.default_rng(seed)
        normal = draw.standard_normal if seed is not None else np.zeros
        angle = turn * float(normal(1)[0])
        cos, sin = math.cos(angle), math.sin(angle)
        turned = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        common = scale * normal(1)
        stretched = np.diag(np.exp(common + scale / 2 * normal(3)))
        sheared = np.eye(3) + shear * (normal((3, 3)) * (1 - np.eye(3)))
        self.matrix = turned @ stretched @ sheared
        self.shift = shift * normal(3)
        self.wave = draw.uniform(-math.pi, math.pi, (waves, 3)) * self.SHORTEST
        self.phase = draw.uniform(0, 2 * math.pi, waves)
        self.amplitude = bend * math.sqrt(2 / waves) * normal((3, waves))
        self.gamma, self.contrast = np.exp(gamma * normal(1)[0]), np.exp(contrast * normal(1)[0])
        self.bias = bias * normal(4)

    def move(self, coords: torch.Tensor) -> torch.Tensor:
        """Coordinates [D, N]; time, where there is any, stays."""
        places = coords[:3].double().numpy()
        bent = places + self.amplitude @ np.sin(self.wave @ places + self.phase[:, None])
        found = torch.from_numpy(self.matrix @ bent + self.shift[:, None]).to(coords)
        return torch.cat([found, coords[3:]])

    def shade(self, intensity: torch.Tensor, coords: torch.Tensor) -> torch.Tensor:
        """Intensities [C, N] in [0, 1] at coordinates [D, N]."""
        field = 1 + self.bias[0] + torch.from_numpy(self.bias[1:]).to(coords) @ coords[:3]
        values = intensity.clamp(0, 1) ** float(self.gamma)
        return (((values - 0.5) * float(self.contrast) + 0.5) * field).clamp(0, 1)


class RandVirtualSubjectd(RandomizableTransform):
    """Shows a subject's points as one of its virtual subjects, each of which has a latent of its own.

    The first copy is the subject as it is. ``index`` becomes ``subject * copies + copy``.

    Args:
        copies: virtual subjects of each subject, the unchanged one included.
        seed: of the virtual subjects.
        options: of ``VirtualSubject``.
    """

    def __init__(
        self,
        copies: int = 16,
        seed: int = 0,
        shift: float = 0.05,
        turn: float = 0.15,
        scale: float = 0.08,
        shear: float = 0.05,
        bend: float = 0.03,
        waves: int = 8,
        gamma: float = 0.2,
        contrast: float = 0.1,
        bias: float = 0.08,
    ) -> None:
        super().__init__(1.0)
        self.copies, self.seed = copies, seed
        self.options = {"shift": shift, "turn": turn, "scale": scale, "shear": shear, "bend": bend, "waves": waves}
        self.options |= {"gamma": gamma, "contrast": contrast, "bias": bias}
        self._made: dict[int, VirtualSubject] = {}

    def virtual(self, index: int) -> VirtualSubject:
        """The virtual subject of a row of the latent table."""
        if index not in self._made:
            self._made[index] = self.make(index)
        return self._made[index]

    def make(self, index: int) -> VirtualSubject:
        """The same, not kept."""
        return VirtualSubject([self.seed, index] if index % self.copies else None, **self.options)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with moved ``coords`` [D, N], shaded ``intensity`` [C, N] and its new ``index``."""
        index = int(data["index"]) * self.copies + int(self.R.randint(self.copies))
        one = self.virtual(index)
        shaded = one.shade(data["intensity"], data["coords"])
        return {**data, "index": index, "coords": one.move(data["coords"]), "intensity": shaded}
