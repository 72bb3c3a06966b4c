"""Dice of the fit and of the U-Net alone on ACDC and M&Ms, with one set of weights and no setting changed between them.

    python benchmarks/hearts.py COHORT --section test --patients PATIENTS.csv --json FILE
    python benchmarks/hearts.py COHORT --section test --patients PATIENTS.csv --only_vendor Philips --set model=M.pt

COHORT is the data list of ``pooled_cohort.py``; PATIENTS.csv is that of M&Ms, for its vendors. Both ways are scored on
the same pass, whole volumes at ED and ES; a scan that is refused counts with Dice 0. The U-Net alone is the largest
connected piece of its likeliest classes. Prints Markdown.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence

from about import about
from options import of_hearts, settings_of
from segmented import WAYS, data_set_of, hearts_of, labelled_segmenter, mean_dice, scored

from nisf.utils.files import write_text

PHASES = ("ED", "ES", "mean")


def vendors_of(path: str | None) -> dict[str, str]:
    """Vendor of each patient of M&Ms' ``patients.csv``; nothing without a path."""
    if path is None:
        return {}
    with open(path, encoding="utf-8") as file:
        return {row["code"]: row["vendor"] for row in csv.DictReader(file)}


def groups_of(subjects: Sequence[Mapping], vendors: Mapping[str, str]) -> dict[str, set[str]]:
    """Names of the subjects of each data set, and of each vendor of a data set where they are known."""
    groups: dict[str, set[str]] = {}
    for subject in subjects:
        data, name = data_set_of(subject), subject["subject"]
        for group in [data, *([f"{data}, {vendors[name]}"] if name in vendors else [])]:
            groups.setdefault(group, set()).add(name)
    return dict(sorted(groups.items()))


def summary_of(rows: Sequence[Mapping]) -> dict:
    """Mean Dice of each phase and class, and the subject whose mean is the lowest."""
    names = {row["subject"] for row in rows}
    means = {name: mean_dice([row for row in rows if row["subject"] == name])["mean"] for name in names}
    worst = min(means, key=means.get)
    dice = {phase: mean_dice(rows, phase) for phase in PHASES}
    return {"patients": len(names), "dice": dice, "worst": worst, "worst_dice": means[worst]}


def print_table(found: Mapping[str, Mapping[str, dict]]) -> None:
    """The table, a line for each group, way and phase."""
    print("| data | what | phase | LV | MYO | RV | mean | worst patient |\n|---|---|---|---|---|---|---|---|")
    for group, ways in found.items():
        for way, one in ways.items():
            for phase, dice in one["dice"].items():
                values = " | ".join(f"{dice[name]:.3f}" for name in ("LV", "MYO", "RV", "mean"))
                worst = f"{one['worst']} {one['worst_dice']:.3f}" if phase == "mean" else ""
                print(f"| {group}, {one['patients']} patients | {way} | {phase} | {values} | {worst} |")


def main() -> None:
    """Segments, scores and prints the table."""
    parser = of_hearts(__doc__)
    parser.add_argument("--patients", metavar="CSV", help="patients.csv of M&Ms")
    parser.add_argument("--only_vendor", metavar="NAME", help="only M&Ms patients of this vendor")
    options = parser.parse_args()
    vendors = vendors_of(options.patients)
    chosen = options.only_vendor and {name for name, vendor in vendors.items() if vendor == options.only_vendor}
    subjects = hearts_of(options.cohort, options.section, options.subjects, chosen)
    if not subjects:
        parser.error(f"no patient of {options.section} is left; --only_vendor needs --patients and a vendor in it")
    segmenter = labelled_segmenter(settings_of(options))
    rows: dict[str, list[dict]] = {way: [] for way in WAYS}
    started = time.time()
    for subject in subjects:
        for way, found in scored(segmenter, subject).items():
            rows[way] += found
        dice = [mean_dice([r for r in rows[way] if r["subject"] == subject["subject"]])["mean"] for way in WAYS]
        print(subject["subject"], ", ".join(f"{way} {one:.3f}" for way, one in zip(WAYS, dice)), flush=True)
    found = {
        group: {way: summary_of([row for row in rows[way] if row["subject"] in names]) for way in WAYS}
        for group, names in groups_of(subjects, vendors).items()
    }
    print_table(found)
    print(f"{len(subjects)} scans, {time.time() - started:.0f} s")
    if options.json:
        write_text(options.json, json.dumps({"summary": found, "rows": rows, **about(options, segmenter)}, indent=1))


if __name__ == "__main__":
    main()
