"""The surfaces of a page packed small: differences of neighbours, low and high bytes apart, in one zlib stream."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np

from nisf.report.living.packing import halves, packed


def packed_surface(surface: Mapping) -> dict:
    """``surface_data`` for ``web/meshes.js``: the same, with ``time_points`` as sizes and two packed lists of numbers.

    ``sizes`` has for each time point and surface its numbers of vertices and triangles. ``points`` are the coordinates,
    all x of a surface before all y before all z, ``corners`` the triangles' vertex numbers; each the difference to the
    one before, modulo 2 ** 16.
    """
    sizes, points, corners = [], [], []
    for time_point in surface["time_points"]:
        sizes.append([])
        for name, *_ in surface["looks"]:
            vertices, triangles = (np.frombuffer(base64.b64decode(part), "<u2") for part in time_point[name])
            sizes[-1].append([len(vertices) // 3, len(triangles) // 3])
            points.append(vertices.reshape(-1, 3).T.ravel())
            corners.append(triangles)
    plain = {key: value for key, value in surface.items() if key != "time_points"}
    return {**plain, "sizes": sizes, "points": _steps(points), "corners": _steps(corners)}


def _steps(parts: list[np.ndarray]) -> bytes:
    return packed(halves(np.diff(np.concatenate(parts), prepend=np.uint16(0)).astype("<u2")))
