"""How surely the labels' taper tells the order of the slices: its sign and amount on ACDC and M&Ms.

    python benchmarks/slice_order.py ACDC MNMS

Then the same of every second and every third slice, from each start: by number of slices that show the heart, how many
tell the order that all slices tell, of those whose taper is enough where the affine is lost.
"""

from collections.abc import Iterable

import numpy as np
from options import parser_of

from nisf.io.datalist import find_subjects
from nisf.transforms.load import LoadCined
from nisf.transforms.slice_order import DOUBT, FEWEST_LOST, TRUST, taper_of

BODY = (1, 2)
#: Of how many slices one is kept.
STEPS = (2, 3)


def labels_of(layout: str, folder: str) -> dict[str, np.ndarray]:
    """Labels [X, Y, Z, T] as the files store them, ED and ES, by subject."""
    load = LoadCined(("image", "label"))
    return {one["subject"]: load(one)["label"].as_tensor()[0].numpy() for one in find_subjects(layout, folder)}


def of_few(labels: Iterable[np.ndarray]) -> dict[int, tuple[int, int, int]]:
    """By number of kept slices with heart: how many stacks, how many tell an order, and how many the right one."""
    found: dict[int, list[int]] = {}
    for label in labels:
        whole, shows = taper_of(label, BODY), np.isin(label, BODY).any(axis=(0, 1, 3))
        for kept in (range(start, label.shape[2], step) for step in STEPS for start in range(step)):
            taper = taper_of(label, BODY, kept, FEWEST_LOST)
            row = found.setdefault(int(shows[list(kept)].sum()), [0, 0, 0])
            told = abs(taper) >= DOUBT
            for place, counts in enumerate((True, told, told and (taper > 0) == (whole > 0))):
                row[place] += int(counts)
    return {number: tuple(row) for number, row in sorted(found.items())}


def main() -> None:
    """Prints a line for each data set."""
    parser = parser_of(__doc__)
    parser.add_argument("acdc")
    parser.add_argument("mnms")
    options = parser.parse_args()
    labels = {layout: labels_of(layout, getattr(options, layout)) for layout in ("acdc", "mnms")}
    for layout, of_layout in labels.items():
        found = {name: taper_of(label, BODY) for name, label in of_layout.items()}
        values = np.array(list(found.values()))
        small = {name: round(value, 2) for name, value in found.items() if abs(value) < DOUBT}
        print(
            f"{layout}: {len(values)} patients, base first {(values < 0).sum()}, apex first {(values > 0).sum()}, "
            f"|taper| >= {DOUBT} in {(abs(values) >= DOUBT).sum()}, >= {TRUST} in {(abs(values) >= TRUST).sum()}; "
            f"smaller than {DOUBT}: {small}"
        )
    print("| slices with heart | stacks | tell an order | the right one |\n|---|---|---|---|")
    for number, row in of_few(label for of_layout in labels.values() for label in of_layout.values()).items():
        print(f"| {number} | {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
