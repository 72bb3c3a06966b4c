"""DICOM SEG objects among the results of a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nisf.inference.dicom_seg import checked_choice, write_segmentations
from nisf.inference.label_files import LabelFilesWriter
from nisf.inference.label_record import DICOM_SEG
from nisf.io.results import ScanResults


class SaveDicomSegd(LabelFilesWriter):
    """Writes DICOM SEG objects beside a scan's label file; see ``write_segmentations``.

    Args:
        output_dir: folder of the results.
        which: ``phases`` (ED and ES), ``all`` (every frame), or None to write nothing.
        class_names: inside class number (text) to name.
        keep_ids: keep the patient's identifiers of the images.
    """

    kind = DICOM_SEG

    def __init__(
        self, output_dir: str, which: str | None, class_names: Mapping[str, str], keep_ids: bool = False
    ) -> None:
        super().__init__(output_dir)
        self.which, self.class_names, self.keep_ids = checked_choice(which), dict(class_names), keep_ids
        self.choices = None if self.which is None else {"which": self.which, "keep_ids": bool(keep_ids)}

    def make(self, results: ScanResults, sources: Sequence[str], stack: str | None) -> list[Path]:
        """Writes the objects; raises as ``write_segmentations``."""
        (labels,) = results.label_files(sources)
        rest = (self.which, self.class_names, self.keep_ids, stack)
        return write_segmentations(sources[0], labels, results.folder, *rest)
