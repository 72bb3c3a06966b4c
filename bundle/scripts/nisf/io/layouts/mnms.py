"""M&Ms as the challenge ships it."""

from __future__ import annotations

import csv
import re

from nisf.io.layouts.common import TYPICAL_ES, frame_count, labelled_frames, make_subject, niftis_by_folder
from nisf.utils.errors import InputError
from nisf.utils.files import walk_files


def read_mnms(folder, strict=True) -> list[dict]:
    """<ID>_sa.nii.gz with <ID>_sa_gt.nii.gz (4D, labels at ED and ES only), or <ID>_sa_ED / <ID>_sa_ES (3D, + _gt).

    Labelled frames come from the challenge's CSV (columns "External code", "ED", "ES", counted from 0) if one is
    below `folder`, else from the frames of the label file that are not empty.
    """
    known = read_mnms_csv(folder)
    subjects = []
    for files in niftis_by_folder(folder).values():
        for subject in sorted({m[1] for m in (re.match(r"^(.+)_sa(_ED|_ES)?$", stem) for stem in files) if m}):
            single = [(p, files[f"{subject}_sa_{p}"]) for p in ("ED", "ES") if f"{subject}_sa_{p}" in files]
            single_labels = [files.get(f"{subject}_sa_{p}_gt") for p, _ in single]
            cine, cine_label = files.get(f"{subject}_sa"), files.get(f"{subject}_sa_gt")
            if cine and (cine_label or not any(single_labels)):
                subjects.append(mnms_cine(subject, cine, cine_label, known.get(subject, {}), strict))
                continue
            times = [{"ED": 0.0, "ES": TYPICAL_ES}[p] for p, _ in single]
            phases = {p: i for i, (p, _) in enumerate(single)}
            subjects.append(make_subject(subject, [f for _, f in single], single_labels, times=times, phases=phases))
    return subjects


def read_mnms_csv(folder) -> dict[str, dict[str, int]]:
    """External code -> {"ED", "ES"} frame numbers from 0, from every CSV file at any depth below `folder`."""
    known = {}
    for path in walk_files(folder):
        if not path.lower().endswith(".csv"):
            continue
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as stream:
            for row in csv.DictReader(stream):
                cells = {"ED": row.get("ED"), "ES": row.get("ES")}
                if row.get("External code") and all(re.fullmatch(r"\d+(\.0)?", c or "") for c in cells.values()):
                    known[row["External code"]] = {phase: int(float(cell)) for phase, cell in cells.items()}
    return known


def mnms_cine(subject, image, label, phases, strict) -> dict:
    """A subject of one 4D file; labelled frames from the CSV's `phases`, else from the label file itself.

    Raises InputError, with `strict`, for an unreadable file or a phase beyond the frames.
    """
    try:
        count = frame_count(image)
        if any(frame >= count for frame in phases.values()):
            raise InputError(f"{image} has {count} frames, but the CSV gives {phases}; correct the CSV.")
        if label and not phases:
            frames, phases = labelled_frames(label)
        else:
            frames = sorted(set(phases.values()))
    except InputError:
        if strict:
            raise
        return make_subject(subject, image)  # the scan fails alone, when it is loaded
    return make_subject(subject, image, label, labelled_frames=frames if label else None, phases=phases)
