"""Distance of hearts from the two centres that a field can have: that of the stack and that of motion.

    python benchmarks/heart_position.py --dataset_dir ACDC [--json FILE]

Training patients alone. The heart's position is the in-plane centroid of all labels of the first labelled frame.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from nisf.geometry.orientation import spacing_of
from nisf.io.datalist import load_split
from nisf.transforms.load import LoadCined
from nisf.transforms.spatial import CanonicalOrientationd, motion_center
from nisf.utils.files import write_text

RULE = {"last_digit": {"validation": [2], "test": [0]}}


def main() -> None:
    """Prints mean and standard deviation in mm of heart minus centre, along x and y."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    found: dict[str, list[np.ndarray]] = {"stack": [], "motion": []}
    load, turn = LoadCined(), CanonicalOrientationd()
    for subject in load_split("acdc", options.dataset_dir, "training", rule=RULE):
        item = turn(load(subject))
        spacing = spacing_of(np.asarray(item["image"].affine))
        label = item["label"].numpy()[0, ..., 0]
        heart = (np.argwhere(label > 0).mean(0) - (np.array(label.shape) - 1) / 2)[:2] * spacing[:2]
        found["stack"].append(heart)
        found["motion"].append(heart - motion_center(item["image"].as_tensor(), spacing))
    rows = {name: {"mean": np.mean(v, 0).tolist(), "std": np.std(v, 0).tolist()} for name, v in found.items()}
    for name, row in rows.items():
        (mx, my), (sx, sy), count = row["mean"], row["std"], len(found[name])
        print(f"{name:<7} {count} patients: mean {mx:.1f}, {my:.1f} mm; standard deviation {sx:.1f}, {sy:.1f} mm")
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
