"""How data sets lie on disk: one reader per layout, folder in, list of subjects out.

A reader names files, frame times, labels and orientation; it never loads a volume, except that M&Ms does not say in
its 4D label files which frames are labelled (then the label file is read once). `cohorts.find_subjects` is the door.

A subject is a plain dictionary (the JSON of a cohort file):
    subject          unique id
    image            one 3D or 4D file, a folder of DICOM files, or a list with one 3D file per frame
    label            the same form, a list with None where a frame has no label, or None
    times            fraction of the cardiac cycle per frame; None: i / T for 4D, 0 for 3D
    labelled_frames  frames of a 4D label file that carry labels; None: all
    phases           frame indices, {"ED": i, "ES": j} as far as known
    label_map        {"file value": inside value} or None where they are the same
    array_axes       anatomical direction of each array axis where the affine has lost it, or None
and, from a cohort file, `split`: the section it stands in.
"""

import csv
import json
import logging
import os
import re
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np

from scripts.dicom_files import dicom_paths, is_dicom, study_of
from scripts.errors import InputError
from scripts.files import walk_files
from scripts.readers import image_stem

logger = logging.getLogger(__name__)

SECTIONS = ("training", "validation", "test")
NIFTI = re.compile(r"^(?P<stem>[^.].*)\.nii(\.gz)?$")
# what segmentation and challenges write beside an image: never an image to segment when a folder is searched
DERIVED = ("_gt", "_seg", "_prob", "_recon", "_uncertainty", "_extrapolated")
# where in the cycle end systole lies when nothing says so (about a third, at rest)
TYPICAL_ES = 0.35


def nifti_stem(path) -> str | None:
    """File name without .nii or .nii.gz; None for any other (or hidden) file."""
    match = NIFTI.match(os.path.basename(path))
    return match["stem"] if match else None


def niftis_by_folder(folder) -> dict[str, dict[str, str]]:
    """{folder: {stem: path}} of every NIfTI file below `folder`."""
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for path in walk_files(folder):
        stem = nifti_stem(path)
        if stem:
            folders[os.path.dirname(path)][stem] = path
    return folders


def make_subject(subject, image, label=None, **fields) -> dict:
    """A subject with every key there; unnamed ones take the value that means "nothing special"."""
    if isinstance(label, list) and not any(label):
        label = None
    entry = {"subject": subject, "image": image, "label": label, "times": None, "labelled_frames": None}
    return {**entry, "phases": {}, "label_map": None, "array_axes": None, **fields}


def frame_count(path) -> int:
    """Number of time frames by the file's header (1 for 3D). Raises InputError when it is no readable NIfTI file."""
    try:
        shape = nib.load(path).shape
    except Exception as error:  # nibabel raises a different type for each way a file can be broken
        raise InputError(f"{path} cannot be read as NIfTI ({error}); replace or remove the file.") from error
    return int(shape[3]) if len(shape) > 3 else 1


# ---------------------------------------------------------------------------------------------------------- ACDC

ACDC_FRAME = re.compile(r"^(?P<id>.+)_frame(?P<number>\d+)$")
ACDC_FIELDS = {"label_map": {"0": 0, "1": 3, "2": 2, "3": 1}, "array_axes": ["lateral", "inferior", "apex"]}


def read_acdc(folder, use_4d=False, strict=True) -> list[dict]:
    """patientNNN/Info.cfg, patientNNN_frameFF[_gt].nii.gz and patientNNN_4d.nii.gz, at any depth.

    The 3D frames are the image unless `use_4d`, or unless a patient has only the 4D file. FF counts from 1.
    """
    subjects = []
    for place, files in niftis_by_folder(folder).items():
        frames: dict[str, dict[int, str]] = defaultdict(dict)
        for stem, path in files.items():
            match = ACDC_FRAME.match(stem)
            if match:
                frames[match["id"]][int(match["number"])] = path
        whole = {stem[:-3]: path for stem, path in files.items() if stem.endswith("_4d")}
        info = read_info_cfg(os.path.join(place, "Info.cfg"))
        for subject in {*frames, *whole}:
            # a 4D file goes with label files alone too: patientNNN_frameFF_gt without patientNNN_frameFF
            labels = {int(s[len(subject) + 6 : -3]): p for s, p in files.items() if is_acdc_label(subject, s)}
            if subject in whole and (use_4d or subject not in frames):
                subjects.append(acdc_cine(subject, whole[subject], labels, info, strict))
            else:
                subjects.append(acdc_frames(subject, frames[subject], labels, info))
    return subjects


