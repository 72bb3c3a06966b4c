"""DICOM for several test files: phantom examinations, edited files, an enhanced file."""

import numpy as np
import pydicom
from helpers.phantom_dicom import LPS, write_dicom
from helpers.tiny import TINY

from nisf.io.dicom_headers import dicom_paths
from nisf.phantom.cohort import make_subject


def examination(folder, seed=5, frames=TINY["frames"], **options):
    """A phantom and the folder of its DICOM files."""
    subject = make_subject(seed, **{**TINY, "frames": frames})
    return subject, write_dicom(subject, folder, **options)


def change(folder, edit, where=lambda data: True):
    """Calls ``edit`` on the files for which ``where`` is true and saves them; returns how many."""
    count = 0
    for path in dicom_paths(folder):
        data = pydicom.dcmread(path)
        if where(data):
            edit(data)
            data.save_as(path)
            count += 1
    return count


def of_series(number):
    """A condition for ``change``."""
    return lambda data: data.SeriesNumber == number


def enhanced(path, array, affine, beat=800.0, name=""):
    """Writes [X, Y, Z, T] as one enhanced multi-frame file whose frames are unordered, of a series called ``name``."""
    lps, (columns, rows, slices, frames) = LPS @ affine, array.shape
    step = np.linalg.norm(lps[:3, :3], axis=0)
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = pydicom.uid.EnhancedMRImageStorage
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        setattr(data, keyword, pydicom.uid.generate_uid(entropy_srcs=[keyword]))
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        setattr(data, keyword, pydicom.uid.generate_uid(entropy_srcs=[keyword + name]))
    data.Modality, data.PatientID, data.PatientName, data.SeriesNumber = "MR", "E1", "E^1", 4
    data.PatientBirthDate = data.PatientSex = data.StudyID = data.StudyDate = data.StudyTime = ""
    data.AccessionNumber = data.ReferringPhysicianName = ""
    data.Rows, data.Columns, data.NumberOfFrames = rows, columns, slices * frames
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=_text([step[1], step[0]]), SliceThickness=_text(step[2:])[0])]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=_text((lps[:3, :2] / step[:2]).T.ravel()))]
    data.SharedFunctionalGroupsSequence = [shared]
    order = np.random.default_rng(0).permutation(slices * frames)
    groups = []
    for z, t in (divmod(int(number), frames) for number in order):
        own = pydicom.Dataset()
        own.PlanePositionSequence = [_item(ImagePositionPatient=_text(lps[:3, 3] + z * lps[:3, 2]))]
        own.CardiacSynchronizationSequence = [
            _item(NominalCardiacTriggerDelayTime=t * beat / frames, RRIntervalTimeNominal=beat)
        ]
        own.FrameContentSequence = [_item(StackID="1", InStackPositionNumber=z + 1, TemporalPositionIndex=t + 1)]
        groups.append(own)
    data.PerFrameFunctionalGroupsSequence = groups
    pixels = array.transpose(2, 3, 1, 0).reshape(-1, rows, columns)[order]
    data.PixelData = np.ascontiguousarray(pixels.astype("<u2")).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def _item(**values):
    item = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _text(values):
    return [pydicom.valuerep.DSfloat(float(v), auto_format=True) for v in values]
