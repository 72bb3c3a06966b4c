"""How the words of a command are read, and its help."""

from __future__ import annotations

import inspect
from typing import Literal

import fire
import pytest
from fire import docstrings

from nisf.cli.main import COMMANDS
from nisf.cli.parser import arranged, command, help_of, overview, with_options_of
from nisf.utils.errors import InputError

SEEN = []


@command
def scan(
    *scans: str,
    output: str = "",
    fast: bool = False,
    draws: int = 0,
    only: str | None = None,
    objects: bool | Literal["phases", "all"] | None = None,
) -> None:
    """Does scans.

    Writes files. More on that
    in a second line.

        kept   as it is

    Args:
        scans: the files.
        output: where to.
        fast: sooner.
        draws: how many.
        only: which.
        objects: whether, and which.
    """
    SEEN.append((scans, output, fast, draws, only, objects))


@command
def tune(data: str = "", **settings: object) -> None:
    """Tunes.

    Args:
        data: a folder.
        settings: any.
    """
    SEEN.append((data, settings))


def called(function, *words: str):
    SEEN.clear()
    fire.Fire(function, command=arranged(function, function.__name__, words))
    return SEEN[0]


def test_names_that_look_like_numbers_stay_names_and_numbers_are_numbers():
    assert called(scan, "2024_11", "1e5", "-o", "001", "--draws", "16", "--only", "1,2") == (
        ("2024_11", "1e5"),
        "001",
        False,
        16,
        "1,2",
        None,
    )
    assert called(tune, "2024_11", "--lr", "1e-3", "--seed=4") == ("2024_11", {"lr": 1e-3, "seed": 4})


def test_a_switch_takes_no_scan_for_its_value():
    assert called(scan, "--fast", "a.nii", "-o=out") == (("a.nii",), "out", True, 0, None, None)
    assert called(scan, "a.nii", "--fast", "False", "--output", "out")[2] is False
    assert called(scan, "a.nii", "--fast=False")[2] is False


@pytest.mark.parametrize(
    "words, value",
    [
        (["--objects", "a.nii"], True),
        (["a.nii", "--objects"], True),
        (["a.nii", "--objects", "--fast"], True),
        (["--objects", "all", "a.nii"], "all"),
        (["a.nii", "--objects=phases"], "phases"),
        (["--objects", "False", "a.nii"], False),
        (["a.nii"], None),
    ],
)
def test_a_switch_that_may_say_which_takes_only_these_words(words, value):
    scans, *_, objects = called(scan, *words)
    assert scans == ("a.nii",) and objects is value or objects == value


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["a", "--fsat"], r"nisf scan has no option --fsat \(--fast\?\)"),
        (["a", "--scans", "b"], "no option --scans"),
        (["a", "-x", "1"], "no option -x"),
        (["a", "--only"], "--only needs a value"),
        (["a", "--only", "--fast"], "--only needs a value"),
        (["a", "--draws", "abc"], "--draws is 'abc'; give a whole number"),
        (["a", "--draws=1.5"], "--draws is '1.5'; give a whole number"),
    ],
)
def test_wrong_options_are_said_before_anything_is_done(words, sentence):
    SEEN.clear()
    with pytest.raises(InputError, match=sentence):
        called(scan, *words)
    assert not SEEN


def test_help_has_usage_text_arguments_and_options_with_defaults():
    text = help_of(scan, "scan")
    assert text.startswith(
        "usage: nisf scan SCANS... [OPTIONS]\n\nDoes scans.\n\nWrites files. More on that in a second"
    )
    assert "\n    kept   as it is\n" in text
    rows = {line.split("  ")[1]: line for line in text.splitlines() if line.startswith("  ") and line[2] != " "}
    assert rows["SCANS"].endswith("the files.") and rows["-o, --output OUTPUT"].endswith("where to.")
    assert rows["--fast"].endswith("sooner.") and rows["--draws N"].endswith("how many. (default 0)")


def functions(commands):
    for name, of in commands.items():
        yield from ([(name, of)] if callable(of) else functions({f"{name} {word}": f for word, f in of.items()}))


@pytest.mark.parametrize("name, function", list(functions(COMMANDS)))
def test_every_option_of_every_command_is_described_and_no_line_is_long(name, function):
    text = help_of(function, name)  # a KeyError where an option is not in the docstring
    assert name.split()[0] in overview(COMMANDS, "nisf", "about", "first")
    assert max(map(len, text.splitlines())) <= 120


def test_no_help_of_an_option_is_cut_off():
    """fire takes a line of a description with a colon for the next option."""
    functions = [one for of in COMMANDS.values() for one in (of.values() if isinstance(of, dict) else [of])]
    for function in functions:
        said = {one.name.lstrip("*") for one in docstrings.parse(function.__doc__).args or []}
        assert said == set(inspect.signature(function).parameters), function.__name__


def test_options_of_another_command_are_its_own():
    @command
    @with_options_of(scan, "fast", "only", "objects")
    def more(data: str = "", **shared: object) -> None:
        """Does more.

        Args:
            data: a folder.
        """
        SEEN.append((data, shared))

    found = called(more, "2024_11", "--objects", "all", "--only", "1", "--fast")
    assert found == ("2024_11", {"fast": True, "only": "1", "objects": "all"})
    assert called(more, "A", "--objects")[1] == {"fast": False, "only": None, "objects": True}
    text = help_of(more, "more")
    assert all(words in text for words in ("a folder.", "sooner.", "whether, and which."))
    with pytest.raises(InputError, match="no option --draws"):
        arranged(more, "more", ["--draws", "3"])


def test_a_cohort_has_the_options_of_its_scans():
    cohort = help_of(COMMANDS["cohort"]["run"], "cohort run")
    one = help_of(COMMANDS["segment"], "segment")
    for option in ("--stack", "--dicom_seg", "--slicer", "--strict", "--keep_ids", "--overwrite"):
        (row,) = (text.split("\n  --")[0] for text in one.split(f"\n  {option} ")[1:])
        assert row in cohort
