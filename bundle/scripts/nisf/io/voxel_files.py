"""The files with the voxels of a MetaImage or NRRD header, one or several."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from nisf.utils.errors import InputError

#: Endings of image files that ITK reads.
ITK_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")

#: Number of bytes at the beginning of a file in which its header and list of files are.
HEADER = 1 << 20

#: Line of a header that says where its voxels are.
_PLACE = re.compile(
    rb"^(?:ElementDataFile\s*[=:]|data ?file\s*:)[ \t]*([^\s\0][^\r\n\0]*?)[ \t]*$", re.MULTILINE | re.IGNORECASE
)

#: A file for each number: name, first, last, step and, in NRRD, the number of axes of a file.
_NUMBERED = re.compile(r"([^%]*%\d*d[^%]*?)\s+(\d+)\s+(\d+)(?:\s+(-?[1-9]\d*))?(?:\s+\d+)?")


def voxel_files(path: str | os.PathLike) -> list[Path]:
    """The other files that an image's header names, in its order; none where the voxels are in the file itself.

    Source: ``ElementDataFile`` in the documentation of MetaIO, ``data file`` in the definition of the NRRD format.

    Raises:
        OSError: the header cannot be read.
        InputError: one of the files is missing.
    """
    if not str(path).endswith(ITK_ENDINGS):
        return []
    with open(path, "rb") as stream:
        text = stream.read(HEADER).replace(b"\r\n", b"\n")
    if text.startswith(b"NRRD"):
        text = text.partition(b"\n\n")[0]  # voxels follow the empty line
    place = _PLACE.search(text)
    if place is None or place[1].upper() == b"LOCAL":
        return []
    files = []
    for name in _names(Path(path), os.fsdecode(place[1]), text[place.end() :]):
        files.append(Path(path).parent / name)
        if not files[-1].is_file():
            raise InputError(
                f"{path}: names {name} as a file of its voxels, which is missing; put it beside the header"
            )
    return files


def _names(path: Path, value: str, rest: bytes) -> Iterator[str]:
    """Names of the files by what a header says and what follows it."""
    if (path.parent / value).is_file():
        yield value
    elif value.split()[0].upper() == "LIST":
        yield from (line.strip() for line in os.fsdecode(rest.replace(b"\0", b"")).splitlines() if line.strip())
    elif numbered := _NUMBERED.fullmatch(value):
        step = int(numbered[4] or 1)
        for number in range(int(numbered[2]), int(numbered[3]) + (1 if step > 0 else -1), step):
            yield numbered[1] % number
    else:
        yield value
