"""Pages of the docs: finds their code and commands, and runs a whole page as a reader would."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from monai.utils import set_determinism

from nisf.cli import main
from nisf.io.layouts import registry

#: Where a command of the repo begins a line.
PROGRAMS = ("nisf", "python", "make", "torchrun", "pip")


class Wrong(Exception):
    """A command that its program would refuse, or that is not of this repo."""


@dataclass
class Block:
    """A block of code: ``kind`` (bash, python, json, empty for an indented one), ``title`` (a file's name), text."""

    kind: str
    title: str
    text: str


@dataclass
class Page:
    """Content of a page."""

    path: Path
    blocks: list[Block] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Page:
        """Blocks and inline code of a Markdown file."""
        page, fence, prose = cls(path), "", []
        for line in path.read_text().splitlines():
            mark = re.match(r'(`{3,})(\w*)(?: title="([^"]*)")?\s*$', line)
            if fence:
                if line.strip() == fence:
                    fence = ""
                else:
                    page.blocks[-1].text += line + "\n"
            elif mark:
                fence = mark[1]
                page.blocks.append(Block(mark[2], mark[3] or "", ""))
            elif line.startswith("    "):
                if not prose or prose[-1] is not None:
                    page.blocks.append(Block("", "", ""))
                    prose.append(None)
                page.blocks[-1].text += line[4:] + "\n"
            else:
                prose.append(line)
        page.spans = re.findall(r"`([^`\n]+)`", "\n".join(line for line in prose if line is not None))
        return page

    def commands(self) -> Iterator[list[str]]:
        """The words of every command of this repo's programs; in ``bash`` blocks of every line."""
        for block in self.blocks:
            if block.kind in ("", "bash", "sh"):
                for words in commands_of(block.text):
                    if block.kind or _program(words) in PROGRAMS:
                        yield words
        for span in self.spans:
            if re.match(r"(nisf|make|torchrun|python) \S|python -m|benchmarks/\S+\.py ", span):
                span = f"python {span}" if span.startswith("benchmarks/") else span
                yield from commands_of(span)

    def write_files(self, folder: Path) -> None:
        """Writes the blocks whose title is a file name."""
        for block in self.blocks:
            if block.title:
                (folder / block.title).write_text(block.text)


def commands_of(text: str) -> Iterator[list[str]]:
    """Words of each command in lines of shell, continued lines put together, comments left out."""
    for line in text.replace("\\\n", " ").splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
            lexer.whitespace_split, lexer.commenters = True, "#"
            words = list(lexer)
        except ValueError:  # prose or printed output with a lone quote
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if word and set(word) <= set("&|;"):
                if command:
                    yield command
                command = []
            else:
                command.append(word)


def bare(words: list[str]) -> list[str]:
    """The words without preceding variables and without the program's folder."""
    rest = list(words)
    while rest and re.match(r"[A-Za-z_]\w*=", rest[0]):
        rest.pop(0)
    if rest:
        rest[0] = "python" if re.fullmatch(r"python(3[\d.]*)?", Path(rest[0]).name) else Path(rest[0]).name
    return rest


def _program(words: list[str]) -> str:
    return (bare(words) or [""])[0]


@contextlib.contextmanager
def as_it_was(folder: Path) -> Iterator[None]:
    """Runs in another folder, whose files can be imported; undoes changes of the process afterwards."""
    kept = sys.path[:], sys.argv[:], sys.excepthook, set(sys.modules), dict(registry.READERS), dict(registry.LOOKED_FOR)
    root = logging.getLogger()
    logs = root.level, root.handlers[:]
    sys.path.insert(0, str(folder))
    with contextlib.chdir(folder):
        try:
            yield
        finally:
            sys.path[:], sys.argv[:], sys.excepthook = kept[:3]
            for name in set(sys.modules) - kept[3]:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                    del sys.modules[name]
            for table, old in ((registry.READERS, kept[4]), (registry.LOOKED_FOR, kept[5])):
                table.clear()
                table.update(old)
            root.handlers[:] = logs[1]
            root.setLevel(logs[0])
            set_determinism(None)


def run_page(page: Page, folder: Path) -> str:
    """Runs a page from top to bottom as a reader would, in ``folder``; returns what was printed.

    ``nisf`` and ``python FILE`` run in this process, whose imports cost more than all the rest. Commands that set up
    the virtual environment are left out: the tests run in it.
    """
    said = io.StringIO()
    page.write_files(folder)
    with as_it_was(folder), contextlib.redirect_stdout(said):
        for block in page.blocks:
            if block.kind == "python" and not block.title:
                exec(compile(block.text, str(page.path), "exec"), {"__name__": "__main__"})
            for words in commands_of(block.text) if block.kind == "bash" else ():
                _run(bare(words), words)
    return said.getvalue()


def _run(rest: list[str], words: list[str]) -> None:
    if rest[0] == "nisf":
        main.run(rest[1:])
    elif rest[0] == "python":
        sys.argv[:] = rest[1:]
        runpy.run_path(rest[1], run_name="__main__")
    elif rest[0] not in ("make", "source"):
        raise Wrong(f"{' '.join(words)}: the test cannot run this")
