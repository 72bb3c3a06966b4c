"""Scans whose affine is wrong: do they come out with the labels of the right file, and what is the user told?

    python benchmarks/wrong_affines.py ACDC [--patients 10] [--volunteer FILE] [--only WORD] [--json FILE]

ACDC's validation patients, in ED, under the affine that a scanner would have written, and the public volunteer. Each is
stored in every way of ``tests/helpers/wrong_affines.py`` and segmented with ``--fast``. The table gives for each way
how many scans have the right file's labels (Dice of LV, myocardium and RV against them, smallest and mean), how many
had a line about it, and such a line.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from options import parser_of
from turned import scanner_affine

import nisf
from nisf.geometry.orientation import spacing_of
from nisf.io.datalist import load_split
from nisf.io.images import read_volume
from nisf.utils.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.wrong_affines import WRONG, Wrong  # noqa: E402

#: Dice of every class from which labels count as those of the right file.
SAME = 0.95


class Lines(logging.Handler):
    """Keeps what is said about a scan's axes."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().split(": ", 1)[-1]
        if "orientation" in text or "affine" in text:
            self.kept.append(text)


def scans(acdc: str, patients: int, volunteer: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, array [X, Y, Z] or [X, Y, Z, T] and true affine."""
    array, affine = read_volume(volunteer)
    yield "volunteer", array, affine
    for subject in load_split("acdc", acdc, "validation", {"last_digit": {"validation": [2]}})[:patients]:
        images = subject["image"] if isinstance(subject["image"], list) else [subject["image"]]
        array, affine = read_volume(images[0])
        yield subject["subject"], array[..., 0], scanner_affine(spacing_of(affine))


def labels_of(segmenter: nisf.Segmenter, path: Path) -> np.ndarray:
    """Labels [X, Y, Z, T]; none where the scan is refused."""
    try:
        return segmenter(path).labels
    except InputError as error:
        logging.getLogger("nisf").warning("%s", error)
        return np.zeros((*nib.load(path).shape[:3], 1), dtype=np.uint8)


def dice(found: np.ndarray, right: np.ndarray) -> list[float]:
    """Dice of the three classes."""
    parts = [(found == k, right == k) for k in (1, 2, 3)]
    return [float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1)) for a, b in parts]


def measured(segmenter: nisf.Segmenter, cases: dict[str, Wrong], options) -> Iterator[dict]:
    """A row for each scan and way."""
    lines = Lines()
    logging.getLogger("nisf").addHandler(lines)
    logging.getLogger("nisf").setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        for name, array, affine in scans(options.acdc, options.patients, options.volunteer):
            right = None
            for case, wrong in cases.items():
                lines.kept.clear()
                path = wrong.write(Path(folder) / "scan.nii", array.astype(np.float32), affine, 0.03)
                found = wrong.back(labels_of(segmenter, path))
                right = found if right is None else right
                yield {"scan": name, "case": case, "dice": dice(found, right), "lines": list(lines.kept)}


def main() -> None:
    """Prints the rows and the table."""
    parser = parser_of(__doc__)
    parser.add_argument("acdc")
    parser.add_argument("--patients", type=int, default=10)
    parser.add_argument("--volunteer", default="bundle/examples/volunteer/sax.nii.gz")
    parser.add_argument("--only", default="", help="cases whose name holds this word, besides the right one")
    parser.add_argument("--json", help="file for the rows")
    options = parser.parse_args()
    cases = {name: wrong for name, wrong in WRONG.items() if name == "right" or options.only in name}
    rows = []
    for row in measured(nisf.Segmenter("fast"), cases, options):
        rows.append(row)
        print(row["scan"], "|", row["case"], "|", *(f"{d:.3f}" for d in row["dice"]), "|", *row["lines"], flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))
    by_case = defaultdict(list)
    for row in rows:
        by_case[row["case"]].append(row)
    print("\n| how it is stored | same labels | smallest Dice | mean | line shown | as |\n|---|---|---|---|---|---|")
    for case, found in by_case.items():
        values = np.array([row["dice"] for row in found])
        told = [row["lines"] for row in found if row["lines"]]
        print(
            f"| {case} | {(values.min(axis=1) >= SAME).sum()} of {len(found)} | {values.min():.3f} | "
            f"{values.mean():.3f} | {len(told)} | {told[0][0] if told else ''} |"
        )


if __name__ == "__main__":
    main()
