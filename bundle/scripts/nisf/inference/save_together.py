"""All results of a scan at once: those of an earlier run are replaced only when the new ones are complete."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nisf.inference.label_record import KINDS, record_of, recorded_files
from nisf.inference.save import ResultWriter, SaveLatentd
from nisf.io.earlier import Earlier, Owner, owner_of, saved_fit
from nisf.io.nifti import stem_of
from nisf.io.places import Places
from nisf.io.results import ScanResults, folder_of
from nisf.io.source import Source
from nisf.transforms.scan import Scan
from nisf.transforms.source import source_of
from nisf.utils.errors import InputError
from nisf.utils.files import check_writable, set_aside, to_disk
from nisf.utils.lock import alone

logger = logging.getLogger(__name__)

#: Lock of a result folder while one scan's files are put into their places, and seconds to wait for it.
LOCK, WAIT = ".lock", 300.0

#: Seconds after which a hidden folder is what a killed run left.
LEFT = 3600.0

#: Names of results that a run may leave out; those of an earlier fit do not stay beside a new one.
OPTIONAL = ("prob", "recon", "uncertainty")


class SaveResultsd(ResultWriter):
    """Runs the writers of a scan's results, then moves what they wrote into ``<output_dir>/<scan>``.

    Results of another scan are never replaced: where they have the scan's name, it gets one of its own (``places``).
    Labels that were corrected by hand are never replaced either.

    Args:
        writers: writers, the one of the latent file last.
        output_dir: folder of the results.

    Raises:
        InputError: labels were corrected by hand, the folder cannot be written or the disk is full; what was there
            stays as it is.
    """

    def __init__(self, writers: Sequence[ResultWriter], output_dir: str | Path) -> None:
        super().__init__(output_dir)
        self.writers = list(writers)

    @property
    def latent(self) -> SaveLatentd:
        """The writer of the latent file."""
        return next(one for one in self.writers if isinstance(one, SaveLatentd))

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Writes and returns the item with ``saved``, its ``scan`` under the name of the results."""
        item, before, source = dict(data), list(data.get("saved", [])), source_of(data)
        files = None
        while files is None:
            item["scan"] = self._placed(item["scan"], source)
            with _apart(self._results_of(item["scan"]).folder) as folder:
                written = {**item, "saved": []}
                for writer in self.writers:
                    written = writer.into(folder)(written)
                files = self._moved([Path(file) for file in written["saved"]], item["scan"], source)
        return {**written, "saved": [*before, *map(str, files)]}

    def _moved(self, written: Sequence[Path], scan: Scan, source: Source) -> list[Path] | None:
        """The files in their places; None where another run has given the scan's name to another scan meanwhile."""
        taken = f"{self.output_dir}: another run does not end writing there; end it, or choose another result folder"
        with alone(self.output_dir / LOCK, lambda: taken, again=True, wait=WAIT):
            return _moved(written, self._results_of(scan), scan.files) if self._placed(scan, source) is scan else None

    def _results_of(self, scan: Scan) -> ScanResults:
        name = folder_of(scan.files, scan.subject)
        return ScanResults(self.output_dir / name, name)

    def _placed(self, scan: Scan, source: Source) -> Scan:
        """The scan, under a name that is not another scan's; raises where its labels were corrected by hand."""
        results = self._results_of(scan)
        if owner_of(results, saved_fit(results), source) is Owner.OTHER:  # since the batch began, or without a batch
            subject = {"subject": scan.subject, "image": list(scan.files)}
            scan = replace(scan, subject=Places(self.output_dir).of(subject, source)["subject"])
            results = self._results_of(scan)
        saved = saved_fit(results)
        corrected = () if saved is None else tuple(results.corrected_labels(saved))
        if corrected:
            raise InputError(Earlier(results, saved, corrected=corrected).kept())
        return scan


@contextmanager
def _apart(folder: Path) -> Iterator[Path]:
    """A hidden folder inside another one; those that killed runs left there are removed.

    Raises:
        InputError: the folder cannot be written.
    """
    check_writable(folder)
    for left in folder.glob(".[0-9]*.new"):
        if time.time() - left.stat().st_mtime > LEFT:
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f".{os.getpid()}.", suffix=".new", dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _keep_unknown(results: ScanResults, sources: Sequence[str]) -> None:
    """Moves label files beside a damaged fit aside: it cannot be told whether they were corrected by hand."""
    labels = results.label_files(sources)
    if not labels or not results.latent.is_file() or saved_fit(results) is not None:
        return
    aside = set_aside(results.folder, labels)
    logger.warning("%s: the fit there was damaged; its labels are now in %s", results.folder, aside.name)


def _of_labels(results: ScanResults, kind: str) -> list[Path]:
    """Files of a kind that were made from a scan's labels, and their record."""
    return [*recorded_files(results, kind), record_of(results, kind)]


def _moved(written: Sequence[Path], results: ScanResults, sources: Sequence[str]) -> list[Path]:
    """Moves the new files to their places and removes those of an earlier fit; returns their new paths.

    The latent file goes first and comes last: in between, a kill leaves a scan that counts as not done.
    """
    files = [results.folder / file.name for file in written]
    earlier = [results.receipt, *(file for kind in KINDS for file in _of_labels(results, kind))]
    earlier += [results.folder / f"{stem_of(source)}_{key}.nii.gz" for source in sources for key in OPTIONAL]
    earlier += [results.measures, results.measures.with_suffix(".csv"), results.page, results.picture]
    try:
        _keep_unknown(results, sources)
        for old in [results.latent, *(file for file in earlier if file not in files)]:
            old.unlink(missing_ok=True)
        for new, file in zip(written, files):
            os.replace(new, file)
        to_disk(results.folder)
    except OSError as error:
        raise InputError(f"{results.folder}: files there cannot be replaced ({error.strerror}); free them") from error
    return files
