"""What the command ``nisf view`` does."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from nisf.io.results import find_results
from nisf.report.living.write import view
from nisf.report.write import read_measures


def view_all(folder: str | Path, model: str | Path | None = None, open_page: bool = True) -> list[Path]:
    """Writes the living page of every scan below a folder, and opens it in a browser if it is a single one.

    Args:
        folder: the folder of one scan, or OUT of ``nisf segment``.
        model: weights; those that the latent files name unless given.
        open_page: whether to open the page.

    Returns:
        The pages.

    Raises:
        InputError: the folder holds no results, a file is missing or damaged, or the folder cannot be written.
    """
    pages = []
    for results in find_results(folder):
        measures = read_measures(results.measures) if results.is_measured() else {}
        pages.append(view(results, measures, model))
        print(f"{pages[-1]}: {pages[-1].stat().st_size / 1e6:.1f} MB")
    if open_page and len(pages) == 1:
        if not webbrowser.open(pages[0].absolute().as_uri()):
            print("no browser was found; open the file in one")
    return pages
