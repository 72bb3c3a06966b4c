"""Files of other formats that are made from a scan's label files alone, also long after the fit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from nisf.inference.label_record import LabelRecord, recorded_files
from nisf.inference.save import ResultWriter
from nisf.io.results import ScanResults, folder_of


class LabelFilesWriter(ResultWriter):
    """Writes such files, and a record of what they were made from.

    Attributes:
        kind: one of ``label_record.KINDS``.
        choices: what the user chose, in plain types; None to write nothing.
    """

    kind: ClassVar[str]
    choices: Mapping[str, object] | None = None

    @abstractmethod
    def make(self, results: ScanResults, sources: Sequence[str], stack: str | None) -> list[Path]:
        """Writes the files of a scan, whose label files are there, into its folder; returns them."""

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Writes and returns the item with the files added to ``saved``."""
        item = dict(data)
        if self.choices is not None:
            scan = item["scan"]
            name = folder_of(scan.files, scan.subject)
            files = self._write(ScanResults(self.output_dir / name, name), scan.files, scan.stack)
            item["saved"] = [*item.get("saved", []), *map(str, files)]
        return item

    def add(self, results: ScanResults, sources: Sequence[str], stack: str | None = None) -> list[Path]:
        """Writes the files of a finished scan from its label files, unless they are there; returns them.

        Args:
            results: files of the scan.
            sources: its image files, or the folder of its DICOM images.
            stack: as in ``write_segmentations``.

        Raises:
            InputError: as ``make``.
        """
        if self.choices is None:
            return []
        if LabelRecord.of(self.kind, self.choices, results.label_files(sources)).is_in(results):
            return recorded_files(results, self.kind)
        return self._write(results, sources, stack)

    def _write(self, results: ScanResults, sources: Sequence[str], stack: str | None) -> list[Path]:
        earlier = recorded_files(results, self.kind)
        files = self.make(results, sources, stack)
        for old in set(earlier) - set(files):  # of other frames, labels or identifiers
            old.unlink(missing_ok=True)
        LabelRecord.of(self.kind, self.choices, results.label_files(sources)).write(results, files)
        return files
