"""Savings and cost of ``--fast``: processor seconds per scan and Dice at ED and ES, with and without it.

    python benchmarks/fast.py --config acdc --dataset_dir ACDC [--subjects 3] [--json FILE]
    python benchmarks/fast.py --config hearts --layout mnms --splits MNMS/splits.json --dataset_dir MNMS

The first validation subjects of a data set, by ``api.Segmenter``. Seconds are processor time for reading,
U-Net, fit and sampling, so that other work on the machine does not count; loading the weights is left out.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from monai.metrics import compute_dice
from torch.nn import functional as F

from nisf.api import Segmenter
from nisf.io.datalist import load_split
from nisf.transforms.load import LoadCined
from nisf.utils.bundle import settings_of
from nisf.utils.files import write_text


def dice_of(segmenter: Segmenter, subject: dict, labels: np.ndarray) -> float:
    """Mean Dice over classes and the subject's phases."""
    truth = LoadCined(("image", "label"))(dict(subject))["label"][0].as_tensor().long()
    predicted, classes = truth.new_tensor(labels.astype(int)), 1 + len(segmenter.class_names)
    frames = list(subject["phases"].values())
    one, other = (F.one_hot(x[..., frames], classes).permute(3, 4, 0, 1, 2) for x in (predicted, truth))
    return float(compute_dice(one, other, include_background=False).nanmean())


def main() -> None:
    """Segments and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="acdc")
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--layout", help="of the data set; that of the config unless given")
    parser.add_argument("--splits", help="JSON file of subject ids by section; the config's rule unless given")
    parser.add_argument("--subjects", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    settings = settings_of([options.config])
    layout, rule = options.layout or settings["layout"], options.splits or settings["split_rule"]
    subjects = load_split(layout, options.dataset_dir, "validation", rule=rule)
    rows = []
    for name, config in (("default", [options.config]), ("fast", [options.config, "fast"])):
        segmenter = Segmenter(config, device="cpu")
        for subject in subjects[: options.subjects]:
            started = time.process_time()
            result = segmenter(subject)
            seconds = time.process_time() - started
            dice = dice_of(segmenter, subject, result.labels)
            rows.append({"way": name, "subject": subject["subject"], "dice": dice, "seconds": seconds})
            shape = " x ".join(map(str, result.labels.shape))
            print(f"{name:<8} {subject['subject']:<16} {shape:<20} Dice {dice:.4f}  {seconds:5.1f} s", flush=True)
    for name in ("default", "fast"):
        mean = {key: np.mean([row[key] for row in rows if row["way"] == name]) for key in ("dice", "seconds")}
        print(f"{name:<8} mean {'':<32} Dice {mean['dice']:.4f}  {mean['seconds']:5.1f} s")
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
