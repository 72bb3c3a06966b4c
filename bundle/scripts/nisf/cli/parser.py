"""What fire lacks for a command line: readable help, errors for unknown options, switches without a value."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
import shutil
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Literal

from fire import decorators, docstrings
from fire.parser import DefaultParseValue

from nisf.utils.errors import InputError

#: Other names of options.
SHORT = {"-o": "--output", "--array_axes": "--orientation"}

HELP = ("-h", "--help")

Command = Callable[..., None]


def command(function: Command) -> Command:
    """Marks a function as a command: options annotated ``str`` stay text.

    fire reads a word that looks like a Python value as one: a folder named 2024_11 would become the number 202411.
    """
    parameters = inspect.signature(function).parameters
    named = [name for name, one in parameters.items() if _kind(one) == "str"]
    for name in named:
        decorators.SetParseFn(str, name)(function)
    if any(one.kind is one.VAR_POSITIONAL for one in parameters.values()):
        # fire would give these the default, so every other option must be named
        rest = [name for name, one in parameters.items() if name not in named and one.kind is not one.VAR_POSITIONAL]
        decorators.SetParseFn(str)(function)
        for name in rest:
            decorators.SetParseFn(DefaultParseValue, name)(function)
    return function


def with_options_of(other: Command, *names: str) -> Callable[[Command], Command]:
    """Gives a command options of another one, with its types, defaults and help, as ``**`` arguments.

    The ``Args`` of the command's docstring come last in it.
    """

    def extended(function: Command) -> Command:
        kept = [one for one in inspect.signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
        shared = {name: inspect.signature(other).parameters[name] for name in names}
        said = {one.name: " ".join(one.description.split()) for one in docstrings.parse(other.__doc__).args}
        by_name = (one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in shared.values())
        signature, rows = inspect.Signature([*kept, *by_name]), "".join(f"    {name}: {said[name]}\n" for name in names)

        @functools.wraps(function)
        def call(*words: object, **options: object) -> None:
            given = signature.bind(*words, **options)
            given.apply_defaults()
            function(*given.args, **given.kwargs)

        call.__signature__, call.__doc__ = signature, f"{inspect.cleandoc(function.__doc__)}\n{rows}"
        call.__annotations__ = {**function.__annotations__, **{name: one.annotation for name, one in shared.items()}}
        return call

    return extended


def arranged(function: Command, name: str, words: Sequence[str]) -> list[str]:
    """The words of a command in a form that fire reads correctly.

    Args:
        function: function of the command.
        name: name of the command, for the message.
        words: words after the command's name.

    Raises:
        InputError: an option is unknown. fire would report it only after the work is done.
    """
    parameters = inspect.signature(function).parameters
    any_option = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    found = []
    for place, word in enumerate(words):
        key, equals, value = word.partition("=")
        key = SHORT.get(key, key)
        if not re.match(r"--?[A-Za-z]", key):
            found.append(word)
            continue
        option = key.lstrip("-").replace("-", "_")
        if not any_option and (key[:2] != "--" or not _known(option, parameters)):
            raise InputError(
                f"nisf {name} has no option {key}{nearest(option, parameters, '--')}; see nisf {name} --help"
            )
        switch = option in parameters and _kind(parameters[option]) == "bool"
        following = words[place + 1] if place + 1 < len(words) else ""
        if switch and not equals and following not in ("True", "False", *_choices(function, option)):
            equals, value = "=", "True"  # else fire would take the next word, a scan, as its value
        if not switch and not equals and option in parameters and (not following or following.startswith("--")):
            raise InputError(f"nisf {name}: {key} needs a value; see nisf {name} --help")
        if option in parameters:
            _check_number(f"nisf {name}: {key}", _kind(parameters[option]), value if equals else following)
        found.append(f"--{option}{equals}{value}")
    return found


def _check_number(where: str, kind: str, text: str) -> None:
    """Raises ``InputError`` for text in place of a number, which fire would pass on as text."""
    forms = {"int": (int, "a whole number"), "float": (float, "a number")}
    if kind in forms and text != "None":
        try:
            forms[kind][0](text)
        except ValueError:
            raise InputError(f"{where} is '{text}'; give {forms[kind][1]}") from None


def _choices(function: Command, option: str) -> list[str]:
    """The words that may follow a switch: those of ``Literal`` in its annotation."""
    kinds = typing.get_args(typing.get_type_hints(function)[option])
    return [word for kind in kinds if typing.get_origin(kind) is Literal for word in typing.get_args(kind)]


def _known(option: str, parameters: Mapping[str, inspect.Parameter]) -> bool:
    return option in parameters and parameters[option].kind is not inspect.Parameter.VAR_POSITIONAL


def nearest(word: str, known: Mapping[str, object], before: str = "") -> str:
    """The closest known word in brackets; empty where none is close."""
    near = difflib.get_close_matches(word, known, 1)
    return f" ({before}{near[0]}?)" if near else ""


@contextmanager
def summary_on_stdout(output: str, wanted: bool) -> Iterator[None]:
    """If ``wanted``: prints go to standard error, and ``scans.json`` at the end to standard output."""
    if not wanted:
        yield
        return
    status = None
    with redirect_stdout(sys.stderr):
        try:
            yield
        except SystemExit as ended:  # some scans failed; the summary says which
            status = ended
    print((Path(output) / "scans.json").read_text(encoding="utf-8"), end="")
    if status is not None:
        raise status


def overview(commands: Mapping[str, Command | Mapping], name: str, about: str, first: str = "") -> str:
    """The help of a group of commands: its purpose, a line for each command, the first steps."""
    lines = [about, "", f"usage: {name} COMMAND ...    (COMMAND --help says more)", "", "commands:"]
    for word, of in commands.items():
        title, function = (word, of) if callable(of) else (f"{word} {next(iter(of))}", next(iter(of.values())))
        lines.append(f"  {title:<12}{docstrings.parse(function.__doc__).summary}")
    return "\n".join([*lines, *(["", "first steps:", textwrap.indent(first, "  ")] if first else [])])


def help_of(function: Command, name: str) -> str:
    """The help of one command, from its signature and docstring."""
    parsed = docstrings.parse(function.__doc__)
    said = {one.name.lstrip("*"): one.description for one in parsed.args or []}
    parameters = inspect.signature(function).parameters.values()
    places = [one for one in parameters if _by_place(one)]
    usage = " ".join(f"{one.name.upper()}{'...' * (one.kind is one.VAR_POSITIONAL)}" for one in places)
    width = min(shutil.get_terminal_size().columns, 110)
    parts = [f"usage: nisf {name} {usage} [OPTIONS]".replace("  ", " ")]
    parts += [_filled(text, width) for text in (parsed.summary, parsed.description) if text]
    if places:
        parts.append("arguments:\n" + "\n".join(_row(one.name.upper(), said[one.name], width) for one in places))
    options = [one for one in parameters if one not in places and one.kind is not one.VAR_KEYWORD]
    rows = [_row(_title(one), said[one.name] + _default(one), width) for one in options]
    rows += [_row("--SETTING VALUE", said[one.name], width) for one in parameters if one.kind is one.VAR_KEYWORD]
    return "\n\n".join([*parts, "options:\n" + "\n".join(rows)])


def _filled(text: str, width: int) -> str:
    """Paragraphs filled to a width; indented lines (commands) stay as they are."""
    paragraphs = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n\n".join(p if p.startswith("    ") else textwrap.fill(" ".join(p.split()), width) for p in paragraphs)


def _by_place(one: inspect.Parameter) -> bool:
    """Whether a parameter is positional: its default is empty and it is not the output."""
    return one.kind is one.VAR_POSITIONAL or (one.default == "" and f"--{one.name}" not in SHORT.values())


def _kind(one: inspect.Parameter) -> str:
    """Name of a parameter's type, without ``| None``."""
    return inspect.formatannotation(one.annotation).strip("'\"").split(" |")[0]


def _title(one: inspect.Parameter) -> str:
    short = [key for key, word in SHORT.items() if word == f"--{one.name}"]
    value = {"bool": "", "int": " N", "float": " X"}.get(_kind(one), f" {one.name.split('_')[-1].upper()}")
    return ", ".join([*short, f"--{one.name}{value}"])


def _default(one: inspect.Parameter) -> str:
    return "" if one.default is None or one.default is False or one.default == "" else f" (default {one.default})"


def _row(title: str, text: str, width: int, indent: int = 30) -> str:
    body = textwrap.fill(" ".join(text.split()), width, initial_indent=" " * indent, subsequent_indent=" " * indent)
    head = f"  {title}"
    return f"{head:<{indent}}{body.lstrip()}" if len(head) < indent - 1 else f"{head}\n{body}"
