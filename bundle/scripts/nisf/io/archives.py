"""Zip and tar archives, unpacked into a temporary folder while a scan is read from them."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from nisf.utils.errors import InputError

#: Endings of archives.
_STEM = re.compile(r"^(?P<stem>[^.].*?)(\.zip|\.tar|\.tar\.gz|\.tgz|\.tar\.bz2|\.tar\.xz)$", re.IGNORECASE)

#: Most files and bytes that an archive may hold, and most bytes for each of its own beyond the first MB; what unpacks
#: to more is made to fill a disk.
MOST_FILES, MOST_BYTES, MOST_RATIO = 200_000, 1 << 35, 200

#: Bytes read at once.
_PART = 1 << 20

#: What zipfile, tarfile and their decompressors raise for damaged files.
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, ValueError, LookupError)


def archive_stem(path: str | os.PathLike) -> str | None:
    """File name without the ending of a zip or tar archive; None for any other or a hidden file."""
    match = _STEM.match(os.path.basename(path))
    return match["stem"] if match else None


@contextmanager
def unpacked(path: str) -> Iterator[Path]:
    """A temporary folder with the files of an archive, removed at the end.

    Links and other things that are no files are left out.

    Raises:
        InputError: it is missing, damaged or encrypted, a name in it leads out of the folder, it unpacks to more than
            an archive of scans holds, or there is no space for it.
    """
    with tempfile.TemporaryDirectory(prefix="nisf_") as folder:
        try:
            _unpack(path, Path(folder))
        except InputError:
            raise
        except RuntimeError as error:  # zipfile has no type of its own for this
            raise InputError(f"{path}: is encrypted; unpack it and give the folder") from error
        except _DAMAGED as error:
            raise InputError(f"{path}: the archive is damaged or cut off; copy it again") from error
        except OSError as error:
            raise InputError(
                f"{path}: cannot be unpacked ({error.strerror or error}); unpack it elsewhere and give the folder"
            ) from error
        yield Path(folder)


def _unpack(path: str, folder: Path) -> None:
    left = min(MOST_BYTES, MOST_RATIO * os.path.getsize(path) + _PART)
    for count, (name, stream) in enumerate(_files(path)):
        target = _target(path, name, folder)
        if target.exists() or target.is_symlink():
            raise InputError(f"{path}: holds {name} twice; unpack it and give the folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with stream, open(target, "wb") as file:
            while part := stream.read(_PART):
                left -= len(part)
                if left < 0 or count >= MOST_FILES:
                    raise InputError(f"{path}: unpacks to more than a scan can hold; unpack it and give the folder")
                file.write(part)


def _files(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each file of an archive."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.is_dir() and not _is_link(member):
                    yield member.filename, archive.open(member)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, archive.extractfile(member)


def _is_link(member: zipfile.ZipInfo) -> bool:
    return (member.external_attr >> 28) == 0xA


def _target(path: str, name: str, folder: Path) -> Path:
    """Where a file goes; raises ``InputError`` for a name that leads elsewhere."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name:
        raise InputError(
            f"{path}: holds {name!r}, which would be written elsewhere; unpack only archives that you trust"
        )
    return folder.joinpath(*parts)
