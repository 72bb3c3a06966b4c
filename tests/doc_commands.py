"""The commands of the docs: found in a page, checked against the programs that they name, run."""

from __future__ import annotations

import argparse
import ast
import configparser
import contextlib
import importlib
import importlib.util
import inspect
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import monai.bundle
from torch.distributed.run import get_args_parser

from scripts import cli, layouts
from scripts.command_line import arranged
from scripts.phantom_scanner import Acquisition
from scripts.runs import check_knobs, config_files, knobs_of, words_of

ROOT = Path(__file__).resolve().parent.parent
#: Where a command of the repo begins a line.
PROGRAMS = ("nisf", "python", "make", "torchrun", "pip")
#: Words of the shell and of other people's programs, which are not ours to check.
SHELL = ("source", "cd", "export", "mkdir", "apt", "sbatch", "srun", "for", "do", "done", "bash", "ray", "mlflow")


class Wrong(Exception):
    """A command that the program would refuse."""


@dataclass
class Block:
    """A block of code: ``kind`` (bash, python, json, empty for an indented one), ``title`` (a file's name), text."""

    kind: str
    title: str
    text: str


@dataclass
class Page:
    """What a page says."""

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
        """The words of every command of a program of ours; in ``bash`` blocks of every line."""
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
        """The blocks that have a file's name for a title."""
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


def _bare(words: list[str]) -> list[str]:
    """Without what is set before the program, and without the program's folder."""
    rest = list(words)
    while rest and re.match(r"[A-Za-z_]\w*=", rest[0]):
        rest.pop(0)
    if rest:
        rest[0] = "python" if re.fullmatch(r"python(3[\d.]*)?", Path(rest[0]).name) else Path(rest[0]).name
    return rest


def _program(words: list[str]) -> str:
    return (_bare(words) or [""])[0]


def check(words: list[str], page: Page, folder: Path) -> None:
    """Raises for a command that its program would refuse; ``folder`` holds the page's own files."""
    rest = _bare(words)
    if not rest or rest[0] in SHELL:
        return
    name, rest = rest[0], rest[1:]
    checks = {"nisf": _check_nisf, "make": _check_make, "pip": _check_pip, "torchrun": _check_torchrun}
    if name == "python":
        return _check_python(rest, page, folder)
    if name not in checks:
        raise Wrong(f"{name} is no program of the repo")
    with contextlib.chdir(folder):
        checks[name](rest)


def _check_nisf(words: list[str]) -> None:
    found, name = cli.COMMANDS, []
    while not callable(found):
        if not words or words[0] in ("--help", "COMMAND"):
            return
        if words[0] not in found:
            raise Wrong(f"nisf has no command {words[0]}")
        name.append(words[0])
        found, words = found[words[0]], words[1:]
    if "--help" in words:
        return
    ready = arranged(found, " ".join(name), words)  # raises for an unknown option
    parameters = inspect.signature(found).parameters
    given = _options(ready)
    if not any(one.kind is one.VAR_POSITIONAL for one in parameters.values()):
        places = [word for word in _places(ready) if word != "..."]
        if len(places) > sum(one.default == "" for one in parameters.values()):
            raise Wrong(f"nisf {' '.join(name)} takes fewer words than {places}")
    kinds = words_of(given.get("config"))
    config_files(kinds)
    more = {key: value for key, value in given.items() if key not in parameters}
    if name == ["phantom"]:
        known = dict.fromkeys(inspect.signature(Acquisition.random).parameters)
    elif name == ["train"]:
        known = {**knobs_of(["evidence", *kinds]), **knobs_of(["train", *kinds])}
    else:
        known = knobs_of(["inference", "evaluate", *kinds])
    check_knobs(more, known)


def _options(words: list[str]) -> dict[str, str]:
    """``--a b``, ``--a=b`` and ``--a`` as a dictionary."""
    found = {}
    for place, word in enumerate(words):
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            following = words[place + 1] if place + 1 < len(words) else "--"
            found[key] = value if equals else "" if following.startswith("--") else following
    return found


def _places(words: list[str]) -> list[str]:
    """Words that are neither options nor their values."""
    return [
        word
        for place, word in enumerate(words)
        if not word.startswith("--")
        and (place == 0 or not words[place - 1].startswith("--") or "=" in words[place - 1])
    ]


def _check_make(words: list[str]) -> None:
    done = subprocess.run(["make", "-n", "-C", str(ROOT), *words], capture_output=True, text=True)
    if done.returncode:
        raise Wrong(done.stderr.strip())


def _check_pip(words: list[str]) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = {part.strip() for word in words for named in re.findall(r"\[(.*)\]", word) for part in named.split(",")}
    if missing := extras - set(setup["options.extras_require"]):
        raise Wrong(f"setup.cfg has no extra {missing}")


def _check_torchrun(words: list[str]) -> None:
    parsed = _parsed(get_args_parser(), words)
    if not parsed.module or parsed.training_script != "monai.bundle":
        raise Wrong("torchrun starts monai.bundle")
    _check_bundle(parsed.training_script_args)


def _check_python(words: list[str], page: Page, folder: Path) -> None:
    if words[:2] == ["-m", "monai.bundle"]:
        with contextlib.chdir(folder):
            return _check_bundle(words[2:])
    if words[:1] == ["-m"]:
        if importlib.util.find_spec(words[1]) is None:
            raise Wrong(f"there is no module {words[1]}")
    elif words[:1] == ["-c"]:
        _check_code(words[1])
    elif words[0].startswith("benchmarks/"):
        _check_benchmark(ROOT / words[0], words[1:])
    elif not (folder / words[0]).is_file():
        raise Wrong(f"{page.path.name} has no file {words[0]}")


