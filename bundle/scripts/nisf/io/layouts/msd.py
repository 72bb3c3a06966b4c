"""Medical Segmentation Decathlon."""

from __future__ import annotations

import os

from nisf.io.layouts.common import make_subject, nifti_stem


def read_msd(folder, strict=True) -> list[dict]:
    """imagesTr/*.nii.gz with labelsTr/ (static 3D); imagesTs/, without labels, where there is no imagesTr/."""
    place = next((p for p in ("imagesTr", "imagesTs") if os.path.isdir(os.path.join(folder, p))), None)
    if place is None:
        return []
    files = {nifti_stem(n): n for n in os.listdir(os.path.join(folder, place)) if nifti_stem(n)}
    subjects = []
    for stem, name in files.items():
        image, label = (os.path.abspath(os.path.join(folder, p, name)) for p in (place, "labelsTr"))
        subjects.append(make_subject(stem, image, label if os.path.isfile(label) else None, times=[0.0]))
    return subjects
