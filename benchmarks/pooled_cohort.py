"""Data list of ACDC and M&Ms together, with the splits of each.

python benchmarks/pooled_cohort.py ACDC MNMS output/pooled/cohort.json
"""

import json
import os
from pathlib import Path

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
        for section, subjects in splits.items():
            content[section] += subjects
    for entry in content["training"] if cines else []:
        cine = Path(os.path.abspath(cines)) / f"{entry['subject']}.nii.gz"
        if cine.is_file() and entry["subject"] not in WITHOUT_HEART:
            entry["crops"] = [str(cine)]
    return content


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
