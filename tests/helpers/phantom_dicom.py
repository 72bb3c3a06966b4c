"""Phantom scans as exported by a scanner: a folder of DICOM files, several series mixed, meaningless names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nisf.phantom.cohort import Subject
from nisf.utils.files import whole_file, write_text

#: From this world (RAS) to DICOM's (LPS).
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class Examination:
    """A study's folder and the common elements of its files.

    Attributes:
        folder: folder of the files.
        seed: random seed of names and UIDs; the same seed writes the same files.
        beat: ms from beat to beat.
        shared: elements, keyword to value, that every file gets (or loses, where None).
        written: number of files so far.
    """

    folder: Path
    seed: int = 0
    beat: float = 900.0
    shared: Mapping[str, object] = field(default_factory=dict)
    written: int = 0

    def uid(self, *words: object) -> str:
        """A UID that depends only on the seed and the words."""
        from pydicom.uid import generate_uid

        return generate_uid(entropy_srcs=["nisf phantom", str(self.seed), *map(str, words)])

    def add(
        self,
        number: int,
        description: str,
        array: np.ndarray,
        affine: np.ndarray,
        spread: bool = False,
        slope: float = 1.0,
        intercept: float = 0.0,
        **elements: object,
    ) -> list[Path]:
        """Writes a series, one file for each slice and frame, as all scanners do.

        Args:
            number: number of the series; with ``spread`` that of its first slice.
            description: description of the series.
            array: [X, Y, Z, T] stored values, 0 to 32767.
            affine: voxel index to RAS mm, [4, 4].
            spread: whether each slice is a separate series.
            slope, intercept: written as the rescaling of the stored values.
            elements: further elements, keyword to value; None leaves one out.

        Returns:
            the files, slice by slice, frame by frame.
        """
        frames, paths = array.shape[3], []
        for z in range(array.shape[2]):
            series = number + z if spread else number
            for t in range(frames):
                instance = t + 1 if spread else z * frames + t + 1
                values = {
                    **_plane(affine, z),
                    "SeriesNumber": series,
                    "SeriesInstanceUID": self.uid("series", series),
                    "SeriesDescription": description,
                    "ProtocolName": description,
                    "InstanceNumber": instance,
                    "SOPInstanceUID": self.uid("image", series, instance),
                    "AcquisitionNumber": z + 1,
                    "AcquisitionTime": _clock(36000 + 60 * series + 12 * z),
                    "ContentTime": _clock(36010 + 60 * series + 12 * z),
                    "RescaleSlope": None if (slope, intercept) == (1.0, 0.0) else slope,
                    "RescaleIntercept": None if (slope, intercept) == (1.0, 0.0) else intercept,
                    **(self._beats(t, frames) if frames > 1 else {}),
                    **elements,
                    **self.shared,
                }
                paths.append(self._write(array[:, :, z, t], values))
        return paths

    def _beats(self, frame: int, frames: int) -> dict[str, object]:
        from pydicom.valuerep import DSfloat

        return {
            "TriggerTime": DSfloat(frame * self.beat / frames, auto_format=True),
            "NominalInterval": int(round(self.beat)),
            "HeartRate": int(round(60_000 / self.beat)),
            "CardiacNumberOfImages": frames,
        }

    def _write(self, pixels: np.ndarray, values: Mapping[str, object]) -> Path:
        import pydicom
        from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = MRImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = values["SOPInstanceUID"]
        data.SOPClassUID = MRImageStorage
        for keyword, value in {**_scanner(), **self._study(), **values}.items():
            if value is not None:
                setattr(data, keyword, value)
        data.Columns, data.Rows = pixels.shape
        data.PixelData = np.ascontiguousarray(pixels.T.astype("<u2")).tobytes()
        # a meaningless name and an order other than that of time, in several folders
        name = self.uid("name", values["SOPInstanceUID"])[-12:]
        path = self.folder / f"DIR{self.written % 3}" / f"I{name}"
        with whole_file(path) as part:
            data.save_as(part, enforce_file_format=True)
        self.written += 1
        return path

    def _study(self) -> dict[str, object]:
        return {
            "PatientName": "Phantom^Heart",
            "PatientID": f"PHANTOM{self.seed}",
            "PatientBirthDate": "19700101",
            "PatientSex": "F",
            "PatientSize": 1.68,
            "PatientWeight": 64.0,
            "StudyInstanceUID": self.uid("study"),
            "FrameOfReferenceUID": self.uid("frame"),
            "StudyDate": "20260102",
            "StudyTime": "100000",
            "StudyID": "1",
            "AccessionNumber": "",
            "ReferringPhysicianName": "",
        }


def write_dicom(
    subject: Subject,
    folder: str | Path,
    seed: int = 0,
    spread: bool = False,
    others: bool = True,
    **elements: object,
) -> Path:
    """Writes a phantom's examination: short-axis cine, 2- and 4-chamber cines, localiser, late-enhancement-like stack.

    The stored values of the short-axis cine are those of the NIfTI file that ``phantom.write_cohort`` writes. Other
    kinds of files are there too.

    Args:
        subject: heart and scanner.
        folder: folder of the examination; files go into folders below it.
        seed: random seed of names and UIDs.
        spread: whether each short-axis slice is a separate series.
        others: whether to write the other series too.
        elements: further elements of the short-axis cine, keyword to value; None leaves one out.

    Returns:
        the folder.
    """
    acquisition = subject.acquisition
    beat = 1000 * acquisition.frame_duration * acquisition.frames
    examination = Examination(Path(folder), seed, beat)
    if others:
        _localiser(subject, examination)
        for number, (name, across) in enumerate((("cine_2ch", 1), ("cine_4ch", 0))):
            view = replace(subject, acquisition=_long_axis(subject, across))
            examination.add(3 + number, name, stored(view), view.acquisition.affine)
    examination.add(7, "cine_sax", stored(subject), acquisition.affine, spread, **elements)
    if others:
        still = replace(subject, acquisition=replace(acquisition, frames=1, brightness=acquisition.brightness[::-1]))
        examination.add(60, "lge_sax", stored(still), acquisition.affine)
        write_text(Path(folder) / "README.TXT", "exported\n")
        write_text(Path(folder) / "DIR1" / "Thumbs.db", "no image\n")
    return Path(folder)


def stored(subject: Subject) -> np.ndarray:
    """The scan as whole numbers, int16 [X, Y, Z, T], as the phantom's NIfTI files hold it."""
    return np.clip(np.rint(subject.render()), 0, np.iinfo(np.int16).max).astype(np.int16)


