"""Reports of a result folder, with what is known of the people; a cohort segmented and reported in one go."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from nisf import runs
from nisf.measures.person import checked, people_of
from nisf.report.write import is_reported, measured
from nisf.utils.bundle import run_bundle

if TYPE_CHECKING:
    from nisf.cohort.run import Workers

logger = logging.getLogger(__name__)


def report_all(folder: str | Path, people: str | None = None, renew: bool = True, **person: object) -> None:
    """Measures and reports every scan below a folder.

    Args:
        folder: result folder of ``nisf segment``, or the folder of one scan.
        people: CSV file of what is known of each scan's person, see ``people_of``; it goes before ``person``.
        renew: false leaves scans alone that have a page of their fit.
        person: height (cm), weight (kg), sex (F, M), heart_rate (beats a minute) of all scans; None is not known.

    Raises:
        InputError: a value cannot be, or there is nothing to report.
        SystemExit: status 1 when a scan could not be reported.
    """
    known, of_all = people_of(people), checked("the command line", "all scans", person)
    # after the checks, for these are slow to import
    from nisf.report.scan_folder import latent_files
    from nisf.report.write import report

    files = latent_files(folder)
    for name in sorted(set(known) - {file.parent.name for file in files}):
        logger.warning("%s: names %s, which is no scan of %s", people, name, folder)
    wanted = [file for file in files if renew or not is_reported(file)]
    failed = {file.parent.name: measured(file, {**of_all, **known.get(file.parent.name, {})}) for file in wanted}
    done = [file.name.removesuffix("_latent.pt") for file in wanted if failed[file.parent.name] is None]
    entries = report(folder, only=done, overwrite=renew or bool(done)) if done or not renew else []
    failed |= {entry.name: entry.error for entry in entries if entry.name in done and entry.error}
    reasons = {name: reason for name, reason in failed.items() if reason}
    print(f"{len(files) - len(reasons)} of {len(files)} scans reported: {folder}")
    if reasons:
        print("\n".join(f"  {name}  {reason}" for name, reason in reasons.items()))
        raise SystemExit(1)


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
    """``runs.segment``, then the reports of all that was segmented.

    Args:
        data: folder or data list.
        output: folder of the results.
        config, layout: see ``runs.segment``.
        people: CSV file, see ``people_of``.
        workers: on Ray, which do it in place of this process; see ``ray_cohort.run_cohort``.
        part: of the scans, with ``workers``; the page of all is then left for the run that does not name one.
        options: of ``runs.inference_of``.

    Raises:
        InputError: as ``run_bundle``.
        SystemExit: some scans failed; the others have their reports.
    """
    known = people_of(people)  # a wrong file is said before hours are spent
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
    if part is None and any(Path(output).glob("*/*_latent.pt")):
        report_all(output, people, renew=workers is None)  # on Ray each worker has reported its scans
    if status is not None:
        raise status
