"""Finds which scans of a run are finished, and why the others have to be done (again)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nisf.inference.outcome import FAILED, FINISHED, Outcome
from nisf.inference.save_dicom_seg import SaveDicomSegd
from nisf.io.earlier import Earlier, look_at
from nisf.io.places import placed
from nisf.io.recipe import Recipe
from nisf.io.results import ScanResults
from nisf.io.source import sources_of
from nisf.quality.record import Quality
from nisf.utils.errors import reason_of

logger = logging.getLogger(__name__)


class Finder:
    """The scans of a run and what earlier runs left of them.

    Args:
        subjects: entries of a data list.
        output_dir: folder of the results.
        keys: names of the results that a finished scan has, ``<stem>_<key>.nii.gz``.
        recipe: settings and weights of this run; finished scans that were made with others are done again.
        skip_finished: whether scans may be left out at all.
        dicom_seg: writer of DICOM SEG objects, which finished scans have too.

    Attributes:
        subjects: the subjects, each with a name of its own in ``output_dir``, see ``io.places``.

    Raises:
        InputError: a scan has no place for its results.
    """

    def __init__(
        self,
        subjects: Sequence[Mapping],
        output_dir: str | Path,
        keys: Sequence[str],
        recipe: Recipe,
        skip_finished: bool = False,
        dicom_seg: SaveDicomSegd | None = None,
    ) -> None:
        self.output_dir, self.keys, self.recipe = Path(output_dir), tuple(keys), recipe
        self.skip, self.dicom_seg = skip_finished, dicom_seg
        found = placed(subjects, output_dir)
        self.subjects = [subject for subject, _ in found]
        self._sources = {str(subject["subject"]): source for subject, source in found}

    def results_of(self, subject: Mapping) -> ScanResults:
        """The places of a scan's results."""
        return ScanResults.of_subject(self.output_dir, subject)

    def files_of(self, subject: Mapping) -> list[Path]:
        """The files to be written for a scan, the latent file last."""
        return self.results_of(subject).files(sources_of(subject), self.keys)

    def outcome_of(self, subject: Mapping, whole: bool = False) -> Outcome | None:
        """The outcome of a scan that need not or cannot be done (again); None for one that waits.

        Args:
            subject: one of ``subjects``.
            whole: also read every result file to its end, or compare it with its receipt.
        """
        scan = str(subject["subject"])
        source = self._sources[scan]
        found = look_at(self.results_of(subject), sources_of(subject), self.keys, source, self.recipe, whole)
        if self.skip and (found.is_done or (found.corrected and not found.faults)):
            return self._finished(subject, found)
        if found.corrected:
            names = [file.name for file in found.corrected]
            return Outcome(scan, FAILED, reason="; ".join([*found.faults, found.kept()]), corrected=names)
        if self.skip and found.reasons:
            logger.info("%s: done again, because %s", scan, found.reasons)
        return None

    def _finished(self, subject: Mapping, found: Earlier) -> Outcome:
        scan, quality = str(subject["subject"]), Quality.of_saved(found.saved.quality, found.saved.pipeline)
        corrected = [file.name for file in found.corrected]
        note = "labels corrected by hand, kept" if corrected else ""
        if found.changes:
            note += f", although the scan was made with another {' and another '.join(found.changes)}"
        logger.info("%s: finished by an earlier run, skipped; %s", scan, note or "--overwrite does it again")
        return Outcome(
            scan,
            FINISHED,
            files=[str(path) for path in self.files_of(subject)],
            quality=quality.known(),
            verdict=quality.verdict(),
            note=note,
            corrected=corrected,
            made_with=found.saved.recipe.to_dict(),
        )

    def with_dicom_seg(self, subject: Mapping, outcome: Outcome) -> Outcome:
        """The outcome of a finished scan after DICOM SEG objects that it lacks were written, without a new fit."""
        if self.dicom_seg is None or outcome.state != FINISHED:
            return outcome
        try:
            files = self.dicom_seg.add(self.results_of(subject), sources_of(subject), subject.get("stack"))
        except Exception as error:  # one bad scan must not end the others
            return replace(outcome, state=FAILED, reason=reason_of(error))
        return replace(outcome, files=[*outcome.files, *map(str, files)])
