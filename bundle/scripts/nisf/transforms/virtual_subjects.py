"""Virtual subjects: point sets moved, bent and re-windowed, exactly and without resampling.

A coordinate network learns from points, so moving a subject means moving the coordinates of its points; every intensity
and label stays as it was measured.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from monai.transforms import RandomizableTransform

from nisf.utils.errors import InputError


@dataclass(frozen=True)
class VirtualSubject:
    """One way of moving, bending and re-windowing a subject, or a batch of them.

    ``x' = A (y + bend(y)) + shift`` with ``y = swell(x)``, where A rotates about the long axis, scales and shears, and
    ``bend`` is a sum of a few sine waves, the longer ones stronger. ``swell`` widens or narrows what is around the long
    axis and leaves what is far from it, so that a heart's cavity and wall change against each other. The cycle runs
    ahead or behind in between, ``t' = t + tempo sin(2 pi t) / (2 pi)``. Intensities get a gamma, a contrast and a bias
    field linear in the coordinates.

    Attributes:
        matrix: A [..., 3, 3], float64 like all attributes.
        shift: shift [..., 3].
        wave, phase, amplitude: wave numbers [..., W, 3], phases [..., W] and amplitudes [..., 3, W] of the bending.
        swell: logarithm of the factor at the origin and its slope along the long axis [..., 2].
        tempo: the most that the cycle runs ahead, times 2 pi, [...].
        gamma, contrast: gamma and contrast of the intensities, [...].
        bias: offset and three slopes of the bias field [..., 4].
    """

    matrix: torch.Tensor
    shift: torch.Tensor
    wave: torch.Tensor
    phase: torch.Tensor
    amplitude: torch.Tensor
    swell: torch.Tensor
    tempo: torch.Tensor
    gamma: torch.Tensor
    contrast: torch.Tensor
    bias: torch.Tensor

    #: wave numbers of the bending, in half turns per unit: the shortest wave is half as long as the field is wide
    SHORTEST: ClassVar[float] = 2.0
    #: distance from the long axis at which ``swell`` has fallen to 1 / e, about that of a heart's outer wall
    REACH: ClassVar[float] = 0.35
    #: most of ``swell`` and ``tempo``, so that neither space nor time folds
    MOST: ClassVar[float] = 0.6

    @classmethod
    def drawn(
        cls,
        seed: list[int] | None,
        shift: float,
        turn: float,
        scale: float,
        shear: float,
        bend: float,
        waves: int,
        swell: float,
        tempo: float,
        gamma: float,
        contrast: float,
        bias: float,
    ) -> VirtualSubject:
        """A random virtual subject, the same for the same seed.

        Args:
            seed: random seed; None leaves everything as it is.
            shift: standard deviation of the shift, in normalised coordinates.
            turn: standard deviation of the rotation about the long axis, rad.
            scale: standard deviation of the logarithms of the three scales.
            shear: standard deviation of the shears.
            bend: root mean square of the bending along each axis, in normalised coordinates.
            waves: number of waves.
            swell: standard deviation of the logarithm by which the middle is wider, and of its slope.
            tempo: standard deviation of the most that the cycle runs ahead, times 2 pi.
            gamma: standard deviation of the logarithm of gamma.
            contrast: standard deviation of the logarithm of the contrast about one half.
            bias: standard deviation of the bias field's slopes.
        """
        draw = np.random.default_rng(seed)
        normal = draw.standard_normal if seed is not None else np.zeros
        angle = turn * float(normal(1)[0])
        cos, sin = math.cos(angle), math.sin(angle)
        turned = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        common = scale * normal(1)
        stretched = np.diag(np.exp(common + scale / 2 * normal(3)))
        sheared = np.eye(3) + shear * (normal((3, 3)) * (1 - np.eye(3)))
        found = {"matrix": turned @ stretched @ sheared, "shift": shift * normal(3)}
        found["wave"] = draw.uniform(-math.pi, math.pi, (waves, 3)) * cls.SHORTEST
        found["phase"] = draw.uniform(0, 2 * math.pi, waves)
        strength = 1 / (1 + np.square(found["wave"]).sum(axis=1) / math.pi**2)
        found["amplitude"] = bend * math.sqrt(2) * strength / np.linalg.norm(strength) * normal((3, waves))
        found["swell"], found["tempo"] = (
            np.clip(spread * normal(size), -cls.MOST, cls.MOST) for spread, size in ((swell, 2), (tempo, 1))
        )
        found["tempo"] = found["tempo"][0]
        found["gamma"], found["contrast"] = np.exp(gamma * normal(1)[0]), np.exp(contrast * normal(1)[0])
        found["bias"] = bias * normal(4)
        return cls(**{name: torch.as_tensor(value, dtype=torch.double) for name, value in found.items()})

    @classmethod
    def stacked(cls, subjects: Sequence[VirtualSubject], device: torch.device | str) -> VirtualSubject:
        """Several as one batch on a device, a row each."""
        names = vars(subjects[0])
        return cls(**{name: torch.stack([getattr(one, name) for one in subjects]).to(device) for name in names})

    def rows(self, number: torch.Tensor) -> VirtualSubject:
        """The rows ``number`` [B], as one batch."""
        return VirtualSubject(**{name: value[number] for name, value in vars(self).items()})

    def move(self, coords: torch.Tensor) -> torch.Tensor:
        """Coordinates [..., D, N]."""
        places = self._swollen(coords[..., :3, :].double())
        waves = (self.wave @ places + self.phase[..., None]).sin()
        found = self.matrix @ (places + self.amplitude @ waves) + self.shift[..., None]
        time = coords[..., 3:, :]
        turns = 2 * math.pi
        time = time + (self.tempo[..., None, None] * (turns * time).sin() / turns).to(time)
        return torch.cat([found.to(coords), time], dim=-2)

    def _swollen(self, places: torch.Tensor) -> torch.Tensor:
        """Places [..., 3, N], wider or narrower in plane about the long axis."""
        distance = places[..., :2, :].square().sum(dim=-2, keepdim=True)
        of_place = self.swell[..., :1, None] + self.swell[..., 1:, None] * places[..., 2:, :].clamp(-1, 1)
        factor = (of_place.clamp(-self.MOST, self.MOST) * (-distance / self.REACH**2).exp()).exp()
        return torch.cat([factor * places[..., :2, :], places[..., 2:, :]], dim=-2)

    def shade(self, intensity: torch.Tensor, coords: torch.Tensor) -> torch.Tensor:
        """Intensities [..., C, N] in [0, 1] at coordinates [..., D, N]."""
        field = (1 + self.bias[..., :1, None]) + self.bias[..., None, 1:] @ coords[..., :3, :].double()
        values = intensity.clamp(0, 1) ** self.gamma[..., None, None]
        return (((values - 0.5) * self.contrast[..., None, None] + 0.5) * field).clamp(0, 1).to(intensity)

    def show(self, points: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Points with moved ``coords`` [..., D, N] and shaded ``intensity`` [..., C, N]; the rest stays."""
        coords = points["coords"]
        return {**points, "coords": self.move(coords), "intensity": self.shade(points["intensity"], coords)}


