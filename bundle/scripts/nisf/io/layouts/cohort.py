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
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); write the cohort again.") from error
    if not isinstance(content, dict) or not any(section in content for section in SECTIONS):
        raise InputError(f"{path} is no cohort file; it needs lists named {', '.join(SECTIONS)}.")
    for section in SECTIONS:
        if not isinstance(content.get(section) or [], list):
            raise InputError(f'{path}: "{section}" is no list of subjects; make it one.')
    return [cohort_subject(path, e, section) for section in SECTIONS for e in content.get(section) or []]


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _is_list(value, of) -> bool:
    return isinstance(value, list) and all(map(of, value))


# what a field holds, where it is not null: the check, and the words for the message
FIELDS = {
    "subject": (lambda v: _is_text(v) or _is_whole(v), "text"),
    "image": (lambda v: _is_text(v) or _is_list(v, _is_text), "a path, or a list with a path for each frame"),
    "label": (
        lambda v: not v or _is_text(v) or _is_list(v, lambda one: not one or _is_text(one)),
        "a path, or a list with a path or null for each frame",
    ),
    "times": (lambda v: _is_list(v, _is_number), "a list of numbers"),
    "labelled_frames": (lambda v: _is_list(v, _is_whole), "a list of whole numbers"),
    "phases": (lambda v: isinstance(v, dict) and all(map(_is_whole, v.values())), 'as {"ED": 0, "ES": 9}'),
    "label_map": (lambda v: isinstance(v, dict) and all(map(_is_whole, v.values())), 'as {"0": 0, "500": 1}'),
    "crops": (lambda v: _is_list(v, _is_text), "a list of paths"),
    "voxel_mm": (lambda v: _is_list(v, _is_number) and len(v) == 3, "a list of three sizes in mm"),
    "pixel_size_known": (lambda v: isinstance(v, bool), "true or false"),
    "stack": (_is_text, "the number, UID or description of a DICOM series"),
    "strict": (lambda v: isinstance(v, bool), "true or false"),
    "array_axes": (lambda v: _is_list(v, _is_text), "a list of three directions"),
}


def cohort_subject(path, entry, section) -> dict:
    """One entry of a cohort file, its paths made absolute from the file's folder, with `section` as its split.

    Raises InputError for an entry without subject or image, with a field of another kind or lists of different
    lengths, or with the split of another section.
    """
    if not isinstance(entry, dict) or not entry.get("subject") or not entry.get("image"):
        raise InputError(f'{path}: an entry of "{section}" has no "subject" or no "image"; add them.')
    entry = {**entry, "phases": entry.get("phases") or {}}
    for name, (is_right, words) in FIELDS.items():
        if entry.get(name) is not None and not is_right(entry[name]):
            raise InputError(f'{path}: "{name}" of {entry["subject"]} is {entry[name]!r}; it must be {words}.')
    if entry.get("split", section) != section:
        raise InputError(f'{path}: {entry["subject"]} is in "{section}", but its "split" is {entry["split"]!r}.')
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
    return make_subject(**{**entry, **files, "subject": str(entry["subject"]), "split": section})
