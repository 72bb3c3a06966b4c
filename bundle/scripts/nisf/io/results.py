"""The result folder of one scan: its files, and whether they are complete and up to date.

``<output>/<scan>`` of a finished scan holds

    <stem>_seg.nii.gz             labels, one file for each file of the scan; likewise prob, recon, uncertainty
    <scan>_labels.txt, .ctbl      names and colours of the labels
    <scan>_latent.pt              the fit, written last: where it exists, the others do
    <scan>_receipt.json           checksums of these, where a worker of a cohort wrote them
    measures.json, measures.csv   what nisf report measures
    report.html, report.png       its page and picture
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nisf.io.latent_file import LATENT
from nisf.io.nifti import stem_of
from nisf.io.receipts import fault_of, read_receipt, receipt_of, unread_fault_of
from nisf.utils.errors import InputError

#: Ending of a label file's name.
SEGMENTATION = "_seg.nii.gz"


def sources_of(subject: Mapping[str, object]) -> list[str]:
    """The files of a scan, as an entry of a data list names them."""
    image = subject["image"]
    return [str(path) for path in (image if isinstance(image, (list, tuple)) else [image])]


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

    def is_done(self, sources: Sequence[str], keys: Sequence[str]) -> bool:
        """Whether all files of a run exist and belong to the sources as they are now."""
        return all(file.is_file() for file in self.files(sources, keys)) and self.is_of(sources)

    def is_of(self, sources: Sequence[str]) -> bool:
        """Whether no source has changed since the fit; a missing one counts as unchanged.

        The only place that compares results with their sources; it uses the times of the files.
        """
        made = self.latent.stat().st_mtime
        return all(os.path.getmtime(source) <= made for source in sources if os.path.exists(source))

    def fault(self, files: Sequence[Path]) -> str:
        """A sentence about an incomplete file, else empty: one that differs from its receipt or, without a receipt, one
        of ``files`` that cannot be read to its end."""
        receipt = read_receipt(self.receipt) or {"files": []}
        listed = {self.folder / entry["name"] for entry in receipt["files"]}
        return fault_of(receipt, self.folder) or unread_fault_of([file for file in files if file not in listed])

    def is_measured(self) -> bool:
        """Whether the measures exist and belong to this fit."""
        return self._is_of_fit(self.measures)

    def is_reported(self) -> bool:
        """Whether measures, page and picture exist and belong to this fit."""
        return all(map(self._is_of_fit, (self.measures, self.page, self.picture)))

    def _is_of_fit(self, file: Path) -> bool:
        return file.is_file() and file.stat().st_mtime >= self.latent.stat().st_mtime


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
