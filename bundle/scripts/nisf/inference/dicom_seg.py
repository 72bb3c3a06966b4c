"""Segmentations as DICOM SEG objects that refer to the images they were made from. Research use only."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nisf.inference.dicom_source import NO_DATE, refer_to, stand_ins, without_identity
from nisf.inference.label_names import TITLES
from nisf.io.dicom_cine import DicomScan, find_scan
from nisf.io.dicom_headers import is_dicom
from nisf.io.dicom_picture import Picture
from nisf.io.images import read_scan
from nisf.io.nifti import image_stem, stem_of
from nisf.plots.style import class_colour
from nisf.utils.errors import InputError
from nisf.utils.extras import check_extra
from nisf.utils.files import whole_file
from nisf.utils.provenance import __version__

#: Notice in every object.
NOTICE = "Research use only, not for diagnosis"

#: SNOMED CT of each class, as keywords of pydicom's dictionary: DICOM's context group of heart structures (CID 7151)
#: has no code for a blood pool, so the ventricle stands for it and the segment's label says blood pool.
TYPES = {"LV": "LeftVentricle", "MYO": "LeftVentricleMyocardium", "RV": "RightVentricle"}

#: Frames that may be written: ED and ES, or all.
CHOICES = ("phases", "all")


def check_sources(subjects: Sequence[Mapping], which: str | None) -> list[Mapping]:
    """The subjects, if DICOM SEG objects can be written for all of them (or are not asked for).

    Raises:
        InputError: ``which`` is unknown, a scan is not DICOM, or highdicom is not installed; raised before
            anything is fitted.
    """
    if checked_choice(which) is not None:
        check_extra("dicom-seg", "writing DICOM SEG")
        for subject in subjects:
            image = subject["image"]
            _check_source(str(image[0] if isinstance(image, (list, tuple)) else image))
    return list(subjects)


def write_segmentations(
    source: str | os.PathLike,
    labels: np.ndarray | str | os.PathLike,
    output_dir: str | os.PathLike,
    which: str | Mapping[str, int] = "phases",
    class_names: Mapping[str, str] | None = None,
    keep_ids: bool = False,
    stack: str | None = None,
) -> list[Path]:
    """Writes ``<scan>_seg_ED.dcm`` and ``_ES.dcm``, or ``_frame01.dcm`` and so on, with one binary segment per class.

    The unique identifiers of study and images are those of the source, because the objects refer to them. Nothing else
    of the headers is passed on, no date and no text, but with ``keep_ids``, which an archive sorted by patient needs.

    Args:
        source: folder (or enhanced file) of DICOM images that was segmented.
        labels: whole numbers [X, Y, Z, T] on the scan's own grid, or the ``_seg.nii.gz`` that ``nisf segment`` wrote.
        output_dir: folder to write to.
        which: ``phases`` (the frames in which the LV blood pool is largest and smallest), ``all``, or a mapping of
            names to frame numbers.
        class_names: class number (text) to name; LV, MYO and RV unless given.
        keep_ids: take over patient, study and equipment from the images.
        stack: number, UID or description of the series that was segmented; the short-axis cine unless given.

    Returns:
        the files, in the order of the frames' names.

    Raises:
        InputError: the source is not DICOM, or lacks what an object needs; the labels are not on its grid or show no
            LV; or a file cannot be written.
    """
    check_extra("dicom-seg", "writing DICOM SEG")
    logging.getLogger("highdicom").setLevel(logging.WARNING)  # it logs every module that it copies
    _check_source(str(source))
    names = {int(k): v for k, v in (class_names or {"1": "LV", "2": "MYO", "3": "RV"}).items() if int(k) > 0}
    unknown = [name for name in names.values() if name not in TYPES]
    if unknown:
        raise InputError(
            f"{source}: DICOM SEG can be written for {', '.join(TYPES)}, not for {unknown[0]}; leave it out"
        )
    scan, stem = find_scan(source, stack), stem_of(source)
    array = _on_grid(labels, scan, str(source))
    frames = phases_of(array, names, str(source)) if which == "phases" else which
    if which == "all":
        width = max(2, len(str(array.shape[3])))
        frames = {f"frame{t + 1:0{width}d}": t for t in range(array.shape[3])}
    files = []
    for number, (name, frame) in enumerate(frames.items()):
        pictures = [slices[frame] for slices in scan.slices]
        planes = np.moveaxis(array[:, :, scan.grid.places, frame], 2, 0).swapaxes(1, 2)
        segmentation = _segmentation(pictures, planes, names, name, number, keep_ids)
        path = Path(output_dir) / f"{stem}_seg_{name}.dcm"
        with whole_file(path) as part:
            segmentation.save_as(part)
        files.append(path)
    return files


def phases_of(labels: np.ndarray, names: Mapping[int, str], source: str = "") -> dict[str, int]:
    """{"ED": frame, "ES": frame} where the LV of ``labels`` [X, Y, Z, T] is largest and smallest; a still has ED alone.

    Raises:
        InputError: no frame shows an LV.
    """
    number = next((k for k, name in names.items() if name == "LV"), None)
    sizes = (np.asarray(labels) == number).sum(axis=(0, 1, 2))
    if not sizes.any():
        raise InputError(f"{source}: the segmentation shows no LV, so ED and ES are not known; write all frames")
    return {"ED": int(sizes.argmax())} | ({"ES": int(sizes.argmin())} if len(sizes) > 1 else {})


def checked_choice(which: str | None) -> str | None:
    """``which``, with True for phases and False for None, as given on a command line."""
    found = {True: "phases", False: None}.get(which, which) if isinstance(which, bool) else which
    if found not in (None, *CHOICES):
        raise InputError(f"dicom_seg is '{which}'; choose one of {', '.join(CHOICES)}")
    return found


def _check_source(source: str) -> None:
    if not os.path.isdir(source) and (image_stem(source) is not None or not is_dicom(source)):
        raise InputError(
            f"{source}: is not a DICOM scan, and a DICOM SEG must refer to the images it was made from; give the "
            "folder of DICOM files or leave dicom_seg out"
        )


def _on_grid(labels: np.ndarray | str | os.PathLike, scan: DicomScan, source: str) -> np.ndarray:
    if isinstance(labels, (str, os.PathLike)):
        found = read_scan(str(labels))
        if found.array.shape != scan.shape or not np.allclose(found.affine, scan.affine, atol=1e-2):
            raise InputError(f"{labels}: is not on the grid of {source}; give the segmentation of this scan")
        labels = found.array
    array = np.asarray(labels)
    if array.shape != scan.shape:
        raise InputError(f"{source}: has the shape {scan.shape}, its labels {array.shape}; give those of this scan")
    return array.astype(np.uint8)


def _segmentation(
    pictures: Sequence[Picture], planes: np.ndarray, names: Mapping[int, str], name: str, number: int, keep_ids: bool
):
    """One object for the slices [Z, rows, columns] of one frame; it has every slice for every class, empty or not."""
    import highdicom
    from pydicom.uid import generate_uid

    # the same labels of the same images, under the same names, give the same object
    said = [name, str(number), str(sorted(names.items())), "named" if keep_ids else "bare"]
    made_of = ["nisf", __version__, *said, planes.tobytes().hex(), *(f"{p.uid} {p.number}" for p in pictures)]
    uids = [generate_uid(entropy_srcs=[what, *made_of]) for what in ("series", "instance")]
    numbers = np.zeros(max(names) + 1, np.uint8)
    numbers[sorted(names)] = np.arange(1, len(names) + 1)  # segments count from 1 without gaps
    try:
        made = highdicom.seg.Segmentation(
            source_images=stand_ins(pictures, keep_ids),
            pixel_array=numbers[planes],
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_segment(highdicom, i + 1, k, names[k]) for i, k in enumerate(sorted(names))],
            series_instance_uid=uids[0],
            series_number=pictures[0].order * 100 + 90 + number,
            sop_instance_uid=uids[1],
            instance_number=1,
            manufacturer="NISF",
            manufacturer_model_name="NISF (research use only)",
            software_versions=f"nisf {__version__}, {NOTICE}",
            device_serial_number="0",
            content_description=NOTICE,
            content_label="NISF",
            series_description=f"NISF {name} - {NOTICE}"[:64],
            omit_empty_frames=False,
            **({} if keep_ids else NO_DATE),
        )
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError) as error:  # for values outside the standard
        # its text may quote the header, and this sentence is written to scans.json
        raise InputError(
            f"{pictures[0].path}: its header allows no DICOM SEG ({type(error).__name__} in highdicom); leave "
            f"{'keep_ids' if keep_ids else 'dicom_seg'} out"
        ) from error
    refer_to(made, pictures)
    if not keep_ids:
        without_identity(made)
    return made


def _segment(highdicom, number: int, label: int, name: str):
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="NISF", family=codes.cid7162.ArtificialIntelligence, version=__version__
    )
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=TITLES[name],
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=getattr(codes.SCT, TYPES[name]),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        display_color=highdicom.color.CIELabColor.from_string(class_colour(label)),
    )
