"""Data list of ACDC and M&Ms together, with the splits of each.

    python benchmarks/pooled_cohort.py ACDC MNMS output/pooled/cohort.json

Where all scans of a data set have the same pixel size, it was lost, as in the public copy of M&Ms: their entries say so
(``pixel_size_known``), and no volumes in mL are given of them.
"""

import json
import os
from pathlib import Path

import nibabel as nib
from options import parser_of

from nisf.io.datalist import find_subjects, split_subjects
from nisf.io.layouts.common import SECTIONS
from nisf.utils.files import write_text

#: A cine that shows no heart (README of the data).
WITHOUT_HEART = ("patient057",)

RULES = {"acdc": {"last_digit": {"validation": [2], "test": [0]}}, "mnms": None}


def pooled(folders: dict[str, str], cines: str | None = None) -> dict[str, list[dict]]:
    """Entries of a cohort file by section, from a folder for each layout and the cines' folder."""
    content: dict[str, list[dict]] = {section: [] for section in SECTIONS}
    for layout, folder in folders.items():
        rule = RULES[layout] or str(Path(folder) / "splits.json")
        splits = split_subjects(find_subjects(layout, os.path.abspath(folder)), rule)
        lost = has_one_pixel_size([one for subjects in splits.values() for one in subjects])
        for section, subjects in splits.items():
            content[section] += [{**one, "pixel_size_known": False} if lost else one for one in subjects]
    for entry in content["training"] if cines else []:
        cine = Path(os.path.abspath(cines)) / f"{entry['subject']}.nii.gz"
        if cine.is_file() and entry["subject"] not in WITHOUT_HEART:
            entry["crops"] = [str(cine)]
    return content


def has_one_pixel_size(subjects: list[dict]) -> bool:
    """Whether the headers of many scans all have the same pixel size, which scanners do not give."""
    files = [one["image"][0] if isinstance(one["image"], list) else one["image"] for one in subjects]
    sizes = {tuple(round(float(size), 4) for size in nib.load(file).header.get_zooms()[:2]) for file in files}
    return len(files) > 10 and len(sizes) == 1


def main() -> None:
    """Writes the list and prints how many subjects it has."""
    parser = parser_of(__doc__)
    parser.add_argument("acdc")
    parser.add_argument("mnms")
    parser.add_argument("output")
    parser.add_argument("--cines")
    options = parser.parse_args()
    content = pooled({"acdc": options.acdc, "mnms": options.mnms}, options.cines)
    Path(options.output).parent.mkdir(parents=True, exist_ok=True)
    write_text(options.output, json.dumps(content, indent=1) + "\n")
    print({section: len(subjects) for section, subjects in content.items()})


if __name__ == "__main__":
    main()
