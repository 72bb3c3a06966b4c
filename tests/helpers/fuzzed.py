"""Random inputs for the fuzz tests: accepted ones are checked, the others are refused in one sentence.

Each method of ``Fuzz`` draws one input from hypothesis' ``data`` and returns whether it was accepted. Any exception but
``InputError`` is a crash.
"""

import csv
import json
import struct
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import torch
from helpers.dicom_help import examination
from helpers.fuzz_draws import FIELDS, NUMBERS, TEXT, edit_dicom, replaced, spoilt, taken
from helpers.fuzzed_files import FuzzedFiles
from helpers.tiny import phantom_scans
from hypothesis import strategies as st

from nisf.geometry.orientation import directions, spacing_of
from nisf.io.datalist import load_split
from nisf.io.dicom_headers import dicom_paths
from nisf.io.images import read_scan
from nisf.measures.person import people_of
from nisf.models.nisf import NISF
from nisf.models.weights import load_weights
from nisf.sampling.fitted_scan import FittedScan
from nisf.transforms.auxiliary import read_series
from nisf.transforms.load import LoadCined
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd


class Fuzz(FuzzedFiles):
    """The base of the draws: a phantom scan, its DICOM files, a data list, small weights."""

    def __init__(self, folder):
        self.folder = folder
        self.entry = phantom_scans(folder / "cohort", 1)[0]
        self.listing = folder / "cohort" / "cohort.json"
        self.dicom = examination(folder / "dicom")[1]
        self.raw = {name: open(self.entry[name], "rb").read() for name in ("image", "label")}
        self.plain = folder / "plain.nii"
        nib.save(nib.load(self.entry["image"]), self.plain)

    def load(self, image, label=None):
        """A scan prepared as in inference, up to the fitted field."""
        keys = ("image",) if label is None else ("image", "label")
        item = {"subject": "s", "image": str(image), **({} if label is None else {"label": str(label)})}
        _check_scan(read_scan(str(image)))
        loaded = LoadCined(keys)(item)
        _check_loaded(loaded, image, label)
        found = CropToFieldd(keys, kind="physical")(CanonicalOrientationd(keys)(loaded))
        assert found["image"].numel() and np.isin(found["image"], loaded["image"]).all()

    @staticmethod
    def check(scan):
        """Checks that an accepted scan can be fitted: numbers, a grid, times."""
        _check_scan(scan)
        assert not scan.starts or len(scan.starts) == scan.array.shape[3] and np.isfinite(scan.starts).all()

    def arrays(self, data):
        """NIfTI files of any shape, type, numbers and affine."""
        odd = data.draw(st.booleans())
        shape = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=6)) if odd else [16, 16, 4, 3]
        kind = data.draw(st.sampled_from([np.uint8, np.int16, np.float32, np.float64, np.complex64]))
        values = np.random.default_rng(data.draw(st.integers(0, 9))).random(shape) * 200
        for _ in range(data.draw(st.integers(0, 2))):
            values.ravel()[data.draw(st.integers(0, values.size - 1))] = data.draw(NUMBERS)
        if data.draw(st.integers(0, 5)) == 5:
            values[:] = data.draw(NUMBERS)
        affine = np.diag([*data.draw(st.tuples(*[st.floats(1, 12)] * 3)), 1.0])
        for _ in range(data.draw(st.integers(0, 3))):
            affine[data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))] = data.draw(NUMBERS)
        path = self.folder / "drawn.nii"
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nib.Nifti1Image(values.astype(kind), None)
            image.header.set_sform(affine, code=1)
            image.header["pixdim"][4] = data.draw(NUMBERS)
            path.write_bytes(image.to_bytes())
        return taken(lambda: self.load(path))

    def nifti_bytes(self, data):
        """A scan's file, its header or its voxels spoilt, compressed or not."""
        packed = data.draw(st.booleans())
        content = self.raw["image"] if packed else self.plain.read_bytes()
        path = self.folder / ("drawn.nii.gz" if packed else "drawn.nii")
        head = data.draw(st.booleans())
        path.write_bytes(spoilt(data, content[:352]) + content[352:] if head else spoilt(data, content))
        return taken(lambda: self.load(path))

    def header_fields(self, data):
        """A header with some fields changed."""
        content = bytearray(self.plain.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            place, form = data.draw(st.sampled_from(FIELDS))
            value = data.draw(st.integers(-32768, 32767) if form == "<h" else NUMBERS)
            content[place : place + struct.calcsize(form)] = struct.pack(form, value)
        path = self.folder / "drawn.nii"
        path.write_bytes(content)
        return taken(lambda: self.load(path))

    def labels(self, data):
        """A damaged label file or one with other values, beside a good scan."""
        image = nib.load(self.entry["label"])
        values = np.asarray(image.dataobj).astype(np.float32)
        for _ in range(data.draw(st.integers(1, 3))):
            values.ravel()[data.draw(st.integers(0, values.size - 1))] = data.draw(NUMBERS)
        axis = data.draw(st.integers(0, 4))
        if axis < 4 and data.draw(st.booleans()):
            values = np.take(values, range(data.draw(st.integers(1, values.shape[axis]))), axis)
        path = self.folder / "drawn_label.nii"
        nib.save(nib.Nifti1Image(values, image.affine), path)
        return taken(lambda: self.load(self.entry["image"], path))

    def data_lists(self, data):
        """A cohort file with values missing or of another kind."""
        tree = json.loads(self.listing.read_text())
        for _ in range(data.draw(st.integers(1, 3))):
            tree = replaced(data, tree) if tree else tree
        path = self.listing.with_name("drawn.json")
        text = json.dumps(tree)
        path.write_text(text if data.draw(st.integers(0, 4)) else text[: data.draw(st.integers(0, len(text)))])

        strict = data.draw(st.booleans())

        def work():
            for subject in load_split("cohort", str(path), "all", rule=None, strict=strict):
                assert "/" not in subject["subject"] and subject["subject"] not in ("", ".", "..")
                images = subject["image"] if isinstance(subject["image"], list) else [subject["image"]]
                assert images and all(isinstance(image, str) for image in images)
                assert not strict or all(Path(image).is_file() for image in images)

        return taken(work)

    def split_rules(self, data):
        """Split rules."""
        name = json.loads(self.listing.read_text())["test"][0]["subject"]
        ids = {"training": [], "test": [name]}
        rules = [{"given": True}, {"last_digit": {"validation": [1], "test": [0]}}, {"ids": ids}]
        rule = data.draw(st.sampled_from(rules))
        if data.draw(st.booleans()):
            rule = replaced(data, rule)

        def work():
            found = load_split("cohort", str(self.listing), "test", rule=rule)
            assert [subject["subject"] for subject in found] == [name]

        return taken(work)

    def dicom_headers(self, data):
        """An examination in which attributes of some files are missing, empty or changed."""
        paths = dicom_paths(self.dicom)
        chosen = data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3, unique=True))
        everywhere, edits = data.draw(st.booleans()), data.draw(st.integers(1, 3))
        names = [str(e.keyword) for e in pydicom.dcmread(paths[0]) if e.keyword and e.VR != "SQ"]
        wanted = [data.draw(st.sampled_from(names)) for _ in range(edits)]
        values = [
            data.draw(st.one_of(st.none(), TEXT, st.lists(NUMBERS, max_size=6), st.integers(-9, 99999))) for _ in wanted
        ]
        kept = {path: open(path, "rb").read() for path in (paths if everywhere else chosen)}
        try:
            for path in kept:
                edit_dicom(path, zip(wanted, values))
            if data.draw(st.integers(0, 3)) == 0:
                with open(chosen[0], "wb") as file:
                    file.write(spoilt(data, kept.get(chosen[0], b"")))
            return taken(lambda: _check_scan(read_scan(str(self.dicom))))
        finally:
            for path, content in kept.items():
                with open(path, "wb") as file:
                    file.write(content)

    def tables(self, data):
        """CSV files of people and of points."""
        rows = data.draw(st.lists(st.lists(st.one_of(TEXT, NUMBERS.map(str)), max_size=5), max_size=5))
        head = data.draw(st.permutations(["x", "y", "z", "time", "intensity"]))[: data.draw(st.integers(0, 5))]
        other = ["scan", "height_cm", "weight_kg", "sex", "heart_rate"][: data.draw(st.integers(0, 5))]
        path = self.folder / "drawn.csv"
        with open(path, "w", newline="") as file:
            writer = csv.writer(file, escapechar="\\")
            people = data.draw(st.booleans())
            writer.writerows([other if people else head, *rows])
        return taken(lambda: _check_people(people_of(str(path))) if people else _check_series(read_series(str(path))))

    def tensors(self, data):
        """Weights and latent files with bytes changed."""
        path, network = self.folder / "drawn.pt", NISF(latent_size=4, hidden_size=4, num_layers=2)
        state = {name: value for name, value in network.state_dict().items()}
        torch.save(replaced(data, {"a": 1, "latent": [1.0]}) if data.draw(st.booleans()) else state, path)
        if data.draw(st.booleans()):
            path.write_bytes(spoilt(data, path.read_bytes()))
        fitted = data.draw(st.booleans())

        def work():
            read = FittedScan.load(path).network if fitted else load_weights(network, path) or network
            assert all(torch.isfinite(value).all() for value in read.state_dict().values())

        return taken(work)

    def affines(self, data):
        """Any possible grid: brought to the canonical orientation and back, every voxel keeps its position."""
        turn = np.linalg.qr(np.random.default_rng(data.draw(st.integers(0, 10**6))).normal(size=(3, 3)))[0]
        spacing = data.draw(st.tuples(*[st.floats(0.3, 15)] * 3))
        shape = data.draw(st.tuples(*[st.integers(2, 9)] * 3))
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = turn * spacing, data.draw(st.tuples(*[st.floats(-500, 500)] * 3))
        values = np.random.default_rng(0).random((*shape, 2)).astype(np.float32)
        path = self.folder / "drawn.nii"
        nib.save(nib.Nifti1Image(values, affine), path)
        load, canonical = LoadCined("image"), CanonicalOrientationd("image")
        loaded = load({"subject": "s", "image": str(path)})
        there = canonical(loaded)
        back = canonical.inverse(there)
        np.testing.assert_array_equal(np.asarray(back["image"]), np.asarray(loaded["image"]))
        place = there["image"].affine.numpy()
        np.testing.assert_allclose(sorted(spacing_of(place)), sorted(spacing), rtol=1e-4)
        np.testing.assert_allclose(directions(place).T @ directions(place), np.eye(3), atol=1e-4)
        index = np.array([data.draw(st.integers(0, n - 1)) for n in there["image"].shape[1:4]])
        old = np.linalg.solve(affine, place @ [*index, 1])[:3].round().astype(int)
        np.testing.assert_allclose(affine @ [*old, 1], place @ [*index, 1], atol=1e-2)
        assert float(there["image"][0, *index, 1]) == values[(*old, 1)]
        return True


