"""Scans as archives, converters and people store them: what is wrong with each, and what must come out.

Each case makes its files in a folder from the small cine of ``Small`` and returns the path that a user would give.
"""

import io
import json
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import nibabel as nib
import numpy as np
from helpers.dicom_help import examination

from nisf.geometry.orientation import SHORT_AXIS

#: Seconds from frame to frame of the small cine.
STEP = 0.04


def small_cine():
    """A bright ball that beats in a dark box: int16 [X, Y, Z, T], more frames than slices; a short-axis affine."""
    places = np.stack(np.meshgrid(np.arange(24), np.arange(20), np.arange(5), indexing="ij"), axis=-1)
    away = np.linalg.norm((places - [11, 9, 2]) * [1, 1, 3], axis=-1)
    radius = 7 + np.cos(np.arange(8) / 8 * 2 * np.pi)
    array = (400 + 3 * places[..., :1] + 20 * places[..., 2:3]) * (away[..., None] < radius) + 30
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = SHORT_AXIS * [6.0, 6.0, 9.0], [80, -60, 90]
    return array.astype(np.int16), affine.astype(np.float32).astype(float)


def write_nifti(path, array, affine, step=STEP):
    """A NIfTI file of mm and seconds."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm", "sec")
    if array.ndim > 3:
        image.header["pixdim"][4] = step
    nib.save(image, path)
    return Path(path)


@dataclass(frozen=True)
class Case:
    """A scan stored in some way.

    ``make(folder)`` returns what a user gives; ``layout`` is theirs to name. It is read as the array and affine of
    ``small_cine`` (or of the examination of ``dicom_help``, if ``dicom``) at ``starts`` seconds, or refused with
    ``refused`` in the sentence; ``said`` is in a line about it.
    """

    name: str
    wrong: str
    make: Callable[[Path], Path]
    layout: str = "images"
    dicom: bool = False
    starts: tuple = ()
    refused: str = ""
    said: str = ""


def _sidecar(folder, **told):
    path = write_nifti(folder / "cine.nii.gz", *small_cine(), step=1)
    (folder / "cine.json").write_text(told.pop("text", None) or json.dumps({"Modality": "MR", **told}))
    return path


def _xytz(folder, third, fourth):
    """Time before the slices, with these voxel sizes of the two axes in the header."""
    array, affine = small_cine()
    affine = affine @ np.diag([1, 1, third / 9.0, 1])
    return write_nifti(folder / "cine.nii", array.swapaxes(2, 3), affine, fourth)


def _frames(folder, name="frame_{:03d}.nii.gz", triggers=False, first=0):
    array, affine = small_cine()
    for number in range(array.shape[3]):
        path = write_nifti(folder / name.format(first + number), array[..., number], affine)
        if triggers:
            told = {"TriggerDelayTime": 1000 * STEP * number}
            path.with_name(path.name.split(".")[0] + ".json").write_text(json.dumps(told))
    return folder


def _sequence(folder, first, lines):
    """An NRRD sequence as 3D Slicer writes it, its list the first or the last axis."""
    array, affine = small_cine()
    lps = np.diag([-1, -1, 1, 1]) @ affine
    axes = [f"({','.join(f'{v:.9g}' for v in lps[:3, axis])})" for axis in range(3)]
    sizes, kinds = list(array.shape[:3]), ["domain"] * 3
    place = 0 if first else 3
    for words, word in ((axes, "none"), (sizes, array.shape[3]), (kinds, "list")):
        words.insert(place, word)
    header = [
        *("NRRD0004", "type: short", "dimension: 4", "space: left-posterior-superior"),
        *(f"sizes: {' '.join(map(str, sizes))}", f"space directions: {' '.join(axes)}", f"kinds: {' '.join(kinds)}"),
        *("endian: little", "encoding: raw", f"space origin: ({','.join(f'{v:.9g}' for v in lps[:3, 3])})"),
        *(line.replace("AXIS", str(place)) for line in lines),
    ]
    voxels = np.moveaxis(array, 3, place).transpose(3, 2, 1, 0).astype("<i2")
    path = folder / "cine.seq.nrrd"
    path.write_bytes("\n".join([*header, "", ""]).encode() + voxels.tobytes())
    return path


def _zipped(folder, files, name="scan.zip"):
    """An archive of files [(name in it, path or bytes)]."""
    path = folder / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for inside, content in files:
                archive.writestr(inside, content if isinstance(content, bytes) else Path(content).read_bytes())
        return path
    with tarfile.open(path, "w:gz") as archive:
        for inside, content in files:
            content = content if isinstance(content, bytes) else Path(content).read_bytes()
            member = tarfile.TarInfo(inside)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _nifti_bytes(folder):
    path = write_nifti(folder / "inner.nii.gz", *small_cine())
    content = path.read_bytes()
    path.unlink()
    return content


def _zipped_dicom(folder, name):
    examined = examination(folder / "files")[1]
    files = [(f"DICOM/{path.relative_to(examined)}", path) for path in sorted(examined.rglob("*")) if path.is_file()]
    return _zipped(folder, files, name)


def _encrypted(folder):
    """A zip archive whose only file is marked as encrypted."""
    content = bytearray(_zipped(folder, [("a.nii.gz", _nifti_bytes(folder))]).read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    (folder / "scan.zip").write_bytes(content)
    return folder / "scan.zip"


STARTS = tuple(STEP * number for number in range(8))
SECONDS = [round(start, 3) for start in STARTS]
LIST = ("axis AXIS index type:=numeric", f"axis AXIS index values:={' '.join(f'{1000 * s:.0f}' for s in STARTS)}")

CASES = [
    Case(
        "sidecar_times", "times in dcm2niix' JSON alone", lambda f: _sidecar(f, FrameTimesStart=SECONDS), starts=STARTS
    ),
    Case(
        "sidecar_triggers",
        "trigger times in ms in the JSON alone",
        lambda f: _sidecar(f, TriggerDelayTime=[1000 * s for s in SECONDS]),
        starts=STARTS,
    ),
    Case("sidecar_other_length", "times of other frames", lambda f: _sidecar(f, FrameTimesStart=SECONDS[:3])),
    Case(
        "sidecar_text", "a JSON file that is none", lambda f: _sidecar(f, text="{TriggerTime"), said="is no JSON file"
    ),
    Case(
        "xytz",
        "time is the third axis, sizes in its order",
        lambda f: _xytz(f, STEP, 9),
        starts=STARTS,
        said="third axis",
    ),
    Case(
        "xytz_sizes",
        "time is the third axis, sizes are not",
        lambda f: _xytz(f, 9, STEP),
        starts=STARTS,
        said="third axis",
    ),
    Case("xytz_unknown", "time is the third axis, no distance", lambda f: _xytz(f, 1, 1), refused="slices' distance"),
    Case("frames", "a 3D file for each frame", _frames, "frames"),
    Case("frames_unpadded", "9.nii.gz and 10.nii.gz", lambda f: _frames(f, "{}.nii.gz", first=5), "frames"),
    Case("frames_triggers", "each frame with its JSON", lambda f: _frames(f, triggers=True), "frames", starts=STARTS),
    Case(
        "seq_last",
        "a sequence of 3D Slicer",
        lambda f: _sequence(f, False, ['labels: "" "" "" "time"', 'units: "" "" "" "ms"', *LIST]),
        starts=STARTS,
    ),
    Case(
        "seq_first",
        "a sequence of an older 3D Slicer",
        lambda f: _sequence(f, True, ['labels: "time" "" "" ""', *LIST]),
        starts=STARTS,
    ),
    Case(
        "seq_numbers",
        "a sequence with numbers for times",
        lambda f: _sequence(f, True, ["axis AXIS index values:=0 1 2 3 4 5 6 7"]),
    ),
    Case(
        "multi_volume",
        "a multi-volume of 3D Slicer",
        lambda f: _sequence(
            f,
            True,
            [
                f"MultiVolume.FrameLabels:={','.join(f'{1000 * s:.0f}' for s in STARTS)}",
                "MultiVolume.FrameIdentifyingDICOMTagUnits:=ms",
            ],
        ),
        starts=STARTS,
    ),
    Case("zip_nifti", "NIfTI in a zip archive", lambda f: _zipped(f, [("a/b.nii.gz", _nifti_bytes(f))]), starts=STARTS),
    Case(
        "tar_nifti",
        "NIfTI in a tar archive",
        lambda f: _zipped(f, [("b.nii.gz", _nifti_bytes(f))], "scan.tar.gz"),
        starts=STARTS,
    ),
    Case("zip_dicom", "an examination in a zip archive", lambda f: _zipped_dicom(f, "scan.zip"), dicom=True),
    Case("tar_dicom", "an examination in a tar archive", lambda f: _zipped_dicom(f, "scan.tgz"), dicom=True),
    Case("zip_empty", "an archive without images", lambda f: _zipped(f, [("read.me", b"-")]), refused="holds no image"),
    Case(
        "zip_two",
        "an archive of two scans",
        lambda f: _zipped(f, [(f"{n}.nii.gz", _nifti_bytes(f)) for n in "ab"]),
        refused="holds 2 scans",
    ),
    Case(
        "zip_path",
        "a file in the archive leads out of it",
        lambda f: _zipped(f, [("../../evil.nii.gz", _nifti_bytes(f))]),
        refused="would be written elsewhere",
    ),
    Case(
        "tar_path",
        "a file in the archive has an absolute path",
        lambda f: _zipped(f, [("/tmp/evil.nii.gz", _nifti_bytes(f))], "scan.tar.gz"),
        refused="would be written elsewhere",
    ),
    Case(
        "zip_bomb",
        "an archive that fills the disk",
        lambda f: _zipped(f, [("zeros.nii", bytes(1 << 25))]),
        refused="more than a scan can hold",
    ),
    Case("zip_encrypted", "an encrypted archive", _encrypted, refused="is encrypted"),
    Case("zip_text", "an archive that is none", lambda f: _text(f / "scan.zip"), refused="damaged or cut off"),
]


def _text(path):
    path.write_text("no archive")
    return path
