"""Measures, pages and pictures of segmented scans, and one page and table of them all."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from nisf.report.index import Entry, write_cohort_pages
from nisf.report.page import scan_page
from nisf.report.scan_folder import latent_files, load_scan
from nisf.report.summary import summary_picture
from nisf.report.surface import surface_data
from nisf.report.views import plane_views, slices_view
from nisf.utils.errors import InputError
from nisf.utils.files import write_text

logger = logging.getLogger(__name__)


#: Names of what is written.
PAGE, PICTURE, MEASURES = "report.html", "report.png", "measures.json"


def report(
    folder: str | Path,
    only: Sequence[str] = (),
    overwrite: bool = True,
    model: str | Path | None = None,
    device: str = "cpu",
    **measuring: object,
) -> list[Entry]:
    """Writes the reports of what ``nisf segment`` wrote.

    Into each scan's folder ``measures.json`` and ``measures.csv`` where they are not there, ``report.html`` and
    ``report.png``; into the result folder ``index.html`` and ``measures.csv`` of all scans. A scan that cannot be
    reported is named in the index with the reason, the others are done.

    Args:
        folder: OUT of ``nisf segment``, or the folder of one scan, whose page alone is then written.
        only: names of scans; the index keeps what was reported of the others before.
        overwrite: false leaves scans alone that have a page.
        model: weights; those that the latent files name unless given.
        device: where the network runs.
        measuring: options of ``measures.measure_folder``.

    Returns:
        What the index says of each scan; ``error`` is set where it could not be reported.

    Raises:
        InputError: the folder holds no results, none of the names in ``only``, or cannot be written.
    """
    folder = Path(folder)
    files = latent_files(folder)
    alone = files[0].parent == folder
    unknown = sorted(set(only) - {_name(file) for file in files})
    if unknown:
        raise InputError(f"{folder}: holds no scan {unknown[0]}; it holds {', '.join(map(_name, files))}")
    entries = []
    for file in tqdm(files, desc="reporting", unit="scan", disable=None):
        wanted = (not only or _name(file) in only) and (overwrite or not (file.parent / PAGE).is_file())
        entries.append(_entry(file, wanted, None if alone else "../index.html", model, device, measuring))
    if not alone:
        write_cohort_pages(folder, entries)
    return entries


def _name(file: Path) -> str:
    """Of a scan: that of its folder."""
    return file.resolve().parent.name


def _entry(file: Path, wanted: bool, back: str | None, model, device: str, measuring: dict) -> Entry:
    """Reports a scan, or reads what was reported of it before."""
    name = _name(file)
    try:
        if wanted:
            return Entry(name, report_scan(file, back, model, device, **measuring))
        if not (file.parent / PAGE).is_file():
            return Entry(name, error="not reported yet")
        return Entry(name, read_measures(file.parent / MEASURES))
    except InputError as error:
        logger.warning("%s", error)
        return Entry(name, error=str(error))


def report_scan(
    latent_file: str | Path,
    back: str | None = None,
    model: str | Path | None = None,
    device: str = "cpu",
    **measuring: object,
) -> dict:
    """Writes ``report.html`` and ``report.png`` beside a latent file, and its measures where they are not there yet.

    Args:
        latent_file: that ``nisf segment`` wrote.
        back: address of a page of all scans.
        model: weights; those that the file names unless given.
        device: where the network runs.
        measuring: options of ``measures.measure_folder``.

    Returns:
        What measures.json holds.

    Raises:
        InputError: a file is missing or damaged, or the folder cannot be written.
    """
    latent_file = Path(latent_file)
    folder = latent_file.parent
    scan = load_scan(latent_file, model, device)
    if not (folder / MEASURES).is_file():
        from nisf.measures.measure import measure_folder

        measure_folder(folder, model=model, device=device, **measuring)
    measures = read_measures(folder / MEASURES)
    diastole = (measures.get("phases") or {}).get("ED") or 0
    slices, planes = slices_view(scan), plane_views(scan, diastole)
    write_text(folder / PAGE, scan_page(scan, measures, slices, planes, surface_data(scan), back))
    summary_picture(folder / PICTURE, scan, measures, slices, planes)
    return measures


def read_measures(path: Path) -> dict:
    """What a measures.json holds.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); report the scan anew") from error
    except ValueError as error:
        raise InputError(f"{path}: is damaged; delete it and report the scan anew") from error
    if not isinstance(found, dict) or not isinstance(found.get("measures"), list):
        raise InputError(f"{path}: holds no measures; delete it and report the scan anew")
    return found


def measured(latent: Path, about: Mapping[str, object]) -> str | None:
    """Measures a scan where that is not done, or not of this fit, or less was known; says why where it cannot be.

    Args:
        latent: the scan's latent file.
        about: what is known of the person, as of ``people.people_of``.
    """
    from nisf.measures.measure import measure_folder
    from nisf.measures.person import Person
    from nisf.sampling.latent_file import read_latent

    there = latent.with_name("measures.json")
    if not about and there.is_file() and there.stat().st_mtime >= latent.stat().st_mtime:
        return None
    logger.info("%s: measuring", latent.parent.name)
    given = {{"height": "height_cm", "weight": "weight_kg"}.get(name, name): value for name, value in about.items()}
    try:
        measure_folder(latent.parent, Person(**{**(read_latent(latent).get("person") or {}), **given}))
    except InputError as error:
        return str(error)
    return None


def report_one(latent: Path, about: Mapping[str, object]) -> str | None:
    """Measures a scan and writes its page, which leads back to that of all; says why where it cannot be."""

    from nisf.utils.errors import reason_of

    try:
        return measured(latent, about) or (report_scan(latent, "../index.html") and None)
    except Exception as error:  # the scan is done, whatever becomes of its page
        return reason_of(error)


def is_reported(latent: Path) -> bool:
    """Whether a scan's page is there, and newer than the fit."""

    files = [latent.with_name(name) for name in (PAGE, PICTURE, "measures.json")]
    return all(file.is_file() and file.stat().st_mtime >= latent.stat().st_mtime for file in files)
