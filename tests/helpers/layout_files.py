"""Small files in the layouts of data sets."""

import json

import nibabel as nib
import numpy as np

ACDC_RULE = {"last_digit": {"validation": [2], "test": [0]}}


def save(path, shape=(3, 3, 2), fill=0):
    """Writes a NIfTI file of one value, or of an array, with the identity as affine; returns its path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = fill if isinstance(fill, np.ndarray) else np.full(shape, fill, np.uint8)
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return str(path)


def acdc_patient(root, number, frames=(1, 12), labels=True, info="ED: 1\nES: 12\nGroup: DCM\nNbFrame: 30\n"):
    """Writes a patient as ACDC stores it: frames, their labels, Info.cfg."""
    name = f"patient{number:03d}"
    for frame in frames:
        save(root / name / f"{name}_frame{frame:02d}.nii.gz")
        if labels:
            save(root / name / f"{name}_frame{frame:02d}_gt.nii.gz")
    if info:
        (root / name / "Info.cfg").write_text(info)
    return root / name


def write_cohort(folder, **sections):
    """Writes cohort.json with sections of entries, and the files that these name."""
    for name in (s["subject"] for section in sections.values() for s in section):
        save(folder / f"{name}.nii.gz")
        save(folder / f"{name}_label.nii.gz")
    (folder / "cohort.json").write_text(json.dumps({"name": "test", "labels": {}, **sections}))


def entry(name, **fields):
    """An entry of cohort.json whose files are called after the subject."""
    return {"subject": name, "image": f"{name}.nii.gz", "label": f"{name}_label.nii.gz", **fields}
