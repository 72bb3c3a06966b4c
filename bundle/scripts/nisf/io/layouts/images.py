"""Any image files and DICOM folders, without labels."""

from __future__ import annotations

import logging
import os
from collections import Counter

from nisf.io.archives import archive_stem
from nisf.io.dicom_headers import FileKind, dicom_paths, is_dicom, kind_of
from nisf.io.layouts.common import DERIVED, make_subject
from nisf.io.layouts.frames import tell_of_frames
from nisf.io.nifti import image_stem
from nisf.utils.errors import InputError
from nisf.utils.files import walk_files
from nisf.utils.names import name_key

logger = logging.getLogger(__name__)


def read_images(source, strict=True) -> list[dict]:
    """An image file, a folder of them (any depth), a folder of DICOM files, or a list of these; no labels.

    Each NIfTI, MetaImage or NRRD file is a subject, and so is each DICOM examination (see `dicom_folders`). The id is
    the file's stem or the folder's name; where these repeat (a/sa.nii.gz, b/sa.nii.gz), the folders' names go before
    it. In a folder, files named as in DERIVED (*_gt, *_seg, ...) are skipped; a file given by name is always
    taken. So is a zip or tar archive of one scan; those in a folder are taken where it holds nothing else.
    """
    paths: list[str] = []
    for item in [source] if isinstance(source, (str, os.PathLike)) else source:
        item = os.path.abspath(item)
        if not os.path.isdir(item):
            if strict and image_stem(item) is None and archive_stem(item) is None and not is_dicom(item):
                raise InputError(
                    f"{item} is no image file; give NIfTI, MetaImage, NRRD, a folder of DICOM files or an "
                    "archive of one."
                )
            paths.append(item)
            continue
        files = walk_files(item)
        found = [p for p in files if image_stem(p)]
        paths += [p for p in found if not image_stem(p).endswith(DERIVED)]
        passed = sum(image_stem(p).endswith(DERIVED) for p in found)
        if passed:
            logger.info("%s: skipped %d files named %s.", item, passed, ", ".join("*" + d for d in DERIVED))
        tell_of_frames(found)
        examinations = dicom_folders(item)
        paths += examinations
        if not found and not examinations:
            paths += [p for p in files if archive_stem(p)]
    paths = sorted(set(paths))
    stems = [image_stem(p) or archive_stem(p) or os.path.basename(p).removesuffix(".dcm") for p in paths]
    base = os.path.commonpath([os.path.dirname(p) for p in paths]) if paths else ""
    long = [os.path.join(os.path.relpath(os.path.dirname(p), base), s) for p, s in zip(paths, stems)]
    many = Counter(map(name_key, stems))
    names = [s if many[name_key(s)] == 1 else os.path.normpath(n).replace(os.sep, "_") for s, n in zip(stems, long)]
    return [make_subject(name, path) for name, path in zip(names, paths)]


def scan_in(folder: str | os.PathLike, archive: str) -> str:
    """The only scan in the folder of an unpacked archive: a file, or a folder of DICOM files.

    Raises:
        InputError: there is none, or there are several.
    """
    found = [subject["image"] for subject in read_images(str(folder))]
    if len(found) == 1 and archive_stem(found[0]) is None:
        return found[0]
    what = f"{len(found)} scans" if found else "no image and no DICOM files"
    raise InputError(f"{archive}: holds {what}; give an archive of one scan, or unpack it and give the folder")


def dicom_folders(folder) -> list[str]:
    """The folders below `folder`, itself included, that hold one DICOM examination each.

    An examination's folder is the one that holds all images of its study (of its patient or series where a file
    has a study of its own); where one contains the other they count as one (which the reader refuses if both have a
    scan). What is no image (DICOMDIR, reports, segmentations of earlier runs) counts nowhere. A damaged file makes a
    scan of its folder only where no other scan has it.
    """
    named = [p for p in dicom_paths(folder) if image_stem(p) is None]
    if len({os.path.dirname(p) for p in named}) < 2:  # one image is enough
        return [os.path.dirname(p) for p in named if kind_of(p).image][:1]
    kinds = {path: kind_of(path) for path in named}
    damaged = {os.path.dirname(path) for path, kind in kinds.items() if kind.damaged}
    images = {path: kind for path, kind in kinds.items() if kind.image and not kind.damaged}
    held = Counter(key for kind in images.values() for key in _keys(kind))
    places: dict[object, str] = {}
    for path, kind in images.items():
        place = os.path.dirname(path)
        name = next((key for key in _keys(kind) if held[key] > 1 or not kind.alone), place)
        places[name] = os.path.commonpath([places.get(name, place), place])
    found = _outermost(set(places.values()))
    alone = {d for d in damaged if not any(_within(d, p) or _within(p, d) for p in found)}
    return sorted(found | _outermost(alone))


def _keys(kind: FileKind) -> list[tuple[str, str]]:
    """What may hold a file and others together, the best first."""
    told = [(name, getattr(kind, name)) for name in ("study", "patient", "series") if getattr(kind, name)]
    return told or [("study", "")]


def _outermost(folders: set[str]) -> set[str]:
    return {f for f in folders if not any(f != other and _within(f, other) for other in folders)}


def _within(folder: str, other: str) -> bool:
    """Whether a folder is another or lies below it."""
    return os.path.commonpath([folder, other]) == other
