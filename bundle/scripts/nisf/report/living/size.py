"""What a page of many slices and frames leaves out so that it is not larger than it may be."""

from __future__ import annotations

import json
import logging

from nisf.report.living.function import correction_data, values_of
from nisf.report.living.residuals import weights_of
from nisf.report.living.shelf import size_of
from nisf.report.living.tolerance import change, nearly, unsureness
from nisf.report.views import View
from nisf.sampling.fitted_scan import FittedScan

logger = logging.getLogger(__name__)

#: Bytes that a page may have without draws, and those of its scripts and words.
MOST, WORDS = 3_000_000, 142_000

#: JPEG quality of the scan's voxels.
QUALITY = 70

#: What is done, best first: quality, the most frames of the scan's voxels, and how much probabilities may be off. With
#: 0.001 the page differs from ``nisf sample`` by less than 0.002 in all, which leaves as much for weights of two bytes.
STEPS = ((45, 50, 0), (30, 10, 0), (45, 20, 1e-3), (30, 10, 1e-3), (30, 10, 2e-3), (15, 10, 2e-3), (15, 10, 4e-3))


def sheets_data(slices: View, quality: int) -> dict:
    """The scan's voxels for JSON, as ``web/scan.js`` reads them."""
    return {**slices.layout(), "sheets": slices.sheets(quality)}


def kept_small(data: dict, fitted: FittedScan, slices: View, most: int = MOST) -> dict:
    """The page's data by the first of ``STEPS`` with which the page is no larger than ``most`` bytes: the scan's voxels
    are coarser and of fewer frames, and what the U-Net adds is off where it matters least. ``off`` is the largest
    difference of a probability found at random points."""
    unsure = weights = other = None
    done = 0
    for quality, frames, share in STEPS:
        if page_size(data) <= most:
            break
        if data["scan"]:
            data = {**data, "scan": {**data["scan"], **sheets_data(slices.fewer(frames), quality)}}
        if share > done and fitted.correction is not None:
            if unsure is None:
                unsure, weights = unsureness(fitted), weights_of(values_of(fitted.correction))
            other, done = nearly(fitted, unsure, share, weights), share
            data = {**data, "function": {**data["function"], "correction": correction_data(other, weights)}}
    if page_size(data) > most:
        logger.warning(
            "the page has %.1f MB: a scan of this many slices and frames takes so much", page_size(data) / 1e6
        )
    return data if other is None else {**data, "off": change(fitted, other)}


def page_size(data: dict) -> int:
    """Bytes of the page without draws, about."""
    rest = {key: value for key, value in data.items() if key != "uncertainty"}
    return WORDS + size_of(rest) + len(json.dumps(rest, default=lambda one: [len(one), len(one)]))
