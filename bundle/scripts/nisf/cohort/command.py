"""What the command ``nisf cohort run`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nisf import runs
from nisf.io.latent_file import LATENT
from nisf.measures.person import people_of
from nisf.report.command import report_all
from nisf.utils.bundle import run_bundle

if TYPE_CHECKING:
    from nisf.cohort.run import Workers


def segment_and_report(
    data: str,
    output: str,
    config: str | None,
    layout: str | None,
    people: str | None,
    workers: Workers | None = None,
    part: str | None = None,
    **options: object,
) -> None:
    """Segments the scans of a cohort, in this process or on Ray workers, then reports them.

    Args:
        data: folder or data list.
        output: folder of the results.
        config, layout: see ``runs.segment``.
        people: CSV file, see ``people_of``.
        workers: Ray workers that do it in place of this process; see ``cohort.run.run_cohort``.
        part: part of the scans, with ``workers``; the page of all scans is then left to a run without ``part``.
        options: options of ``runs.inference_of``.

    Raises:
        InputError: as ``run_bundle``.
        SystemExit: some scans failed; the others have their reports.
    """
    known = people_of(people)  # reports a wrong file before hours are spent
    status = None
    try:
        call = runs.inference_of([data], output, config, layout, **options)
        if workers is None:
            run_bundle("inference", call[0], **call[1])
        else:
            from nisf.cohort.run import run_cohort

            run_cohort(*call, workers, part, known)
    except SystemExit as ended:
        status = ended
    if part is None and any(Path(output).glob(f"*/*{LATENT}")):
        report_all(output, people, renew=workers is None)  # on Ray each worker has reported its scans
    if status is not None:
        raise status
