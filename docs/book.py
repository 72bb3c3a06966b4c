"""What the book needs besides mkdocs: equations as MathML, and pages of the code that its pages link to.

A page links to code as a git host reads it, ``[NISF.forward](../bundle/scripts/nisf/models/nisf.py)``. In the book the
file is a page of its own and the link leads to the line at which the name is defined; a name that is not there is a
warning, and so an error of ``mkdocs build --strict``. No page loads a script for its equations.
"""

from __future__ import annotations

import ast
import html
import logging
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

logger = logging.getLogger("mkdocs.hooks.book")

ROOT = Path(__file__).resolve().parent.parent
#: Folder of the book in which the pages of code lie.
CODE = "code"
LINK = re.compile(r"\[([^\]\n]*)\]\(([^)\s]+)\)")
EQUATION = re.compile(r'<(div|span) class="[^"]*math[^"]*">(?:\\\[|\\\()(.*?)(?:\\\]|\\\))</\1>', re.S)
NAME = re.compile(r"`?([A-Za-z_]\w*(?:\.\w+)*)(?:\(\))?`?$")


def on_files(files, config):
    """Adds a page for each file outside ``docs`` that a page links to, and for what those link to in their turn."""
    waiting = [file.src_uri for file in files.documentation_pages()]
    texts = {uri: (Path(config["docs_dir"]) / uri).read_text() for uri in waiting}
    while waiting:
        uri = waiting.pop()
        for _, target in LINK.findall(_prose(texts[uri])):
            path = _outside(target, _place(uri))
            page = f"{CODE}/{path}.md"
            if path is None or page in texts or not (ROOT / path).is_file():
                continue
            texts[page] = _page_of(path)
            waiting.append(page)
            files.append(File.generated(config, page, content=texts[page]))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links to files outside ``docs`` lead to their pages."""
    here = page.file.src_uri
    return "".join(part if code else LINK.sub(lambda link: _led(link, here), part) for code, part in _parts(markdown))


def on_page_content(content, page, config, files):
    """Equations become MathML, which browsers draw by themselves; the lines of code become known as anchors."""
    page.present_anchor_ids.update(re.findall(r'id="(__codelineno[^"]+)"', content))
    return EQUATION.sub(lambda found: _mathml(found, page.file.src_uri), content)


def _place(uri: str) -> str:
    """A page's path in the repo."""
    return uri.removeprefix(f"{CODE}/").removesuffix(".md") if uri.startswith(f"{CODE}/") else f"docs/{uri}"


def _outside(target: str, place: str) -> str | None:
    """Path in the repo of a link from the file at ``place``; None for a page, an anchor and another site."""
    path = target.partition("#")[0]
    if not path or re.match(r"[a-z]+:", path):
        return None
    found = posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
    return None if found.startswith("docs/") else found


def _page_of(path: str) -> str:
    text = (ROOT / path).read_text()
    if path.endswith(".md"):
        return text
    fence = "`" * 5
    return f"# {path}\n\n{fence}{Path(path).suffix[1:] or 'text'}\n{text.rstrip()}\n{fence}\n"


def _parts(markdown: str) -> list[tuple[bool, str]]:
    """The lines of a text, each with whether it is code."""
    found, fence = [], ""
    for line in markdown.splitlines(keepends=True):
        mark = re.match(r" *(`{3,})", line)
        code = bool(fence) or bool(mark) or line.startswith("    ")
        if mark and not fence:
            fence = mark[1]
        elif fence and line.strip() == fence:
            fence = ""
        found.append((code, line))
    return found


def _prose(markdown: str) -> str:
    return "".join(part for code, part in _parts(markdown) if not code)


def _led(link: re.Match, here: str) -> str:
    """A link as it is in the book."""
    words, target = link.groups()
    place = _place(here)
    path = _outside(target, place)
    if path is None:
        if here.startswith(f"{CODE}/") and not re.match(r"[a-z]+:|#", target):  # from a page of code to one of docs
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(place), target)).removeprefix("docs/")
            return f"[{words}]({posixpath.relpath(inside, posixpath.dirname(here))})"
        return link[0]
    if not (ROOT / path).is_file():
        logger.warning("%s: the link [%s](%s) leads to no file of the repo", here, words, target)
        return words
    anchor = target.partition("#")[2]
    line = _line_of(words, path, here)
    anchor = f"__codelineno-0-{line}" if line else anchor
    page = posixpath.relpath(f"{CODE}/{path}.md", posixpath.dirname(here) or ".")
    return f"[{words}]({page}{'#' + anchor if anchor else ''})"


def _line_of(words: str, path: str, here: str) -> int | None:
    """Line at which the code that a link's words name is defined; None where they name no code."""
    name = NAME.match(words.strip())
    if not path.endswith(".py") or not name or "`" not in words:
        return None
    parts = name[1].split(".")
    parts = parts[1:] if parts[0] == Path(path).stem and len(parts) > 1 else parts
    if parts in (["scripts"], [Path(path).stem], [Path(path).stem, "py"]):
        return None
    nodes = ast.parse((ROOT / path).read_text()).body
    for place, part in enumerate(parts):
        found = next((node for node in nodes if part in _defined(node)), None)
        if found is None:
            logger.warning("%s: %s does not define %s", here, path, name[1])
            return None
        nodes = getattr(found, "body", []) if place + 1 < len(parts) else []
    return found.lineno


def _defined(node: ast.stmt) -> set[str]:
    """Names that a statement binds."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}


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
