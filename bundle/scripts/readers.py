"""Scans from files of any kind as an array in the world: NIfTI, a folder of DICOM files, MetaImage, NRRD."""

from __future__ import annotations

import logging
import os
import re
import zlib
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from scripts.dicom_files import is_dicom
from scripts.dicom_scan import find_scan
from scripts.errors import InputError
from scripts.files import check_readable

logger = logging.getLogger(__name__)

#: Seconds in the time units of NIfTI; where a file names none, seconds are meant.
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
#: Endings of image files that ITK reads.
ITK_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")
_STEM = re.compile(r"^(?P<stem>[^.].*?)(\.nii|\.nii\.gz|\.seq\.nrrd|\.mha|\.mhd|\.nrrd|\.nhdr)$")


@dataclass
class Scan:
    """A scan as it was stored.

    Attributes:
        array: [X, Y, Z, T] float32.
        affine: voxel index to world, RAS mm [4, 4].
        frame_duration: seconds; 0 for a single frame or where the file does not tell.
        header: of a NIfTI file on this grid for what is made of the scan; None where the file is NIfTI and has its own.
        person: what a DICOM header tells of patient and beat, see ``dicom_scan.DicomScan``.
    """

    array: np.ndarray
    affine: np.ndarray
    frame_duration: float
    header: nib.Nifti1Header | None = None
    person: dict[str, float | str | None] = field(default_factory=dict)


def image_stem(path: str | os.PathLike) -> str | None:
    """File name without the ending of a NIfTI, MetaImage or NRRD file; None for any other or a hidden file."""
    match = _STEM.match(os.path.basename(path))
    return match["stem"] if match else None


def read_scan(path: str) -> Scan:
    """Reads a NIfTI file, a MetaImage or NRRD file, or the short-axis cine of a DICOM folder or file.

    Raises:
        InputError: the file is missing, damaged, of another kind, has not three or four axes, or a degenerate affine;
            or as ``dicom_scan.find_scan``.
    """
    path = str(path)
    if os.path.isdir(path) or (image_stem(path) is None and is_dicom(path)):
        return _of_dicom(path)
    return _of_itk(path) if path.endswith(ITK_ENDINGS) else _of_nifti(path)


def read_volume(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Array [X, Y, Z, T] in float32 and affine [4, 4] of an image; raises as ``read_scan``."""
    scan = read_scan(path)
    return scan.array, scan.affine


def _checked(path: str, array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The array with four axes."""
    while array.ndim > 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4):
        raise InputError(f"{path}: has {array.ndim} axes; give a 3D volume or a 4D series")
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: its affine is degenerate; repair the voxel sizes and orientation in the header")
    return array if array.ndim == 4 else array[..., None]


def new_header(shape: tuple[int, ...], affine: np.ndarray, frame_duration: float) -> nib.Nifti1Header:
    """A NIfTI header of scanner coordinates, mm and seconds; ``shape`` [X, Y, Z] or [X, Y, Z, T]."""
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_xyzt_units("mm", "sec")
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    if len(shape) > 3:
        header.set_zooms([*header.get_zooms()[:3], frame_duration])
    return header


# ---------------------------------------------------------------------------------------------------------- DICOM


def _of_dicom(path: str) -> Scan:
    found = find_scan(path)
    logger.info("%s: short-axis cine %s, %d slices, %d frames", path, found.label, *found.shape[2:])
    for line in found.left:
        logger.info("%s: left %s", path, line)
    header = new_header(found.shape, found.affine, found.frame_duration)
    return Scan(found.array(), found.affine, found.frame_duration, header, found.person)


# ------------------------------------------------------------------------------------------------------------ ITK


def _of_itk(path: str) -> Scan:
    """Through MONAI's reader, which turns ITK's world (LPS) into this one's (RAS)."""
    check_readable(path)
    try:
        import itk
        from monai.data import ITKReader
    except ImportError as error:
        raise InputError(f"{path}: needs ITK; install it (pip install itk) or give the scan as NIfTI") from error
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        components, kind = _components(itk, path)
        # ITK has no Python type for every kind of number in four axes or with several components, but has these
        reader = ITKReader(pixel_type=itk.F if components == 1 else itk.VariableLengthVector[itk.F])
        raw, meta = reader.get_data(reader.read(path))
    except Exception as error:  # ITK has one exception for all
        raise InputError(f"{path}: is empty, cut off or no image; give a whole MetaImage or NRRD file") from error
    if kind not in ("scalar", "vector"):  # 3D Slicer stores the frames of a sequence as components
        raise InputError(f"{path}: holds colours or complex numbers; give one real number a voxel")
    affine = np.asarray(meta["affine"], dtype=float).astype(np.float32).astype(float)
    array = _checked(path, np.asarray(raw, dtype=np.float32), affine)
    spacing = np.asarray(meta["spacing"], dtype=float)
    duration = _likely_seconds(float(spacing[3])) if len(spacing) > 3 and array.shape[3] > 1 else 0.0
    shape = array.shape if raw.ndim > 3 else array.shape[:3]
    return Scan(array, affine, duration, new_header(shape, affine, duration))


def _components(itk, path: str) -> tuple[int, str]:
    """Numbers a voxel, and what they are, as ITK calls it: scalar, vector, rgb, complex..."""
    io = itk.ImageIOFactory.CreateImageIO(path, itk.CommonEnums.IOFileMode_ReadMode)
    io.SetFileName(path)
    io.ReadImageInformation()
    return io.GetNumberOfComponents(), io.GetPixelTypeAsString(io.GetPixelType())


def _likely_seconds(step: float) -> float:
    """Seconds of a time step whose unit no one named: 1 is ITK's word for unknown, above 5 only ms make sense."""
    return 0.0 if step == 1 or not step > 0 else step / 1000 if step > 5 else step


# ---------------------------------------------------------------------------------------------------------- NIfTI


def _of_nifti(path: str) -> Scan:
    image = open_nifti(path)
    if image.get_data_dtype().kind not in "iufb":
        raise InputError(f"{path}: holds colours or complex numbers; give one real number a voxel")
    try:
        array = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error) as error:
        raise InputError(f"{path}: the voxel data is damaged or cut off; copy the file anew") from error
    affine = np.asarray(image.affine, dtype=float)
    return Scan(_checked(path, array, affine), affine, seconds_per_frame(image))


def open_nifti(path: str) -> nib.spatialimages.SpatialImage:
    """The file opened, its voxels unread. Raises InputError where it is missing, damaged or of another kind."""
    check_readable(path)
    try:
        image = nib.load(path)
    except (nib.filebasedimages.ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: is empty, cut off or no image; give a whole NIfTI file (.nii or .nii.gz)") from error
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise InputError(f"{path}: is no volume; give a NIfTI file (.nii or .nii.gz)")
    if any(size < 1 for size in image.shape):
        raise InputError(f"{path}: its header tells of {image.shape} voxels; copy the file anew or repair the header")
    return image


def seconds_per_frame(image: nib.spatialimages.SpatialImage) -> float:
    """Seconds from one frame to the next by the header of a 4D file; 0 for a 3D one."""
    zooms = image.header.get_zooms()
    return float(zooms[3]) * time_unit(image.header) if len(zooms) > 3 else 0.0


def time_unit(header: nib.spatialimages.SpatialHeader) -> float:
    """Seconds in one of a header's time units."""
    return SECONDS.get(header.get_xyzt_units()[1], 1.0) if hasattr(header, "get_xyzt_units") else 1.0
