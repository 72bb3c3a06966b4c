"""Unusual DICOM folders: what the user sees, what comes out.

    python benchmarks/strange_folders.py

The folders are made from a small phantom by ``tests/helpers/corpus.py``; voxels are compared with the phantom's. Prints
a table in Markdown. Exit status 1 if any outcome is not as it must be.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.corpus import outcome_of, the_subject  # noqa: E402
from helpers.corpus_cases import CASES  # noqa: E402


def main() -> None:
    """Prints the table."""
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    subject, wrong = the_subject(), 0
    print("| folder | what the user sees | result |\n|---|---|---|")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            outcome = outcome_of(case, subject, Path(folder) / "scan")
        wrong += not outcome.right
        print(f"| {case.name} | {outcome.seen} | {outcome.result}{'' if outcome.right else ' (WRONG)'} |")
    print(f"\n{len(CASES)} folders, {wrong} not as they must be")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
