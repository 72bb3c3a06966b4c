"""The bundle under a label server, driven the way MONAI Label's bundle app drives one.

The app (``monailabel/tasks/infer/bundle.py`` and ``basic_infer.py``) reads ``inference.json`` and takes four parts of
it, by name: it never runs ``initialize``, puts the bundle on ``sys.path`` only while it builds a part, and throws the
modules of ``scripts`` away before each. Of the weights in ``models`` it takes the file with the shortest name unless
``displayable_configs`` names another. ``benchmarks/label_server.py`` runs MONAI Label itself.
"""

import copy
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from nisf.phantom.cohort import make_subject
from nisf.utils.bundle import run_bundle

BUNDLE = Path(__file__).resolve().parent.parent.parent / "bundle"
#: Settings that make a fit of the ACDC weights quick; the same for both sides.
QUICK = {"final_points": 1024, "unet_frames": 1}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """One frame of a phantom."""
    subject = make_subject(3, matrix=40, slices=5, frames=1, voxel_mm=3.0)
    path = tmp_path_factory.mktemp("scan") / "heart.nii.gz"
    nib.save(nib.Nifti1Image(subject.render().astype(np.float32)[..., 0], subject.acquisition.affine), path)
    return path


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A process that knows no `scripts` but for what the app does; undone afterwards."""
    monkeypatch.chdir(tmp_path)
    elsewhere = [path for path in sys.path if path and not (Path(path) / "scripts").is_dir()]
    monkeypatch.setattr(sys, "path", elsewhere)
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "scripts"}
    forget()
    yield
    forget()
    sys.modules.update(before)


def forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]


class App:
    """The four parts, called in the app's order."""

    def __init__(self, bundle):
        self.bundle, self.config = str(bundle), ConfigParser()
        self.config.read_config(str(bundle / "configs" / "inference.json"))
        self.config.config.update({"bundle_root": self.bundle, **QUICK})
        self.network = self.part("network_def")
        self.shown = self.part("displayable_configs")
        weights = sorted((path.name for path in (bundle / "models").glob("*.pt")), key=len)
        self.request = {"model_filename": weights, **self.shown, "device": "cpu", "model": "nisf"}

    def update(self):
        """What the options panel of a client may have changed; the app parses its config again for it."""
        self.config["displayable_configs"].update({name: self.request[name] for name in self.shown})
        self.config.parse()

    def part(self, name):
        sys.path.insert(0, self.bundle)
        forget()
        found = self.config.get_parsed_content(name, instantiate=True)
        sys.path.remove(self.bundle)
        return found

    def __call__(self, path):
        data = {**self.request, "image": str(path), "image_path": str(path), "result_compress": False}
        self.config.config["device"] = "cpu"
        self.update()
        for transform in self.part("preprocessing").transforms:
            data = transform(data)
            data.setdefault("latencies", {})
        network = copy.deepcopy(self.network)
        weights = Path(self.bundle) / "models" / data["model_filename"][0]
        network.load_state_dict(torch.load(weights, weights_only=True))  # the app passes over what does not fit
        network.eval()
        inferer = self.part("inferer")
        with torch.no_grad():
            data["pred"] = inferer(data["image"][None], network)[0]
        for transform in self.part("postprocessing").transforms:
            data = transform(data)
        return data


def test_the_four_parts_alone_give_the_label_that_inference_gives(scan, server, tmp_path):
    app = App(BUNDLE)
    answers = [app(scan), app(scan)]  # a second request meets parts that are built already
    forget()
    sys.path.insert(0, str(BUNDLE))
    run_bundle(
        "inference", ["inference"], dataset_dir=[str(scan)], output_dir=str(tmp_path / "out"), device="cpu", **QUICK
    )
    expected = nib.load(tmp_path / "out" / "heart" / "heart_seg.nii.gz")
    for answer in answers:
        assert answer["pred"].shape == expected.shape == nib.load(scan).shape
        np.testing.assert_array_equal(answer["pred"].numpy(), np.asarray(expected.dataobj))
        np.testing.assert_allclose(answer["pred"].affine, expected.affine, atol=1e-4)
    assert len(np.unique(answers[0]["pred"])) > 1


def test_the_labels_that_the_server_names_are_those_of_the_answer():
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    first = next(iter(metadata["network_data_format"]["outputs"].values()))  # the app reads names from the first output
    named = {number: name for number, name in first["channel_def"].items() if name != "background"}
    assert named == json.loads((BUNDLE / "configs" / "inference.json").read_text())["class_names"]
