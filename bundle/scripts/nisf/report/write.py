"""Measures, pages and pictures of segmented scans, and one page and table of them all."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from nisf.io.latent_file import read_latent
from nisf.io.results import ScanResults, find_results
from nisf.measures.measure import measure_results
from nisf.measures.person import Person
from nisf.report.index import Entry, write_cohort_pages
from nisf.report.living.data import diastole_of
from nisf.report.living.write import write_view
from nisf.report.page import scan_page
from nisf.report.scan_folder import read_scan
from nisf.report.summary import summary_picture
from nisf.report.surface import surface_data
from nisf.report.views import axes_of, plane_views, slices_view
from nisf.sampling.fitted_scan import FittedScan, network_of, weights_of
from nisf.utils.errors import InputError, reason_of
from nisf.utils.files import write_text

logger = logging.getLogger(__name__)

#: Relative address of the page of all scans from the page of one.
INDEX = "../index.html"


def report(
    folder: str | Path,
    people: Mapping[str, Mapping[str, object]] | None = None,
    renew: bool = True,
    model: str | Path | None = None,
    device: str = "cpu",
    references: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Entry]:
    """Measures and reports what ``nisf segment`` wrote.

    Each scan's folder gets ``measures.json``, ``measures.csv``, ``report.html``, ``view.html`` and ``report.png``, see
    ``report_scan``; the result folder gets ``index.html`` and ``measures.csv`` of all scans. A scan that cannot be
    reported is listed in the index with the reason; the others are done.

    Args:
        folder: OUT of ``nisf segment``, or the folder of one scan, whose page alone is then written.
        people: name of a scan to its personal data, see ``report_scan``.
        renew: if false, scans with a page of their fit are skipped.
        model: weights; those that the latent files name unless given.
        device: where the network runs.
        references: name of a scan to reference values with which the page of all scans compares its measures.

    Returns:
        Entry of each scan in the index; ``error`` is set where it could not be reported.

    Raises:
        InputError: the folder holds no results or cannot be written.
    """
    folder, people, entries = Path(folder), people or {}, []
    scans = find_results(folder)
    alone = scans[0].folder == folder
    for results in tqdm(scans, desc="reporting", unit="scan", disable=None):
        try:
            if renew or not results.is_reported():
                back = None if alone else INDEX
                found = report_scan(results, people.get(results.scan, {}), back, model, device)
            else:
                found = read_measures(results.measures)
            entries.append(Entry(results.scan, found))
        except Exception as error:  # one bad folder must not end the others
            reason = reason_of(error)
            logger.warning("%s", reason)
            entries.append(Entry(results.scan, error=reason))
    if not alone:
        write_cohort_pages(folder, entries, references)
    return entries


def report_scan(
    results: ScanResults,
    about: Mapping[str, object] | None = None,
    back: str | None = None,
    model: str | Path | None = None,
    device: str = "cpu",
) -> dict:
    """Writes page and picture of a scan, and before them its measures where they are missing or ``about`` is new.

    The latent file and the weights are read once.

    Args:
        results: files of the scan.
        about: personal data as from ``people_of``: height (cm), weight (kg), sex, heart_rate. It overrides the latent
            file.
        back: relative address of a page of all scans.
        model: weights; those that the latent file names unless given.
        device: where the network runs.

    Returns:
        Content of measures.json.

    Raises:
        InputError: a file is missing or damaged, no organ is found, or the folder cannot be written.
    """
    saved = read_latent(results.latent)
    fitted = FittedScan.of(saved, network_of(saved, model, device))
    if about or not results.is_measured():
        logger.info("%s: measuring", results.scan)
        person = Person.of(saved.person, about or {})
        measures = measure_results(results, saved, fitted, person, weights_of(saved, model))
    else:
        measures = read_measures(results.measures)
    scan = read_scan(results, saved, fitted)
    axes = axes_of(scan, diastole_of(measures))
    slices, planes, surface = slices_view(scan), plane_views(scan, axes), surface_data(scan)
    write_view(results, scan, measures, slices, surface, axes)
    write_text(results.page, scan_page(scan, measures, slices, planes, surface, back))
    summary_picture(results.picture, scan, measures, slices, planes)
    return measures


def report_one(latent: Path, about: Mapping[str, object]) -> str | None:
    """``report_scan`` for one of many scans; returns the reason of a failure instead of raising it."""
    try:
        report_scan(ScanResults.of_latent(latent), about, INDEX)
    except Exception as error:  # the scan is segmented even if its page fails
        return reason_of(error)
    return None


def read_measures(path: Path) -> dict:
    """The content of a measures.json.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); report the scan again") from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged; delete it and report the scan again") from error
    if not isinstance(found, dict) or not isinstance(found.get("measures"), list):
        raise InputError(f"{path}: holds no measures; delete it and report the scan again")
    return found
