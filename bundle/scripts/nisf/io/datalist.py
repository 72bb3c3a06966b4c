"""Data lists: which subjects a data set has, and which of them train, validate and test.

    subjects = find_subjects("acdc", "data/acdc")
    splits = split_subjects(subjects, {"last_digit": {"validation": [2], "test": [0]}})
    test = load_split("acdc", "data/acdc", "test", rule=..., splits_file="output/splits.json")   # both in one call

What a subject is, and how each layout is stored on disk: `layouts`.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nisf.io.layouts.common import SECTIONS
from nisf.io.layouts.registry import LOOKED_FOR, READERS
from nisf.io.nifti import image_stem, stem_of
from nisf.utils.errors import InputError
from nisf.utils.files import write_text
from nisf.utils.names import name_key

logger = logging.getLogger(__name__)

Subject = dict

Source = str | os.PathLike | Sequence


def find_subjects(layout: str, dataset_dir: Source, strict: bool = True) -> list[Subject]:
    """All subjects of a data set, sorted by id, with absolute paths.

    Args:
        layout: key of ``registry.READERS``, as "cohort" (a cohort.json or its folder) or "images" (any image files,
            folders of DICOM files).
        dataset_dir: the folder; for "cohort" also the JSON file, for "images" also a file or a list of files.
        strict: False keeps a subject whose image is missing or unreadable; it fails when it is loaded, and the rest
            of a batch is still done.

    Raises:
        InputError: unknown layout; nothing there; an id that occurs twice; with `strict`, a named image that is
            missing. A named label that is missing becomes None, with a warning.
    """
    if layout not in READERS:
        raise InputError(f'Unknown data layout "{layout}"; choose one of {", ".join(READERS)}.')
    single = isinstance(dataset_dir, (str, os.PathLike))
    named_files = layout == "images" and not (single and os.path.isdir(dataset_dir))
    if single and not os.path.exists(dataset_dir) and (strict or not named_files or image_stem(dataset_dir) is None):
        raise InputError(f"{dataset_dir} does not exist; give the folder of the {layout} data ({LOOKED_FOR[layout]}).")
    subjects = READERS[layout](dataset_dir, strict=strict)
    if not subjects:
        raise InputError(f"{dataset_dir} holds no {layout} data; looked for {LOOKED_FOR[layout]}.")
    _check_ids(subjects)
    return sorted((_check_files(subject, strict) for subject in subjects), key=lambda s: s["subject"])


def with_stack(subjects: Sequence[Mapping], stack: str | int | None = None, strict: bool = False) -> list[Subject]:
    """The subjects, each with the series of its DICOM files that is to be read, and how; see ``dicom_cine.find_scan``.

    Args:
        subjects: entries of a data list; what they state themselves holds.
        stack: number, UID or description of the series; None for the short-axis cine.
        strict: refuse stacks that are unusual.
    """
    stated = {} if stack is None else {"stack": str(stack)}
    return [{**stated, **({"strict": True} if strict else {}), **subject} for subject in subjects]


def _check_ids(subjects: list[Subject]) -> None:
    """Checks that ids are unique and valid as folder names: nothing may be written elsewhere."""
    seen: dict[str, Subject] = {}
    for subject in subjects:
        name = str(subject["subject"])
        if not name.isprintable() or set(name) & set("/\\") or name.strip(". ") == "" or len(name) > 150:
            raise InputError(f"The subject {name[:160]!r} cannot be a folder's name; use letters, digits, - and _.")
        other = seen.setdefault(name_key(name), subject)
        if other is not subject:
            # a cohort file names the places by section, a folder by file
            places = [s.get("split") or str(_as_list(s["image"])[0]) for s in (other, subject)]
            if str(other["subject"]) == name:
                raise InputError(f'Subject "{name}" occurs twice ({" and ".join(places)}); remove one.')
            raise InputError(
                f'Subjects "{other["subject"]}" and "{name}" ({" and ".join(places)}) have the same name on disks that '
                "ignore case or the form of an accent; rename one."
            )
        _check_stems(subject)


def _check_stems(subject: Subject) -> None:
    """Checks that results of a subject's files, which are called after them, have different names."""
    keys = [name_key(stem_of(path)) for path in _as_list(subject["image"])]
    if len(set(keys)) < len(keys):
        raise InputError(f'Subject "{subject["subject"]}" has images of the same name; rename one.')


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def _check_files(subject: Subject, strict: bool) -> Subject:
    """The subject, with labels that are not on disk set to None; raises InputError for a missing image."""
    for path in _as_list(subject["image"]):
        if strict and not os.path.exists(path):
            raise InputError(f'{path}, the image of subject "{subject["subject"]}", does not exist; correct the path.')
    missing = [path for path in _as_list(subject["label"]) if path and not os.path.isfile(path)]
    for path in missing:
        logger.warning("%s: label %s does not exist; continuing without it.", subject["subject"], path)
    if missing and isinstance(subject["label"], list):
        label = [None if path in missing else path for path in subject["label"]]
        return {**subject, "label": label if any(label) else None}
    return {**subject, "label": None} if missing else subject


def split_subjects(subjects: list[Subject], rule: Mapping | str | os.PathLike) -> dict[str, list[Subject]]:
    """Subjects by section, each sorted by id.

    Args:
        subjects: what `find_subjects` returned.
        rule: one of
            {"last_digit": {"validation": [2], "test": [0]}}: by the last digit in the id; the rest are for training;
            {"ids": {"training": [...], "validation": [...], "test": [...]}}: subjects not named are left out;
            {"given": True}: as the cohort file has them;
            {"given": path} or the path itself: a JSON file as `write_splits` writes it.

    Raises:
        InputError: a subject in two sections, an id without files, a rule that does not fit.
    """
    ids = _split_ids(subjects, {"given": rule} if isinstance(rule, (str, os.PathLike)) else rule)
    check_splits(ids, [subject["subject"] for subject in subjects])
    by_id = {subject["subject"]: subject for subject in subjects}
    return {section: [by_id[i] for i in sorted(ids[section])] for section in SECTIONS}


