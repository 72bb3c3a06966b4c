"""What the command ``nisf report`` does."""

from __future__ import annotations

import logging
from pathlib import Path

from nisf.io.results import find_results
from nisf.measures.agreement import LEAST
from nisf.measures.person import checked, people_of
from nisf.measures.reference_values import reference_values

logger = logging.getLogger(__name__)


def report_all(
    folder: str | Path,
    people: str | None = None,
    renew: bool = True,
    reference: str | None = None,
    **person: object,
) -> None:
    """Measures and reports every scan below a folder, and prints the outcome.

    Args:
        folder: result folder of ``nisf segment``, or the folder of one scan.
        people: CSV file of personal data by scan, see ``people_of``; it overrides ``person``.
        renew: if false, scans with a page of their fit are skipped.
        reference: CSV file of reference values by scan, see ``reference_values``, with which the page of all scans
            compares the measures.
        person: height (cm), weight (kg), sex (F, M), heart_rate (beats a minute) of all scans; None where unknown.

    Raises:
        InputError: a value is impossible, or there is nothing to report.
        SystemExit: status 1 when a scan could not be reported.
    """
    known, of_all = people_of(people), checked("the command line", "all scans", person)
    scans = [results.scan for results in find_results(folder)]
    references = reference_values(reference) if reference else {}
    for file, names in ((people, known), (reference, references)):
        for name in sorted(set(names) - set(scans)):
            logger.warning("%s: names %s, which is not a scan of %s", file, name, folder)
    # after the checks, because they are slow to import
    from nisf.report.compared import compared
    from nisf.report.write import report

    entries = report(folder, {name: {**of_all, **known.get(name, {})} for name in scans}, renew, references=references)
    if references and not compared({entry.name: entry.measures for entry in entries if not entry.error}, references):
        logger.warning("%s: nothing is compared, for no measure is known of %d scans or more", reference, LEAST)
    failed = [entry for entry in entries if entry.error]
    print(f"{len(entries) - len(failed)} of {len(entries)} scans reported: {folder}")
    if failed:
        print("\n".join(f"  {entry.name}  {entry.error}" for entry in failed))
        raise SystemExit(1)
