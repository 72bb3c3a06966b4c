"""Closed surfaces of class probabilities: their meshes, enclosed volumes and pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import trimesh
from skimage.measure import marching_cubes

from nisf.level_sets.lattice import COARSEST, Box, Lattice
from nisf.level_sets.level_set import LevelField, Probabilities
from nisf.utils.errors import InputError

#: Minimum volume in mL of a surface's pieces and holes; smaller ones are dropped.
LEAST_ML = 1.0


@dataclass(frozen=True)
class Surface:
    """A triangle mesh that encloses some classes, in one or several pieces, or empty.

    Attributes:
        name: name of the surface, as LV_endocardium.
        vertices: vertices [V, 3], RAS mm.
        triangles: vertex numbers [F, 3], counter-clockwise seen from outside.
        time: time point, fraction of the cycle.
    """

    name: str
    vertices: np.ndarray
    triangles: np.ndarray
    time: float

    @cached_property
    def mesh(self) -> trimesh.Trimesh:
        """The same vertices and triangles as a trimesh object."""
        return trimesh.Trimesh(self.vertices, self.triangles, process=False)

    @property
    def volume_ml(self) -> float:
        """Enclosed volume, mL; negative if the triangles are inside out."""
        return float(self.mesh.volume / 1000) if len(self.triangles) else 0.0

    @property
    def area_mm2(self) -> float:
        """Sum of the triangles' areas, mm^2."""
        return float(self.mesh.area)

    @property
    def watertight(self) -> bool:
        """Whether each edge belongs to two triangles, once in each direction; true if there are no triangles."""
        return not len(self.triangles) or (self.mesh.is_watertight and self.mesh.is_winding_consistent)

    def without_small_pieces(self, least_ml: float = LEAST_ML) -> Surface:
        """The pieces that enclose at least ``least_ml``. A hole in another piece counts as a piece."""
        pieces = self.mesh.split(only_watertight=False, repair=False)
        kept = trimesh.util.concatenate([one for one in pieces if abs(one.volume) >= 1000 * least_ml])
        return Surface(self.name, np.asarray(kept.vertices), np.asarray(kept.faces), self.time)


#: What each surface of a heart encloses.
HEART = {"LV_endocardium": ("LV",), "LV_epicardium": ("LV", "MYO"), "RV": ("RV",)}


@dataclass(frozen=True)
class SurfacesAt:
    """The surfaces at one time point and the number of evaluations.

    Attributes:
        surfaces: one surface for each name, in order.
        evaluated: number of points at which the class probabilities were evaluated.
        dense: number of points of the same lattice within the box.
    """

    surfaces: list[Surface]
    evaluated: int
    dense: int


def surfaces_at(
    probabilities: Probabilities,
    time: float,
    box: Box,
    groups: Mapping[str, tuple[int, ...]],
    spacing: float = 1.0,
    least_ml: float = LEAST_ML,
    coarsest: float = COARSEST,
) -> SurfacesAt:
    """Closed meshes where sums of class probabilities are one half.

    Pieces and holes that enclose less than ``least_ml`` are dropped. Everything outside the box is background: a
    surface that reaches its face ends there.

    Args:
        probabilities: probabilities of K classes anywhere; all surfaces share the evaluations.
        time: time point, fraction of the cycle.
        box: box to search.
        groups: name of each surface to the class numbers that it encloses.
        spacing: distance between samples and approximate size of triangles, mm.
        least_ml: minimum volume of a piece or hole, mL.
        coarsest: distance of the first samples, mm; a narrower piece may be missed. 0 samples everywhere.

    Raises:
        InputError: the spacing is not positive, or too small for the box.
    """
    lattice = Lattice.over(box, spacing, coarsest)
    field = LevelField(probabilities, time, list(groups.values()), lattice)
    surfaces = [
        _mesh(name, values, lattice, time).without_small_pieces(least_ml) for name, values in zip(groups, field.values)
    ]
    return SurfacesAt(surfaces, field.evaluated, lattice.size)


def enclosed_classes(
    class_names: Mapping[int, str], surfaces: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[int, ...]]:
    """Name of each surface to the class numbers that it encloses.

    Args:
        class_names: class number inside the network to name.
        surfaces: name to class names; by default ``HEART`` if all its classes exist, otherwise one surface for each
            class but the background.

    Raises:
        InputError: a class does not exist, or a surface has no classes.
    """
    numbers = {name: number for number, name in class_names.items()}
    if surfaces is None:
        is_heart = {name for names in HEART.values() for name in names} <= set(numbers)
        surfaces = HEART if is_heart else {name: (name,) for number, name in class_names.items() if number}
    for name, wanted in surfaces.items():
        unknown = [word for word in wanted if word not in numbers]
        if unknown or not wanted or isinstance(wanted, str):
            raise InputError(f"surfaces: {name} must list some of the classes {sorted(numbers)}, not {wanted!r}")
    return {name: tuple(numbers[word] for word in wanted) for name, wanted in surfaces.items()}


def _mesh(name: str, values: np.ndarray, lattice: Lattice, time: float) -> Surface:
    """The zero level of samples [X, Y, Z], which encloses the values above zero."""
    if not (values > 0).any():
        return Surface(name, np.zeros((0, 3)), np.zeros((0, 3), int), time)
    vertices, triangles, _, _ = marching_cubes(values, 0.0, gradient_direction="ascent")
    # left-handed axes turn the mesh inside out
    triangles = triangles if np.linalg.det(lattice.box.axes) > 0 else triangles[:, ::-1]
    return Surface(name, lattice.points(vertices), triangles.astype(int), time)
