"""Cines stored as one 3D file per frame, whose names differ in a number alone."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Sequence

from nisf.io.layouts.common import DERIVED, make_subject
from nisf.io.nifti import image_stem, open_nifti
from nisf.utils.errors import InputError
from nisf.utils.files import walk_files
from nisf.utils.names import name_key

logger = logging.getLogger(__name__)

#: Least and most files on one grid that may be the frames of one heart.
FEWEST, MOST = 5, 100


def read_frames(source, strict=True) -> list[dict]:
    """A folder in which each group of files whose names differ in one number alone is one cine, in that order.

    The id is what the names have in common, or the folder's name if there is only a number. A file without others like
    it is a scan of its own. Raises InputError where two groups would have one id.
    """
    files = walk_files(source) if os.path.isdir(source) else [os.path.abspath(source)]
    subjects = []
    for (folder, before, after), group in numbered(files).items():
        name = (before + after).strip("-_. ") or os.path.basename(folder)
        paths = [path for _, path in sorted(group)]
        subjects.append(make_subject(name, paths if len(paths) > 1 else paths[0]))
    seen: dict[str, dict] = {}
    for subject in subjects:
        if (other := seen.setdefault(name_key(subject["subject"]), subject)) is not subject:
            both = " and ".join(str(_first(one)) for one in (other, subject))
            raise InputError(f'{both} would both be called "{subject["subject"]}"; give one folder at a time.')
    return subjects


def _first(subject: dict) -> str:
    return subject["image"][0] if isinstance(subject["image"], list) else subject["image"]


def numbered(files: Sequence[str]) -> dict[tuple[str, str, str], list[tuple[int, str]]]:
    """Image files by folder and by what their names have before and after their last number, with that number."""
    found = defaultdict(list)
    for path in files:
        stem = image_stem(path)
        if not stem or stem.endswith(DERIVED):
            continue
        match = re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", stem)
        before, number, after = match.groups() if match else (stem, "0", "")
        found[os.path.dirname(path), before, after].append((int(number), path))
    return dict(found)


def tell_of_frames(files: Sequence[str]) -> None:
    """A line about each group of 3D NIfTI files that may be the frames of one heart and are taken for as many scans."""
    for group in numbered(files).values():
        paths = [path for _, path in sorted(group)]
        if FEWEST <= len(paths) <= MOST and _same_volumes(paths):
            logger.warning(
                "%s: the names of these %d files on one grid differ in a number alone, and each is taken for a scan of "
                "its own; if they are the frames of one heart, give --layout frames",
                *(os.path.dirname(paths[0]), len(paths)),
            )


def _same_volumes(paths: Sequence[str]) -> bool:
    try:
        first = open_nifti(paths[0])
        return len(first.shape) == 3 and all(
            one.shape == first.shape and (one.affine == first.affine).all() for one in map(open_nifti, paths[1:])
        )
    except InputError:  # loading it will say what is wrong
        return False
