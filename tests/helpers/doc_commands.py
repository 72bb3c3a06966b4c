"""Checks the commands in the docs against their programs: command, options, settings, files."""

from __future__ import annotations

import argparse
import ast
import configparser
import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import monai.bundle
from helpers.doc_pages import Page, Wrong, bare
from torch.distributed.run import get_args_parser

from nisf.cli import main
from nisf.cli.parser import arranged
from nisf.phantom.scanner import Acquisition
from nisf.utils.bundle import EVALUATION, PRIOR, UNET, config_files, settings_of, used_settings, words_of
from nisf.utils.settings import UsedSettings

ROOT = Path(__file__).resolve().parent.parent.parent
#: Words of the shell and of other programs, which are not checked.
SHELL = (
    "source",
    "cd",
    "export",
    "mkdir",
    "apt",
    "sbatch",
    "srun",
    "for",
    "do",
    "done",
    "bash",
    "ray",
    "mlflow",
    "monailabel",
)

#: Names that MONAI's tracking reads besides a config's settings.
TRACKING = {"save_execute_config", "tracking_uri", "experiment_name", "run_name"}


def check(words: list[str], page: Page, folder: Path) -> None:
    """Raises for a command that its program would refuse; ``folder`` holds the page's own files."""
    rest = bare(words)
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
    found, name = main.COMMANDS, []
    while not callable(found):
        if not words or words[0] in ("--help", "COMMAND"):
            return
        if words[0] not in found:
            raise Wrong(f"nisf has no command {words[0]}")
        name.append(words[0])
        found, words = found[words[0]], words[1:]
    if "--help" in words:
        return
    words = [re.sub(r"\$\w+", "1", word) for word in words]  # a shell's variables
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
        if unknown := set(more) - set(inspect.signature(Acquisition.random).parameters):
            raise Wrong(f"the scanner has no options {unknown}")
    elif name == ["train"]:
        of_unet = used_settings("training", [*UNET, *kinds])
        used_settings("training", [*PRIOR, *kinds]).check(key for key in more if key not in of_unet)
    else:
        used_settings("evaluation", [*EVALUATION, *kinds]).check(more)


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
    elif not any((place / words[0]).is_file() for place in (folder, ROOT)):
        raise Wrong(f"{page.path.name} has no file {words[0]}")


def _check_bundle(words: list[str]) -> None:
    if words[:1] == ["run"] and len(words) == 1:  # named in a sentence
        return
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
    configs = settings_of([str(bundle / file) for file in files])
    if words[1] not in configs:
        raise Wrong(f"the configs have no run id {words[1]}")
    known |= TRACKING if "tracking" in options else set()
    UsedSettings(words[1], configs).check(key for key in options if key not in known)


def _check_code(code: str) -> None:
    """Checks that imports exist and calls have valid arguments."""
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
    """Raised when the command line has been read, before the work begins."""


def _check_benchmark(path: Path, words: list[str]) -> None:
    """Runs a benchmark's ``main`` until its parser has read the words."""
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
    """Every option of every program, for options mentioned alone in a sentence."""
    found: set[str] = {"help", main.VERBOSE.strip("-")} | TRACKING | {one.dest for one in get_args_parser()._actions}
    for one in (*main.COMMANDS.values(), main.COMMANDS["cohort"]["run"]):
        if callable(one):
            found |= set(inspect.signature(one).parameters)
    for config in (ROOT / "bundle" / "configs").glob("*.json"):
        found |= set(json.loads(config.read_text()))
    for function in (monai.bundle.run, monai.bundle.onnx_export, monai.bundle.ckpt_export):
        found |= set(inspect.signature(function).parameters)
    found |= set(inspect.signature(Acquisition.random).parameters)
    for path in [*(ROOT / "benchmarks").glob("*.py"), ROOT / "tests" / "conftest.py"]:
        found |= set(re.findall(r'"--([\w-]+)"', path.read_text()))
    return {name.replace("-", "_") for name in found}