def _check_bundle(words: list[str]) -> None:
    function = getattr(monai.bundle, words[0], None) if words else None
    if function is None:
        raise Wrong(f"monai.bundle has no command {words[:1]}")
    options = _options(words[1:])
    known = set(inspect.signature(function).parameters) - {"override"}
    if function is not monai.bundle.run:
        raise_for = set(options) - known
        if raise_for and not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()):
            raise Wrong(f"monai.bundle {words[0]} has no option {raise_for}")
        return
    bundle = ROOT / "bundle"
    named = re.sub(r"\$B\b|\bBUNDLE\b", str(bundle), options.get("config_file", "''"))
    files = ast.literal_eval(named) if named.startswith("[") else [named]
    configs = knobs_of([str(bundle / file) for file in files])
    if words[1] not in configs:
        raise Wrong(f"the configs have no run id {words[1]}")
    check_knobs({key: value for key, value in options.items() if key not in known}, configs)


def _check_code(code: str) -> None:
    """That what is imported is there and what is called takes these arguments."""
    tree, names = ast.parse(code), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            names |= {one.asname or one.name: getattr(module, one.name) for one in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            arguments = {one.arg: None for one in node.keywords}
            inspect.signature(names[node.func.id]).bind(*node.args, **arguments)


class _Read(Exception):
    """The command line has been read, and the work is not to begin."""


def _check_benchmark(path: Path, words: list[str]) -> None:
    """A benchmark's own ``main`` up to where its parser has read the words."""
    if not path.is_file():
        raise Wrong(f"there is no {path.name}")
    parse, before = argparse.ArgumentParser.parse_args, list(sys.path)

    def stop(parser: argparse.ArgumentParser, *args: object) -> None:
        parse(parser, [word for word in words])
        raise _Read

    sys.path.insert(0, str(path.parent))
    try:
        main = runpy.run_path(str(path))["main"]
        argparse.ArgumentParser.parse_args = stop
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.suppress(_Read):
            main()
            raise Wrong(f"{path.name} reads no options")
    except SystemExit as error:
        raise Wrong(said.getvalue().strip().splitlines()[-1]) from error
    finally:
        argparse.ArgumentParser.parse_args, sys.path[:] = parse, before


def _parsed(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parser.parse_args(words)
    except SystemExit as error:
        raise Wrong(said.getvalue().strip().splitlines()[-1]) from error


def known_options() -> set[str]:
    """Every option of every program, for options that stand by themselves in a sentence."""
    found: set[str] = {"help", "nproc_per_node", "nnodes"}
    for one in (*cli.COMMANDS.values(), cli.COMMANDS["cohort"]["run"]):
        if callable(one):
            found |= set(inspect.signature(one).parameters)
    for config in (ROOT / "bundle" / "configs").glob("*.json"):
        found |= {key for key in knobs_of([config.stem])} if config.stem != "metadata" else set()
    found |= set(inspect.signature(monai.bundle.run).parameters) | set(inspect.signature(Acquisition.random).parameters)
    for path in [*(ROOT / "benchmarks").glob("*.py"), ROOT / "tests" / "conftest.py"]:
        found |= set(re.findall(r'"--([\w-]+)"', path.read_text()))
    return {name.replace("-", "_") for name in found}


@contextlib.contextmanager
def as_it_was(folder: Path) -> Iterator[None]:
    """In another folder, whose files can be imported; what the commands change in the process is undone."""
    kept = sys.path[:], sys.argv[:], sys.excepthook, set(sys.modules), dict(layouts.READERS), dict(layouts.LOOKED_FOR)
    sys.path.insert(0, str(folder))
    with contextlib.chdir(folder):
        try:
            yield
        finally:
            sys.path[:], sys.argv[:], sys.excepthook = kept[:3]
            for name in set(sys.modules) - kept[3]:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                    del sys.modules[name]
            for table, old in ((layouts.READERS, kept[4]), (layouts.LOOKED_FOR, kept[5])):
                table.clear()
                table.update(old)
            monai.utils.set_determinism(None)


def run_page(page: Page, folder: Path) -> str:
    """Runs a page from top to bottom as a reader would, in ``folder``; returns what was printed.

    ``nisf`` and ``python FILE`` run in this process, whose imports cost more than all the rest. What sets up the
    virtual environment is left out: the tests run in it.
    """
    said = io.StringIO()
    page.write_files(folder)
    with as_it_was(folder), contextlib.redirect_stdout(said):
        for block in page.blocks:
            if block.kind == "python" and not block.title:
                exec(compile(block.text, str(page.path), "exec"), {"__name__": "__main__"})
            for words in commands_of(block.text) if block.kind == "bash" else ():
                _run(_bare(words), words)
    return said.getvalue()


def _run(rest: list[str], words: list[str]) -> None:
    if rest[0] == "nisf":
        cli.run(rest[1:])
    elif rest[0] == "python":
        sys.argv[:] = rest[1:]
        runpy.run_path(rest[1], run_name="__main__")
    elif rest[0] not in ("make", "source"):
        raise Wrong(f"{' '.join(words)}: the test cannot run this")
    os.environ.pop("LOGLEVEL", None)
