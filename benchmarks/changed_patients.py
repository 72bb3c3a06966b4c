"""Changed copies of the ACDC patients of a split, as a cohort that the bundle's commands read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from nisf.io.datalist import load_split

#: Internal class numbers by those of ACDC.
INSIDE = np.array([0, 3, 2, 1])
NAMES = {"0": "background", "1": "LV", "2": "MYO", "3": "RV"}


def write_changed(data: str, section: str, folder: Path, change: Callable, axes_stay: bool) -> None:
    """Writes frames, labels and ``cohort.json``.

    Args:
        data: folder of the ACDC patients.
        section: section of their split.
        folder: folder of the cohort.
        change: ``change(image, label, affine, number)`` for a patient; image and label [X, Y, Z], with internal values;
            returns the changed three.
        axes_stay: whether the array axes still have the directions in the data list.
    """
    rule, subjects = {"last_digit": {"validation": [2], "test": [0]}}, []
    for number, subject in enumerate(load_split("acdc", data, section, rule=rule)):
        files = {"image": [], "label": []}
        for frame, pair in enumerate(zip(subject["image"], subject["label"])):
            image, label = (nib.load(file) for file in pair)
            classes = INSIDE[np.asarray(label.dataobj).astype(int)]
            *arrays, affine = change(image.get_fdata(), classes, image.affine, number)
            for name, array in zip(files, arrays):
                files[name].append(f"{subject['subject']}_{frame}_{name}.nii.gz")
                whole = nib.Nifti1Image(np.ascontiguousarray(array).astype(np.int16), affine)
                nib.save(whole, folder / files[name][-1])
        wanted = ("subject", "times", "phases", *["array_axes"] * axes_stay)
        subjects.append({**{key: subject[key] for key in wanted if key in subject}, **files})
    content = {"name": "changed", "labels": NAMES, "training": [], "validation": [], "test": [], section: subjects}
    (folder / "cohort.json").write_text(json.dumps(content))
