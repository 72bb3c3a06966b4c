"""Makers of DICOM folders whose pixels are stored in unusual ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from helpers.corpus import SLICES
from helpers.corpus_folders import exported, from_slice, place, plane
from helpers.dicom_help import enhanced
from helpers.phantom_dicom import Examination, stored

from nisf.io.dicom_headers import dicom_paths
from nisf.phantom.cohort import Subject


def one_enhanced(subject: Subject, folder: Path) -> Path:
    """The cine as one enhanced file."""
    enhanced(folder / "one.dcm", stored(subject), subject.acquisition.affine)
    return folder


def enhanced_slices(subject: Subject, folder: Path) -> Path:
    """An enhanced file for each slice."""
    for z in range(SLICES):
        enhanced(folder / f"{z}.dcm", stored(subject)[:, :, z : z + 1], from_slice(subject, z), name=str(z))
    return folder


def compressed(uid: str, codec: str = "") -> Callable:
    """All files in another transfer syntax, by pydicom or, where it has no encoder, by GDCM."""

    def make(subject: Subject, folder: Path) -> Path:
        exported(folder)
        for path in dicom_paths(folder):
            if codec:
                by_gdcm(path, codec)
            else:
                data = pydicom.dcmread(path)
                data.compress(uid)
                data.save_as(path)
        return folder

    return make


def by_gdcm(path: str, codec: str) -> None:
    """Writes a file anew in a transfer syntax of GDCM's."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    reader.Read()
    turn = gdcm.ImageChangeTransferSyntax()
    turn.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, codec)))
    turn.SetInput(reader.GetImage())
    turn.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(turn.GetOutput())
    writer.SetFileName(path)
    writer.Write()


def byte_order(uid: str, little: bool, preamble: bool = True) -> Callable:
    """All files in another byte order or without explicit types, with or without a preamble."""

    def make(subject: Subject, folder: Path) -> Path:
        exported(folder)
        for path in dicom_paths(folder):
            data = pydicom.dcmread(path)
            if not little:
                data.PixelData = data.pixel_array.astype(">u2").tobytes()
            data.file_meta.TransferSyntaxUID = uid
            implicit = uid == pydicom.uid.ImplicitVRLittleEndian
            if not preamble:
                del data.file_meta, data.preamble
            pydicom.dcmwrite(path, data, implicit_vr=implicit, little_endian=little, force_encoding=True)
        return folder

    return make


def mosaic(subject: Subject, folder: Path) -> Path:
    """One file per frame with the slices side by side, their number in a private element of Siemens."""
    array, affine = stored(subject), subject.acquisition.affine
    exam = Examination(folder, 0, 900.0)
    files = exam.add(5, "cine", array[:, :, :1], affine, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    for t, path in enumerate(files):
        data = pydicom.dcmread(path)
        row, column, start = plane(data)
        normal = np.cross(row, column)
        planes = array[..., t].transpose(2, 1, 0)
        step = np.array([-1, -1, 1]) * affine[:3, 2]
        if step @ normal < 0:  # mosaics go along the normal
            planes, start = planes[::-1], start + (SLICES - 1) * step
        tiles = planes.reshape(2, 2, *planes.shape[1:]).swapaxes(1, 2).reshape(2 * data.Rows, 2 * data.Columns)
        corner = start - (row * data.PixelSpacing[1] * data.Columns + column * data.PixelSpacing[0] * data.Rows) / 2
        data.ImagePositionPatient = list(corner)
        data.Rows, data.Columns = tiles.shape
        data.PixelData = np.ascontiguousarray(tiles.astype("<u2")).tobytes()
        data.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", SLICES)
        data.save_as(path)
    return folder


def philips(data) -> None:
    """Stored values and their slope and intercept differ from slice to slice."""
    z, _ = place(data)
    data.RescaleSlope, data.RescaleIntercept = 2.0 / (z + 1), -3.0
    data.PixelData = np.rint((data.pixel_array + 3.0) * (z + 1) / 2).astype("<u2").tobytes()


def signed(data) -> None:
    """Stored values below 0, with an intercept that lifts them."""
    data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope = 1, 100, 1
    data.PixelData = (data.pixel_array.astype("<i2") - 100).tobytes()
