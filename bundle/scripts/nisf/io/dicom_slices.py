"""Stacks of parallel slices among the pictures of an examination, whatever their series, by place and form alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nisf.io.dicom_headers import Picture

#: Distance along the normal in mm below which two pictures show the same slice; less where slices are thinner.
SAME = 0.5

#: Largest deviation of a slice from an even stack, as a part of the slice distance.
UNEVEN = 0.25


@dataclass
class Stack:
    """Parallel slices of the same size and spacing.

    Attributes:
        slices: sorted along the pictures' normal, the pictures of each unsorted.
    """

    slices: list[list[Picture]]

    @property
    def orders(self) -> list[int]:
        """Numbers of the series that it came from."""
        return sorted({picture.order for pictures in self.slices for picture in pictures})

    @property
    def label(self) -> str:
        """Its series, for messages, which are also written into files."""
        return f"series {self.orders[0]} to {self.orders[-1]}" if len(self.orders) > 1 else f"series {self.orders[0]}"

    @property
    def title(self) -> str:
        """The same with the description, for the screen alone."""
        described = len(self.orders) == 1 and self.first.description
        return f"{self.label} '{described}'" if described else self.label

    @property
    def first(self) -> Picture:
        """Any of its pictures."""
        return self.slices[0][0]

    @property
    def depths(self) -> np.ndarray:
        """Positions along the normal, mm [slices]."""
        return np.array([pictures[0].depth for pictures in self.slices])

    @property
    def frames(self) -> int:
        """Number of pictures that most slices have."""
        return Counter(len(pictures) for pictures in self.slices).most_common(1)[0][0]

    @property
    def when(self) -> tuple[float, int]:
        """Sort key of acquisition: time of day, series number."""
        taken = [p.taken for pictures in self.slices for p in pictures if p.taken is not None]
        return (max(taken, default=0.0), max(p.order for pictures in self.slices for p in pictures))

    def tilt(self, direction: np.ndarray) -> float:
        """Degrees between the normal and a direction [3] in LPS, 0 to 90."""
        return float(np.degrees(np.arccos(min(1.0, abs(self.first.normal @ direction) / np.linalg.norm(direction)))))


def stacks_of(pictures: Sequence[Picture]) -> list[Stack]:
    """Pictures by study and series, then by slice; single-slice series that make up one stack are joined."""
    parts: list[Stack] = []
    for alike in _alike(pictures):
        series: dict[str, list[Picture]] = {}
        for picture in alike:
            series.setdefault(picture.series, []).append(picture)
        timed = [Stack(_by_depth(members)) for members in series.values()]
        parts += _joined([p for p in timed if p.frames > 1]) + [p for p in timed if p.frames == 1]
    return sorted(parts, key=lambda stack: (stack.first.order, stack.title))


def _alike(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Groups of a study's pictures with the same size, spacing, direction and kind."""
    groups: list[list[Picture]] = []
    for picture in sorted(pictures, key=lambda p: (p.order, p.series, p.instance or 0, p.path)):
        for group in groups:
            if _same_form(group[0], picture):
                group.append(picture)
                break
        else:
            groups.append([picture])
    return groups


def _same_form(a: Picture, b: Picture) -> bool:
    named = (a.study, a.family, a.size, a.magnitude) == (b.study, b.family, b.size, b.magnitude)
    return named and np.allclose(a.spacing, b.spacing, rtol=1e-3) and np.allclose(a.directions, b.directions, atol=5e-3)


def _by_depth(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Slices from one end to the other; a picture that was stored twice is taken once."""
    slices: list[list[Picture]] = []
    near = min(SAME, pictures[0].thickness / 4) if pictures[0].thickness else SAME
    for picture in sorted(pictures, key=lambda p: p.depth):
        if slices and picture.depth - slices[-1][0].depth < near:
            if not any(_twice(picture, other) for other in slices[-1]):
                slices[-1].append(picture)
        else:
            slices.append([picture])
    return slices


def _twice(a: Picture, b: Picture) -> bool:
    """Whether two pictures of a slice and series are the same one, stored twice."""
    return a.instance is not None and (a.instance, a.trigger, a.taken) == (b.instance, b.trigger, b.taken)


def _joined(parts: list[Stack]) -> list[Stack]:
    """Single-slice series, and parts of an interrupted stack, joined where they are adjacent.

    Of a slice that was taken again the last one is kept; the earlier one becomes a stack.
    """
    stacks: list[Stack] = []
    for part in sorted(parts, key=lambda stack: (-len(stack.slices), stack.when)):
        for number, stack in enumerate(stacks):
            if _overlap(stack, part):
                if len(part.slices) == 1 and _of_singles(stack):
                    stacks[number], part = _replaced(stack, part)
                    break
            elif len(part.slices) == 1 or (stack.frames == part.frames and _even(stack, part)):
                stacks[number], part = _together(stack, part), None
                break
        if part is not None:
            stacks.append(part)
    return stacks


def _overlap(a: Stack, b: Stack) -> bool:
    return bool((np.abs(a.depths[:, None] - b.depths) < SAME).any())


def _of_singles(stack: Stack) -> bool:
    series = {pictures[0].series for pictures in stack.slices}
    return len(series) == len(stack.slices)


def _even(a: Stack, b: Stack) -> bool:
    steps = np.diff(np.sort(np.concatenate([a.depths, b.depths])))
    return bool(steps.max() < (1 + UNEVEN) * np.median(steps) and steps.min() > (1 - UNEVEN) * np.median(steps))


def _together(a: Stack, b: Stack) -> Stack:
    return Stack(sorted([*a.slices, *b.slices], key=lambda pictures: pictures[0].depth))


def _replaced(stack: Stack, part: Stack) -> tuple[Stack, Stack]:
    """The stack with ``part`` in place of its slice at that position, and the replaced slice."""
    at = int(np.argmin(np.abs(stack.depths - part.depths[0])))
    before = stack.slices[at]
    return Stack([*stack.slices[:at], part.slices[0], *stack.slices[at + 1 :]]), Stack([before])
