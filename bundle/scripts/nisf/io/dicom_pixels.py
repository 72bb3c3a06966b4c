"""Pixels of DICOM files, whatever their compression."""

from __future__ import annotations

import numpy as np

from nisf.io.dicom_mosaic import cut
from nisf.io.dicom_picture import Picture
from nisf.utils.errors import InputError

#: Transfer syntaxes by (implicit, little-endian).
_PLAIN = {
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}


class PixelReader:
    """Reads pictures; the file read last is kept, as an enhanced one holds many pictures."""

    def __init__(self) -> None:
        self._last: tuple[str, np.ndarray] = ("", np.empty(0))

    def read(self, picture: Picture) -> np.ndarray:
        """Stored values of a picture, [rows, columns].

        Raises:
            InputError: they are damaged, cut off, or compressed in a way that cannot be undone.
        """
        if self._last[0] != picture.path:
            self._last = (picture.path, _pixels(picture.path))
        values, shape = self._last[1], picture.size[::-1]
        if len(values) == 1 and values.shape[1:] != shape and not any(a % b for a, b in zip(values.shape[1:], shape)):
            values = cut(values[0], picture.size)
        if picture.number >= len(values) or values.shape[1:] != shape:
            raise InputError(f"{picture.path}: its pixels do not have the size in its header; export it again")
        return values[picture.number]


def _pixels(path: str) -> np.ndarray:
    """Stored values [pictures, rows, columns] of a file."""
    import pydicom

    data = None
    try:
        data = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in data.file_meta:  # files without a preamble do not tell it
            data.file_meta.TransferSyntaxUID = _PLAIN[data.original_encoding]
        array = np.asarray(data.pixel_array)
    except Exception as error:  # pydicom fails in many ways, and has no decoder for some compressions
        compressed = _undecoded(data)
        if compressed:
            raise InputError(
                f"{path}: its pixels are compressed as {compressed}, which needs a decoder: pip install 'nisf[dicom]'"
            ) from error
        raise InputError(
            f"{path}: its pixels cannot be read ({' '.join(str(error).split())[:200]}); "
            "export the series again, uncompressed"
        ) from error
    return array if array.ndim == 3 else array[None]


def _undecoded(data) -> str | None:
    """Name of the compression of a file for which no decoder is installed; None where that is not what is wrong."""
    from pydicom.pixels import get_decoder

    try:
        syntax = data.file_meta.TransferSyntaxUID
        return syntax.name if syntax.is_compressed and not get_decoder(syntax).is_available else None
    except (AttributeError, NotImplementedError, ValueError):
        return None
