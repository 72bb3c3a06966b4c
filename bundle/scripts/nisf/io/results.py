"""The result folder of one scan: what it holds, and whether that is all there, whole and up to date.

``<output>/<scan>`` of a scan that is done holds

    <stem>_seg.nii.gz             labels, one file for each file of the scan; so prob, recon, uncertainty if asked for
    <scan>_labels.txt, .ctbl      names and colours of the labels
    <scan>_latent.pt              the fit, written after these: where it is, they are
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

#: How the name of a label file ends.
SEGMENTATION = "_seg.nii.gz"


def sources_of(subject: Mapping[str, object]) -> list[str]:
    """The files of a scan, as an entry of a data list names them."""
    image = subject["image"]
    return [str(path) for path in (image if isinstance(image, (list, tuple)) else [image])]


def folder_of(files: Sequence[str], subject: str) -> str:
    """Name of a scan and of its result folder: its file's stem.

    Or the subject, where the scan came as one file a frame, or where the stem does not begin with the subject: UK
    Biobank calls every file ``sa.nii.gz``, and one scan's results must not replace another's.
    """
    stem = stem_of(files[0])
    return stem if len(files) == 1 and stem.startswith(str(subject)) else str(subject)


@dataclass(frozen=True)
class ScanResults:
    """Where the results of one scan are, and in which state.

    Attributes:
        folder: ``<output>/<scan>``, or wherever it was moved to.
        name: of the scan when it was segmented; its files begin with it.
    """

    folder: Path
    name: str

    @classmethod
    def of_subject(cls, output: str | Path, subject: Mapping[str, object]) -> ScanResults:
        """Of an entry of a data list, below the folder of all results."""
        name = folder_of(sources_of(subject), str(subject["subject"]))
        return cls(Path(output) / name, name)

    @classmethod
    def of_latent(cls, latent: str | Path) -> ScanResults:
        """Of the scan with this latent file."""
        return cls(Path(latent).parent, Path(latent).name.removesuffix(LATENT))

    @classmethod
    def of_folder(cls, folder: str | Path) -> ScanResults:
        """Of the one scan whose folder this is.

        Raises:
            InputError: it holds no latent file or more than one.
        """
        latents = sorted(Path(folder).glob(f"*{LATENT}"))
        if len(latents) != 1:
            raise InputError(f"{folder}: holds {len(latents)} latent files where one is needed; segment the scan anew")
        return cls.of_latent(latents[0])

    @property
    def scan(self) -> str:
        """What people call the scan: its folder."""
        return self.folder.resolve().name

    @property
    def latent(self) -> Path:
        """The fit, the last file of a scan that ``nisf segment`` writes."""
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
        """What a run writes of a scan: ``<stem>_<key>.nii.gz`` of each source, then the latent file."""
        images = [self.folder / f"{stem_of(source)}_{key}.nii.gz" for source in sources for key in keys]
        return [*images, self.latent]

    def label_files(self, sources: Sequence[str]) -> list[Path]:
        """The label files that are there, in the order of the scan's own files."""
        return [file for source in sources if (file := self.folder / f"{stem_of(source)}{SEGMENTATION}").is_file()]

    def is_done(self, sources: Sequence[str], keys: Sequence[str]) -> bool:
        """Whether all that a run writes is there, and of the sources as they are now."""
        return all(file.is_file() for file in self.files(sources, keys)) and self.is_of(sources)

    def is_of(self, sources: Sequence[str]) -> bool:
        """Whether the fit is of the sources as they are now: none has changed since; one that is gone has not.

        The one place that ties results to their sources. It goes by the times of the files.
        """
        made = self.latent.stat().st_mtime
        return all(os.path.getmtime(source) <= made for source in sources if os.path.exists(source))

    def fault(self, files: Sequence[Path]) -> str:
        """What is not whole, in words, or empty: a file that is not as its receipt says, or, among ``files``, one that
        has no receipt and cannot be read to its end."""
        receipt = read_receipt(self.receipt) or {"files": []}
        listed = {self.folder / entry["name"] for entry in receipt["files"]}
        return fault_of(receipt, self.folder) or unread_fault_of([file for file in files if file not in listed])

    def is_measured(self) -> bool:
        """Whether the measures are there, and those of this fit."""
        return self._is_of_fit(self.measures)

    def is_reported(self) -> bool:
        """Whether measures, page and picture are there, and those of this fit."""
        return all(map(self._is_of_fit, (self.measures, self.page, self.picture)))

    def _is_of_fit(self, file: Path) -> bool:
        return file.is_file() and file.stat().st_mtime >= self.latent.stat().st_mtime


def find_results(folder: str | Path) -> list[ScanResults]:
    """The scans of a result folder, or the one scan that the folder belongs to, by name.

    Raises:
        InputError: there is none.
    """
    folder = Path(folder)
    found = sorted(folder.glob(f"*{LATENT}")) or sorted(folder.glob(f"*/*{LATENT}"))
    if not found:
        raise InputError(f"{folder}: holds no results; name the folder that nisf segment wrote with -o")
    return [ScanResults.of_latent(latent) for latent in found]
