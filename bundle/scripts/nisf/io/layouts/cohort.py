"""A user's data list: cohort.json."""

from __future__ import annotations

import json
import os
from pathlib import Path

from nisf.io.layouts.common import SECTIONS, make_subject
from nisf.utils.errors import InputError


def read_cohort(source, strict=True) -> list[dict]:
    """A cohort JSON file, or the folder that holds cohort.json; each subject also gets its "split".

    Paths in the file are relative to the file. Raises InputError when it is not such a file, or a subject in it has
    no image or lists of different length.
    """
    path = os.path.join(source, "cohort.json") if os.path.isdir(source) else source
    if not os.path.isfile(path):
        return []
    try:
        content = json.loads(Path(path).read_text())
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); write the cohort again.") from error
    if not isinstance(content, dict) or not any(section in content for section in SECTIONS):
        raise InputError(f"{path} is no cohort file; it needs lists named {', '.join(SECTIONS)}.")
    return [cohort_subject(path, e, section) for section in SECTIONS for e in content.get(section) or []]


def cohort_subject(path, entry, section) -> dict:
    """One entry of a cohort file, its paths made absolute from the file's folder, with `section` as its split.

    Raises InputError for an entry without subject or image, or with lists of different lengths.
    """
    if not isinstance(entry, dict) or not entry.get("subject") or not entry.get("image"):
        raise InputError(f'{path}: an entry of "{section}" has no "subject" or no "image"; add them.')
    folder = os.path.dirname(os.path.abspath(path))

    def resolve(value):
        if isinstance(value, list):
            return [resolve(item) for item in value]
        return os.path.normpath(os.path.join(folder, value)) if value else None

    files = {key: resolve(entry.get(key)) for key in ("image", "label", *["crops"] * ("crops" in entry))}
    if isinstance(files["image"], list):
        for key, value in {**entry, **files}.items():
            if key in ("label", "times") and value is not None and len(value) != len(files["image"]):
                raise InputError(
                    f'{path}: {entry["subject"]} has {len(files["image"])} images but not as many "{key}".'
                )
    return make_subject(**{**entry, **files}, split=section)
