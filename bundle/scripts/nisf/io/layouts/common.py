"""What the layouts share."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict

import nibabel as nib
import numpy as np

from nisf.utils.errors import InputError
from nisf.utils.files import walk_files

logger = logging.getLogger(__name__)

SECTIONS = ("training", "validation", "test")

NIFTI = re.compile(r"^(?P<stem>[^.].*)\.nii(\.gz)?$")

# endings of derived files beside an image: never segmented when a folder is searched
DERIVED = ("_gt", "_seg", "_prob", "_recon", "_uncertainty", "_extrapolated", ".seg")

# end systole as a fraction of the cycle where it is unknown (about a third, at rest)
TYPICAL_ES = 0.35


def nifti_stem(path) -> str | None:
    """File name without .nii or .nii.gz; None for any other (or hidden) file."""
    match = NIFTI.match(os.path.basename(path))
    return match["stem"] if match else None


def niftis_by_folder(folder) -> dict[str, dict[str, str]]:
    """{folder: {stem: path}} of every NIfTI file below `folder`."""
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for path in walk_files(folder):
        stem = nifti_stem(path)
        if stem:
            folders[os.path.dirname(path)][stem] = path
    return folders


def make_subject(subject, image, label=None, **fields) -> dict:
    """A subject with every key; those not given take their neutral value."""
    if isinstance(label, list) and not any(label):
        label = None
    entry = {"subject": subject, "image": image, "label": label, "times": None, "labelled_frames": None}
    return {**entry, "phases": {}, "label_map": None, "array_axes": None, **fields}


def frame_count(path) -> int:
    """Number of time frames by the file's header (1 for 3D). Raises InputError when it is no readable NIfTI file."""
    try:
        shape = nib.load(path).shape
    except Exception as error:  # nibabel raises a different type for each way a file can be broken
        raise InputError(f"{path} cannot be read as NIfTI ({error}); replace or remove the file.") from error
    return int(shape[3]) if len(shape) > 3 else 1


def labelled_frames(path) -> tuple[list[int], dict[str, int]]:
    """Frames of a 4D label file that are not empty, and {"ED", "ES"} when there are two: ED has the larger LV."""
    try:
        label = np.asarray(nib.load(path).dataobj)
    except Exception as error:
        raise InputError(f"{path} cannot be read as NIfTI ({error}); replace or remove the file.") from error
    label = label.reshape(*label.shape[:3], -1)
    frames = [int(i) for i in np.flatnonzero(label.any(axis=(0, 1, 2)))]
    if len(frames) != 2:
        return frames, {}
    diastole, systole = sorted(frames, key=lambda i: -int((label[..., i] == 1).sum()))
    return frames, {"ED": diastole, "ES": systole}
