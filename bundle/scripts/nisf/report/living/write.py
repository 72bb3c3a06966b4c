"""The living page of a scan, written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from nisf.io.latent_file import read_latent
from nisf.io.results import ScanResults
from nisf.plots.style import class_colour
from nisf.report.living.data import diastole_of, living_data
from nisf.report.living.modules import joined
from nisf.report.living.shelf import shelved
from nisf.report.page import key_measures, render
from nisf.report.scan_folder import ScanFolder, read_scan
from nisf.report.surface import surface_data
from nisf.report.views import View, axes_of, slices_view
from nisf.sampling.fitted_scan import FittedScan, network_of
from nisf.sampling.planes import HeartAxes
from nisf.utils.files import write_text

logger = logging.getLogger(__name__)


def view(results: ScanResults, measures: Mapping, model: str | Path | None = None, draws: int = 0) -> Path:
    """Writes ``view.html`` of a scan; returns its path.

    Args:
        results: files of the scan.
        measures: content of measures.json; empty where the scan is not measured, and the page then has no volumes.
        model: weights; those that the latent file names unless given.
        draws: number of posterior draws for the layer of their differences; 0 for a page without it.

    Raises:
        InputError: a file is missing or damaged, the folder cannot be written, or draws are asked of a fit that has no
            posterior.
    """
    saved = read_latent(results.latent)
    scan = read_scan(results, saved, FittedScan.of(saved, network_of(saved, model), draws))
    axes = axes_of(scan, diastole_of(measures))
    return write_view(results, scan, measures, slices_view(scan), surface_data(scan), axes)


def write_view(
    results: ScanResults,
    scan: ScanFolder,
    measures: Mapping,
    slices: View,
    surface: Mapping | None,
    axes: HeartAxes | None,
) -> Path:
    """``view`` of a scan that has been read, with its slices, surfaces and axes."""
    return write_text(results.view, living_page(scan, measures, slices, surface, axes))


def living_page(
    scan: ScanFolder, measures: Mapping, slices: View, surface: Mapping | None, axes: HeartAxes | None
) -> str:
    """The page as HTML; arguments as of ``living_data``."""
    data, shelf = shelved(living_data(scan, measures, slices, surface, axes))
    return render(
        "living.html",
        title=str(measures.get("subject") or scan.saved.subject or scan.name),
        scan=scan.name,
        missing=scan.missing,
        data=data,
        key=key_measures(measures),
        volumes=[name for name in data["curves"] or {} if name != "time"],
        classes=[(name, class_colour(number)) for number, name in scan.class_names.items()],
        script=Markup(joined("main.js")),
        worker=Markup(joined("worker.js")),
        shelf=Markup(shelf),
    )
