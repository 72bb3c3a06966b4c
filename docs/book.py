"""What the book needs besides mkdocs and mkdocstrings: equations as MathML, and links to code.

A page links to code as a git host reads it, ``[`NISF.forward`](../bundle/scripts/nisf/models/nisf.py)``. In the book
the link leads to that name in ``reference/api.md``, and a private name to what holds it. A name that is not there, and
one of a module that ``reference/api.md`` does not list, is a warning, and so an error of ``mkdocs build --strict``. No
page loads a script for its equations.
"""

from __future__ import annotations

import html
import logging
import posixpath
import re
from functools import cache
from itertools import takewhile
from pathlib import Path

import griffe
from latex2mathml.converter import convert

logger = logging.getLogger("mkdocs.hooks.book")

#: Folder of the package, in the repo.
SCRIPTS = "bundle/scripts"
LINK = re.compile(r"\[([^\]\n]*)\]\(((?:\.\./)+" + SCRIPTS + r"/[\w/]+\.py)\)")
NAME = re.compile(r"`([A-Za-z_][\w.]*)(?:\(\))?`")
EQUATION = re.compile(r'<(div|span) class="[^"]*math[^"]*">(?:\\\[|\\\()(.*?)(?:\\\]|\\\))</\1>', re.S)


def on_page_markdown(markdown, page, config, files):
    """Links to files of the package lead to their names in the reference."""
    return LINK.sub(lambda link: _reference(link, page.file.src_uri), markdown)


def on_page_content(content, page, config, files):
    """Equations become MathML, which browsers draw by themselves."""
    return EQUATION.sub(lambda found: _mathml(found, page.file.src_uri), content)


@cache
def _package() -> griffe.Object:
    """The package as it is written; nothing of it is imported."""
    return griffe.load("nisf", search_paths=[Path(__file__).resolve().parent.parent / SCRIPTS], allow_inspection=False)


def _reference(link: re.Match, here: str) -> str:
    """A link from the page ``here`` to code as a cross-reference; as it is, with a warning, where it leads nowhere."""
    words, target = link.groups()
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(here), target))
    module = path.removeprefix(f"{SCRIPTS}/nisf/").removesuffix(".py").split("/")
    named = NAME.fullmatch(words)
    parts = [*module, *(named[1].split(".") if named else [])]
    try:
        _package()[parts]
    except KeyError:
        logger.warning("%s: the link [%s](%s) leads to no code of the package", here, words, target)
        return words
    public = takewhile(lambda part: not part.startswith("_"), parts)
    return f"[{words}][{'.'.join(['nisf', *public])}]"


def _mathml(found: re.Match, here: str) -> str:
    latex = html.unescape(found[2]).strip()
    try:
        out = convert(latex, display="block" if found[1] == "div" else "inline")
    except Exception as error:  # the converter has many kinds
        logger.warning("%s: the equation %s cannot be converted: %s", here, latex, error)
        return html.escape(latex)
    if "\\" in out or "&</" in out:  # a command that it does not know is passed on as text
        logger.warning("%s: the equation %s has a command that is not known", here, latex)
    return f'<div style="margin: 1em 0; overflow-x: auto">{out}</div>' if found[1] == "div" else out
