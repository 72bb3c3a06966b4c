"""Scans as arrays with an affine, from NIfTI, a folder of DICOM files, MetaImage or NRRD, or an archive of these."""

from __future__ import annotations

import logging
import os
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from nisf.geometry.grid import Grid
from nisf.io.archives import archive_stem, unpacked
from nisf.io.axis_order import as_xyzt, has_time_third
from nisf.io.dicom_cine import DicomScan, find_scan, find_stack
from nisf.io.dicom_headers import is_dicom
from nisf.io.frame_times import frame_times
from nisf.io.layouts.images import scan_in
from nisf.io.nifti import image_stem, new_header, open_nifti, read_to_end, seconds_per_frame
from nisf.io.nrrd_times import nrrd_starts
from nisf.io.sidecar import read_sidecar
from nisf.io.voxel_files import ITK_ENDINGS
from nisf.utils.errors import InputError
from nisf.utils.extras import check_extra
from nisf.utils.files import check_readable

logger = logging.getLogger(__name__)


@dataclass
class StoredImage:
    """A scan as it was stored.

    Attributes:
        array: [X, Y, Z, T] float32.
        affine: voxel index to world, RAS mm [4, 4].
        frame_duration: seconds; 0 for a single frame or where unknown.
        header: NIfTI header on this grid, for result files, with the slice axis if known; None where the file is NIfTI
            and has one.
        person: patient and heart rate from DICOM headers, see ``dicom_cine.DicomScan``.
        triggers, beat: ``starts`` and ``beat`` of a ``DicomScan``.
        kept_slices: numbers of the slices that there are; None where all are.
    """

    array: np.ndarray
    affine: np.ndarray
    frame_duration: float
    header: nib.Nifti1Header | None = None
    person: dict[str, float | str | None] = field(default_factory=dict)
    triggers: tuple[float, ...] = ()
    beat: float = 0.0
    kept_slices: list[int] | None = None

    @property
    def starts(self) -> tuple[float, ...]:
        """Seconds of each frame after the R wave, taken for the first frame in files other than DICOM; else empty."""
        step = self.frame_duration
        return self.triggers or tuple(i * step for i in range(self.array.shape[3]) if step)


def read_scan(path: str, stack: str | None = None, strict: bool = False, cine: bool = False) -> StoredImage:
    """Reads a NIfTI file, a MetaImage or NRRD file, or the short-axis cine of a DICOM folder or file; or an archive.

    Args:
        path: file or folder; of an archive its only scan.
        cine: whether a fourth axis of a NIfTI file must be time: a third axis that is taken for time by what is in it
            is then exchanged with it, with a line, see ``axis_order``.
        stack, strict: for DICOM, ``wanted`` and ``strict`` of ``dicom_cine.find_scan``.

    Raises:
        InputError: the file is missing, damaged, of another kind, does not have three or four axes, or has a
            degenerate affine; or as ``dicom_cine.find_scan``, ``archives.unpacked`` or ``layouts.images.scan_in``.
    """
    path = str(path)
    if archive_stem(path) is not None:
        return _of_archive(path, stack, strict, cine)
    if is_dicom_scan(path):
        return _of_dicom(path, stack, strict)
    if stack is not None:
        raise InputError(f"{path}: is no DICOM scan, so --stack cannot name a series of it; leave --stack out")
    return _of_itk(path) if path.endswith(ITK_ENDINGS) else _of_nifti(path, cine)


def read_volume(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Array [X, Y, Z, T] in float32 and affine [4, 4] of an image; raises as ``read_scan``."""
    scan = read_scan(path)
    return scan.array, scan.affine


def read_image(path: str | Path, cycle: float | None = None) -> tuple[np.ndarray, Grid]:
    """Array [X, Y, Z, T] in float32 and grid of any image: one slice or more, of any plane, a still or a cine.

    Of NIfTI, MetaImage or NRRD, a DICOM file or a folder of DICOM files of one stack.

    Args:
        path: file or folder.
        cycle: seconds from beat to beat where the user says them, see ``frame_times``.

    Raises:
        InputError: it is missing; or as ``read_scan``, but for a folder ``dicom_cine.find_stack``; or as
            ``frame_times``.
    """
    if not Path(path).exists():
        raise InputError(f"{path}: there is no such image; check the path")
    found = _of_stack(find_stack(path)) if is_dicom_scan(str(path)) else read_scan(str(path))
    times = frame_times(str(path), found.array.shape[3], found.starts, found.beat, cycle)
    return found.array, Grid(found.affine, found.array.shape[:3], times)


def image_grid(path: str | Path) -> Grid:
    """Grid and frames of an image; raises as ``read_image``."""
    return read_image(path)[1]


def is_dicom_scan(path: str) -> bool:
    """Whether a path is a folder, or a DICOM file."""
    return os.path.isdir(path) or (image_stem(path) is None and is_dicom(path))


def _checked(path: str, array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The array with four axes."""
    while array.ndim > 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4):
        raise InputError(f"{path}: has {array.ndim} axes; give a 3D volume or a 4D series")
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: its affine is degenerate; repair the voxel sizes and orientation in the header")
    return array if array.ndim == 4 else array[..., None]


def _of_archive(path: str, stack: str | None, strict: bool, cine: bool) -> StoredImage:
    check_readable(path)
    with unpacked(path) as folder:
        try:
            inside = scan_in(folder, path)
            found = read_scan(inside, stack, strict, cine)
            header = found.header or open_nifti(inside).header.copy()
        except InputError as error:
            raise InputError(str(error).replace(str(folder), path)) from error
    return replace(found, header=header)