def _long_axis(subject: Subject, across: int):
    """A plane through the long axis and a direction of the heart: 0 lateral (4-chamber), 1 inferior (2-chamber)."""
    size, pixel = max(subject.acquisition.shape[:2]), float(np.linalg.norm(subject.acquisition.affine[:3, 0]))
    axes = subject.heart.axes
    columns = np.stack([axes[2], axes[across], np.cross(axes[2], axes[across])], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = columns * [pixel, pixel, subject.acquisition.thickness]
    affine[:3, 3] = subject.heart.middle() - affine[:3, :2] @ np.full(2, (size - 1) / 2)
    return replace(subject.acquisition, shape=(size, size, 1), affine=affine, shifts=None)


def _localiser(subject: Subject, examination: Examination) -> None:
    """Three planes of the body in one series."""
    size, pixel = 32, 10.0
    for plane in range(3):
        columns = np.roll(np.eye(3), -plane, axis=1)
        affine = np.eye(4)
        affine[:3, :3] = columns * pixel
        affine[:3, 3] = subject.heart.middle() - affine[:3, :2] @ np.full(2, (size - 1) / 2)
        scout = replace(subject.acquisition, shape=(size, size, 1), frames=1, affine=affine, shifts=None)
        view = replace(subject, acquisition=scout)
        examination.add(
            1,
            "localizer",
            stored(view),
            affine,
            InstanceNumber=plane + 1,
            SOPInstanceUID=examination.uid("scout", plane),
        )


def _plane(affine: np.ndarray, z: int) -> dict[str, object]:
    """Position of slice ``z`` as DICOM elements (PS3.3 C.7.6.2), numbers as exact as DS allows."""
    from pydicom.valuerep import DSfloat

    lps = LPS @ affine
    step = np.linalg.norm(lps[:3, :3], axis=0)
    directions = lps[:3, :2] / step[:2]
    normal = np.cross(*directions.T)
    position = lps[:3, 3] + z * lps[:3, 2]

    def text(values):
        return [DSfloat(float(v), auto_format=True) for v in values]

    return {
        "ImageOrientationPatient": text(directions.T.ravel()),
        "ImagePositionPatient": text(position),
        "PixelSpacing": text([step[1], step[0]]),
        "SliceThickness": text([step[2]])[0],
        "SpacingBetweenSlices": text([step[2]])[0],
        "SliceLocation": text([position @ normal])[0],
    }


def _scanner() -> dict[str, object]:
    """Elements that describe the scanner and its pixels."""
    return {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"],
        "Modality": "MR",
        "Manufacturer": "Phantom",
        "ManufacturerModelName": "NISF phantom",
        "BodyPartExamined": "HEART",
        "PatientPosition": "HFS",
        "ScanningSequence": "GR",
        "SequenceVariant": "SK",
        "ScanOptions": "PFP",
        "MRAcquisitionType": "2D",
        "MagneticFieldStrength": 1.5,
        "PositionReferenceIndicator": "",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
    }


def _clock(seconds: float) -> str:
    """HHMMSS.FFFFFF."""
    whole = int(seconds)
    return f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}.{round((seconds - whole) * 1e6):06d}"
