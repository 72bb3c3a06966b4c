"""The result folder of one scan: its files, and whether they are complete and up to date.

``<output>/<scan>`` of a finished scan holds

    <stem>_seg.nii.gz             labels, one file for each file of the scan; likewise prob, recon, uncertainty
    <scan>_labels.txt, .ctbl      names and colours of the labels
    <scan>_latent.pt              the fit, written last: where it exists, the others do; it names what it was made from
    <stem>_seg_ED.dcm and others  DICOM SEG objects, and <scan>_dicom_seg.json, checksums of them and of their labels
    <scan>_ED.seg.nrrd and others for 3D Slicer, and <scan>_slicer.json, the same of these
    <scan>_receipt.json           checksums of these, where a worker of a cohort wrote them
    measures.json, measures.csv   what nisf report measures
    report.html, report.png       its page and picture
    view.html                     the fitted function as a page, which nisf report or nisf view writes
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nisf.io.latent_file import LATENT, SavedFit
from nisf.io.nifti import stem_of
from nisf.io.receipts import fault_of, read_receipt, receipt_of, unread_fault_of
from nisf.io.source import sources_of
from nisf.utils.digest import digest_of_file
from nisf.utils.errors import InputError

#: Ending of a label file's name.
SEGMENTATION = "_seg.nii.gz"

#: Seconds by which a label file must be newer than a fit of an earlier version, which has no digests of its files, to
#: count as corrected by hand.
LATER = 60.0


def folder_of(files: Sequence[str], subject: str) -> str:
    """Name of a scan and its result folder: the stem of its file.

    The subject instead, where the scan has a file for each frame or the stem does not begin with the subject: UK
    Biobank calls every file ``sa.nii.gz``, and one scan's results must not replace another's.
    """
    stem = stem_of(files[0])
    return stem if len(files) == 1 and stem.startswith(str(subject)) else str(subject)


@dataclass(frozen=True)
class ScanResults:
    """The results of one scan: their paths and state.

    Attributes:
        folder: ``<output>/<scan>``, or where it was moved to.
        name: name of the scan when it was segmented, with which its files begin.
    """

    folder: Path
    name: str

    @classmethod
    def of_subject(cls, output: str | Path, subject: Mapping[str, object]) -> ScanResults:
        """Results of an entry of a data list, below the folder of all results."""
        name = folder_of(sources_of(subject), str(subject["subject"]))
        return cls(Path(output) / name, name)

    @classmethod
    def of_latent(cls, latent: str | Path) -> ScanResults:
        """Results of the scan with this latent file."""
        return cls(Path(latent).parent, Path(latent).name.removesuffix(LATENT))

    @classmethod
    def of_folder(cls, folder: str | Path) -> ScanResults:
        """Results of the one scan in a folder.

        Raises:
            InputError: it holds no latent file or more than one.
        """
        latents = sorted(Path(folder).glob(f"*{LATENT}"))
        if len(latents) != 1:
            raise InputError(f"{folder}: holds {len(latents)} latent files where one is needed; segment the scan again")
        return cls.of_latent(latents[0])

    @property
    def scan(self) -> str:
        """Displayed name of the scan: that of its folder."""
        return Path(os.path.abspath(self.folder)).name  # a linked folder has the name of the link

    @property
    def latent(self) -> Path:
        """The fit, the last file that ``nisf segment`` writes for a scan."""
        return self.folder / f"{self.name}{LATENT}"

    @property
    def receipt(self) -> Path:
        """Checksums of the files."""
        return receipt_of(self.latent)

    @property
    def measures(self) -> Path:
        """All measures as JSON; ``measures.csv`` beside it has the table."""
        return self.folder / "measures.json"

    @property
    def page(self) -> Path:
        """The report."""
        return self.folder / "report.html"

    @property
    def view(self) -> Path:
        """The fitted function as a page."""
        return self.folder / "view.html"

    @property
    def picture(self) -> Path:
        """The report as one picture."""
        return self.folder / "report.png"

    def files(self, sources: Sequence[str], keys: Sequence[str]) -> list[Path]:
        """Files that a run writes for a scan: ``<stem>_<key>.nii.gz`` for each source, then the latent file."""
        images = [self.folder / f"{stem_of(source)}_{key}.nii.gz" for source in sources for key in keys]
        return [*images, self.latent]

    def label_files(self, sources: Sequence[str]) -> list[Path]:
        """The existing label files, in the order of the scan's files."""
        return [file for source in sources if (file := self.folder / f"{stem_of(source)}{SEGMENTATION}").is_file()]

    def missing(self, sources: Sequence[str], keys: Sequence[str]) -> list[Path]:
        """The files of a run that do not exist."""
        return [file for file in self.files(sources, keys) if not file.is_file()]

    def changed_labels(self, saved: SavedFit) -> list[Path]:
        """Label files whose content is not what was written with the fit."""
        files = [self.folder / name for name in saved.labels]
        if not files:
            made = self.latent.stat().st_mtime + LATER
            return [file for file in self.label_files(saved.files) if file.stat().st_mtime > made]
        return [file for file in files if file.is_file() and digest_of_file(file) != saved.labels[file.name]]

    def corrected_labels(self, saved: SavedFit) -> list[Path]:
        """Label files that were corrected by hand: changed since they were written with the fit, and whole."""
        return [file for file in self.changed_labels(saved) if not unread_fault_of([file])]

    def fault(self, files: Sequence[Path], corrected: Sequence[Path] = ()) -> str:
        """A sentence about an incomplete file, else empty: one that differs from its receipt or, without a receipt, one
        of ``files`` that cannot be read to its end. Labels that were ``corrected`` by hand are not looked at."""
        receipt = read_receipt(self.receipt) or {"files": []}
        entries = [entry for entry in receipt["files"] if self.folder / entry["name"] not in corrected]
        listed = {self.folder / entry["name"] for entry in entries}
        rest = [file for file in files if file not in listed and file not in corrected]
        return fault_of({"files": entries}, self.folder) or unread_fault_of(rest)

    def is_measured(self) -> bool:
        """Whether the measures exist and belong to this fit and to the label files as they are now."""
        if not self._is_after(self.measures, self.latent):
            return False
        try:
            labels = json.loads(self.measures.read_text(encoding="utf-8"))["labels"]["digests"]
            return all(digest_of_file(self.folder / name) == digest for name, digest in labels.items())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # of an earlier version, or damaged
            return all(self._is_after(self.measures, file) for file in self.folder.glob(f"*{SEGMENTATION}"))

    def is_reported(self) -> bool:
        """Whether measures, page and picture exist and belong to this fit and its label files."""
        return self.is_measured() and all(self._is_after(file, self.measures) for file in (self.page, self.picture))

    @staticmethod
    def _is_after(file: Path, other: Path) -> bool:
        return file.is_file() and file.stat().st_mtime >= other.stat().st_mtime


def find_results(folder: str | Path) -> list[ScanResults]:
    """The scans of a result folder, or the one scan whose folder it is, sorted by name.

    Raises:
        InputError: there is none.
    """
    folder = Path(folder)
    found = sorted(folder.glob(f"*{LATENT}")) or sorted(folder.glob(f"*/*{LATENT}"))
    if not found:
        raise InputError(f"{folder}: holds no results; name the folder that nisf segment wrote with -o")
    return [ScanResults.of_latent(latent) for latent in found]
