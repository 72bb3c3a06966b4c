"""What two networks as one function bring: each network of the shipped weights alone, and their committee.

    python benchmarks/committee.py COHORT [--json FILE]

COHORT is the data list of ``pooled_cohort.py``; validation patients alone. Mean Dice over classes, ED and ES of all
slices as shipped, of all slices without the U-Net blended, and with every second slice hidden from U-Net and fit, in
the hidden ones and in all. Pose prior and temperature are those of the committee. Prints Markdown. FILE keeps every
scan as soon as it is done; a run that was cut off goes on from there, and new weights need a new FILE.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from about import about
from options import parser_of
from segmented import data_set_of, hearts_of, labelled_segmenter
from slice_distance import FIT, depth_of, scan_row

from nisf import Segmenter
from nisf.models.committee import members_of
from nisf.models.weights import save_weights
from nisf.utils.files import write_text

#: Of how many slices one is kept, weight of the U-Net, and slices that are scored.
CASES = {
    "all slices": (1, None, "all"),
    "function alone": (1, 0.0, "all"),
    "hidden slices": (2, None, "hidden"),
    "all, every second hidden": (2, None, "all"),
}


def networks(folder: Path) -> dict[str, dict]:
    """Settings of each way: the networks one by one, from files in ``folder``, and the weights as they are shipped."""
    found = {}
    shipped = Segmenter()
    for number, one in enumerate(members_of(shipped.network)):
        for name in ("pose_factor", "temperature"):
            getattr(one, name).copy_(getattr(shipped.network, name))
        found[f"network {number + 1} alone"] = {"model": str(save_weights(one, folder / f"{number}.pt"))}
    return {**found, "both, as shipped": {}}


def scans(cohort: str, ways: Mapping[str, Mapping], done: set[tuple]) -> Iterator[dict]:
    """A row for each patient, way and reading that is not ``done``."""
    for blend in (None, 0.0):
        more = {} if blend is None else {"unet_blend": blend}
        segmenters = {way: labelled_segmenter({**settings, **more}) for way, settings in ways.items()}
        steps = sorted({step for step, weight, _ in CASES.values() if weight == blend})
        for subject in hearts_of(cohort, "validation"):
            about_it = {"subject": subject["subject"], "data": data_set_of(subject), "blend": blend}
            for way, segmenter in segmenters.items():
                for step in [one for one in steps if (subject["subject"], way, blend, one) not in done]:
                    row = scan_row(segmenter, subject, depth_of(segmenter, subject), step)
                    yield {**about_it, "way": way, "step": step, "dice": row["dice"][FIT]}
            print(subject["subject"], flush=True)


def print_table(rows: list[dict]) -> None:
    """A line for each way, both data sets in each cell."""
    print(f"| what | {' | '.join(CASES)} |\n" + "|---" * (len(CASES) + 1) + "|")
    for way in dict.fromkeys(row["way"] for row in rows):
        cells = []
        for step, blend, region in CASES.values():
            of = [row for row in rows if (row["way"], row["step"], row["blend"]) == (way, step, blend)]
            means = [np.mean([row["dice"][region] for row in of if row["data"] == data]) for data in ("ACDC", "M&Ms")]
            cells.append(", ".join(f"{mean:.3f}" for mean in means))
        print(f"| {way} | {' | '.join(cells)} |")


def main() -> None:
    """Segments what FILE lacks, and prints the table."""
    parser = parser_of(__doc__)
    parser.add_argument("cohort", help="data list that pooled_cohort.py wrote")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Path(options.json) if options.json else None
    rows = json.loads(kept.read_text(encoding="utf-8"))["rows"] if kept and kept.is_file() else []
    done = {(row["subject"], row["way"], row["blend"], row["step"]) for row in rows}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for row in scans(options.cohort, networks(Path(folder)), done):
            rows.append(row)
            if kept:
                write_text(kept, json.dumps({**about(options, Segmenter()), "rows": rows}, indent=1))
    print_table(rows)


if __name__ == "__main__":
    main()
