"""Frame times in the header of an NRRD file, as 3D Slicer writes them.

Of a sequence (``.seq.nrrd``): ``axis N index values``, in the unit of that axis; of a multi-volume:
``MultiVolume.FrameLabels``. Source: 3D Slicer's developer guide, volume sequence file format.
"""

from __future__ import annotations

import math
import os
import re

from nisf.io.voxel_files import HEADER

#: Seconds of the units that are written.
UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3}

_VALUES = re.compile(r"^axis (\d+) index values:=(.*)$", re.MULTILINE)
_UNITS = re.compile(r"^units:\s*(.*)$", re.MULTILINE)
_KINDS = re.compile(r"^kinds:\s*(.*)$", re.MULTILINE)
_LABELS = re.compile(r"^MultiVolume\.FrameLabels:=(.*)$", re.MULTILINE)
_LABEL_UNIT = re.compile(r"^MultiVolume\.FrameIdentifyingDICOMTagUnits:=(.*)$", re.MULTILINE)


def nrrd_starts(path: str | os.PathLike, frames: int) -> tuple[float, ...]:
    """Seconds of each frame, ascending; empty where the header does not say them or they are mere numbers of frames."""
    with open(path, "rb") as stream:
        text = stream.read(HEADER).replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("latin-1")
    if found := _VALUES.search(text):
        words, unit = found[2].split(), _unit_of_list(text)
    elif found := _LABELS.search(text):
        words, unit = found[1].split(","), (_LABEL_UNIT.search(text) or ["", ""])[1]
    else:
        return ()
    try:
        values = [float(word) for word in words]
    except ValueError:
        return ()
    ascend = all(a < b for a, b in zip(values, values[1:])) and all(map(math.isfinite, values))
    step = (values[-1] - values[0]) / (frames - 1) if len(values) == frames > 1 and ascend else 0.0
    seconds = UNITS.get(unit.strip().lower(), 0.0 if step in (0.0, 1.0) else 1e-3 if step > 5 else 1.0)
    return tuple(seconds * value for value in values) if step and seconds else ()


def _unit_of_list(text: str) -> str:
    """Unit of the axis of the list, else the only one that is no length."""
    units, kinds = (found[1] if (found := pattern.search(text)) else "" for pattern in (_UNITS, _KINDS))
    words = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', units)]
    named = kinds.split()
    return words[named.index("list")] if "list" in named and len(words) == len(named) else ""
