"""A batch of scans: those waiting, and the outcome of each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from ignite.engine import Engine, Events

from nisf.inference.finder import Finder
from nisf.inference.label_files import LabelFilesWriter
from nisf.inference.outcome import DONE, FAILED, Outcome, Summary
from nisf.io.recipe import Recipe
from nisf.quality.record import Quality


class Batch(Summary):
    """The scans of a run of ``inference``: those waiting, and the ``Outcome`` of each.

    Args:
        subjects: entries of a data list; an empty one is a place that a worker fills.
        output_dir: folder of the results.
        keys: names of the results that a finished scan has, ``<stem>_<key>.nii.gz``.
        settings: settings of this run; finished scans that were made with others are done again.
        skip_finished: leave out scans whose results are complete and what this run would give.
        label_writers: writers of files that are made from the labels, which finished scans have too.

    Attributes:
        waiting: subjects still to do.
        finder: what is known of their results; its ``recipe`` is that of this run.

    Raises:
        InputError: a scan has no place for its results.
    """

    def __init__(
        self,
        subjects: Sequence[Mapping],
        output_dir: str,
        keys: Sequence[str] = ("seg",),
        settings: Mapping[str, object] | None = None,
        skip_finished: bool = False,
        label_writers: Sequence[LabelFilesWriter] = (),
    ) -> None:
        super().__init__(output_dir)
        known = [subject for subject in subjects if subject]
        self.finder = Finder(known, output_dir, keys, Recipe.of(settings or {}), skip_finished, label_writers)
        self.waiting = [subject for subject in subjects if not subject]
        for subject in self.finder.subjects:
            outcome = self.finder.outcome_of(subject)
            if outcome is None:
                self.waiting.append(subject)
            else:
                self.outcomes[outcome.scan] = outcome
        self._began = time.perf_counter()

    def add_label_files(self) -> None:
        """Writes the files of ``label_writers`` that finished scans lack."""
        for subject in self.finder.subjects:
            outcome = self.outcomes.get(str(subject["subject"]))
            if outcome is not None:
                self.outcomes[outcome.scan] = self.finder.with_label_files(subject, outcome)

    def attach(self, engine: Engine) -> None:
        """Registers for the start of the run and each scan."""
        engine.add_event_handler(Events.STARTED, lambda _: setattr(self, "_began", time.perf_counter()))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Records the outcome of the current scan."""
        scan, now = str(engine.state.batch.get("subject", "?")), time.perf_counter()
        seconds, self._began = round(now - self._began, 2), now
        output = engine.state.output or {}
        if output:
            scan = output["scan"].subject  # another run may have taken the name that it had
            quality, files, made_with = output["scan"].quality, list(output["saved"]), self.finder.recipe.to_dict()
            known = {"quality": quality.known(), "verdict": quality.verdict(), "made_with": made_with}
            self.outcomes[scan] = Outcome(scan, DONE, seconds, files, **known)
        else:
            failure = next(one for one in engine.failures if one.subject == scan)
            verdict = Quality.without_heart().verdict() if failure.no_heart else {}
            self.outcomes[scan] = Outcome(scan, FAILED, seconds, verdict=verdict, reason=failure.reason)
