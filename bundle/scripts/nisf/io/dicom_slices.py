"""Stacks of parallel slices among the pictures of an examination, by place, form and time; identifiers only help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nisf.io.dicom_frames import passes_of
from nisf.io.dicom_picture import Picture

#: Distance along the normal in mm below which two pictures show the same slice; less where slices are thinner.
SAME = 0.5

#: Largest deviation of a slice from an even stack, as a part of the slice distance.
UNEVEN = 0.25

#: Largest difference of a component of the directions of pictures of the same form.
TURN = 5e-3

#: Least number of still stacks at different times of the cycle that make up a cine, and the ms within which they are.
PHASES, CYCLE = 3, 2000.0


@dataclass
class Stack:
    """Parallel slices.

    Attributes:
        slices: sorted along the normal of the first picture, the pictures of each unsorted.
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
        return np.array([pictures[0].position @ self.first.normal for pictures in self.slices])

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
    """The stacks of an examination, cines and stills.

    Pictures of the same form are put together by series and slice. Then those of different series are joined where they
    are adjacent, those of different forms (another turn, pixel size or field in plane) where they fill an even stack.
    """
    parts: list[Stack] = []
    for parallel in _groups(pictures, _parallel):
        timed, stills = [], []
        for alike in _groups(parallel, same_form):
            runs: dict[tuple, list[Picture]] = {}
            for picture in alike:
                runs.setdefault(picture.run, []).append(picture)
            found = [stack for members in runs.values() for stack in _passes(_by_depth(members))]
            phases, still = _phases([stack for stack in found if stack.frames == 1])
            timed += _joined([stack for stack in found if stack.frames > 1] + phases)
            stills += still
        parts += _filled(timed) + stills
    return sorted(parts, key=lambda stack: (stack.first.order, stack.title))


def _groups(pictures: Sequence[Picture], alike: Callable[[Picture, Picture], bool]) -> list[list[Picture]]:
    groups: list[list[Picture]] = []
    for picture in sorted(pictures, key=lambda p: (p.order, p.series, p.instance or 0, p.path, p.number)):
        for group in groups:
            if alike(group[0], picture):
                group.append(picture)
                break
        else:
            groups.append([picture])
    return groups


def _parallel(a: Picture, b: Picture) -> bool:
    kind = (a.examination, a.magnitude) == (b.examination, b.magnitude)
    return kind and abs(a.normal @ b.normal) > 1 - TURN**2


def same_form(a: Picture, b: Picture) -> bool:
    """Whether parallel pictures also have the same size, pixels and directions in plane."""
    same = a.size == b.size and np.allclose(a.spacing, b.spacing, rtol=1e-3)
    return same and np.allclose(a.directions, b.directions, atol=TURN)


def _by_depth(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Slices from one end to the other."""
    slices: list[list[Picture]] = []
    normal = pictures[0].normal
    near = min(SAME, pictures[0].thickness / 4) if pictures[0].thickness else SAME
    for picture in sorted(pictures, key=lambda p: p.position @ normal):
        if slices and (picture.position - slices[-1][0].position) @ normal < near:
            slices[-1].append(picture)
        else:
            slices.append([picture])
    return slices


def _passes(slices: Sequence[Sequence[Picture]]) -> list[Stack]:
    """The stack of the last time that each slice of a series was taken, and those of the times before."""
    usual = Counter(len(pictures) for pictures in slices).most_common(1)[0][0]
    found = [passes_of(pictures, usual) for pictures in slices]
    count = max(map(len, found))
    return [Stack([passes[-back] for passes in found if len(passes) >= back]) for back in range(1, count + 1)]


def _phases(stills: Sequence[Stack]) -> tuple[list[Stack], list[Stack]]:
    """Cines of which each time point is a series, and the other stills."""
    cines, rest = [], []
    for stack in stills:
        same = [other for other in stills if other.first.trigger is not None and _same_places(stack, other)]
        times = {other.first.trigger for other in same}
        whole = len(same) >= PHASES and len(times) == len(same) and max(times) - min(times) < CYCLE
        if not whole or stack.first.trigger is None:
            rest.append(stack)
        elif stack is same[0]:
            cines.append(Stack([sum(pictures, []) for pictures in zip(*(other.slices for other in same))]))
    return cines, rest


def _same_places(a: Stack, b: Stack) -> bool:
    return len(a.slices) == len(b.slices) and bool(np.allclose(a.depths, b.depths, atol=SAME))


def _joined(parts: Sequence[Stack]) -> list[Stack]:
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


def _filled(parts: Sequence[Stack]) -> list[Stack]:
    """Stacks of different forms that are parts of one even stack, joined."""
    stacks: list[Stack] = []
    for part in sorted(parts, key=lambda stack: (-len(stack.slices), stack.when)):
        for number, stack in enumerate(stacks):
            if not _overlap(stack, part) and stack.frames == part.frames and _even(stack, part):
                stacks[number] = _together(stack, part)
                break
        else:
            stacks.append(part)
    return stacks


def _depths_of(stack: Stack, like: Stack) -> np.ndarray:
    return np.array([pictures[0].position @ like.first.normal for pictures in stack.slices])


def _overlap(a: Stack, b: Stack) -> bool:
    return bool((np.abs(a.depths[:, None] - _depths_of(b, a)) < SAME).any())


def _of_singles(stack: Stack) -> bool:
    series = {pictures[0].run for pictures in stack.slices}
    return len(series) == len(stack.slices)


def _even(a: Stack, b: Stack) -> bool:
    steps = np.diff(np.sort(np.concatenate([a.depths, _depths_of(b, a)])))
    return bool(steps.max() < (1 + UNEVEN) * np.median(steps) and steps.min() > (1 - UNEVEN) * np.median(steps))


def _together(a: Stack, b: Stack) -> Stack:
    normal = a.first.normal
    slices = sorted([*a.slices, *b.slices], key=lambda pictures: pictures[0].position @ normal)
    return Stack(slices if slices[0][0].normal @ normal > 0 else slices[::-1])


def _replaced(stack: Stack, part: Stack) -> tuple[Stack, Stack]:
    """The stack with ``part`` in place of its slice at that position, and the replaced slice."""
    at = int(np.argmin(np.abs(stack.depths - _depths_of(part, stack)[0])))
    before = stack.slices[at]
    return Stack([*stack.slices[:at], part.slices[0], *stack.slices[at + 1 :]]), Stack([before])
