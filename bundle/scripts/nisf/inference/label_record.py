"""A record of files made from a scan's labels, such as DICOM SEG objects: what they were made from, and checksums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nisf.io.receipts import fault_of, read_receipt, write_sums
from nisf.io.results import ScanResults
from nisf.utils.digest import digest_of_file

#: Kinds of such files, each with a record of its own, ``<scan>_<kind>.json``.
KINDS = DICOM_SEG, SLICER = ("dicom_seg", "slicer")


@dataclass(frozen=True)
class LabelRecord:
    """What files of a kind were made from.

    Attributes:
        kind: one of ``KINDS``.
        choices: what the user chose, in plain types.
        labels: digest of each label file, by its name.
    """

    kind: str
    choices: Mapping[str, object]
    labels: Mapping[str, str]

    @classmethod
    def of(cls, kind: str, choices: Mapping[str, object], label_files: Sequence[Path]) -> LabelRecord:
        """The record of files that are made from label files as they are now."""
        return cls(kind, choices, {file.name: digest_of_file(file) for file in label_files})

    def content(self) -> dict[str, object]:
        """What the record says besides the checksums."""
        return {**self.choices, "labels": dict(self.labels)}

    def is_in(self, results: ScanResults) -> bool:
        """Whether such files were written for a scan, and are complete."""
        found = read_receipt(record_of(results, self.kind))
        if found is None or any(found.get(name) != value for name, value in self.content().items()):
            return False
        return bool(found["files"]) and not fault_of(found, results.folder)

    def write(self, results: ScanResults, files: Sequence[Path]) -> Path:
        """Writes the record of a scan's files.

        Raises:
            InputError: the folder cannot be written or the disk is full.
        """
        return write_sums(record_of(results, self.kind), files, self.content())


def record_of(results: ScanResults, kind: str) -> Path:
    """Path of the record of a kind beside a scan's results."""
    return results.folder / f"{results.name}_{kind}.json"


def recorded_files(results: ScanResults, kind: str) -> list[Path]:
    """The files of a kind that were written for a scan."""
    found = read_receipt(record_of(results, kind))
    return [] if found is None else [results.folder / entry["name"] for entry in found["files"]]
