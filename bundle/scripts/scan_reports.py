"""Measures and page of one segmented scan: made where they are not there, or are not of this fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from scripts.errors import InputError

logger = logging.getLogger(__name__)


def measured(latent: Path, about: Mapping[str, object]) -> str | None:
    """Measures a scan where that is not done, or not of this fit, or less was known; says why where it cannot be.

    Args:
        latent: the scan's latent file.
        about: what is known of the person, as of ``people.people_of``.
    """
    from scripts.fitted import read_latent
    from scripts.measures import Person, measure_folder

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
    from scripts.report import report_scan
    from scripts.store import reason_of

    try:
        return measured(latent, about) or (report_scan(latent, "../index.html") and None)
    except Exception as error:  # the scan is done, whatever becomes of its page
        return reason_of(error)


def is_reported(latent: Path) -> bool:
    """Whether a scan's page is there, and newer than the fit."""
    from scripts.report import PAGE, PICTURE

    files = [latent.with_name(name) for name in (PAGE, PICTURE, "measures.json")]
    return all(file.is_file() and file.stat().st_mtime >= latent.stat().st_mtime for file in files)
