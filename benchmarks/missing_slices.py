"""Expected Dice against true Dice of scans whose files lack slices.

    python benchmarks/missing_slices.py COHORT.json [--every 2] [--json FILE]

Every second validation patient of a data list, as it is, without the middle slice of its heart, and without that and
the next: left out as a slice is that no DICOM file holds. Dice is the mean over classes at ED and ES, with the slices
that are left out, which are computed from the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from about import about
from options import parser_of
from sampling import mean_dice

from nisf.api import Segmenter
from nisf.io.datalist import load_split
from nisf.transforms.hold_out import HoldOutd
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of, with_scan
from nisf.utils.files import write_text


def without(segmenter: Segmenter, subject: Mapping, missing: Sequence[int]) -> dict:
    """Row of a subject without some slices (numbers from the base)."""
    transforms = segmenter.preprocessing
    place = next(number for number, one in enumerate(transforms.transforms) if isinstance(one, HoldOutd))
    item = transforms(dict(subject), end=place)
    image = item["image"].clone()
    image[:, :, :, list(missing)] = 0
    kept = sorted(set(range(image.shape[3])) - set(missing))
    item["image"] = with_scan(image, replace(scan_of(image), kept_slices=kept, missing_slices=tuple(missing)))
    item = transforms(item, start=place)
    with torch.no_grad():
        item["pred"] = segmenter.inferer(item["image"].unsqueeze(0), segmenter.network)
    item = segmenter.postprocessing(item)
    truth = LoadCined(("image", "label"))(dict(subject))["label"][0].as_tensor().clamp_min(0)
    frames, quality = list(subject["phases"].values()), item["scan"].quality
    labels = torch.as_tensor(np.asarray(item["seg"])[0])
    return {
        "subject": str(subject["subject"]),
        "missing": len(missing),
        "dice": mean_dice(labels[..., frames], truth[..., frames], 1 + len(segmenter.class_names)),
        "expected": quality.predicted_dice,
        "trusted": quality.trusted,
    }


def middle(subject: Mapping) -> int:
    """Number of the heart's middle slice; the same from either end, or the next."""
    label = LoadCined(("image", "label"))(dict(subject))["label"][0].as_tensor()
    heart = (label > 0).any(dim=3).any(dim=0).any(dim=0).nonzero()[:, 0]
    return int(heart[len(heart) // 2])


def main() -> None:
    """Segments and prints a row for each number of missing slices."""
    parser = parser_of(__doc__)
    parser.add_argument("cohort", help="data list that pooled_cohort.py wrote")
    parser.add_argument("--every", type=int, default=2, metavar="N", help="every N-th patient")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    segmenter, rows = Segmenter(["hearts"], device="cpu"), []
    subjects = load_split("cohort", options.cohort, "validation", rule={"given": True})
    for subject in subjects[:: options.every]:
        first = middle(subject)
        rows += [without(segmenter, subject, list(range(first, first + count))) for count in (0, 1, 2)]
        print(subject["subject"], flush=True)
    print(
        "| missing slices | scans | true Dice | expected | mean absolute error | trusted | lowest true Dice of these |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in (0, 1, 2):
        of = [row for row in rows if row["missing"] == count]
        true, expected = (np.array([row[name] for row in of]) for name in ("dice", "expected"))
        trusted = np.array([bool(row["trusted"]) for row in of])
        print(
            f"| {count} | {len(of)} | {true.mean():.3f} | {expected.mean():.3f} | {abs(true - expected).mean():.3f} "
            f"| {trusted.sum()} | {true[trusted].min():.3f} |"
        )
    if options.json:
        write_text(options.json, json.dumps({**about(options, segmenter), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
