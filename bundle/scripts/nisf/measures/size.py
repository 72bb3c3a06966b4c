"""Whether a scan's voxel size is to be believed; if not, nothing that depends on it is given.

An unknown pixel size multiplies all volumes of a scan by the same number, so that fractions stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Units of measures that do not depend on the voxel size.
SIZELESS = ("%",)

#: Believable pixel sizes and slice distances of short-axis stacks, mm.
PIXELS, DISTANCES = (0.4, 5.0), (1.0, 40.0)


def doubts(spacing: Sequence[float]) -> list[dict]:
    """What is refused for the voxel size of a heart scan, mm along x, y and the slices; empty if it is believable."""
    x, y, z = (float(f"{one:.3g}") for one in spacing)
    words = f"{x:g} x {y:g} mm with slices {z:g} mm apart"
    if x == y == z == 1:
        return [no_size(f"The header says {words}, as headers do that nobody filled in")]
    inside = all(PIXELS[0] <= one <= PIXELS[1] for one in (x, y)) and DISTANCES[0] <= z <= DISTANCES[1]
    return [] if inside else [no_size(f"The header says {words}, which no short-axis stack of a heart has")]


def no_size(why: str) -> dict:
    """An entry of ``refused``: measures in mL, g, mm and what follows from them."""
    reason = f"{why}: no volumes, mass, rates or thickness. Fractions do not depend on it."
    reason += " nisf segment --voxel_mm states it."
    return {"measures": ["volumes", "mass", "rates", "wall thickness"], "reason": reason}
