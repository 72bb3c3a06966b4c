"""A record of the DICOM SEG objects beside a scan's results: what they were made from, and their checksums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nisf.io.receipts import fault_of, read_receipt, write_sums
from nisf.io.results import ScanResults
from nisf.utils.digest import digest_of_file

#: Ending of the record's name.
RECORD = "_dicom_seg.json"


@dataclass(frozen=True)
class SegRecord:
    """What DICOM SEG objects show.

    Attributes:
        which: ``phases`` or ``all``, see ``write_segmentations``.
        keep_ids: whether they name the patient.
        labels: digest of each label file, by its name.
    """

    which: str
    keep_ids: bool
    labels: dict[str, str]

    @classmethod
    def of(cls, which: str, keep_ids: bool, label_files: Sequence[Path]) -> SegRecord:
        """The record of objects that are made from label files as they are now."""
        return cls(which, bool(keep_ids), {file.name: digest_of_file(file) for file in label_files})

    def is_in(self, results: ScanResults) -> bool:
        """Whether such objects were written for a scan, and are complete."""
        found = read_receipt(record_of(results))
        if found is None or any(found.get(name) != value for name, value in asdict(self).items()):
            return False
        return bool(found["files"]) and not fault_of(found, results.folder)

    def write(self, results: ScanResults, files: Sequence[Path]) -> Path:
        """Writes the record of a scan's objects.

        Raises:
            InputError: the folder cannot be written or the disk is full.
        """
        return write_sums(record_of(results), files, asdict(self))


def record_of(results: ScanResults) -> Path:
    """Path of the record beside a scan's results."""
    return results.folder / f"{results.name}{RECORD}"


def seg_files(results: ScanResults) -> list[Path]:
    """The DICOM SEG objects that were written for a scan."""
    found = read_receipt(record_of(results))
    return [] if found is None else [results.folder / entry["name"] for entry in found["files"]]
