"""The short-axis cine of an examination, found by its geometry or as the user names it; why the others are left out.

Positions of slices and numbers of pictures decide. Where they leave one candidate, it is taken whatever its tilt; where
they leave several, a description that says short axis decides. A scanner may store the stack as one series, or each
slice, or each time point, as a separate series.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nisf.geometry.orientation import APEX
from nisf.io.dicom_frames import FRAMES, common_frames, in_time
from nisf.io.dicom_grid import StackGrid, grid_of
from nisf.io.dicom_headers import Examination
from nisf.io.dicom_slices import Stack, stacks_of
from nisf.utils.errors import InputError

#: Least number of slices of a short-axis stack.
SLICES = 3

#: Seconds between frames above which a series follows contrast or recovery over many beats and is no cine.
SLOW = 0.3

#: Largest angle in degrees between a short-axis stack's normal and the usual long axis of a heart. It is 50 degrees or
#: more for transaxial, coronal and sagittal stacks, about 90 for long-axis ones.
TILT = 48.0

#: Degrees above which a single-slice cine counts as crossing a stack, and two of them as different views.
ACROSS, APART = 75.0, 30.0

#: Descriptions of short-axis series.
_NAMED = re.compile(
    r"(?<![a-z])(sa|sax|sa[ _-]?stack|short[ _-]?axis|kurz\w*|petit[ _-]?axe|eje[ _-]?corto)(?![a-z])", re.I
)


@dataclass
class Choice:
    """What is in an examination, and what of it is taken.

    Attributes:
        stacks: every stack.
        chosen: the one that is taken; None where it cannot be told.
        reasons: for each stack why it is taken or not; it may hold a description, so it is for the screen alone.
        notes: what is unusual about the choice.
    """

    stacks: list[Stack]
    chosen: Stack | None
    reasons: list[str]
    notes: list[str]

    @property
    def left(self) -> list[str]:
        """A line about each stack that is left out, for the screen alone."""
        lines = [f"{s.title}: {reason}" for s, reason in zip(self.stacks, self.reasons) if s is not self.chosen]
        return list(dict.fromkeys(lines))


@dataclass
class PlacedStack:
    """A stack whose slices have the same frames, in order, and a grid.

    Attributes:
        slices: pictures by slice and frame.
        grid: where the voxels are.
        notes: what was done to have it so.
    """

    slices: list[list]
    grid: StackGrid
    notes: list[str]


def short_axis(examination: Examination, wanted: str | None = None) -> Choice:
    """The short-axis cine; of several of a study, the one with most slices, then the last one.

    Args:
        examination: pictures of an examination.
        wanted: number, UID or description of a series that the user wants, whatever it is.

    Raises:
        InputError: there is none, or one in each of several studies; or none is ``wanted``.
    """
    stacks = stacks_of(examination.pictures)
    faults = faults_of(stacks)
    if wanted is not None:
        return _wanted(stacks, faults, str(wanted), examination.source)
    found = [stack for stack, fault in zip(stacks, faults) if fault is None]
    if not found:
        return _only_candidate(stacks, faults, examination.source)
    studies = {stack.first.examination: stack.label for stack in found}
    if len(studies) > 1:
        raise InputError(
            f"{examination.source}: holds short-axis cines of {len(studies)} studies ({', '.join(studies.values())}) "
            "whose files are mixed; put the files of each study into a folder of its own, or name a series with --stack"
        )
    chosen = max(found, key=lambda stack: (len(stack.slices), stack.when))
    reasons = ["short-axis cine" if s is chosen else fault or _baseline(s, chosen) for s, fault in zip(stacks, faults)]
    return Choice(stacks, chosen, reasons, [])


def faults_of(stacks: Sequence[Stack]) -> list[str | None]:
    """Why each stack of an examination is no short-axis cine; None for those that are."""
    views = [s for s in stacks if len(s.slices) == 1 and s.frames >= FRAMES]
    return [_fault(stack, [v for v in views if v.first.examination == stack.first.examination]) for stack in stacks]


def _wanted(stacks: list[Stack], faults: Sequence[str | None], wanted: str, source: str) -> Choice:
    word = wanted.strip().lower()
    exact = [s for s in stacks if word in {str(order) for order in s.orders} | {p[0].series.lower() for p in s.slices}]
    found = exact or [s for s in stacks if word and any(word in p[0].description.lower() for p in s.slices)]
    if not found:
        raise InputError(f"{source}: has no series {wanted} ({_there(stacks, faults)}); nisf inspect lists all")
    chosen = max(found, key=lambda stack: (stack.frames >= FRAMES, len(stack.slices), stack.when))
    reasons = [
        "named by --stack" if s is chosen else fault or "not named by --stack" for s, fault in zip(stacks, faults)
    ]
    fault = faults[stacks.index(chosen)]
    return Choice(stacks, chosen, reasons, [f"{chosen.label} is taken as --stack says: {fault}"] if fault else [])


def _only_candidate(stacks: list[Stack], faults: Sequence[str | None], source: str) -> Choice:
    """The only stack that can be a short-axis cine but for its direction, or the only stack at all."""
    cines = [s for s in stacks if s.frames >= FRAMES and len(s.slices) > 1 and s.first.magnitude and not _slow(s)]
    named = [s for s in cines if any(_NAMED.search(pictures[0].description) for pictures in s.slices)]
    for one, why in (
        (cines, "the only cine of several slices"),
        (named, "the only cine that is called short-axis"),
        (stacks if len(stacks[0].slices) > 1 else [], "the only stack"),
    ):
        if len(one) == 1:
            chosen = one[0]
            fault = faults[stacks.index(chosen)]
            reasons = [why if s is chosen else f or "" for s, f in zip(stacks, faults)]
            note = f"{chosen.label} is taken as {why}, although it is {fault}; --stack names another series"
            return Choice(stacks, chosen, reasons, [note])
    raise InputError(
        f"{source}: holds no short-axis cine, {SLICES} or more parallel slices across the heart's long axis with the "
        f"same frames ({_there(stacks, faults)}); give the folder that holds its series, or name a series with --stack"
    )


def _there(stacks: Sequence[Stack], faults: Sequence[str | None]) -> str:
    lines = [f"{s.label}: {fault or 'short-axis cine'}" for s, fault in zip(stacks, faults)]
    return "; ".join(list(dict.fromkeys(lines))[:8])


def only_stack(examination: Examination) -> Stack:
    """The one stack, still or cine, of one slice or more, that the pictures make up.

    Raises:
        InputError: they make up several.
    """
    stacks = stacks_of(examination.pictures)
    if len(stacks) > 1:
        there = ", ".join(f"{stack.label}: {len(stack.slices)} x {stack.frames}" for stack in stacks[:8])
        raise InputError(
            f"{examination.source}: holds {len(stacks)} stacks (slices x frames: {there}); give a folder or a file of "
            "one of them"
        )
    return stacks[0]


def _baseline(stack: Stack, chosen: Stack) -> str:
    more = len(chosen.slices) > len(stack.slices)
    return f"another short-axis cine, {chosen.title} {'has more slices' if more else 'is the later one'}"


def _fault(stack: Stack, views: Sequence[Stack]) -> str | None:
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


def placed_stack(stack: Stack, source: str, what: str) -> PlacedStack:
    """The stack with the same frames in every slice, in the order of time, on a grid; ``what`` it is, for messages.

    Raises:
        InputError: the slices have too few frames in common, are at no even distances, or the order of the frames is
            unknown.
    """
    grid = grid_of(stack, source, what)
    slices, notes = common_frames([in_time(pictures, source) for pictures in stack.slices])
    if not slices[0] or (stack.frames >= FRAMES > len(slices[0])):
        raise InputError(
            f"{source}: the slices of the {what} ({stack.label}) have {len(slices[0])} frames in common; export the "
            "series again"
        )
    return PlacedStack(slices, grid, [*notes, *grid.notes])
