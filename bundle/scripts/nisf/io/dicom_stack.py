"""The short-axis cine among the pictures of an examination, found by its geometry; why the other series are left out.

Only the positions of slices and their numbers of pictures count: descriptions differ between sites and are not read. A
scanner may store the stack as one series, or each slice as a separate series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nisf.geometry.orientation import APEX
from nisf.io.dicom_headers import Picture
from nisf.utils.errors import InputError

#: Least numbers of slices and frames of a cine stack.
SLICES, FRAMES = 3, 3

#: Seconds between frames above which a series follows contrast or recovery over many beats and is no cine.
SLOW = 0.3

#: Largest angle in degrees between a short-axis stack's normal and the usual long axis of a heart. It is 50 degrees or
#: more for transaxial, coronal and sagittal stacks, about 90 for long-axis ones.
TILT = 48.0

#: Degrees above which a single-slice cine counts as crossing a stack, and two of them as different views.
ACROSS, APART = 75.0, 30.0

#: Distance along the normal in mm below which two pictures show the same slice.
SAME = 0.5

#: Largest deviation of a slice from an even stack, as a part of the slice distance.
UNEVEN = 0.25


@dataclass
class Stack:
    """Parallel slices of the same size and spacing.

    Attributes:
        slices: sorted along the pictures' normal, the pictures of each unsorted.
        label: readable name of the series that it came from.
    """

    slices: list[list[Picture]]
    label: str

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


def short_axis(pictures: Sequence[Picture], source: str) -> tuple[Stack, list[str]]:
    """The short-axis cine; of several, the one with most slices, then the last one.

    Returns:
        the stack, complete, evenly spaced and each slice sorted by time; and a line about every other series.

    Raises:
        InputError: there is none; a slice lacks a frame; a slice is missing or out of line; or the order of the
            frames is unknown.
    """
    stacks = stacks_of(pictures)
    views = [s for s in stacks if len(s.slices) == 1 and s.frames >= FRAMES]
    reasons = [_no_cine(stack, views) for stack in stacks]
    found = [stack for stack, reason in zip(stacks, reasons) if reason is None]
    if not found:
        there = "; ".join(dict.fromkeys(f"{s.label}: {reason}" for s, reason in zip(stacks[:8], reasons)))
        raise InputError(
            f"{source}: holds no short-axis cine, {SLICES} or more parallel slices across the heart's long axis with "
            f"the same frames ({there}); give the folder that holds its series"
        )
    chosen = max(found, key=lambda stack: (len(stack.slices), stack.when))
    left = [f"{s.label}: {r or _baseline(s, chosen)}" for s, r in zip(stacks, reasons) if s is not chosen]
    _check(chosen, source)
    ordered = Stack([in_time(pictures, source) for pictures in chosen.slices], chosen.label)
    return ordered, list(dict.fromkeys(left))


def _baseline(stack: Stack, chosen: Stack) -> str:
    more = len(chosen.slices) > len(stack.slices)
    return f"another short-axis cine, {chosen.label} {'has more slices' if more else 'is the later one'}"


def _no_cine(stack: Stack, views: Sequence[Stack]) -> str | None:
    """Why a stack is no short-axis cine; None if it is one. ``views`` are the cines of one slice."""
    count, tilt = len(stack.slices), stack.tilt(APEX * [-1, -1, 1])
    if stack.frames < FRAMES:
        return f"{count} slice{'s' * (count > 1)} without time (localiser, late enhancement or the like)"
    if not stack.first.magnitude:
        return "velocity or phase pictures"
    if _slow(stack):
        return "frames from different heart beats (perfusion, mapping or the like)"
    if tilt > TILT and not _crossed(stack, views):
        return f"{count} slice{'s' * (count > 1)} of another plane, {tilt:.0f} degrees off the usual short axis"
    return None if count >= SLICES else f"only {count} slice{'s' * (count > 1)}"


def _crossed(stack: Stack, views: Sequence[Stack]) -> bool:
    """Whether two different long-axis views cross a stack: then it is short-axis, whatever the heart's direction."""
    across = [view.first.normal for view in views if view.tilt(stack.first.normal) > ACROSS]
    return any(abs(a @ b) < np.cos(np.radians(APART)) for a in across for b in across)


def _slow(stack: Stack) -> bool:
    """Whether the pictures of a slice were taken far apart: a cine's frames share their beats."""
    steps = [np.median(np.diff(sorted(t))) for s in stack.slices if len(t := [p.taken for p in s if p.taken]) > 2]
    return bool(steps) and float(np.median(steps)) > SLOW


