"""The frames of each slice of a stack: their order, slices that were taken again, slices with other numbers of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nisf.io.dicom_picture import Picture
from nisf.utils.errors import InputError

#: Least number of frames of a cine.
FRAMES = 3

#: Part of the usual number of frames below which a slice is filled with its nearest frames instead of all slices being
#: cut to the frames that they have in common.
FEW = 0.8


def in_time(pictures: Sequence[Picture], source: str) -> list[Picture]:
    """A slice's pictures in the order of the cycle.

    By trigger time, else number of the time point, instance number, time of acquisition or series, whichever is known
    for all and repeats in none.

    Raises:
        InputError: nothing tells the order.
    """
    if len(pictures) == 1:
        return list(pictures)
    for of in (lambda p: p.trigger, lambda p: p.temporal, lambda p: p.instance, lambda p: p.taken, lambda p: p.order):
        values = [of(picture) for picture in pictures]
        if None not in values and len(set(values)) == len(values):
            return sorted(pictures, key=of)
    raise InputError(
        f"{source}: nothing tells the order of the frames of {pictures[0].label} (trigger time, instance number and "
        "acquisition time are missing or repeat); export the series again"
    )


def passes_of(pictures: Sequence[Picture], usual: int) -> list[list[Picture]]:
    """The pictures of a slice and series by the time that they were taken, if more than once; the last one last.

    Where trigger times, in the order of instance numbers, start again, or, without them, where there is a multiple of
    the usual number of frames.

    Args:
        pictures: of one slice, unsorted.
        usual: number of pictures that most slices of the series have.
    """
    once = _once(pictures)
    if len(once) < 2 * FRAMES or any(picture.instance is None for picture in once):
        return [once]
    ordered = sorted(once, key=lambda picture: (picture.taken or 0.0, picture.instance))
    ordered = ordered if _starts(ordered) else sorted(once, key=lambda picture: picture.instance)
    starts = _starts(ordered)
    if starts is None and len(once) > usual >= FRAMES and len(once) % usual == 0:
        starts = list(range(0, len(once), usual))
    if not starts:
        return [once]
    ends = [*starts[1:], len(ordered)]
    return [ordered[start:end] for start, end in zip(starts, ends)]


def _starts(ordered: Sequence[Picture]) -> list[int] | None:
    """Where the trigger times of a slice begin again, 0 included; [] where they do not, None where they say nothing."""
    times = [picture.trigger for picture in ordered]
    if None in times or len(set(times)) < FRAMES:
        return None
    starts = [0, *(1 + np.flatnonzero(np.diff(times) < 0)).tolist()]
    counts = np.diff([*starts, len(times)])
    regular = len(starts) > 1 and counts.min() >= FRAMES and counts.min() >= FEW * counts.max()
    return starts if regular else []


def _once(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures without copies that were stored under other names."""
    kept: list[Picture] = []
    seen: dict[tuple, list[Picture]] = {}
    for picture in pictures:
        alike = seen.setdefault((picture.instance, picture.trigger, picture.temporal, picture.taken), [])
        if not any(_same_pixels(picture, other) for other in alike):
            alike.append(picture)
            kept.append(picture)
    return kept


def _same_pixels(a: Picture, b: Picture) -> bool:
    import pydicom

    if a.path == b.path:
        return a.number == b.number
    one, two = (pydicom.dcmread(p.path, force=True).get("PixelData") for p in (a, b))
    return a.number == b.number and one == two


def common_frames(slices: Sequence[Sequence[Picture]]) -> tuple[list[list[Picture]], list[str]]:
    """The slices with the same number of frames each, and what was done to have them so.

    Slices with a frame more or less are cut to the frames that all have, by their trigger times where they tell; one
    that has far fewer gets the frame nearest in time for each that it lacks.

    Args:
        slices: pictures of each slice in the order of the cycle.
    """
    counts = Counter(map(len, slices))
    if len(counts) == 1:
        return [list(pictures) for pictures in slices], []
    usual = max(counts, key=lambda count: (counts[count], count))
    times = trigger_times([pictures for pictures in slices if len(pictures) == usual])
    few = [len(pictures) < FEW * usual for pictures in slices]
    notes = [
        f"slice {number} of {len(slices)} has {len(pictures)} frames, the others {usual}: the nearest in time stand "
        "for those that it lacks"
        for number, (pictures, lacking) in enumerate(zip(slices, few), 1)
        if lacking
    ]
    placed = [
        _nearest(pictures, times, usual) if lacking else dict(zip(_places(pictures, times, usual), pictures))
        for pictures, lacking in zip(slices, few)
    ]
    common = sorted(set(range(usual)).intersection(*placed))
    other = [number for number, pictures in enumerate(slices, 1) if len(pictures) != usual and not few[number - 1]]
    if other:
        named = f"slice{'s' * (len(other) > 1)} {', '.join(map(str, other))} of {len(slices)}"
        notes.append(
            f"{named} {'have' if len(other) > 1 else 'has'} other numbers of frames than {usual}: the "
            f"{len(common)} that all slices have are read"
        )
    return [[frames[place] for place in common] for frames in placed], notes


def trigger_times(slices: Sequence[Sequence[Picture]]) -> np.ndarray | None:
    """Ms of each frame after the R wave, the median over the slices whose times ascend; None where unknown."""
    told = [[picture.trigger for picture in pictures] for pictures in slices]
    told = [row for row in told if None not in row and bool(np.all(np.diff(row) > 0))]
    return np.median(told, axis=0) if told else None


def _places(pictures: Sequence[Picture], times: np.ndarray | None, usual: int) -> list[int]:
    """Which of the usual frames each picture is: by its trigger time, else by its number."""
    own = [picture.trigger for picture in pictures]
    if times is not None and None not in own:
        found = np.abs(np.array(own)[:, None] - times).argmin(axis=1)
        near = np.abs(np.array(own) - times[found]).max() < np.median(np.diff(times)) / 2
        if near and len(set(found.tolist())) == len(own):
            return found.tolist()
    return list(range(len(pictures)))


def _nearest(pictures: Sequence[Picture], times: np.ndarray | None, usual: int) -> dict[int, Picture]:
    """For each of the usual frames the picture nearest in the cycle: by trigger times, else spread evenly over it."""
    own = [picture.trigger for picture in pictures]
    told = times is not None and None not in own
    at = np.interp(own, times, np.arange(usual)) if told else np.arange(len(own)) * usual / len(own)
    away = np.abs(np.arange(usual)[:, None] - at)
    return {place: pictures[k] for place, k in enumerate(np.minimum(away, usual - away).argmin(axis=1))}
