"""The volunteer's living page in the book.

A page of the book shows it where ``<!-- living heart -->`` stands, if the file ``extra.living_heart`` of ``mkdocs.yml``
is there: ``make docs`` makes it, a build without it leaves it out.
"""

from __future__ import annotations

import shutil
from pathlib import Path

MARK = "<!-- living heart -->"
NAME = "living_heart.html"
FRAME = (
    f'<iframe src="{NAME}" title="the volunteer\'s heart, living" loading="lazy" '
    'style="width: 100%; height: 48rem; border: 0"></iframe>\n\n'
    f'<p><a href="{NAME}">The same in the whole window</a></p>'
)


def on_page_markdown(markdown, page, config, files):
    """The living page in place of its mark."""
    return markdown.replace(MARK, FRAME if _heart(config).is_file() else "")


def on_post_build(config):
    """Copies the living page beside the page that shows it."""
    folder = Path(config.site_dir) / "how-to"
    if _heart(config).is_file() and folder.is_dir():
        shutil.copyfile(_heart(config), folder / NAME)


def _heart(config) -> Path:
    """Path of the living page, from the folder of ``mkdocs.yml``."""
    return Path(config.config_file_path).parent / config.extra["living_heart"]
