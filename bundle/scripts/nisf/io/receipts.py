"""The receipt beside a scan's results: its outcome, and checksums that show whether its files are complete."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from nisf.io.latent_file import LATENT, read_latent
from nisf.io.nifti import open_nifti, read_to_end
from nisf.utils.digest import digest_of_file
from nisf.utils.errors import InputError
from nisf.utils.files import to_disk, whole_file

#: Ending of a receipt's name.
RECEIPT = "_receipt.json"


def receipt_of(latent: Path) -> Path:
    """Path of the receipt of the scan with this latent file."""
    return latent.with_name(latent.name.removesuffix(LATENT) + RECEIPT)


def write_receipt(latent: Path, files: Sequence[str | Path], record: Mapping[str, object]) -> Path:
    """Writes the receipt of a scan, see ``write_sums``.

    Args:
        latent: the scan's latent file.
        files: all files written for it, in the latent's folder or below.
        record: its outcome, in plain types.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    return write_sums(receipt_of(latent), files, record)


def write_sums(path: Path, files: Sequence[str | Path], record: Mapping[str, object]) -> Path:
    """Writes checksums of files, after these have reached the disk: a power cut leaves both or no checksums.

    Args:
        path: file to write, in the folder of the others or above.
        files: files of which it holds size and checksum.
        record: what else it holds, in plain types.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    folder, sums = path.parent, []
    for file in map(Path, files):
        to_disk(file)
        sums.append({"name": os.path.relpath(file, folder), **_sum_of(file)})
        to_disk(file.parent)
    with whole_file(path) as part:
        part.write_text(json.dumps({**record, "files": sums}, indent=1) + "\n", encoding="utf-8")
    return path


def read_receipt(path: Path) -> dict | None:
    """The content of a file of ``write_sums``; None where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    files = found.get("files") if isinstance(found, dict) else None
    whole = isinstance(files, list) and all(
        isinstance(one, dict) and {"name", "size", "sha256"} <= set(one) for one in files
    )
    return found if whole else None


def fault_of(receipt: Mapping, folder: Path) -> str:
    """A sentence about the first file that differs from its receipt; empty where none does."""
    for entry in receipt["files"]:
        file = folder / entry["name"]
        if not file.is_file():
            return f"{file.name} is missing"
        # the size first: it costs nothing
        if file.stat().st_size != entry["size"] or _sum_of(file) != {k: entry[k] for k in ("size", "sha256")}:
            return f"{file.name} is cut off or was changed"
    return ""


def unread_fault_of(files: Sequence[Path]) -> str:
    """A sentence about the first of a scan's files without a receipt that cannot be read to its end; else empty."""
    for file in files:
        try:
            if file.name.endswith(".nii.gz"):
                _read_nifti(file)
            elif file.name.endswith(LATENT):
                read_latent(file)
        except (OSError, EOFError, zlib.error, InputError):
            return f"{file.name} is damaged or cut off"
    return ""


def _read_nifti(file: Path) -> None:
    """Reads a compressed NIfTI file to its end, where length and checksum are; raises where it is incomplete."""
    voxels = open_nifti(str(file)).dataobj
    missing = voxels.offset + math.prod(voxels.shape) * voxels.dtype.itemsize - read_to_end(file)
    if missing > 0:
        raise EOFError(f"{missing} bytes are missing")


def _sum_of(file: Path) -> dict[str, object]:
    """Size and checksum of a file."""
    return {"size": file.stat().st_size, "sha256": digest_of_file(file)}
