"""Closed surfaces as files: VTK XML (.vtp), STL and PLY, marked as RAS millimetres, and series over time (.pvd).

STL and PLY are written by trimesh, which cannot write .vtp and .pvd.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import trimesh

from nisf.utils.errors import InputError
from nisf.utils.files import whole_file, write_text

# 3D Slicer reads meshes as LPS unless the file contains these words
_SPACE = "SPACE=RAS"


def save_mesh(path: str | Path, vertices: np.ndarray, triangles: np.ndarray) -> Path:
    """Writes a triangle mesh in the format of the file's ending: .vtp, .stl or .ply; returns the path.

    Args:
        path: path of the file.
        vertices: vertices [V, 3], RAS mm; stored as float32.
        triangles: vertex numbers [F, 3].

    Raises:
        InputError: the ending is none of these, the folder cannot be written or the disk is full.
    """
    path = Path(path)
    content = encoder_of(path.suffix)(np.asarray(vertices, "<f4"), np.asarray(triangles, "<i4"))
    with whole_file(path) as part:
        part.write_bytes(content)
    return path


def encoder_of(ending: str) -> Callable[[np.ndarray, np.ndarray], bytes]:
    """The function that encodes a mesh for a file ending, with or without the dot.

    Raises:
        InputError: the ending is unknown.
    """
    found = _ENCODERS.get(str(ending).lower().removeprefix("."))
    if found is None:
        raise InputError(f"format: {ending!r} is not a known mesh format; choose one of {', '.join(_ENCODERS)}")
    return found


def save_collection(path: str | Path, files: Sequence[Path], times: Sequence[float]) -> Path:
    """Writes a ParaView collection (.pvd) of meshes in the same folder, one for each time point; returns the path.

    Args:
        path: path of the collection.
        files: .vtp files, the only format that a collection may contain.
        times: time point of each file.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    rows = [f"<DataSet timestep={quoteattr(f'{t:.6g}')} file={quoteattr(f.name)}/>" for f, t in zip(files, times)]
    return write_text(path, _xml("Collection", "<Collection>\n" + "\n".join(rows) + "\n</Collection>"))


def _vtp(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    ends = np.arange(3, 3 * len(triangles) + 1, 3, dtype="<i4")
    space = " ".join(str(letter) for letter in b"RAS\0")
    body = f"""<PolyData>
<FieldData><Array type="String" Name="SPACE" NumberOfTuples="1" format="ascii">{space}</Array></FieldData>
<Piece NumberOfPoints="{len(vertices)}" NumberOfPolys="{len(triangles)}">
<Points>{_data_array(vertices, 'Float32', 'Points', 3)}</Points>
<Polys>{_data_array(triangles, 'Int32', 'connectivity')}{_data_array(ends, 'Int32', 'offsets')}</Polys>
</Piece>
</PolyData>"""
    return _xml("PolyData", body).encode()


def _data_array(values: np.ndarray, kind: str, name: str, components: int = 1) -> str:
    """The values in base 64, preceded by their number of bytes."""
    content = values.tobytes()
    text = base64.b64encode(np.array(len(content), "<u4").tobytes() + content).decode()
    return (
        f'<DataArray type="{kind}" Name="{name}" NumberOfComponents="{components}" format="binary">{text}</DataArray>'
    )


def _xml(kind: str, body: str) -> str:
    head = f'<VTKFile type="{kind}" version="1.0" byte_order="LittleEndian" header_type="UInt32">'
    return f'<?xml version="1.0"?>\n{head}\n{body}\n</VTKFile>\n'


def _stl(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    content = _mesh(vertices, triangles).export(file_type="stl")
    return _SPACE.encode().ljust(80) + content[80:]


def _ply(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    head, form, rest = _mesh(vertices, triangles).export(file_type="ply").split(b"\n", 2)
    return b"\n".join([head, form, f"comment {_SPACE}".encode(), rest])


def _mesh(vertices: np.ndarray, triangles: np.ndarray) -> trimesh.Trimesh:
    return trimesh.Trimesh(vertices, triangles, process=False)


_ENCODERS = {"vtp": _vtp, "stl": _stl, "ply": _ply}
