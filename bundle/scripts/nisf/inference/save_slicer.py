"""Files for 3D Slicer among the results of a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nisf.inference.label_files import LabelFilesWriter
from nisf.inference.label_record import SLICER
from nisf.inference.slicer import write_slicer
from nisf.io.latent_file import read_latent
from nisf.io.results import ScanResults
from nisf.utils.extras import check_extra


class SaveSlicerd(LabelFilesWriter):
    """Writes segmentations for 3D Slicer beside a scan's label files; see ``write_slicer``.

    Args:
        output_dir: folder of the results.
        wanted: whether to write them at all.
        class_names: inside class number (text) to name.

    Raises:
        InputError: slicerio is not installed.
    """

    kind = SLICER

    def __init__(self, output_dir: str, wanted: bool, class_names: Mapping[str, str]) -> None:
        super().__init__(output_dir)
        self.class_names = dict(class_names)
        if wanted:
            check_extra("slicer", "writing segmentations for 3D Slicer")
            self.choices = {}

    def make(self, results: ScanResults, sources: Sequence[str], stack: str | None) -> list[Path]:
        """Writes the files; raises as ``write_slicer``, or as ``read_latent``."""
        saved = read_latent(results.latent)
        stem = results.folder / results.name
        labels = results.label_files(sources)
        return write_slicer(labels, stem, saved.frame.times, saved.duration, self.class_names)
