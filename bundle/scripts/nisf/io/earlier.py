"""What an earlier run left of a scan, and whether it is the result that this run would give.

The only place that compares results with the files and settings that they are made from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from nisf.io.latent_file import SavedFit, read_latent
from nisf.io.recipe import Recipe
from nisf.io.results import ScanResults
from nisf.io.source import Source
from nisf.utils.errors import InputError


class Owner(Enum):
    """Whose results they are: nobody's, this scan's, this file's with other content, another scan's."""

    NOBODY = "nobody"
    SCAN = "scan"
    CHANGED = "changed"
    OTHER = "other"


def saved_fit(results: ScanResults) -> SavedFit | None:
    """The fit of results; None where there is none that can be read."""
    try:
        return read_latent(results.latent)
    except InputError:
        return None


def owner_of(results: ScanResults, saved: SavedFit | None, source: Source) -> Owner:
    """Whose results a folder holds, seen from a scan's ``source``: content decides, then the path.

    A source that cannot be read has the results of its path. Earlier versions kept the paths alone, with the times of
    the files: results of another path are then another scan's, unless the files there have the same content.
    """
    if saved is None:
        return Owner.NOBODY
    if saved.source is None:
        return _earlier_owner(results, saved, source)
    if source.digest and source.digest == saved.source.digest:
        return Owner.SCAN
    if source.paths != saved.source.paths:
        return Owner.OTHER
    return Owner.CHANGED if source.digest else Owner.SCAN


def _earlier_owner(results: ScanResults, saved: SavedFit, source: Source) -> Owner:
    before = tuple(os.path.realpath(path) for path in saved.image_files)
    if before and before != source.paths:
        same = source.digest and Source.of_subject({"image": list(before)}).digest == source.digest
        return Owner.SCAN if same else Owner.OTHER
    made = results.latent.stat().st_mtime
    newer = any(os.path.getmtime(path) > made for path in source.paths if os.path.exists(path))
    return Owner.CHANGED if newer else Owner.SCAN


@dataclass(frozen=True)
class Earlier:
    """What an earlier run left of a scan.

    Attributes:
        results: its files.
        saved: its fit; None where there is none that can be read.
        faults: sentences about what is missing, damaged or of other content than the scan's files have now.
        changes: names of settings and weights with which this run would give another result.
        corrected: its label files that were corrected by hand.
    """

    results: ScanResults
    saved: SavedFit | None = None
    faults: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    corrected: tuple[Path, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether the results are complete and what this run would give."""
        return self.saved is not None and not self.reasons

    @property
    def reasons(self) -> str:
        """Why the scan has to be done again; empty where it was never done, or need not."""
        other = [f"it was made with another {', '.join(self.changes)}"] if self.changes else []
        return "; ".join([*self.faults, *other])

    def kept(self) -> str:
        """A sentence about labels that were corrected by hand, over which nothing is written; else empty."""
        if not self.corrected:
            return ""
        names = ", ".join(file.name for file in self.corrected)
        return f"{names} was corrected by hand and is kept; move {self.results.folder} away to segment the scan again"


def look_at(
    results: ScanResults, sources: Sequence[str], keys: Sequence[str], source: Source, recipe: Recipe, whole: bool
) -> Earlier:
    """What an earlier run left in the folder of a scan.

    Args:
        results: files of the scan.
        sources: files of the scan, as its data list names them.
        keys: names of the results wanted, ``<stem>_<key>.nii.gz``.
        source: content of these files.
        recipe: settings and weights of this run.
        whole: also read every file to its end, or compare it with its receipt.
    """
    saved = saved_fit(results)
    if saved is None:
        return Earlier(results, faults=(f"{results.latent.name} cannot be read",) * results.latent.is_file())
    corrected = results.corrected_labels(saved)
    faults = ["its files have changed"] * (owner_of(results, saved, source) is not Owner.SCAN)
    faults += [f"{file.name} is missing" for file in results.missing(sources, keys)]
    faults += [f"{file.name} is damaged" for file in results.changed_labels(saved) if file not in corrected]
    if whole and not faults:
        fault = results.fault(results.files(sources, keys), corrected)
        faults += [fault] * bool(fault)
    return Earlier(results, saved, tuple(faults), tuple(recipe.changes(saved.recipe)), tuple(corrected))
