"""Dice against the turn of the heart in plane, with the slices in both orders and the affine right and wrong.

    python benchmarks/turns.py COHORT --subjects 2 --workers 2 --json FILE
    python benchmarks/turns.py COHORT --affines right lost unchanged --set model=M.pt unet_model=U.pt

COHORT is the data list of ``pooled_cohort.py``; the first patients of each data set are turned in steps of 30 degrees
(``--every``). A right affine is turned with the data, an unchanged one is that of the heart as it was, a lost one has
voxel sizes alone. Two rows show what the method itself costs: the files as they are, and a heart turned by 30 degrees
and back. Prints Markdown: mean Dice of the fit and of the U-Net alone, and the largest difference.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from about import about
from options import of_hearts, settings_of
from segmented import WAYS, hearts_of, labelled_segmenter, mean_dice, scored
from turned import Heart

from nisf.utils.files import write_text

ORDERS = {"base first": False, "apex first": True}
#: Beside the turns: how each is called.
AS_FILED, AND_BACK = "file as it is", "turned by 30 and back"


def variants(heart: Heart, every: int, affines: Sequence[str], folder: Path) -> Iterator[tuple[dict, dict]]:
    """What a variant is, and its entry of a data list; the files of one are gone with the next."""
    yield {"what": AS_FILED}, heart.subject
    yield {"what": AND_BACK}, heart.turned(30).turned(-30).write(folder, False, "right")
    for degrees in range(0, 360, every):
        turned = heart.turned(degrees)
        for order, is_reversed in ORDERS.items():
            for affine in affines:
                entry = turned.write(folder, is_reversed, affine)
                yield {"what": "turned", "degrees": degrees, "order": order, "affine": affine}, entry


def rows_of(subject: Mapping, settings: Mapping[str, object], every: int, affines: Sequence[str]) -> list[dict]:
    """Mean Dice over classes and phases of each variant of a subject."""
    segmenter, rows = labelled_segmenter(settings), []
    with tempfile.TemporaryDirectory() as name:
        for what, entry in variants(Heart.of(subject), every, affines, Path(name)):
            dice = {way: mean_dice(found)["mean"] for way, found in scored(segmenter, entry).items()}
            rows.append({"subject": subject["subject"], **what, **dice})
    return rows


def mean_of(rows: Sequence[Mapping], way: str, **what: object) -> float:
    """Mean Dice over subjects of one variant."""
    return float(np.mean([row[way] for row in rows if all(row.get(key) == value for key, value in what.items())]))


def table_of(rows: Sequence[Mapping], way: str) -> dict[str, dict[int, float]]:
    """Mean Dice by order and affine, then by degrees."""
    turned = [row for row in rows if row["what"] == "turned"]
    found: dict[str, dict[int, float]] = {}
    for row in turned:
        key = {name: row[name] for name in ("order", "affine")}
        found.setdefault(f"{row['order']}, affine {row['affine']}", {})[row["degrees"]] = mean_of(
            turned, way, degrees=row["degrees"], **key
        )
    return found


def print_table(rows: Sequence[Mapping], way: str) -> float:
    """Prints the table of one way; returns the largest difference in it."""
    table = table_of(rows, way)
    degrees = list(next(iter(table.values())))
    print(f"\n{way}:\n\n| slices, affine | {' | '.join(map(str, degrees))} |\n|{'---|' * (len(degrees) + 1)}")
    for name, values in table.items():
        print(f"| {name} | {' | '.join(f'{values[one]:.3f}' for one in degrees)} |")
    cells = {f"{name}, {one} degrees": value for name, values in table.items() for one, value in values.items()}
    low, high = min(cells, key=cells.get), max(cells, key=cells.get)
    print(f"\nlargest difference {cells[high] - cells[low]:.4f}: {cells[low]:.4f} ({low}), {cells[high]:.4f} ({high})")
    print(", ".join(f"{what} {mean_of(rows, way, what=what):.4f}" for what in (AS_FILED, AND_BACK)))
    return cells[high] - cells[low]


def main() -> None:
    """Turns, segments, and prints the tables."""
    parser = of_hearts(__doc__)
    parser.set_defaults(subjects=2)
    parser.add_argument("--every", type=int, default=30, help="degrees between turns")
    parser.add_argument("--affines", nargs="*", default=["right", "unchanged"], choices=("right", "lost", "unchanged"))
    parser.add_argument("--workers", type=int, default=1, help="processes, each with OMP_NUM_THREADS threads")
    options = parser.parse_args()
    subjects, started = hearts_of(options.cohort, options.section, options.subjects), time.time()
    work = partial(rows_of, settings=settings_of(options), every=options.every, affines=options.affines)
    rows: list[dict] = []
    # spawned, as a process that is forked after torch ran may hang
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        for found in map(work, subjects) if options.workers == 1 else pool.map(work, subjects):
            rows += found
            print(f"{found[0]['subject']}, {len(found)} variants, {time.time() - started:.0f} s", flush=True)
    differences = {way: print_table(rows, way) for way in WAYS}
    print(f"\n{len(subjects)} patients, {len(rows)} scans, {time.time() - started:.0f} s")
    if options.json:
        made = about(options, labelled_segmenter(settings_of(options)))
        write_text(options.json, json.dumps({"largest_difference": differences, "rows": rows, **made}, indent=1))


if __name__ == "__main__":
    main()
