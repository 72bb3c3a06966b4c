"""The short-axis cine among the pictures of an examination, found by its geometry; why the other series are left out.

Only the positions of slices and their numbers of pictures count: descriptions differ between sites and are not read. A
scanner may store the stack as one series, or each slice as a separate series.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nisf.geometry.orientation import APEX
from nisf.io.dicom_headers import Picture
from nisf.io.dicom_slices import UNEVEN, Stack, stacks_of
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


def short_axis(pictures: Sequence[Picture], source: str) -> tuple[Stack, list[str]]:
    """The short-axis cine; of several of a study, the one with most slices, then the last one.

    Returns:
        the stack, complete, evenly spaced and each slice sorted by time; and a line about every other series.

    Raises:
        InputError: there is none, or one in each of several studies; or as ``checked``.
    """
    stacks = stacks_of(pictures)
    views = [s for s in stacks if len(s.slices) == 1 and s.frames >= FRAMES]
    reasons = [_no_cine(stack, [v for v in views if v.first.study == stack.first.study]) for stack in stacks]
    found = [stack for stack, reason in zip(stacks, reasons) if reason is None]
    if not found:
        there = "; ".join(dict.fromkeys(f"{s.label}: {reason}" for s, reason in zip(stacks[:8], reasons)))
        raise InputError(
            f"{source}: holds no short-axis cine, {SLICES} or more parallel slices across the heart's long axis with "
            f"the same frames ({there}); give the folder that holds its series"
        )
    studies = {stack.first.study: stack.label for stack in found}
    if len(studies) > 1:
        raise InputError(
            f"{source}: holds short-axis cines of {len(studies)} studies ({', '.join(studies.values())}) whose files "
            "are mixed; put the files of each study into a folder of its own"
        )
    chosen = max(found, key=lambda stack: (len(stack.slices), stack.when))
    left = [f"{s.title}: {r or _baseline(s, chosen)}" for s, r in zip(stacks, reasons) if s is not chosen]
    return checked(chosen, source, "short-axis cine"), list(dict.fromkeys(left))


def only_stack(pictures: Sequence[Picture], source: str) -> Stack:
    """The one stack, still or cine, of one slice or more, that the pictures make up; complete and sorted by time.

    Raises:
        InputError: they make up several; or as ``checked``.
    """
    stacks = stacks_of(pictures)
    if len(stacks) > 1:
        there = ", ".join(f"{stack.label}: {len(stack.slices)} x {stack.frames}" for stack in stacks[:8])
        raise InputError(
            f"{source}: holds {len(stacks)} stacks (slices x frames: {there}); give a folder or a file of one of them"
        )
    return checked(stacks[0], source, "stack")


def _baseline(stack: Stack, chosen: Stack) -> str:
    more = len(chosen.slices) > len(stack.slices)
    return f"another short-axis cine, {chosen.title} {'has more slices' if more else 'is the later one'}"


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


def checked(stack: Stack, source: str, what: str) -> Stack:
    """The stack with each slice sorted by time; ``what`` it is, for messages.

    Raises:
        InputError: a slice lacks a frame, is missing or out of line; or the order of the frames is unknown.
    """
    count, frames = len(stack.slices), stack.frames
    for number, pictures in enumerate(stack.slices):
        if len(pictures) != frames:
            raise InputError(
                f"{source}: slice {number + 1} of {count} of the {what} ({pictures[0].label}, "
                f"{pictures[0].depth:.1f} mm along the stack) has {len(pictures)} frames, the others {frames}; export "
                "the series again"
            )
    _check_even(stack, source, what)
    return Stack([in_time(pictures, source) for pictures in stack.slices])


def _check_even(stack: Stack, source: str, what: str) -> None:
    count, positions = len(stack.slices), np.array([pictures[0].position for pictures in stack.slices])
    origin, step = line_through(positions)
    off = np.linalg.norm(positions - (origin + np.arange(count)[:, None] * step), axis=1)
    if off.max() > UNEVEN * np.linalg.norm(step):
        steps = np.diff(stack.depths)
        widest = int(np.argmax(steps))
        fault = (
            f"between slice {widest + 1} and {widest + 2} of {count} are {steps[widest]:.1f} mm, elsewhere "
            f"{np.median(steps):.1f} mm"
            if steps[widest] > (1 + UNEVEN) * np.median(steps)
            else f"slice {int(np.argmax(off)) + 1} of {count} is {off.max():.1f} mm off the line of the others"
        )
        raise InputError(f"{source}: the {what} ({stack.label}) is no even stack: {fault}; export all its slices")


def line_through(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First point [3] and step [3] of the even line that fits positions [N, 3] best; no step from a single point."""
    number = np.arange(len(positions)) - (len(positions) - 1) / 2
    step = number @ (positions - positions.mean(axis=0)) / max(number @ number, 1e-9)
    return positions.mean(axis=0) + number[0] * step, step


def in_time(pictures: Sequence[Picture], source: str) -> list[Picture]:
    """A slice's pictures in the order of the cycle: by trigger time, else instance number, else time of acquisition."""
    if len(pictures) == 1:
        return list(pictures)
    for of in (lambda p: p.trigger, lambda p: p.instance, lambda p: p.taken):
        values = [of(picture) for picture in pictures]
        if None not in values and len(set(values)) == len(values):
            return sorted(pictures, key=of)
    raise InputError(
        f"{source}: nothing tells the order of the frames of {pictures[0].label} (trigger time, instance number and "
        "acquisition time are missing or repeat); export the series again"
    )
