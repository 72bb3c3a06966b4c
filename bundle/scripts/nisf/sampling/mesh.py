"""Surfaces of a fitted scan: closed triangle meshes in world millimetres at any time, by marching cubes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nisf.geometry.grid import even_times
from nisf.level_sets.lattice import Box
from nisf.level_sets.mesh_files import encoder_of, save_collection, save_mesh
from nisf.level_sets.surface import Surface, SurfacesAt, enclosed_classes, surfaces_at
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.errors import InputError
from nisf.utils.files import write_text
from nisf.utils.text import csv_text


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
    if its duration is unknown. Surfaces are closed at the edges of the fitted grid and, along the stack, one slice
    distance beyond them. Pieces and holes of less than ``LEAST_ML`` are dropped. A surface that is empty at a time
    point has a row of zeros in the table and no file.

    Args:
        latent_file: latent file that ``nisf segment`` wrote.
        output_dir: folder of the results.
        spacing: distance between samples, mm.
        frames: number of evenly spaced time points, or fractions of the cycle; by default the fitted frames.
        surfaces: name to the classes that it encloses; by default as in ``enclosed_classes``.
        ending: file ending, vtp, stl or ply.
        model: weight file; by default the one that the latent file names.
        device: device on which the network runs.

    Returns:
        The written files, the table last.

    Raises:
        InputError: an option is wrong, a file cannot be read, or the folder cannot be written.
    """
    encoder_of(ending)  # before any work
    fitted = FittedScan.load(latent_file, model, device)
    groups = enclosed_classes(fitted.class_names, surfaces)
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
    return [*written, write_text(stem.with_name(f"{stem.name}_meshes.csv"), csv_text(rows))]


def times_of(frames: int | Sequence[float] | None, fitted: Sequence[float]) -> list[float]:
    """Time points as fractions of the cycle: the ``fitted`` ones, evenly spaced ones, or those given.

    Raises:
        InputError: ``frames`` is neither a positive number of time points nor a list of numbers.
    """
    if frames is None:
        return [float(time) for time in fitted]
    if isinstance(frames, int) and not isinstance(frames, bool):
        return list(even_times(frames))
    try:
        times = [float(time) for time in frames]  # type: ignore[union-attr]
    except (TypeError, ValueError):
        times = []
    if not times or not np.isfinite(times).all():
        raise InputError(
            f"frames: {frames!r} is neither a number of time points (1 or more) nor a list of fractions of the cycle"
        )
    return times


def _row(surface: Surface, time: float, found: SurfacesAt) -> dict:
    return {
        "name": surface.name,
        "time": f"{time:.6g}",
        "volume_ml": f"{surface.volume_ml:.4f}",
        "area_mm2": f"{surface.area_mm2:.2f}",
        "watertight": surface.watertight,
        "points_evaluated": found.evaluated,
        "dense_points": found.dense,
    }
