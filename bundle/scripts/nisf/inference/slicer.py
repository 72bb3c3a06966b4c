"""Segmentations as 3D Slicer reads them: segments of ED and ES, and the labels of all frames with their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL.ImageColor import getrgb

from nisf.inference.dicom_seg import phases_of
from nisf.inference.label_names import TITLES, TYPES
from nisf.io.dicom_cine import RAS
from nisf.io.nifti import open_nifti
from nisf.plots.style import class_colour
from nisf.utils.files import whole_file

#: Slicer's list of terms, and the category of organs and their parts in it.
TERMS = "Segmentation category and type - DICOM master list"
CATEGORY = ["SCT", "123037004", "Anatomical Structure"]

#: What Slicer makes of the labels when it opens them: contours and surfaces.
SHOWN = ["Binary labelmap", "Closed surface"]


def write_slicer(
    label_files: Sequence[Path],
    stem: str | Path,
    times: Sequence[float],
    cycle: float,
    class_names: Mapping[str, str],
) -> list[Path]:
    """Writes ``<stem>_ED.seg.nrrd`` and ``<stem>_ES.seg.nrrd``, of a still ``<stem>.seg.nrrd``, and of a cine
    ``<stem>_seg.seq.nrrd`` too.

    The first are segmentations, with names, colours and SNOMED CT codes; the last is a sequence of label maps with the
    time of each frame. ED and ES are the frames in which the LV is largest and smallest; without any LV the sequence
    stands alone.

    Args:
        label_files: the scan's ``_seg.nii.gz``, one for all frames or one for each.
        stem: folder and beginning of the files' names.
        times: fraction of the cycle of each frame.
        cycle: seconds of the cycle; 0 where unknown, then the sequence's index is the fraction.
        class_names: class number (text) to name; 0, the background, may be left out.

    Raises:
        InputError: a label file cannot be read, the folder cannot be written or the disk is full.

    Source: Slicer's developer guide, "Segmentations" and "Sequences".
    """
    images = [open_nifti(str(file)) for file in label_files]
    read = [np.asarray(image.dataobj, np.uint8) for image in images]
    labels = np.concatenate([array.reshape(*array.shape[:3], -1) for array in read], axis=3)
    ijk_to_lps = RAS @ images[0].affine  # its own inverse: NRRD files of Slicer are LPS
    names = {int(number): name for number, name in class_names.items() if int(number) > 0}
    files = []
    for phase, frame in _phases(labels, names).items():
        path = Path(f"{stem}{phase and f'_{phase}'}.seg.nrrd")
        tags = {"Phase": phase} if phase else {}
        tags["Time"] = f"{times[frame] * cycle:.4f} s" if cycle else f"{times[frame]:.4f} of the cycle"
        files.append(_write_segmentation(path, labels[..., frame], ijk_to_lps, names, tags))
    if labels.shape[3] > 1:
        files.append(_write_sequence(Path(f"{stem}_seg.seq.nrrd"), labels, ijk_to_lps, times, cycle))
    return files


def _phases(labels: np.ndarray, names: Mapping[int, str]) -> dict[str, int]:
    """Frames to be written as segmentations by the names of their phases; a still has no name."""
    if labels.shape[3] == 1:
        return {"": 0}
    shown = any(name == "LV" and (labels == number).any() for number, name in names.items())
    return phases_of(labels, names) if shown else {}


def _write_segmentation(
    path: Path, labels: np.ndarray, ijk_to_lps: np.ndarray, names: Mapping[int, str], tags: Mapping[str, str]
) -> Path:
    """Segments that share one label map [X, Y, Z]."""
    import slicerio

    segments = [_segment(number, name, tags) for number, name in sorted(names.items())]
    with whole_file(path) as part:
        voxels = {"voxels": labels, "ijkToLPS": ijk_to_lps}
        slicerio.write_segmentation(str(part), {**voxels, "segments": segments, "containedRepresentationNames": SHOWN})
    return path


def _segment(number: int, name: str, tags: Mapping[str, str]) -> dict[str, object]:
    from pydicom.sr.codedict import codes

    segment = {
        "id": name,
        "name": TITLES.get(name, name),
        "color": [round(part / 255, 6) for part in getrgb(class_colour(number))],
        "labelValue": number,
        "layer": 0,
        "tags": dict(tags),
    }
    if name in TYPES:
        code = getattr(codes.SCT, TYPES[name])
        segment["terminology"] = {"contextName": TERMS, "category": CATEGORY, "type": ["SCT", code.value, code.meaning]}
    return segment


def _write_sequence(
    path: Path, labels: np.ndarray, ijk_to_lps: np.ndarray, times: Sequence[float], cycle: float
) -> Path:
    import slicerio

    values = [f"{time * (cycle or 1):.4f}" for time in times]
    index = {"indexName": "time", "indexUnit": "s"} if cycle else {"indexName": "fraction of the cycle"}
    volume = {
        "voxels": labels,
        "ijkToLPS": ijk_to_lps,
        "sequence": {**index, "indexType": "numeric", "indexValues": values},
        "DataNodeClassName": "vtkMRMLLabelMapVolumeNode",
    }
    with whole_file(path) as part:
        slicerio.write_volume(str(part), volume)
    return path