def _check_scan(scan):
    """Checks that an accepted scan can be fitted: numbers, a grid, a duration."""
    assert scan.array.ndim == 4 and scan.array.dtype == np.float32 and np.isfinite(scan.array).all()
    assert np.isfinite(scan.affine).all() and abs(np.linalg.det(scan.affine)) > 0
    assert 0 <= scan.frame_duration < np.inf


def _check_loaded(loaded, image, label):
    """Checks that a loaded scan has nibabel's intensities in the right places, and valid labels on its grid."""
    array, stored = np.asarray(loaded["image"]), nib.load(image)
    expected = np.asarray(stored.dataobj, dtype=np.float32).reshape(array.shape)
    np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(loaded["image"].affine, stored.affine, rtol=1e-5, atol=1e-5)
    assert np.ptp(array) > 0
    if label is not None:
        values = np.asarray(nib.load(label).dataobj)
        assert np.isin(loaded["label"], [0, 1, 2, 3]).all()
        np.testing.assert_array_equal(np.asarray(loaded["label"])[0], values)


def _check_people(people):
    """Checks that every number of a person is possible."""
    for name, known in people.items():
        assert isinstance(name, str) and all(value in ("F", "M") or 0 < value < 1000 for value in known.values()), known


def _check_series(series):
    """Checks that points, times and intensities match in length and are finite."""
    number = len(series["points"])
    assert series["points"].shape == (number, 3) and len(series["times"]) == number
    assert series["intensity"].shape == (1, number) and float(series["intensity"].max()) == 1.0
    for values in series.values():
        assert np.isfinite(np.asarray(values)).all()


KINDS = [
    name for kind in Fuzz.__mro__ for name in vars(kind) if name[0] != "_" and name not in ("load", "place", "check")
]
