"""Which identifiers of DICOM files can be believed: those that hold some files together and others apart.

Anonymisers give every file its own UID, the same one, or none. What is different in every file holds nothing together
and what is the same in all tells nothing apart, so neither is used; geometry and times then decide (``dicom_slices``).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from nisf.io.dicom_picture import Picture

#: Least number of files that tells an identifier of each file from one of a few short series.
MANY = 4


def is_of_each_file(values: Sequence[Hashable]) -> bool:
    """Whether an identifier, given for each of several files, is another in every one that has it."""
    told = [value for value in values if value]
    return len(values) >= MANY and len(set(told)) == len(told) > 0


def identified(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures with ``examination`` and ``run``, from identifiers that can be believed."""
    alone = [picture for picture in pictures if picture.alone]
    names = _names_of_runs(alone)
    study = not is_of_each_file([picture.study for picture in alone])
    return [
        replace(
            picture,
            examination=picture.study if study or not picture.alone else "",
            # a file of many pictures is a series in its own right
            run=tuple(getattr(picture, name) for name in (names if picture.alone else ("series", "order"))),
        )
        for picture in pictures
    ]


def _names_of_runs(pictures: Sequence[Picture]) -> list[str]:
    """The attributes that tell series apart: UID and number, with the description where these tell nothing."""

    def values(name: str) -> list:
        return [getattr(picture, name) for picture in pictures]

    believed = [name for name in ("series", "order", "description") if not is_of_each_file(values(name))]
    told = "series" in believed and any(len(set(values(name))) > 1 for name in ("series", "order"))
    return [name for name in believed if name != "description" or not told]


def patients_of(pictures: Sequence[Picture]) -> set[str]:
    """The patients that the pictures are of; those without a number are of any."""
    numbers = [picture.patient for picture in pictures if picture.alone]
    if is_of_each_file(numbers):
        return set()
    return {picture.patient for picture in pictures if picture.patient}
