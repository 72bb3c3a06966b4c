"""ACDC as the challenge ships it."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from pathlib import Path

from nisf.io.layouts.common import TYPICAL_ES, frame_count, make_subject, niftis_by_folder
from nisf.utils.errors import InputError

logger = logging.getLogger(__name__)

ACDC_FRAME = re.compile(r"^(?P<id>.+)_frame(?P<number>\d+)$")

ACDC_FIELDS = {"label_map": {"0": 0, "1": 3, "2": 2, "3": 1}, "array_axes": ["lateral", "inferior", "apex"]}


def read_acdc(folder, strict=True) -> list[dict]:
    """patientNNN/Info.cfg, patientNNN_frameFF[_gt].nii.gz and patientNNN_4d.nii.gz, at any depth.

    Where a patient has the 4D file, it is the image, with the labels at their frames; else the 3D frames are. FF counts
    from 1.
    """
    subjects = []
    for place, files in niftis_by_folder(folder).items():
        frames: dict[str, dict[int, str]] = defaultdict(dict)
        for stem, path in files.items():
            match = ACDC_FRAME.match(stem)
            if match:
                frames[match["id"]][int(match["number"])] = path
        whole = {stem[:-3]: path for stem, path in files.items() if stem.endswith("_4d")}
        info = read_info_cfg(os.path.join(place, "Info.cfg"))
        for subject in {*frames, *whole}:
            # labels of a 4D file need no image frames: patientNNN_frameFF_gt without patientNNN_frameFF
            labels = {int(s[len(subject) + 6 : -3]): p for s, p in files.items() if is_acdc_label(subject, s)}
            if subject in whole:
                subjects.append(acdc_cine(subject, whole[subject], labels, info, strict))
            else:
                subjects.append(acdc_frames(subject, frames[subject], labels, info))
    return subjects


def is_acdc_label(subject, stem) -> bool:
    """Whether a file stem is that of a label of `subject`: patientNNN_frameFF_gt."""
    return re.fullmatch(re.escape(subject) + r"_frame\d+_gt", stem) is not None


def read_info_cfg(path) -> dict[str, int]:
    """ED, ES (frame numbers from 1) and NbFrame, as far as the file exists and holds them."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = [re.match(r"\s*(ED|ES|NbFrame)\s*:\s*(\d+)\s*$", line) for line in lines]
    return {pair[1]: int(pair[2]) for pair in pairs if pair}


def acdc_frames(subject, frames, labels, info) -> dict:
    """A subject of 3D frames. frames, labels: frame number from 1 -> path; info: see `read_info_cfg`.

    Times are (number - 1) / NbFrame of the cycle; without NbFrame from 0 to TYPICAL_ES, with a warning.
    """
    numbers = sorted(frames)
    phases = {phase: numbers.index(info[phase]) for phase in ("ED", "ES") if info.get(phase) in numbers}
    if info.get("NbFrame", 0) >= numbers[-1]:
        times = [(number - 1) / info["NbFrame"] for number in numbers]
    else:
        logger.warning(
            "%s: no Info.cfg with the number of frames of the cycle; taking the first frame as end diastole and the "
            "last as %.2f of the cycle.",
            subject,
            TYPICAL_ES,
        )
        span = max(numbers[-1] - numbers[0], 1)
        times = [TYPICAL_ES * (number - numbers[0]) / span for number in numbers]
        if len(numbers) == 2:
            phases = phases or {"ED": 0, "ES": 1}
    image, label = [frames[n] for n in numbers], [labels.get(n) for n in numbers]
    return make_subject(subject, image, label, times=times, phases=phases, **ACDC_FIELDS)


def acdc_cine(subject, image, labels, info, strict) -> dict:
    """The 4D file as image; the label is a list with a 3D file at the labelled frames, as long as the cine."""
    try:
        count = frame_count(image)
        if max(labels, default=0) > count:
            raise InputError(f"{image} has {count} frames, but there is a label for frame {max(labels)}.")
    except InputError:
        if strict:
            raise
        return make_subject(subject, image, **ACDC_FIELDS)  # the scan fails alone, when it is loaded
    phases = {phase: info[phase] - 1 for phase in ("ED", "ES") if 1 <= info.get(phase, 0) <= count}
    label = [labels.get(number) for number in range(1, count + 1)]
    return make_subject(subject, image, label, phases=phases, **ACDC_FIELDS)
