"""How surely the U-Net tells a mirrored heart: its doubt about hearts that it has not seen, as they are and mirrored.

    python benchmarks/mirrored.py ACDC MNMS

For each validation patient ``slice_net.mirror_ratio``: above 1 if the mirror image leaves more doubt, as it should. A
right file counts as mirrored where its inverse exceeds ``slice_order.MIRRORED``, a mirrored one where the ratio does.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from options import parser_of

from nisf.geometry.orientation import spacing_of
from nisf.io.datalist import load_split
from nisf.models.slice_net import mirror_ratio, read_frames, scaled
from nisf.transforms.load import LoadCined
from nisf.transforms.slice_order import MIRRORED, MIRRORED_LOST
from nisf.transforms.spatial import CanonicalOrientationd
from nisf.utils.bundle import parser_of as config_of


def ratio_of(subject: dict, read) -> float:
    """How many times as much doubt the mirror image of a subject's first and last frame leaves."""
    item = CanonicalOrientationd("image")(LoadCined("image")(dict(subject)))
    frames = torch.as_tensor(np.asarray(scaled(item["image"].as_tensor().float())))
    given = {"spacing": spacing_of(np.asarray(item["image"].affine)), "bf16": True, "turns_of": read.turns_of}
    found = read_frames(read.network, frames, **given)
    return 1 / mirror_ratio(read.network, frames, found=found, **given)


def main() -> None:
    """Prints a line for each patient and one for all."""
    parser = parser_of(__doc__)
    parser.add_argument("acdc")
    parser.add_argument("mnms")
    options = parser.parse_args()
    read = config_of(["inference"]).get_parsed_content("add_unet_prob")
    read.network.eval()
    wanted = json.loads((Path(options.mnms) / "splits.json").read_text())
    rules = {"acdc": {"last_digit": {"validation": [2]}}, "mnms": {"ids": wanted}}
    values = []
    for layout, rule in rules.items():
        for subject in load_split(layout, getattr(options, layout), "validation", rule):
            values.append(ratio_of(subject, read))
            print(f"{subject['subject']}: {values[-1]:.2f}", flush=True)
    found = np.array(values)
    print(f"{len(found)} patients: {found.min():.2f} to {found.max():.2f}, above 1 in {(found > 1).sum()}")
    for words, limit in (("an affine with an orientation", MIRRORED), ("an affine that has lost it", MIRRORED_LOST)):
        wrong, right = (1 / found > limit).sum(), (found > limit).sum()
        print(f"{words}: taken for mirrored {wrong} of {len(found)} right, {right} of {len(found)} mirrored ones")


if __name__ == "__main__":
    main()