def is_acdc_label(subject, stem) -> bool:
    """Whether a file stem is that of a label of `subject`: patientNNN_frameFF_gt."""
    return re.fullmatch(re.escape(subject) + r"_frame\d+_gt", stem) is not None


def read_info_cfg(path) -> dict[str, int]:
    """ED, ES (frame numbers from 1) and NbFrame, as far as the file is there and says them."""
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return {}
    pairs = [re.match(r"\s*(ED|ES|NbFrame)\s*:\s*(\d+)\s*$", line) for line in lines]
    return {pair[1]: int(pair[2]) for pair in pairs if pair}


def acdc_frames(subject, frames, labels, info) -> dict:
    """A subject of 3D frames. frames, labels: frame number from 1 -> path; info: see `read_info_cfg`.

    Times are (number - 1) / NbFrame of the cycle; without NbFrame from 0 to TYPICAL_ES, with a warning.
    """
    numbers = sorted(frames)
    phases = {phase: numbers.index(info[phase]) for phase in ("ED", "ES") if info.get(phase) in numbers}
    if info.get("NbFrame", 0) >= numbers[-1]:
        times = [(number - 1) / info["NbFrame"] for number in numbers]
    else:
        logger.warning(
            "%s: no Info.cfg that says how many frames the cycle has; taking the first frame as end diastole and the "
            "last as %.2f of the cycle.",
            subject,
            TYPICAL_ES,
        )
        span = max(numbers[-1] - numbers[0], 1)
        times = [TYPICAL_ES * (number - numbers[0]) / span for number in numbers]
        if len(numbers) == 2:
            phases = phases or {"ED": 0, "ES": 1}
    image, label = [frames[n] for n in numbers], [labels.get(n) for n in numbers]
    return make_subject(subject, image, label, times=times, phases=phases, **ACDC_FIELDS)


def acdc_cine(subject, image, labels, info, strict) -> dict:
    """The 4D file as image; the label is a list with a 3D file at the labelled frames, as long as the cine."""
    try:
        count = frame_count(image)
        if max(labels, default=0) > count:
            raise InputError(f"{image} has {count} frames, but there is a label for frame {max(labels)}.")
    except InputError:
        if strict:
            raise
        return make_subject(subject, image, **ACDC_FIELDS)  # the scan fails alone, when it is loaded
    phases = {phase: info[phase] - 1 for phase in ("ED", "ES") if 1 <= info.get(phase, 0) <= count}
    label = [labels.get(number) for number in range(1, count + 1)]
    return make_subject(subject, image, label, phases=phases, **ACDC_FIELDS)


# ---------------------------------------------------------------------------------------------------------- M&Ms


def read_mnms(folder, strict=True) -> list[dict]:
    """<ID>_sa.nii.gz with <ID>_sa_gt.nii.gz (4D, labels at ED and ES only), or <ID>_sa_ED / <ID>_sa_ES (3D, + _gt).

    Labelled frames come from the challenge's CSV (columns "External code", "ED", "ES", counted from 0) if one is
    below `folder`, else from the frames of the label file that are not empty.
    """
    known = read_mnms_csv(folder)
    subjects = []
    for files in niftis_by_folder(folder).values():
        for subject in sorted({m[1] for m in (re.match(r"^(.+)_sa(_ED|_ES)?$", stem) for stem in files) if m}):
            single = [(p, files[f"{subject}_sa_{p}"]) for p in ("ED", "ES") if f"{subject}_sa_{p}" in files]
            single_labels = [files.get(f"{subject}_sa_{p}_gt") for p, _ in single]
            cine, cine_label = files.get(f"{subject}_sa"), files.get(f"{subject}_sa_gt")
            if cine and (cine_label or not any(single_labels)):
                subjects.append(mnms_cine(subject, cine, cine_label, known.get(subject, {}), strict))
                continue
            times = [{"ED": 0.0, "ES": TYPICAL_ES}[p] for p, _ in single]
            phases = {p: i for i, (p, _) in enumerate(single)}
            subjects.append(make_subject(subject, [f for _, f in single], single_labels, times=times, phases=phases))
    return subjects


