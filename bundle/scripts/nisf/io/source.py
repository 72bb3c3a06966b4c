"""The files that a result was made from, recognised by their content wherever they are."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nisf.io.dicom_cine import find_scan
from nisf.utils.digest import digest_of_file, digest_of_settings
from nisf.utils.errors import InputError

#: Line of a MetaImage or NRRD header that names the file of its voxels.
_VOXELS = re.compile(rb"^(?:ElementDataFile\s*=|data file\s*:)\s*(\S[^\r\n]*?)\s*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """What a scan was read from.

    Attributes:
        paths: image files or DICOM folders, absolute, links resolved.
        digest: digest of the content of the images, of other series and a mask, and of the frames' times where a data
            list gives them; empty where a file cannot be read.
    """

    paths: tuple[str, ...]
    digest: str = ""

    @classmethod
    def of_subject(cls, subject: Mapping[str, object]) -> Source:
        """The source of an entry of a data list; it reads every file once."""
        files = sources_of(subject)
        try:
            content = {
                "images": [digest_of_image(path) for path in files],
                "series": [digest_of_image(path) for path in subject.get("series") or []],
                "mask": digest_of_image(subject["mask"]) if subject.get("mask") else None,
                "times": subject.get("times"),
            }
        except (OSError, InputError):  # loading the scan will say what is wrong
            return cls(_resolved(files))
        return cls(_resolved(files), digest_of_settings(content))

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> Source:
        """The inverse of ``to_dict``."""
        return cls(tuple(str(path) for path in plain["paths"]), str(plain["digest"]))

    def to_dict(self) -> dict[str, object]:
        """As plain types, for a latent file."""
        return {"paths": list(self.paths), "digest": self.digest}


def sources_of(subject: Mapping[str, object]) -> list[str]:
    """The files of a scan, as an entry of a data list names them."""
    image = subject["image"]
    return [str(path) for path in (image if isinstance(image, (list, tuple)) else [image])]


def _resolved(files: Sequence[str]) -> tuple[str, ...]:
    return tuple(os.path.realpath(file) for file in files)


def digest_of_image(path: str | os.PathLike) -> str:
    """Digest of an image's content: of its file, also of one with the voxels that its header names, or of all files of
    the short-axis cine in a DICOM folder, whatever their names and order.

    Raises:
        OSError: a file cannot be read.
        InputError: a folder holds no short-axis cine, see ``find_scan``.
    """
    if os.path.isdir(path):
        pictures = {picture.path for pictures in find_scan(path).slices for picture in pictures}
        return _together(sorted(digest_of_file(file) for file in pictures))
    voxels = _voxel_file(Path(path))
    return digest_of_file(path) if voxels is None else _together([digest_of_file(path), digest_of_file(voxels)])


def _voxel_file(path: Path) -> Path | None:
    """The file with the voxels of a MetaImage or NRRD header; None where they are in the file itself."""
    if path.suffix not in (".mhd", ".nhdr"):
        return None
    with open(path, "rb") as stream:
        found = _VOXELS.search(stream.read(1 << 16))
    voxels = None if found is None else path.parent / os.fsdecode(found[1])
    return voxels if voxels is not None and voxels.is_file() else None


def _together(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
