"""Two scans of the same name, and a network without training that fits them in a moment."""

import json
import shutil

import nibabel as nib
import numpy as np
import torch

from nisf.models.nisf import NISF
from nisf.models.weights import save_weights
from nisf.phantom.cohort import write_cohort

SIZES = {"hidden_size": 8, "latent_size": 4, "num_layers": 2}


def small_network(folder):
    """Writes weights and a config of them; returns the names of the configs."""
    torch.manual_seed(0)
    save_weights(NISF(num_classes=4, **SIZES), folder / "model.pt")
    config = {**SIZES, "model": str(folder / "model.pt"), "final_points": 128}
    (folder / "tiny.json").write_text(json.dumps(config))
    return f"phantom,plain,{folder / 'tiny.json'}"


def two_scans(folder):
    """Writes A/sa.nii.gz and B/sa.nii.gz, two phantoms; returns their paths."""
    write_cohort(folder / "made", 0, 0, 2, seed=3, matrix=24, voxel_mm=6.0, slices=4, frames=3)
    for number, name in enumerate("AB"):
        (folder / name).mkdir()
        shutil.copy(folder / "made" / f"test00{number}_sa.nii.gz", folder / name / "sa.nii.gz")
    return [str(folder / name / "sa.nii.gz") for name in "AB"]


def relabel(file, change):
    """Saves a label file with changed labels, as an editor of labels does; returns its content."""
    image = nib.load(file)
    labels = np.asarray(image.dataobj).copy()
    change(labels)
    nib.save(nib.Nifti1Image(labels, image.affine, image.header), file)
    return file.read_bytes()