def _split_ids(subjects: list[Subject], rule: Mapping) -> dict[str, list[str]]:
    if not isinstance(rule, Mapping) or len(rule) != 1 or next(iter(rule)) not in ("last_digit", "ids", "given"):
        raise InputError(f'Split rule {rule!r} is not understood; use one of "last_digit", "ids" or "given".')
    kind, value = next(iter(rule.items()))
    if kind == "last_digit":
        return _by_last_digit(subjects, value)
    if kind == "ids":
        return _named_ids(value, "the split rule")
    if isinstance(value, (str, os.PathLike)):
        return _named_ids(_read_json(value), value)
    without = [subject["subject"] for subject in subjects if subject.get("split") not in SECTIONS]
    if without:
        how = "give a file of splits (--splits FILE) or take all (--section all)"
        raise InputError(f'Subject "{without[0]}" has no split; {how}.')
    return {section: [s["subject"] for s in subjects if s["split"] == section] for section in SECTIONS}


def _by_last_digit(subjects: list[Subject], digits: Mapping) -> dict[str, list[str]]:
    if not isinstance(digits, Mapping):
        raise InputError(f'Split rule "last_digit" is {digits!r}; give lists of digits by section.')
    if unknown := set(digits) - set(SECTIONS):
        raise InputError(f'Split rule names "{sorted(unknown)[0]}"; sections are {", ".join(SECTIONS)}.')
    ids: dict[str, list[str]] = {section: [] for section in SECTIONS}
    try:
        wanted = {section: {int(d) for d in digits.get(section, [])} for section in SECTIONS}
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f'Split rule "last_digit" is {dict(digits)!r}; give lists of digits by section.') from error
    for name in (subject["subject"] for subject in subjects):
        found = re.findall(r"[0-9]", name)
        if not found:
            raise InputError(f'Subject "{name}" has no digit in its id; split by "ids" or a splits file instead.')
        sections = [section for section in SECTIONS if int(found[-1]) in wanted[section]]
        # check_splits reports a digit that is also named for training; a digit not named at all trains
        for section in sections or ["training"]:
            ids[section].append(name)
    return ids


def _named_ids(value, source) -> dict[str, list[str]]:
    good = isinstance(value, Mapping) and not set(value) - set(SECTIONS)
    good = good and all(isinstance(section, (list, tuple)) for section in value.values())
    if not good or not all(isinstance(i, str) for section in value.values() for i in section):
        raise InputError(f"{source}: expected lists of subject ids named {', '.join(SECTIONS)}.")
    return {section: list(value.get(section, [])) for section in SECTIONS}


def _read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"Splits file {path} cannot be read; correct the path.") from error
    except ValueError as error:
        raise InputError(f"Splits file {path} is not valid JSON ({error}); write it again.") from error


def _ids(section: Sequence) -> list[str]:
    return [item["subject"] if isinstance(item, Mapping) else item for item in section]


def check_splits(splits: Mapping[str, Sequence], known: Sequence[str] | None = None) -> None:
    """Raise InputError naming the first subject that is in two sections (or twice in one), or is not in `known`.

    Args:
        splits: section -> subjects or ids.
        known: ids that have files; None: not checked.
    """
    place: dict[str, str] = {}
    available = None if known is None else set(known)
    for section, items in splits.items():
        for name in _ids(items):
            if name in place:
                raise InputError(f'Subject "{name}" is in both "{place[name]}" and "{section}"; leave it in one split.')
            if available is not None and name not in available:
                raise InputError(f'Subject "{name}" of split "{section}" has no files; add them or remove the id.')
            place[name] = section


def write_splits(splits: Mapping[str, Sequence], file: str | os.PathLike) -> None:
    """Write the ids of each section as JSON, sorted; the file is complete at any time, even with several writers."""
    text = json.dumps({section: sorted(_ids(items)) for section, items in splits.items()}, indent=1) + "\n"
    write_text(file, text)


def load_split(
    layout: str,
    dataset_dir: Source,
    section: str,
    rule: Mapping | str | os.PathLike | None = None,
    splits_file: str | os.PathLike | None = None,
    strict: bool = True,
) -> list[Subject]:
    """The subjects of one section, as a config asks for them.

    Args:
        layout, dataset_dir, strict: see `find_subjects`.
        section: "training", "validation", "test" or "all" (every subject found, split or not).
        rule: see `split_subjects`; None: the cohort file's own splits, and only "all" for other layouts.
        splits_file: where to write the ids of every section; None: nowhere.

    Raises:
        InputError: data missing, splits wrong, no rule where one is needed, or no subject in the section.
    """
    if section not in (*SECTIONS, "all"):
        raise InputError(f'Unknown section "{section}"; choose one of {", ".join(SECTIONS)}, all.')
    subjects = find_subjects(layout, dataset_dir, strict=strict)
    if rule is None and layout == "cohort":
        rule = {"given": True}
    if rule is None:
        if section == "all":
            return subjects
        raise InputError(f'No split rule for layout "{layout}"; name one, or ask for the section "all".')
    if section == "all" and splits_file is None:
        return subjects
    splits = split_subjects(subjects, rule)
    if splits_file is not None:
        write_splits(splits, splits_file)
    chosen = subjects if section == "all" else splits[section]
    if not chosen:
        raise InputError(f'{dataset_dir}: no subject is in "{section}" by the split rule; change the rule or the data.')
    return chosen
