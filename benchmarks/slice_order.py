"""How surely the labels' taper tells the order of the slices: its sign and amount on ACDC and M&Ms.

python benchmarks/slice_order.py ACDC MNMS
"""

import numpy as np
from options import parser_of

from nisf.io.datalist import find_subjects
from nisf.transforms.load import LoadCined
from nisf.transforms.slice_order import DOUBT, TRUST, taper_of


def tapers(layout: str, folder: str) -> dict[str, float]:
    """Taper of the labels along the slices as the files store them, over ED and ES, by subject."""
    load = LoadCined(("image", "label"))
    found = {}
    for subject in find_subjects(layout, folder):
        label = load(subject)["label"].as_tensor()[0].numpy()
        found[subject["subject"]] = taper_of(label, (1, 2))
    return found


def main() -> None:
    """Prints a line for each data set."""
    parser = parser_of(__doc__)
    parser.add_argument("acdc")
    parser.add_argument("mnms")
    options = parser.parse_args()
    for layout in ("acdc", "mnms"):
        found = tapers(layout, getattr(options, layout))
        values = np.array(list(found.values()))
        small = {name: round(value, 2) for name, value in found.items() if abs(value) < DOUBT}
        print(
            f"{layout}: {len(values)} patients, base first {(values < 0).sum()}, apex first {(values > 0).sum()}, "
            f"|taper| >= {DOUBT} in {(abs(values) >= DOUBT).sum()}, >= {TRUST} in {(abs(values) >= TRUST).sum()}; "
            f"smaller than {DOUBT}: {small}"
        )


if __name__ == "__main__":
    main()
