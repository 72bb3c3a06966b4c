"""Reports of a result folder, with what is known of the people; a cohort segmented and reported in one go."""

from __future__ import annotations

import logging
from pathlib import Path

from scripts import runs
from scripts.errors import InputError
from scripts.people import checked, people_of

logger = logging.getLogger(__name__)


def report_all(folder: str | Path, people: str | None = None, **person: object) -> None:
    """Measures and reports every scan below a folder.

    Args:
        folder: result folder of ``nisf segment``, or the folder of one scan.
        people: CSV file of what is known of each scan's person, see ``people_of``; it goes before ``person``.
        person: height (cm), weight (kg), sex (F, M), heart_rate (beats a minute) of all scans; None is not known.

    Raises:
        InputError: a value cannot be, or there is nothing to report.
        SystemExit: status 1 when a scan could not be reported.
    """
    known, of_all = people_of(people), checked("the command line", "all scans", person)
    # after the checks, for these are slow to import
    from scripts.measures import measure_scan
    from scripts.report import report
    from scripts.scan_folders import latent_files

    files = latent_files(folder)

    for name in sorted(set(known) - {file.parent.name for file in files}):
        logger.warning("%s: names %s, which is no scan of %s", people, name, folder)
    for file in files:
        about = {**of_all, **known.get(file.parent.name, {})}
        if about:  # measured anew: an earlier report may have known less
            try:
                measure_scan(file, file.parent, **about)
            except InputError as error:
                logger.warning("%s", error)  # the report comes to the same end, and says so
    failed = [entry for entry in report(folder) if entry.error]
    print(f"{len(files) - len(failed)} of {len(files)} scans reported: {folder}")
    if failed:
        raise SystemExit(1)


def segment_and_report(
    data: str, output: str, config: str | None, layout: str | None, people: str | None, **options: object
) -> None:
    """``runs.segment``, then the reports of all that was segmented.

    Args:
        data: folder or data list.
        output: folder of the results.
        config, layout: see ``runs.segment``.
        people: CSV file, see ``people_of``.
        options: of ``runs.segment``.

    Raises:
        InputError: as ``run_bundle``.
        SystemExit: some scans failed; the others have their reports.
    """
    people_of(people)  # a wrong file is said before hours are spent
    status = None
    try:
        runs.segment([data], output, config, layout, **options)
    except SystemExit as ended:
        status = ended
    if any(Path(output).glob("*/*_latent.pt")):
        report_all(output, people)
    if status is not None:
        raise status
