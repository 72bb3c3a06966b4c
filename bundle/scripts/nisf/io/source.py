"""The files that a result was made from, recognised by their content wherever they are."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nisf.io.dicom_cine import DicomScan, find_scan, find_stack
from nisf.io.sidecar import sidecar_path
from nisf.io.voxel_files import voxel_files
from nisf.utils.digest import digest_of_input, digest_of_settings
from nisf.utils.errors import InputError


@dataclass(frozen=True)
class Source:
    """What a scan was read from.

    Attributes:
        paths: image files or DICOM folders, absolute, links resolved.
        digest: digest of the content of the images, of other series and a mask, and of the frames' times where a data
            list gives them; empty where an image cannot be read, and no other's where a series or the mask cannot.
    """

    paths: tuple[str, ...]
    digest: str = ""

    @classmethod
    def of_subject(cls, subject: Mapping[str, object]) -> Source:
        """The source of an entry of a data list; it reads every file once."""
        files = sources_of(subject)
        try:
            images = [digest_of_image(path, partial(find_scan, wanted=subject.get("stack"))) for path in files]
        except (OSError, InputError):  # loading the scan will say what is wrong
            return cls(_resolved(files))
        content = {
            "images": images,
            "series": [_digest_or_none_other(path, find_stack) for path in subject.get("series") or []],
            "mask": _digest_or_none_other(subject["mask"]) if subject.get("mask") else None,
            "times": subject.get("times"),
        }
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


def digest_of_image(path: str | os.PathLike, find: Callable[[str | os.PathLike], DicomScan] = find_scan) -> str:
    """Digest of an image's content: of its file, also of those beside it with its voxels or frame times, or of all
    files of the stack that is read from a DICOM folder, whatever their names and order.

    Args:
        path: file or folder.
        find: finds the stack in a folder, the short-axis cine unless given.

    Raises:
        OSError: a file cannot be read.
        InputError: a folder holds no such stack, see ``find``; a file of voxels is missing.
    """
    if os.path.isdir(path):
        pictures = {picture.path for pictures in find(path).slices for picture in pictures}
        return _together(sorted(digest_of_input(file) for file in pictures))
    told = sidecar_path(path)
    files = [path, *voxel_files(path), *([told] if told else [])]
    digests = [digest_of_input(file) for file in files]
    return digests[0] if len(digests) == 1 else _together(digests)


def _digest_or_none_other(path: str, find: Callable[[str | os.PathLike], DicomScan] = find_scan) -> str:
    """Digest of an image; one that equals no other's where it cannot be read, which loading it will say."""
    try:
        return digest_of_image(path, find)
    except (OSError, InputError):
        return f"unreadable {uuid.uuid4().hex}"


def _together(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
