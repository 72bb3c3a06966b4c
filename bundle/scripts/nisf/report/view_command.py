"""What the command ``nisf view`` does."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from nisf.io.results import find_results
from nisf.report.living.write import view
from nisf.report.write import read_measures
from nisf.utils.errors import InputError

#: The most posterior draws of a page.
MOST_DRAWS = 256


def view_all(folder: str | Path, model: str | Path | None = None, open_page: bool = True, draws: int = 0) -> list[Path]:
    """Writes the living page of every scan below a folder, and opens it in a browser if it is a single one.

    Args:
        folder: the folder of one scan, or OUT of ``nisf segment``.
        model: weights; those that the latent files name unless given.
        open_page: whether to open the page.
        draws: number of posterior draws for the layer of their differences; 0 for pages without it.

    Returns:
        The pages.

    Raises:
        InputError: the folder holds no results, a file is missing or damaged, the folder cannot be written, or the
            number of draws cannot be had.
    """
    if draws and not 2 <= draws <= MOST_DRAWS:
        raise InputError(f"--draws {draws}: give 2 to {MOST_DRAWS} draws, or 0 for none")
    pages = []
    for results in find_results(folder):
        measures = read_measures(results.measures) if results.is_measured() else {}
        pages.append(view(results, measures, model, draws))
        print(f"{pages[-1]}: {pages[-1].stat().st_size / 1e6:.1f} MB")
    if open_page and len(pages) == 1:
        if not webbrowser.open(pages[0].absolute().as_uri()):
            print("no browser was found; open the file in one")
    return pages