# ---------------------------------------------------------------------------------------------------------- DICOM
def _of_dicom(path: str, stack: str | None, strict: bool) -> StoredImage:
    found = find_scan(path, stack, strict)
    what = "short-axis cine" if stack is None else "stack"
    logger.info("%s: %s %s, %d slices, %d frames", path, what, found.label, len(found.slices), found.shape[3])
    for line in found.notes:
        logger.warning("%s: %s", path, line)
    for line in found.left:
        logger.info("%s: left %s", path, line)
    return _of_stack(found)


def _of_stack(found: DicomScan) -> StoredImage:
    header = new_header(found.shape, found.affine, found.frame_duration)
    header.set_dim_info(slice=2)
    return StoredImage(
        found.array(),
        found.affine,
        found.frame_duration,
        header,
        found.person,
        triggers=found.starts,
        beat=found.beat,
        kept_slices=found.kept_slices,
    )


# ------------------------------------------------------------------------------------------------------------ ITK
def _of_itk(path: str) -> StoredImage:
    """Through MONAI's reader, which turns ITK's world (LPS) into this one's (RAS)."""
    check_readable(path)
    check_extra("itk", f"reading {path}")
    import itk
    from monai.data import ITKReader

    itk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        components, kind = _components(itk, path)
        # ITK's Python types do not cover every kind of number in four axes or with several components; these exist
        reader = ITKReader(pixel_type=itk.F if components == 1 else itk.VariableLengthVector[itk.F])
        raw, meta = reader.get_data(reader.read(path))
    except Exception as error:  # ITK raises one exception for everything
        raise InputError(f"{path}: is empty, cut off or no image; give a whole MetaImage or NRRD file") from error
    if kind not in ("scalar", "vector"):  # 3D Slicer stores the frames of a sequence as components
        raise InputError(f"{path}: holds colours or complex numbers; give one real number a voxel")
    affine = np.asarray(meta["affine"], dtype=float).astype(np.float32).astype(float)
    array = _checked(path, np.asarray(raw, dtype=np.float32), affine)
    spacing = np.asarray(meta["spacing"], dtype=float)
    duration = _likely_seconds(float(spacing[3])) if len(spacing) > 3 and array.shape[3] > 1 else 0.0
    starts = nrrd_starts(path, array.shape[3]) if path.endswith((".nrrd", ".nhdr")) else ()
    if len(starts) > 1:
        duration = (starts[-1] - starts[0]) / (len(starts) - 1)
    shape = array.shape if raw.ndim > 3 else array.shape[:3]
    return StoredImage(array, affine, duration, new_header(shape, affine, duration), triggers=starts)


def _components(itk, path: str) -> tuple[int, str]:
    """Number of components of a voxel, and their kind in ITK's words: scalar, vector, rgb, complex..."""
    io = itk.ImageIOFactory.CreateImageIO(path, itk.CommonEnums.IOFileMode_ReadMode)
    io.SetFileName(path)
    io.ReadImageInformation()
    return io.GetNumberOfComponents(), io.GetPixelTypeAsString(io.GetPixelType())


def _likely_seconds(step: float) -> float:
    """Seconds of a time step without a unit: 1 means unknown in ITK, above 5 only ms make sense."""
    return 0.0 if step == 1 or not step > 0 else step / 1000 if step > 5 else step


# ---------------------------------------------------------------------------------------------------------- NIfTI
def _of_nifti(path: str, cine: bool) -> StoredImage:
    image = open_nifti(path, tell=True)
    if image.get_data_dtype().kind not in "iufb":
        raise InputError(f"{path}: holds colours or complex numbers; give one real number a voxel")
    try:
        array = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
        if path.endswith(".gz"):
            read_to_end(path)
    except (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error) as error:
        raise InputError(f"{path}: the voxel data is damaged or cut off; copy the file again") from error
    affine, seconds, header = np.asarray(image.affine, dtype=float), seconds_per_frame(image), None
    array = _checked(path, array, affine)
    if cine and has_time_third(array):
        array, affine, seconds = _exchanged(path, array, affine, image)
        header = new_header(array.shape, affine, seconds)
    told = read_sidecar(path, array.shape[3])
    seconds = (told.step or seconds) if array.shape[3] > 1 else 0.0
    return StoredImage(array, affine, seconds, header, told.person, told.starts, told.beat)


def _exchanged(path: str, array: np.ndarray, affine: np.ndarray, image: nib.spatialimages.SpatialImage) -> tuple:
    """Array [X, Y, Z, T], affine and seconds per frame of [X, Y, T, Z]; raises ``InputError`` without a distance."""
    zooms = (*voxel_sizes(affine), seconds_per_frame(image) or float(image.header.get_zooms()[3]))
    found = as_xyzt(array, affine, zooms)
    if found is None:
        raise InputError(
            f"{path}: its third axis seems to be time and its fourth the slices, and no voxel size can be the slices' "
            "distance; store it as X, Y, Z, time, or write the distance into the header"
        )
    logger.warning(
        "%s: its third axis is taken for time and its fourth for the slices, %.1f mm apart, as what it shows changes "
        "less along the third; results are stored as X, Y, Z, time",
        *(path, voxel_sizes(found[1])[2]),
    )
    return found
