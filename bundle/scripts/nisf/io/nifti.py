"""NIfTI files: headers, times, and writing on the grid of another file."""

from __future__ import annotations

import gzip
import logging
import os
import re
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.spatialimages import HeaderDataError

from nisf.geometry.orientation import unlike_axes
from nisf.io.archives import archive_stem
from nisf.utils.errors import InputError
from nisf.utils.files import check_readable, whole_file

logger = logging.getLogger(__name__)

#: What nibabel raises for files that are no images or have a header that cannot be.
_UNREADABLE = (
    *(nib.filebasedimages.ImageFileError, HeaderDataError, OSError, EOFError, ValueError, OverflowError, zlib.error),
)


def save_nifti(
    path: str | Path, array: np.ndarray, like: str | nib.Nifti1Header, frame_duration: float | None = None
) -> Path:
    """Writes ``array`` on the grid of the NIfTI file or header ``like``: its affine, codes, units and frame duration.

    Text fields and extensions of ``like`` are left out: they may name the patient. The file appears under its name
    only when it is complete.

    Args:
        path: file to write, ``.nii.gz``.
        array: [X, Y, Z], [X, Y, Z, T] or [X, Y, Z, T, K]; trailing axes of length one in ``like``'s shape are added.
        like: file whose header is taken over, or a header.
        frame_duration: seconds; None or 0 keeps the header's.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    path, source = Path(path), like if isinstance(like, nib.Nifti1Header) else open_nifti(str(like)).header
    shape, affine = source.get_data_shape(), source.get_best_affine()
    if array.size == np.prod(shape) and array.shape == shape[: array.ndim]:
        array = array.reshape(shape)
    header = nib.Nifti1Header.from_header(source)
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    for field in ("descrip", "db_name", "aux_file", "intent_name"):  # converters write patients' names there
        header[field] = b""
    header.extensions.clear()
    header["pixdim"][1 + len(shape) : 1 + array.ndim] = 1
    if len(shape) > 3 and array.ndim > 3 and frame_duration:
        header["pixdim"][4] = frame_duration / time_unit(header)
    with whole_file(path) as temporary:
        nib.save(nib.Nifti1Image(array, affine, header), temporary)
    return path


def stem_of(path: str | Path) -> str:
    """File name without folder and without .nii.gz, .tar.gz or another single ending; a folder's whole name."""
    path = Path(path)
    return path.name if path.is_dir() else image_stem(path) or archive_stem(path) or path.stem


#: Seconds in the time units of NIfTI; a file without a unit means seconds.
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}

_STEM = re.compile(r"^(?P<stem>[^.].*?)(\.nii|\.nii\.gz|\.seq\.nrrd|\.mha|\.mhd|\.nrrd|\.nhdr)$")


def image_stem(path: str | os.PathLike) -> str | None:
    """File name without the ending of a NIfTI, MetaImage or NRRD file; None for any other or a hidden file."""
    match = _STEM.match(os.path.basename(path))
    return match["stem"] if match else None


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


def open_nifti(path: str, tell: bool = False) -> nib.spatialimages.SpatialImage:
    """The opened file, its voxels not yet read.

    Its affine has the voxel sizes of the header where it has lost them, and the axes of the array where these were
    exchanged without it, see ``orientation.unlike_axes``.

    Args:
        path: file.
        tell: whether to say so in a line where axes were exchanged.

    Raises:
        InputError: it is missing, damaged or of another kind.
    """
    check_readable(path)
    try:
        image = nib.load(path)
    except _UNREADABLE as error:
        raise InputError(f"{path}: is empty, cut off or no image; give a whole NIfTI file (.nii or .nii.gz)") from error
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise InputError(f"{path}: is no volume; give a NIfTI file (.nii or .nii.gz)")
    if any(size < 1 for size in image.shape):
        raise InputError(f"{path}: its header gives the shape {image.shape}; copy the file again or repair the header")
    return _with_own_axes(path, _sized(image), tell) if isinstance(image, nib.Nifti1Image) else image


def _sized(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """The image; where its affine has voxels of 1 mm and ``pixdim`` has others, with an affine of the latter.

    ACDC's files are such: their sform has lost the sizes that qform and pixdim have.
    """
    affine, sizes = image.affine.copy(), np.asarray(image.header.get_zooms()[:3])
    if not np.allclose(voxel_sizes(affine), 1, atol=1e-4) or np.allclose(sizes, 1, atol=1e-4) or not (sizes > 0).all():
        return image
    affine[:3, : len(sizes)] *= sizes
    return type(image)(image.dataobj, affine, image.header)


def _with_own_axes(path: str, image: nib.Nifti1Image, tell: bool) -> nib.Nifti1Image:
    """The image, with the columns of its affine exchanged where an array was transposed without it."""
    affine = np.array(image.affine)
    if len(image.shape) < 3 or not np.isfinite(affine).all() or not voxel_sizes(affine).all():
        return image
    unlike = unlike_axes(affine, image.shape)
    if unlike is None:
        return image
    thick, few = unlike
    if tell:
        logger.warning(
            "%s: with the voxel sizes of its affine the stack would be %.0f mm long, so array axis %d is taken for the "
            "one across the slices, as if axes %d and %d had been exchanged without their affine",
            *(path, voxel_sizes(affine)[thick] * image.shape[thick], few + 1, *sorted((thick + 1, few + 1))),
        )
    affine[:, [thick, few]] = affine[:, [few, thick]]
    return type(image)(image.dataobj, affine, image.header)


def read_to_end(path: str | os.PathLike) -> int:
    """Reads a compressed file to its end, where the checksum is; returns its bytes uncompressed.

    nibabel stops at the last voxel and takes a damaged file for whole. Raises OSError, EOFError or zlib.error.
    """
    with gzip.open(path) as stream:
        return sum(map(len, iter(lambda: stream.read(1 << 20), b"")))


def seconds_per_frame(image: nib.spatialimages.SpatialImage) -> float:
    """Seconds between frames by the header of a 4D file; 0 for a 3D one, or where the value is no duration.

    1, in any unit, is what programs write that know no duration.
    """
    zooms = image.header.get_zooms()
    seconds = float(zooms[3]) * time_unit(image.header) if len(zooms) > 3 and zooms[3] != 1 else 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def time_unit(header: nib.spatialimages.SpatialHeader) -> float:
    """Seconds in one of a header's time units."""
    return SECONDS.get(header.get_xyzt_units()[1], 1.0) if hasattr(header, "get_xyzt_units") else 1.0
