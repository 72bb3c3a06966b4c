"""The images that a DICOM SEG is made of and refers to, as highdicom takes them.

A stand-in is made for each picture, by its place and the identifiers that the object refers to. Nothing else of an
image comes near the object unless the patient is to be named: what may be passed on is listed, not what may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np

from nisf.io.dicom_picture import Picture
from nisf.utils.errors import InputError

#: All that is read of an image's header besides place and unique identifiers, which are the ``Picture``'s. Table E.1-1
#: of the basic confidentiality profile (PS3.15 Annex E) lists none of them.
ALLOWED = ("SOPClassUID", "NumberOfFrames", "LossyImageCompression")

#: Attributes that an object must have and that may be empty (type 2 in PS3.3 C.7.1.1, C.7.2.1 and C.7.4.1).
EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator"),
)

#: Groups of elements that name patient, study, visit and equipment.
NAMING = (0x0008, 0x0010, 0x0012, 0x0018, 0x0032, 0x0038)

#: Date and time of the content, which an object must have, where no date may be told (action D of the profile).
NO_DATE = {"content_date": "19000101", "content_time": "000000"}


def stand_ins(pictures: Sequence[Picture], keep_ids: bool) -> list:
    """An image of a single frame for each picture, all of one series, as highdicom wants them.

    Args:
        pictures: one for each slice, in order.
        keep_ids: take over what ``NAMING`` holds in the first picture's file.

    Raises:
        InputError: a picture lacks a unique identifier that has to be referred to.
    """
    import pydicom

    for picture in pictures:
        if not picture.study or not picture.series or picture.uid == picture.path:
            raise InputError(
                f"{picture.path}: lacks a unique identifier (study, series or image) that a DICOM SEG must refer to; "
                "leave dicom_seg out"
            )
    base = pydicom.Dataset()
    if keep_ids:
        header = pydicom.dcmread(pictures[0].path, stop_before_pixels=True, force=True)
        base.update({element.tag: element for element in header if element.tag.group in NAMING})
    return [_stand_in(base, picture, pictures) for picture in pictures]


def _stand_in(base, picture: Picture, pictures: Sequence[Picture]):
    from pydicom.uid import MRImageStorage, generate_uid

    first = pictures[0]
    step = float(np.linalg.norm(pictures[-1].position - first.position)) / max(len(pictures) - 1, 1)
    made = deepcopy(base)
    for keyword in EMPTY:
        made.setdefault(keyword, None)
    if made.PatientSex not in ("M", "F", "O"):  # the only values that the standard knows
        made.PatientSex = None
    made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, _name(picture)
    made.StudyInstanceUID, made.SeriesInstanceUID = first.study, first.series
    made.FrameOfReferenceUID = first.family or generate_uid(entropy_srcs=["nisf", first.study, first.series])
    made.Modality, made.LossyImageCompression = "MR", "00"
    made.Columns, made.Rows = picture.size
    made.PixelSpacing, made.ImageOrientationPatient = _text(first.spacing[::-1]), _text(first.directions.ravel())
    made.ImagePositionPatient = _text(picture.position)
    made.SliceThickness, made.SpacingBetweenSlices = _text([first.thickness or step, step])
    return made


def _name(picture: Picture) -> str:
    """UID of a picture's stand-in: the frames of an enhanced file share theirs."""
    from pydicom.uid import generate_uid

    return generate_uid(entropy_srcs=["nisf", picture.uid, str(picture.number)])


def _text(values: Sequence[float]) -> list:
    from pydicom.valuerep import DSfloat

    return [DSfloat(float(value), auto_format=True) for value in values]


def refer_to(made, pictures: Sequence[Picture]) -> None:
    """Puts the real images, frames and series in place of the stand-ins in an object (PS3.3 C.7.6.16.2.6, C.12.2)."""
    import pydicom

    headers = {path: _allowed(path) for path in {picture.path for picture in pictures}}
    by_name = {_name(picture): picture for picture in pictures}
    groups = [group.DerivationImageSequence[0] for group in made.PerFrameFunctionalGroupsSequence]
    items = {id(item): item for group in groups for item in group.SourceImageSequence}  # classes share them
    for item in items.values():
        picture = by_name[item.ReferencedSOPInstanceUID]
        item.update(_reference(picture, headers[picture.path]))
        if "NumberOfFrames" in headers[picture.path]:
            item.ReferencedFrameNumber = picture.number + 1
    once = {picture.uid: picture for picture in pictures}
    made.SourceImageSequence = [_reference(picture, headers[picture.path]) for picture in once.values()]
    series: dict[str, list[Picture]] = {}
    for picture in once.values():
        series.setdefault(picture.series, []).append(picture)
    made.ReferencedSeriesSequence = []
    for uid, members in series.items():
        item = pydicom.Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedInstanceSequence = [_reference(picture, headers[picture.path]) for picture in members]
        made.ReferencedSeriesSequence.append(item)
    if any(str(header.get("LossyImageCompression", "")) == "01" for header in headers.values()):
        made.LossyImageCompression = "01"


def _allowed(path: str):
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(ALLOWED), force=True)


def _reference(picture: Picture, header: Mapping):
    import pydicom

    item = pydicom.Dataset()
    item.ReferencedSOPClassUID = header.get("SOPClassUID", pydicom.uid.MRImageStorage)
    item.ReferencedSOPInstanceUID = picture.uid
    return item


def without_identity(made) -> None:
    """States what an object made of bare stand-ins is, and takes out what the profile removes from any object."""
    import highdicom
    from pydicom.sr.codedict import codes

    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "ContributingEquipmentSequence"):
        made.pop(keyword, None)
    made.PatientIdentityRemoved, made.LongitudinalTemporalInformationModified = "YES", "REMOVED"
    made.DeidentificationMethod = "PS3.15 basic profile, unique identifiers retained"
    made.DeidentificationMethodCodeSequence = [
        highdicom.sr.CodedConcept(code.value, code.scheme_designator, code.meaning)
        for code in (codes.DCM.BasicApplicationConfidentialityProfile, codes.DCM.RetainUidsOption)
    ]
