"""Weights and data for configs, and a process left as it was."""

import json
import sys

import monai.apps.utils
import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.configs import INFERENCE, parser_of
from monai.utils import set_determinism

from nisf.models.weights import save_weights


@pytest.fixture(autouse=True)
def process_as_it_was(monkeypatch, tmp_path):
    """Another working directory, no download; what a config's `initialize` sets for a whole process is undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def no_download(url, *args, **kwargs):
        raise AssertionError(f"tried to download {url}")

    monkeypatch.setattr(monai.apps.utils, "_download_with_progress", no_download)
    yield
    set_determinism(None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights for the network of each override, by name."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name, overrides in INFERENCE.items():
        torch.manual_seed(0)
        network = parser_of("inference.json", overrides).get_parsed_content("network_def")
        paths[name] = str(save_weights(network, folder / f"{name}.pt"))
    return paths


def save(path, shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) % 3
    nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 8.0, 1.0])), path)
    return path.name


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of tiny files for each layout: subjects for training, validation and test."""
    root = tmp_path_factory.mktemp("data")
    cohort = {"name": "tiny", "labels": {"0": "background", "1": "LV", "2": "MYO", "3": "RV"}}
    for number, section in enumerate(("training", "validation", "test"), start=1):
        image = save(root / "cohort" / f"s{number}.nii.gz", (6, 6, 3, 2))
        label = save(root / "cohort" / f"s{number}_label.nii.gz", (6, 6, 3, 2))
        cohort[section] = [{"subject": f"s{number}", "image": image, "label": label}]
        patient = f"patient{ {'training': 1, 'validation': 2, 'test': 10}[section]:03d}"
        for frame in ("01", "12"):
            save(root / "acdc" / patient / f"{patient}_frame{frame}.nii.gz", (6, 6, 3))
            save(root / "acdc" / patient / f"{patient}_frame{frame}_gt.nii.gz", (6, 6, 3))
        (root / "acdc" / patient / "Info.cfg").write_text("ED: 1\nES: 12\nNbFrame: 30\n")
        for folder in ("imagesTr", "labelsTr"):
            name = {"training": "003", "validation": "001", "test": "002"}[section]
            save(root / "msd" / folder / f"hippocampus_{name}.nii.gz", (6, 6, 4))
    (root / "cohort" / "cohort.json").write_text(json.dumps(cohort))
    return {"cohort": root / "cohort", "images": root / "cohort", "acdc": root / "acdc", "msd": root / "msd"}