# ------------------------------------------------------------------------------------------------- slices to stacks
def stacks_of(pictures: Sequence[Picture]) -> list[Stack]:
    """Pictures by series, then by slice; single-slice series that make up one stack are joined."""
    parts: list[Stack] = []
    for alike in _alike(pictures):
        series: dict[str, list[Picture]] = {}
        for picture in alike:
            series.setdefault(picture.series, []).append(picture)
        timed = [Stack(_by_depth(members), members[0].label) for members in series.values()]
        parts += _joined([p for p in timed if p.frames > 1]) + [p for p in timed if p.frames == 1]
    return sorted(parts, key=lambda stack: (stack.first.order, stack.label))


def _alike(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Groups of pictures with the same size, spacing, direction and kind."""
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
    named = (a.family, a.size, a.magnitude) == (b.family, b.size, b.magnitude)
    return named and np.allclose(a.spacing, b.spacing, rtol=1e-3) and np.allclose(a.directions, b.directions, atol=5e-3)


def _by_depth(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Slices from one end to the other; a picture that was stored twice is taken once."""
    slices: list[list[Picture]] = []
    for picture in sorted(pictures, key=lambda p: p.depth):
        if slices and picture.depth - slices[-1][0].depth < SAME:
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
    slices = sorted([*a.slices, *b.slices], key=lambda pictures: pictures[0].depth)
    orders = sorted({p.order for pictures in slices for p in pictures})
    return Stack(slices, f"series {orders[0]} to {orders[-1]}" if len(orders) > 1 else a.label)


def _replaced(stack: Stack, part: Stack) -> tuple[Stack, Stack]:
    """The stack with ``part`` in place of its slice at that position, and the replaced slice."""
    at = int(np.argmin(np.abs(stack.depths - part.depths[0])))
    before = stack.slices[at]
    slices = [*stack.slices[:at], part.slices[0], *stack.slices[at + 1 :]]
    orders = sorted({pictures[0].order for pictures in slices})
    label = f"series {orders[0]} to {orders[-1]}" if len(orders) > 1 else part.label
    return Stack(slices, label), Stack([before], before[0].label)


# --------------------------------------------------------------------------------------------------------- checks
def _check(stack: Stack, source: str) -> None:
    """Raises InputError where frames or slices are missing."""
    count, frames = len(stack.slices), stack.frames
    for number, pictures in enumerate(stack.slices):
        if len(pictures) != frames:
            raise InputError(
                f"{source}: slice {number + 1} of {count} of the short-axis cine ({pictures[0].label}, "
                f"{pictures[0].depth:.1f} mm along the stack) has {len(pictures)} frames, the others {frames}; export "
                "the series again"
            )
    positions = np.array([pictures[0].position for pictures in stack.slices])
    origin, step = line_through(positions)
    off = np.linalg.norm(positions - (origin + np.arange(count)[:, None] * step), axis=1)
    if off.max() > UNEVEN * np.linalg.norm(step):
        steps = np.diff(stack.depths)
        widest = int(np.argmax(steps))
        what = (
            f"between slice {widest + 1} and {widest + 2} of {count} are {steps[widest]:.1f} mm, elsewhere "
            f"{np.median(steps):.1f} mm"
            if steps[widest] > (1 + UNEVEN) * np.median(steps)
            else f"slice {int(np.argmax(off)) + 1} of {count} is {off.max():.1f} mm off the line of the others"
        )
        raise InputError(
            f"{source}: the short-axis cine ({stack.label}) is no even stack: {what}; export all its slices"
        )


def line_through(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First point [3] and step [3] of the even line that fits positions [N, 3] best."""
    number = np.arange(len(positions)) - (len(positions) - 1) / 2
    step = number @ (positions - positions.mean(axis=0)) / (number @ number)
    return positions.mean(axis=0) + number[0] * step, step


def in_time(pictures: Sequence[Picture], source: str) -> list[Picture]:
    """A slice's pictures in the order of the cycle: by trigger time, else instance number, else time of acquisition."""
    for of in (lambda p: p.trigger, lambda p: p.instance, lambda p: p.taken):
        values = [of(picture) for picture in pictures]
        if None not in values and len(set(values)) == len(values):
            return sorted(pictures, key=of)
    raise InputError(
        f"{source}: nothing tells the order of the frames of {pictures[0].label} (trigger time, instance number and "
        "acquisition time are missing or repeat); export the series again"
    )
