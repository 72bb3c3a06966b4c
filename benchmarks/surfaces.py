"""Surfaces by coarse-to-fine search against sampling every point: points, seconds, and distance of the two meshes.

    python benchmarks/surfaces.py [--latent FILE [--model FILE]] [--spacing 1.0] [--time 0.0] [--device cpu]

For a fitted scan (a ``_latent.pt`` file), or, if none is given, for a heart of smooth class probabilities in a field
of 150 x 150 x 120 mm. The distance is the greatest of a vertex or a triangle's middle of either mesh from the nearest
of the other. At 1 mm the dense mesh of a scan asks for some three million points.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from helpers.phantom_soft import CLASS_NAMES, SoftHeart
from scipy.spatial import cKDTree

from nisf.level_sets.lattice import COARSEST, Box
from nisf.level_sets.level_set import Probabilities
from nisf.level_sets.surface import Surface, enclosed_classes, surfaces_at
from nisf.sampling.fitted_scan import FittedScan


def distance(one: Surface, other: Surface) -> float:
    """Greatest distance between two meshes, mm."""
    if not len(one.vertices) or not len(other.vertices):
        return 0.0 if len(one.vertices) == len(other.vertices) else float("inf")
    clouds = [np.concatenate([s.vertices, s.vertices[s.triangles].mean(axis=1)]) for s in (one, other)]
    return max(float(cKDTree(b).query(a)[0].max()) for a, b in (clouds, clouds[::-1]))


def subject(options: argparse.Namespace) -> tuple[Probabilities, Box, dict[str, tuple[int, ...]]]:
    """The meshed function, its box, and the surfaces."""
    if not options.latent:
        field = Box(np.array([-87.0, -75.0, -69.0]), np.eye(3), (150.0, 150.0, 120.0))
        return SoftHeart(), field, enclosed_classes(CLASS_NAMES)
    fitted = FittedScan.load(options.latent, options.model, options.device)
    return fitted.classes, Box.around(fitted.frame), enclosed_classes(fitted.class_names)


def main() -> None:
    """Prints the two ways and the surfaces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latent", metavar="FILE", help="a fitted scan")
    parser.add_argument("--model", metavar="FILE", help="weights; those of the fit unless given")
    parser.add_argument("--spacing", type=float, default=1.0, help="mm")
    parser.add_argument("--time", type=float, default=0.0, help="fraction of the cycle")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    probabilities, box, groups = subject(options)
    found = []
    for name, coarsest in (("coarse to fine", COARSEST), ("dense", 0.0)):
        started = time.perf_counter()
        moment = surfaces_at(probabilities, options.time, box, groups, options.spacing, coarsest=coarsest)
        points = moment.evaluated if coarsest else moment.dense
        print(f"{name:<16}{points:>12,} points  {time.perf_counter() - started:8.1f} s", flush=True)
        found.append(moment)
    print(f"{found[0].dense / found[0].evaluated:.1f} times fewer points")
    for one, other in zip(*(moment.surfaces for moment in found)):
        print(
            f"{one.name:<16}{one.volume_ml:8.1f} mL  {one.area_mm2:9.0f} mm2  {len(one.triangles):>8,} triangles  "
            f"{'closed' if one.watertight else 'OPEN'}  {distance(one, other):.4f} mm from the dense mesh"
        )


if __name__ == "__main__":
    main()