class RandVirtualSubjectd(RandomizableTransform):
    """Shows a subject's points as one of its virtual subjects, each of which has its own latent.

    The first copy is the subject as it is. ``index`` becomes ``subject * copies + copy``.

    Args:
        copies: virtual subjects of each subject, the unchanged one included.
        seed: random seed of the virtual subjects.
        shift, turn, scale, shear, bend, waves, swell, tempo, gamma, contrast, bias: as in ``VirtualSubject.drawn``.

    Raises:
        InputError: ``copies`` is less than 1.
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
        swell: float = 0.0,
        tempo: float = 0.0,
        gamma: float = 0.2,
        contrast: float = 0.1,
        bias: float = 0.08,
    ) -> None:
        super().__init__(1.0)
        if copies < 1:
            raise InputError(f"copies is {copies}; at least 1 is needed, the subject as it is")
        self.copies, self.seed = copies, seed
        self.options = {"shift": shift, "turn": turn, "scale": scale, "shear": shear, "bend": bend, "waves": waves}
        self.options |= {"swell": swell, "tempo": tempo, "gamma": gamma, "contrast": contrast, "bias": bias}
        self._made: dict[int, VirtualSubject] = {}

    def virtual(self, index: int) -> VirtualSubject:
        """The virtual subject of a row of the latent table."""
        if index not in self._made:
            self._made[index] = self.make(index)
        return self._made[index]

    def make(self, index: int) -> VirtualSubject:
        """As ``virtual``, but without keeping it."""
        return VirtualSubject.drawn([self.seed, index] if index % self.copies else None, **self.options)

    def every(self, subjects: Sequence[int], device: torch.device | str) -> VirtualSubject:
        """All virtual subjects of some subjects as one batch, in the subjects' order."""
        rows = [subject * self.copies + copy for subject in subjects for copy in range(self.copies)]
        return VirtualSubject.stacked([self.make(row) for row in rows], device)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with moved ``coords`` [D, N], shaded ``intensity`` [C, N] and its new ``index``."""
        index = int(data["index"]) * self.copies + int(self.R.randint(self.copies))
        return {**self.virtual(index).show(data), "index": index}