def read_mnms_csv(folder) -> dict[str, dict[str, int]]:
    """External code -> {"ED", "ES"} frame numbers from 0, from every CSV file at any depth below `folder`."""
    known = {}
    for path in walk_files(folder):
        if not path.lower().endswith(".csv"):
            continue
        with open(path, newline="", errors="replace") as stream:
            for row in csv.DictReader(stream):
                cells = {"ED": row.get("ED"), "ES": row.get("ES")}
                if row.get("External code") and all(re.fullmatch(r"\d+(\.0)?", c or "") for c in cells.values()):
                    known[row["External code"]] = {phase: int(float(cell)) for phase, cell in cells.items()}
    return known


def mnms_cine(subject, image, label, phases, strict) -> dict:
    """A subject of one 4D file; labelled frames from the CSV's `phases`, else from the label file itself.

    Raises InputError, with `strict`, for an unreadable file or a phase beyond the frames.
    """
    try:
        count = frame_count(image)
        if any(frame >= count for frame in phases.values()):
            raise InputError(f"{image} has {count} frames, but the CSV gives {phases}; correct the CSV.")
        if label and not phases:
            frames, phases = labelled_frames(label)
        else:
            frames = sorted(set(phases.values()))
    except InputError:
        if strict:
            raise
        return make_subject(subject, image)  # the scan fails alone, when it is loaded
    return make_subject(subject, image, label, labelled_frames=frames if label else None, phases=phases)


def labelled_frames(path) -> tuple[list[int], dict[str, int]]:
    """Frames of a 4D label file that are not empty, and {"ED", "ES"} when there are two: ED has the larger LV."""
    try:
        label = np.asarray(nib.load(path).dataobj)
    except Exception as error:
        raise InputError(f"{path} cannot be read as NIfTI ({error}); replace or remove the file.") from error
    label = label.reshape(*label.shape[:3], -1)
    frames = [int(i) for i in np.flatnonzero(label.any(axis=(0, 1, 2)))]
    if len(frames) != 2:
        return frames, {}
    diastole, systole = sorted(frames, key=lambda i: -int((label[..., i] == 1).sum()))
    return frames, {"ED": diastole, "ES": systole}


# ------------------------------------------------------------------------------------- UK Biobank, MSD, any images


def read_ukbb(folder, strict=True) -> list[dict]:
    """<subject>/sa.nii.gz and <subject>/seg_sa.nii.gz (4D), as the authors' code has them."""
    places = niftis_by_folder(folder).items()
    return [make_subject(os.path.basename(d), f["sa"], f.get("seg_sa")) for d, f in places if "sa" in f]


def read_msd(folder, strict=True) -> list[dict]:
    """imagesTr/*.nii.gz with labelsTr/ (static 3D); imagesTs/, without labels, where there is no imagesTr/."""
    place = next((p for p in ("imagesTr", "imagesTs") if os.path.isdir(os.path.join(folder, p))), None)
    if place is None:
        return []
    files = {nifti_stem(n): n for n in os.listdir(os.path.join(folder, place)) if nifti_stem(n)}
    subjects = []
    for stem, name in files.items():
        image, label = (os.path.abspath(os.path.join(folder, p, name)) for p in (place, "labelsTr"))
        subjects.append(make_subject(stem, image, label if os.path.isfile(label) else None, times=[0.0]))
    return subjects


def read_images(source, strict=True) -> list[dict]:
    """An image file, a folder of them (any depth), a folder of DICOM files, or a list of these; no labels.

    Each NIfTI, MetaImage or NRRD file is a subject, and so is each DICOM examination (see `dicom_folders`). The id is
    the file's stem or the folder's name; where these repeat (a/sa.nii.gz, b/sa.nii.gz), the folders' names go before
    it. In a folder, files named as in DERIVED (*_gt, *_seg, ...) are passed over; a file named itself is always
    taken.
    """
    paths: list[str] = []
    for item in [source] if isinstance(source, (str, os.PathLike)) else source:
        item = os.path.abspath(item)
        if not os.path.isdir(item):
            if strict and image_stem(item) is None and not is_dicom(item):
                raise InputError(f"{item} is no image file; give NIfTI, MetaImage, NRRD or a folder of DICOM files.")
            paths.append(item)
            continue
        found = [p for p in walk_files(item) if image_stem(p)]
        paths += [p for p in found if not image_stem(p).endswith(DERIVED)]
        passed = sum(image_stem(p).endswith(DERIVED) for p in found)
        if passed:
            logger.info("%s: passed over %d files named %s.", item, passed, ", ".join("*" + d for d in DERIVED))
        paths += dicom_folders(item)
    paths = sorted(set(paths))
    stems = [image_stem(p) or os.path.basename(p).removesuffix(".dcm") for p in paths]
    base = os.path.commonpath([os.path.dirname(p) for p in paths]) if paths else ""
    long = [os.path.join(os.path.relpath(os.path.dirname(p), base), s) for p, s in zip(paths, stems)]
    names = [s if stems.count(s) == 1 else os.path.normpath(n).replace(os.sep, "_") for s, n in zip(stems, long)]
    return [make_subject(name, path) for name, path in zip(names, paths)]


