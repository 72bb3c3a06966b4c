"""Surfaces of a fitted scan: closed triangle meshes in world millimetres at any moment, by marching cubes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.measure import marching_cubes
from tqdm import tqdm

from scripts.errors import InputError
from scripts.files import write_text
from scripts.fitted import FittedScan
from scripts.grids import moments
from scripts.lattices import COARSEST, Box, Lattice
from scripts.level_sets import LevelField, Probabilities
from scripts.mesh_files import encoder_of, save_collection, save_mesh
from scripts.meshes import LEAST_ML, Surface

#: What each surface of a heart encloses.
HEART = {"LV_endocardium": ("LV",), "LV_epicardium": ("LV", "MYO"), "RV": ("RV",)}


@dataclass(frozen=True)
class Moment:
    """The surfaces of one moment and what they took.

    Attributes:
        surfaces: one for each name, in order.
        evaluated: points at which the class probabilities were asked for.
        dense: points of the same lattice within the box.
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
) -> Moment:
    """Where sums of class probabilities are one half, as closed meshes.

    Pieces and holes that enclose less than ``least_ml`` are dropped. What lies outside the box is background: a surface
    that reaches its face ends there.

    Args:
        probabilities: of K classes anywhere; all surfaces share what is asked for.
        time: fraction of the cycle.
        box: where to look.
        groups: name of each surface to the class numbers that it encloses.
        spacing: mm between the samples; triangles are about so large.
        least_ml: mL.
        coarsest: mm between the first samples; a piece narrower than this may be overlooked. 0 samples everywhere.

    Raises:
        InputError: the spacing is no length, or too small for the box.
    """
    lattice = Lattice.over(box, spacing, coarsest)
    field = LevelField(probabilities, time, list(groups.values()), lattice)
    surfaces = [
        _mesh(name, values, lattice, time).without_small_pieces(least_ml) for name, values in zip(groups, field.values)
    ]
    return Moment(surfaces, field.evaluated, lattice.size)


def groups_of(
    class_names: Mapping[int, str], surfaces: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[int, ...]]:
    """Name of each surface to the class numbers that it encloses.

    Args:
        class_names: inside class number to name.
        surfaces: name to class names; unless given ``HEART`` where all its classes are there, else one surface for each
            class but the background.

    Raises:
        InputError: a class that is not there, or a surface without classes.
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


def mesh_scan(
    latent_file: str | Path,
    output_dir: str | Path,
    spacing: float = 1.0,
    frames: int | Sequence[float] | None = None,
    surfaces: Mapping[str, Sequence[str]] | None = None,
    ending: str = "vtp",
    model: str | Path | None = None,
    device: str = "cpu",
) -> list[Path]:
    """Writes the surfaces of a fitted scan: ``<stem>_<surface>_<frame>.<ending>`` and ``<stem>_meshes.csv``.

    For .vtp also ``<stem>_<surface>.pvd``, the series over time for ParaView, in seconds, or in fractions of the cycle
    where its duration is unknown. Surfaces are closed at the edges of the fitted grid and, along the stack, one slice's
    distance beyond them. Pieces and holes of less than ``LEAST_ML`` are dropped. A surface that is empty at a moment
    has a row of zeros in the table and no file.

    Args:
        latent_file: that ``nisf segment`` wrote.
        output_dir: folder of the results.
        spacing: mm between samples.
        frames: the fitted frames unless given; a number of moments, evenly spaced; or fractions of the cycle.
        surfaces: name to the classes that it encloses; as in ``groups_of`` unless given.
        ending: vtp, stl or ply.
        model: weights; those that the latent file names unless given.
        device: where the network runs.

    Returns:
        The files that were written, the table last.

    Raises:
        InputError: an option is wrong, a file cannot be read, or the folder cannot be written.
    """
    encoder_of(ending)  # before any work
    fitted = FittedScan.load(latent_file, model, device)
    groups = groups_of(fitted.class_names, surfaces)
    box, stem = Box.around(fitted.frame), Path(output_dir) / Path(latent_file).stem.removesuffix("_latent")
    seconds = fitted.duration or 1.0
    rows: list[dict] = []
    files: dict[str, list[tuple[Path, float]]] = {name: [] for name in groups}
    for number, time in enumerate(tqdm(times_of(frames, fitted.frame.times), desc=stem.name, unit="frame")):
        found = surfaces_at(fitted.classes, time, box, groups, spacing)
        for one in found.surfaces:
            rows.append(_row(one, time * seconds, found))
            if len(one.triangles):
                path = stem.with_name(f"{stem.name}_{one.name}_{number:03d}.{ending.lower()}")
                files[one.name].append((save_mesh(path, one.vertices, one.triangles), time * seconds))
    written = [path for pairs in files.values() for path, _ in pairs]
    if ending.lower() == "vtp":
        written += [
            save_collection(stem.with_name(f"{stem.name}_{name}.pvd"), *zip(*pairs))
            for name, pairs in files.items()
            if pairs
        ]
    return [*written, _save_table(stem.with_name(f"{stem.name}_meshes.csv"), rows)]


def times_of(frames: int | Sequence[float] | None, fitted: Sequence[float]) -> list[float]:
    """Fractions of the cycle: the ``fitted`` ones, a number of evenly spaced ones, or those that are given.

    Raises:
        InputError: neither a positive number of moments nor numbers.
    """
    if frames is None:
        return [float(time) for time in fitted]
    if isinstance(frames, int) and not isinstance(frames, bool):
        return list(moments(frames))
    try:
        times = [float(time) for time in frames]  # type: ignore[union-attr]
    except (TypeError, ValueError):
        times = []
    if not times or not np.isfinite(times).all():
        raise InputError(f"frames: {frames!r} is no number of moments from 1 on and no list of fractions of the cycle")
    return times


def _row(surface: Surface, time: float, found: Moment) -> dict:
    return {
        "name": surface.name,
        "time": f"{time:.6g}",
        "volume_ml": f"{surface.volume_ml:.4f}",
        "area_mm2": f"{surface.area_mm2:.2f}",
        "watertight": surface.watertight,
        "points_evaluated": found.evaluated,
        "dense_points": found.dense,
    }


def _save_table(path: Path, rows: list[dict]) -> Path:
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return write_text(path, text.getvalue())


def _mesh(name: str, values: np.ndarray, lattice: Lattice, time: float) -> Surface:
    """The zero level of samples [X, Y, Z], enclosing what is above it."""
    if not (values > 0).any():
        return Surface(name, np.zeros((0, 3)), np.zeros((0, 3), int), time)
    vertices, triangles, _, _ = marching_cubes(values, 0.0, gradient_direction="ascent")
    # axes of the other handedness turn the mesh inside out
    triangles = triangles if np.linalg.det(lattice.box.axes) > 0 else triangles[:, ::-1]
    return Surface(name, lattice.points(vertices), triangles.astype(int), time)
