"""Unusual DICOM folders: what the user sees and what comes out.

    python benchmarks/unusual_folders.py [--sunnybrook FOLDER]

The folders are made from a small phantom by ``tests/helpers/corpus_cases.py``; voxels are compared with the phantom's.
Prints a table in Markdown, and whether the volunteer's cines, with UIDs of their own in every file, come out as their
NIfTI file. With the folder of a Sunnybrook patient (NIfTI cine and LV contours) that is also written as DICOM with UIDs
as that collection has them, of their own in every file and malformed, and segmented; the Dice of the LV is taken in the
slices and frames that have contours. Exit status 1 if any outcome is not as it must be.
"""

from __future__ import annotations

import argparse
import logging
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
from about import machine

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.corpus import outcome_of, the_subject  # noqa: E402
from helpers.corpus_cases import CASES  # noqa: E402
from helpers.corpus_files import CASES as FILES  # noqa: E402
from helpers.corpus_files import small_cine  # noqa: E402
from helpers.corpus_folders import UIDS, own_uids  # noqa: E402
from helpers.dicom_help import change, examination  # noqa: E402
from helpers.phantom_dicom import Examination  # noqa: E402

from nisf.io.datalist import load_split  # noqa: E402
from nisf.io.dicom_cine import find_scan  # noqa: E402
from nisf.io.images import read_scan  # noqa: E402
from nisf.transforms.load import LoadCined  # noqa: E402
from nisf.utils.errors import InputError  # noqa: E402


def table() -> int:
    """Prints the table; returns how many outcomes are not as they must be."""
    subject, wrong = the_subject(), 0
    print("| folder | what the user sees | result |\n|---|---|---|")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            outcome = outcome_of(case, subject, Path(folder) / "scan")
        wrong += not outcome.right
        print(f"| {case.name} | {outcome.seen} | {outcome.result}{'' if outcome.right else ' (WRONG)'} |")
    print(f"\n{len(CASES)} folders, {wrong} not as they must be")
    return wrong


def table_of_files() -> int:
    """Prints the same for archives and files of converters; returns how many are not as they must be."""
    print("\n| stored as | what the user sees | result |\n|---|---|---|")
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        of_dicom = read_scan(str(examination(Path(place))[1]))
    right = {False: small_cine(), True: (of_dicom.array, of_dicom.affine)}
    for case in FILES:
        with tempfile.TemporaryDirectory() as place, heard() as lines:
            given = str(case.make(Path(place)))
            result = "read"
            try:
                (subject,) = load_split(case.layout, given if case.layout != "images" else [given], "all")
                image = LoadCined("image")(subject)["image"]
                array, affine = right[case.dicom]
                same = np.array_equal(image[0].numpy(), array) and np.allclose(image.affine, affine, atol=1e-4)
                good = same and not case.refused and case.said in " ".join(lines)
            except InputError as error:
                lines.append(str(error))
                result, good = "refused", bool(case.refused and re.search(case.refused, str(error)))
            seen = "; ".join(line.replace(given, "SCAN").replace(place, "") for line in lines)
        wrong += not good
        print(f"| {case.wrong} | {seen} | {result}{'' if good else ' (WRONG)'} |")
    print(f"\n{len(FILES)} files, {wrong} not as they must be")
    return wrong


@contextmanager
def heard() -> Iterator[list[str]]:
    """The lines of warnings of nisf's own code."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("nisf").addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger("nisf").removeHandler(handler)


def volunteer() -> int:
    """Writes the volunteer's three cines as DICOM with UIDs of their own in every file; 1 if other voxels come out."""
    source = Path(__file__).resolve().parent.parent / "bundle" / "examples" / "volunteer"
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(("2ch", "4ch", "sax"), 3):
            scan = nib.load(source / f"{name}.nii.gz")
            beat = 1000 * float(scan.header.get_zooms()[3]) * scan.shape[3]
            array = np.asarray(scan.dataobj).astype(np.int16)
            Examination(Path(folder), number, beat).add(number, name, array, scan.affine, PatientID="volunteer")
        change(folder, own_uids(*UIDS, "SOPInstanceUID", text="1.2.840.113619.0{}"))
        found = find_scan(folder)
        flip = np.linalg.inv(scan.affine) @ found.affine
        same = np.array_equal(found.array()[:, :, :: -1 if flip[2, 2] < 0 else 1], array)
    print(f"volunteer: {found.label}, {'the same voxels as' if same else 'OTHER VOXELS THAN'} the NIfTI file")
    return not same


def sunnybrook(source: Path) -> None:
    """Writes the patient as DICOM, segments it and prints the LV's Dice."""
    (contours,) = source.glob("*_lv_gt.nii.gz")
    scan = nib.load(str(contours).replace("_lv_gt", ""))
    array, truth = np.asarray(scan.dataobj).astype(np.int16), np.asarray(nib.load(contours).dataobj)
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place) / "scan", Path(place) / "out"
        beat = 1000 * float(scan.header.get_zooms()[3]) * array.shape[3]
        Examination(folder, 3, beat).add(4, "SHORT AXIS CINE", array, scan.affine)
        change(folder, own_uids(*UIDS, "SOPInstanceUID", text="1.3.6.1.4.1.9328.50.16.0{}"))
        done = subprocess.run(["nisf", "segment", folder, "-o", out], capture_output=True, text=True, check=True)
        labels = nib.load(out / "scan" / "scan_seg.nii.gz")
        turn = np.linalg.inv(labels.affine) @ scan.affine
        found = np.asarray(labels.dataobj)
        found = found[:, :, ::-1] if turn[2, 2] < 0 else found
    print(f"lines on standard error: {len(done.stderr.splitlines())}")
    for frame in np.flatnonzero(truth.any(axis=(0, 1, 2))):
        drawn = truth[..., frame] == 1
        ours = (found[..., frame] == 1) & drawn.any(axis=(0, 1))
        print(f"frame {frame}: LV Dice {2 * (ours & drawn).sum() / (ours.sum() + drawn.sum()):.3f}")


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sunnybrook", type=Path, help="folder of the patient")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    print(machine(), "\n")
    wrong = table() + table_of_files() + volunteer()
    if options.sunnybrook:
        sunnybrook(options.sunnybrook)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
