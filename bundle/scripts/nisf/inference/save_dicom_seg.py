"""DICOM SEG objects among the results of a scan."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np

from nisf.inference.dicom_seg import checked_choice, write_segmentations
from nisf.inference.save import ResultWriter
from nisf.inference.seg_record import SegRecord, seg_files
from nisf.io.results import ScanResults, folder_of


class SaveDicomSegd(ResultWriter):
    """Writes DICOM SEG objects of ``seg`` [1, X, Y, Z, T] beside its NIfTI file; see ``write_segmentations``.

    Args:
        output_dir: folder of the results.
        which: ``phases`` (ED and ES), ``all`` (every frame), or None to write nothing.
        class_names: inside class number (text) to name.
        keep_ids: keep the patient's identifiers of the images.
    """

    def __init__(
        self, output_dir: str, which: str | None, class_names: Mapping[str, str], keep_ids: bool = False
    ) -> None:
        super().__init__(output_dir)
        self.which, self.class_names, self.keep_ids = checked_choice(which), dict(class_names), keep_ids

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Writes and returns the item with the files added to ``saved``."""
        item = dict(data)
        if self.which is not None:
            scan = item["scan"]
            name = folder_of(scan.files, scan.subject)
            results = ScanResults(self.output_dir / name, name)
            files = self._write(results, scan.files, np.asarray(item["seg"])[0], scan.stack)
            item["saved"] = [*item.get("saved", []), *map(str, files)]
        return item

    def add(self, results: ScanResults, sources: Sequence[str], stack: str | None = None) -> list[Path]:
        """Writes the objects of a finished scan from its label file, unless they are there; returns them.

        Args:
            results: files of the scan.
            sources: folder of DICOM images.
            stack: as in ``write_segmentations``.

        Raises:
            InputError: as ``write_segmentations``.
        """
        if self.which is None:
            return []
        (labels,) = results.label_files(sources)
        if SegRecord.of(self.which, self.keep_ids, [labels]).is_in(results):
            return seg_files(results)
        return self._write(results, sources, labels, stack)

    def _write(
        self, results: ScanResults, sources: Sequence[str], labels: np.ndarray | Path, stack: str | None
    ) -> list[Path]:
        rest = (self.which, self.class_names, self.keep_ids, stack)
        earlier = seg_files(results)
        files = write_segmentations(sources[0], labels, results.folder, *rest)
        for old in set(earlier) - set(files):  # of other frames, labels or identifiers
            old.unlink(missing_ok=True)
        SegRecord.of(self.which, self.keep_ids, results.label_files(sources)).write(results, files)
        return files
