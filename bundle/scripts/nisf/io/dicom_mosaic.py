"""Siemens mosaics: one picture per time point with the slices side by side in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nisf.utils.errors import InputError

#: Private elements of Siemens: the number of slices, and the header with their direction.
_COUNT, _HEADER = (0x0019, 0x100A), (0x0029, 0x1010)


def is_mosaic(values: Mapping[str, object]) -> bool:
    """Whether a picture, by its elements, is a mosaic."""
    kinds = values.get("ImageType") or []
    return "MOSAIC" in ([kinds] if isinstance(kinds, str) else list(kinds))


def tiles_of(path: str, values: Mapping[str, object]) -> Iterator[tuple[int, dict[str, object]]]:
    """Number and elements of each slice in a mosaic.

    The position in the header is that of a picture as large as the mosaic about the middle of the first slice (see
    nibabel, DICOM mosaics).

    Raises:
        InputError: the header does not tell how many slices there are, or how far apart.
    """
    count, across = _private(path)
    if not count or "SpacingBetweenSlices" not in values:
        raise InputError("they are mosaics that do not tell their slices; convert them with dcm2niix")
    directions = np.array([float(v) for v in values["ImageOrientationPatient"]]).reshape(2, 3)
    normal = np.cross(*directions) if across is None else across
    down, right = (float(v) for v in values["PixelSpacing"])
    each = tiles_across(count)
    columns, rows = int(values["Columns"]) // each, int(values["Rows"]) // each
    margin = np.array([(int(values["Columns"]) - columns) * right, (int(values["Rows"]) - rows) * down]) / 2
    first = np.array([float(v) for v in values["ImagePositionPatient"]]) + margin @ directions
    for number in range(count):
        position = first + number * float(values["SpacingBetweenSlices"]) * normal
        # the tiles of a file make a series as frames do
        own = {"ImagePositionPatient": position.tolist(), "Rows": rows, "Columns": columns, "NumberOfFrames": 1}
        yield number, {**values, **own}


def tiles_across(count: int) -> int:
    """Number of slices side by side in a mosaic of ``count``."""
    return int(np.ceil(np.sqrt(count)))


def cut(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The slices [N, rows, columns] of a mosaic [rows, columns] of slices of ``size`` columns and rows."""
    columns, rows = size
    down, across = pixels.shape[0] // rows, pixels.shape[1] // columns
    return pixels.reshape(down, rows, across, columns).swapaxes(1, 2).reshape(-1, rows, columns)


def _private(path: str) -> tuple[int, np.ndarray | None]:
    """Number of slices, and the unit vector from one to the next; 0 and None where the file does not tell."""
    import pydicom
    from nibabel.nicom import csareader

    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[_COUNT, _HEADER], force=True)
    csa = csareader.get_csa_header(header, "image") if _HEADER in header else None
    count = csareader.get_n_mosaic(csa) if csa else None
    normal = csareader.get_slice_normal(csa) if csa else None
    return int(count or (header[_COUNT].value if _COUNT in header else 0)), normal
