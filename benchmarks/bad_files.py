"""Bad inputs, made from good ones: files for ``bad_inputs.py``. Each function writes one into a folder."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.dicom_help import change, examination, of_series  # noqa: E402

from nisf.io.dicom_headers import dicom_paths  # noqa: E402


def _saved(change: Callable[[np.ndarray], np.ndarray], affine: Callable[[np.ndarray], np.ndarray] = lambda a: a):
    """A maker of scans from the voxels and the affine of a good one."""

    def make(good: Path, path: Path) -> Path:
        image = nib.load(good)
        nib.save(nib.Nifti1Image(change(np.asarray(image.dataobj)), affine(image.affine.copy())), path)
        return path

    return make


def _bytes(change: Callable[[bytes], bytes]):
    """A maker of files from the bytes of a good one."""

    def make(good: Path, path: Path) -> Path:
        path.write_bytes(change(good.read_bytes()))
        return path

    return make


def _flat(content: bytes) -> bytes:
    """The file with a world whose third axis is the second: sform_code and srow_z of the NIfTI-1 header."""
    raw = bytearray(gzip.decompress(content))
    raw[254:256] = struct.pack("<h", 1)
    raw[312:328] = raw[296:312]
    return gzip.compress(bytes(raw))


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - one for one in content[middle : middle + 64]) + content[middle + 64 :]


def _colours(array: np.ndarray) -> np.ndarray:
    return np.zeros(array.shape[:3], [("R", "u1"), ("G", "u1"), ("B", "u1")])


def _one_nan(array: np.ndarray) -> np.ndarray:
    array = array.astype(np.float32)
    array[0, 0, 0, 0] = np.nan
    return array


def _dicom(edit: Callable[[Path], object]):
    """A maker of folders of DICOM files."""

    def make(good: Path, path: Path) -> Path:
        folder = path.with_name("dicom")
        examination(folder)
        edit(folder)
        return folder

    return make


def _two_patients(folder: Path) -> None:
    change(folder, lambda data: setattr(data, "PatientID", "another"), of_series(60))


def _frame_missing(folder: Path) -> None:
    """Of the cine, which has the most images."""
    by_series = defaultdict(list)
    for path in dicom_paths(folder):
        by_series[pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID].append(path)
    Path(max(by_series.values(), key=len)[1]).unlink()


def _cut_off(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:200])


def _no_dicom(good: Path, path: Path) -> Path:
    path.with_name("notes").mkdir()
    (path.with_name("notes") / "readme.txt").write_text("no images")
    return path.with_name("notes")


SCANS: dict[str, Callable[[Path, Path], Path]] = {
    "missing file": lambda good, path: path,
    "empty file": _bytes(lambda content: b""),
    "cut-off file": _bytes(lambda content: content[: len(content) // 2]),
    "damaged file": _bytes(_flipped),
    "text in place of an image": _bytes(lambda content: b"no image"),
    "folder without images": _no_dicom,
    "2D image": _saved(lambda array: array[:, :, 0, 0]),
    "five axes": _saved(lambda array: np.stack([array, array], axis=4)),
    "single slice": _saved(lambda array: array[:, :, :1]),
    "colours": _saved(_colours),
    "complex numbers": _saved(lambda array: array.astype(np.complex64)),
    "NaN": _saved(_one_nan),
    "constant image": _saved(np.zeros_like),
    "no heart in view": _saved(lambda array: np.linspace(0, 1, array.size, dtype=np.float32).reshape(array.shape)),
    "affine without volume": _bytes(_flat),
    "DICOM cut off": _dicom(_cut_off),
    "DICOM of two patients": _dicom(_two_patients),
    "DICOM with an image missing": _dicom(_frame_missing),
}


def _label(value: int):
    return _saved(lambda array: np.where(array == 1, value, array).astype(np.uint8))


LABELS: dict[str, Callable[[Path, Path], Path]] = {
    "damaged label": SCANS["damaged file"],
    "label of another shape": _saved(lambda array: array[:-1]),
    "label of another affine": _saved(lambda array: array, lambda affine: affine @ np.diag([1.5, 1, 1, 1.0])),
    "label with an unknown value": _label(77),
    "label without a class": _saved(np.zeros_like),
}


def write_list(folder: Path, entry: dict, **sections: list) -> Path:
    """A data list whose every section has one good entry, unless others are given."""
    listing = folder / "cohort.json"
    good = {name: [{**entry, "subject": name}] for name in ("training", "validation", "test")}
    listing.write_text(json.dumps({"name": "bad", "labels": {}, **good, **sections}))
    return listing


def lists(entry: dict) -> dict[str, Callable[[Path], Path]]:
    """Kinds of bad data lists, for a good entry with absolute paths."""

    def text(content: str) -> Callable[[Path], Path]:
        def make(folder: Path) -> Path:
            (folder / "cohort.json").write_text(content)
            return folder / "cohort.json"

        return make

    def with_entry(**fields: object) -> Callable[[Path], Path]:
        sections = {name: [{**entry, "subject": name, **fields}] for name in ("training", "validation", "test")}
        return lambda folder: write_list(folder, entry, **sections)

    return {
        "data list that is no JSON": text('{"training": ['),
        "data list without sections": text("{}"),
        "data list without subjects": text('{"training": [], "validation": [], "test": []}'),
        "section that is a number": text('{"training": 3, "validation": 3, "test": 3}'),
        "entry without an image": with_entry(image=None),
        "number for an image": with_entry(image=7),
        "number for a label": with_entry(label=7),
        "split of another section": with_entry(split="nowhere"),
        "subject in two splits": with_entry(subject="same"),
        "subject outside the folder": with_entry(subject="../up"),
        "image that is missing": with_entry(image="nowhere.nii.gz"),
        "wrong number of times": with_entry(times=[0.0, 0.5]),
        "times that are no numbers": with_entry(times="all"),
        "text for phases": with_entry(phases="ED"),
    }


class Bomb:
    """Code in place of weights."""

    def __reduce__(self) -> tuple:
        return print, ("THE BOMB WENT OFF",)


def _other_network(good: Path, path: Path) -> Path:
    torch.save({"layer.weight": torch.zeros(3, 3)}, path)
    return path


def _code(good: Path, path: Path) -> Path:
    torch.save({"network": Bomb(), "latent": Bomb()}, path)
    return path


TENSORS: dict[str, Callable[[Path, Path], Path]] = {
    "missing": lambda good, path: path,
    "cut-off": SCANS["cut-off file"],
    "text in place of": SCANS["text in place of an image"],
    "of another network": _other_network,
    "code in place of": _code,
}


def _result(edit: Callable[[Path], object]):
    """A maker of result folders."""

    def make(good: Path, path: Path) -> Path:
        shutil.copytree(good, path)
        edit(path)
        return path

    return make


def _each(pattern: str, work: Callable[[Path], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        for path in folder.rglob(pattern):
            work(path)

    return edit


RESULTS: dict[str, Callable[[Path, Path], Path]] = {
    "folder that is missing": lambda good, path: path,
    "folder without results": lambda good, path: path.mkdir() or path,
    "file in place of a folder": lambda good, path: path.write_text("a file") and path,
    "latent cut off": _result(_each("*_latent.pt", lambda path: path.write_bytes(path.read_bytes()[:500]))),
    "segmentation missing": _result(_each("*_seg.nii.gz", Path.unlink)),
    "segmentation cut off": _result(_each("*_seg.nii.gz", lambda path: path.write_bytes(path.read_bytes()[:500]))),
    "latent that is a broken link": _result(_each("*_latent.pt", lambda path: (path.unlink(), path.symlink_to("no")))),
}

PEOPLE = {
    "people without scan column": "name,height\np1,170\n",
    "people with an impossible value": "scan,height\np1,1.7\n",
    "people with a scan twice": "scan,height\np1,170\np1,180\n",
    "people with too many cells": "scan,height\np1,170,80\n",
    "people that are no text": "\x00\x01\x02",
}