def dicom_folders(folder) -> list[str]:
    """The folders below `folder`, itself included, that hold one DICOM examination each.

    An examination's folder is the one that holds all files of its study; where those of two lie within each other
    they are one (a scan whose reader then refuses to mix patients).
    """
    places: dict[str, str] = {}
    named = [p for p in dicom_paths(folder) if image_stem(p) is None]
    if len({os.path.dirname(p) for p in named}) < 2:  # no header has to be read
        return sorted({os.path.dirname(p) for p in named} and {os.path.abspath(folder)})
    for path in named:
        study, place = study_of(path), os.path.dirname(path)
        places[study] = os.path.commonpath([places.get(study, place), place])
    found = set(places.values())
    outer = sorted(p for p in found if not any(p != q and os.path.commonpath([p, q]) == q for q in found))
    return [os.path.abspath(folder)] if len(outer) == 1 else outer


# --------------------------------------------------------------------------------------------------- cohort files


def read_cohort(source, strict=True) -> list[dict]:
    """A cohort JSON file, or the folder that holds cohort.json; each subject also gets its "split".

    Paths in the file are relative to the file. Raises InputError when it is not such a file, or a subject in it has
    no image or lists of different length.
    """
    path = os.path.join(source, "cohort.json") if os.path.isdir(source) else source
    if not os.path.isfile(path):
        return []
    try:
        content = json.loads(Path(path).read_text())
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); write the cohort again.") from error
    if not isinstance(content, dict) or not any(section in content for section in SECTIONS):
        raise InputError(f"{path} is no cohort file; it needs lists named {', '.join(SECTIONS)}.")
    return [cohort_subject(path, e, section) for section in SECTIONS for e in content.get(section) or []]


def cohort_subject(path, entry, section) -> dict:
    """One entry of a cohort file, its paths made absolute from the file's folder, with `section` as its split.

    Raises InputError for an entry without subject or image, or with lists of different lengths.
    """
    if not isinstance(entry, dict) or not entry.get("subject") or not entry.get("image"):
        raise InputError(f'{path}: an entry of "{section}" has no "subject" or no "image"; add them.')
    folder = os.path.dirname(os.path.abspath(path))

    def resolve(value):
        if isinstance(value, list):
            return [resolve(item) for item in value]
        return os.path.normpath(os.path.join(folder, value)) if value else None

    files = {"image": resolve(entry["image"]), "label": resolve(entry.get("label"))}
    if isinstance(files["image"], list):
        for key, value in {**entry, **files}.items():
            if key in ("label", "times") and value is not None and len(value) != len(files["image"]):
                raise InputError(
                    f'{path}: {entry["subject"]} has {len(files["image"])} images but not as many "{key}".'
                )
    return make_subject(**{**entry, **files}, split=section)


READERS = {
    "acdc": read_acdc,
    "mnms": read_mnms,
    "ukbb": read_ukbb,
    "msd": read_msd,
    "cohort": read_cohort,
    "images": read_images,
}
LOOKED_FOR = {
    "acdc": "patientNNN/patientNNN_frameFF.nii.gz or patientNNN_4d.nii.gz",
    "mnms": "<ID>/<ID>_sa.nii.gz or <ID>_sa_ED.nii.gz and <ID>_sa_ES.nii.gz",
    "ukbb": "<subject>/sa.nii.gz",
    "msd": "imagesTr/*.nii.gz or imagesTs/*.nii.gz",
    "cohort": "cohort.json with subjects in it",
    "images": "NIfTI, MetaImage or NRRD files or folders of DICOM files",
}
