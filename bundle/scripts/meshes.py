"""A triangle mesh: what it encloses, whether it is closed, and its pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Pieces and holes of a surface that enclose less, in mL, are dropped.
LEAST_ML = 1.0


@dataclass(frozen=True)
class Surface:
    """A triangle mesh that encloses some classes, perhaps in several pieces, perhaps none.

    Attributes:
        name: of the surface.
        vertices: [V, 3] RAS mm.
        triangles: [F, 3] numbers of vertices, counter-clockwise seen from outside.
        time: fraction of the cycle.
    """

    name: str
    vertices: np.ndarray
    triangles: np.ndarray
    time: float

    @property
    def volume_ml(self) -> float:
        """Enclosed volume by the divergence theorem, mL; negative if the triangles were turned inside out."""
        return float(_signed_volumes(self.vertices, self.triangles).sum() / 1000)

    @property
    def area_mm2(self) -> float:
        """Sum of the triangles' areas, mm^2."""
        a, b, c = (self.vertices[self.triangles[:, corner]] for corner in range(3))
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    @property
    def watertight(self) -> bool:
        """Whether each edge belongs to two triangles, once in either direction; true where there is no triangle."""
        edges = _edges(self.triangles)
        once = np.unique(edges, axis=0)
        return len(once) == len(edges) and np.array_equal(once, np.unique(edges[:, ::-1], axis=0))

    def without_small_pieces(self, least_ml: float = LEAST_ML) -> Surface:
        """The pieces that enclose at least ``least_ml``. A hole within another piece counts as a piece."""
        piece = _pieces(len(self.vertices), self.triangles)
        enclosed = np.bincount(piece[self.triangles[:, 0]], _signed_volumes(self.vertices, self.triangles))
        kept = np.abs(enclosed[piece[self.triangles[:, 0]]]) >= 1000 * least_ml
        used, triangles = np.unique(self.triangles[kept], return_inverse=True)
        return Surface(self.name, self.vertices[used], triangles.reshape(-1, 3), self.time)


def _signed_volumes(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Volume of the tetrahedron between each triangle and one point, mm^3, [F]; over a closed piece they add up."""
    origin = vertices.mean(axis=0) if len(vertices) else 0.0
    a, b, c = (vertices[triangles[:, corner]] - origin for corner in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)) / 6


def _edges(triangles: np.ndarray) -> np.ndarray:
    """The three directed edges of each triangle, [3 F, 2]."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def _pieces(count: int, triangles: np.ndarray) -> np.ndarray:
    """Number of the connected piece that each of ``count`` vertices belongs to, [count]."""
    start, end = _edges(triangles).T
    return connected_components(coo_array((np.ones(len(start)), (start, end)), shape=(count, count)), False)[1]
