"""Command lines that several benchmarks share."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml


def parser_of(about: str) -> argparse.ArgumentParser:
    """A parser whose help is the unchanged docstring of a module."""
    return argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)


def of_patients(about: str) -> argparse.ArgumentParser:
    """A parser with ``--dataset_dir``, ``--section`` and ``--json``."""
    parser = parser_of(about)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--section", default="validation")
    parser.add_argument("--json", metavar="FILE")
    return parser


def with_settings(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser with ``--set``, which ``settings_of`` reads."""
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of inference.json")
    return parser


def settings_of(options: argparse.Namespace) -> dict[str, object]:
    """Settings given by ``--set``, their values read as YAML; files by their whole path, so that any folder will do."""
    given = {name: yaml.safe_load(value) for name, _, value in (one.partition("=") for one in options.set)}
    files = {name: str(Path(value).resolve()) for name, value in given.items() if Path(str(value)).is_file()}
    return {**given, **files}


def of_hearts(about: str) -> argparse.ArgumentParser:
    """A parser with a cohort of several data sets, ``--section``, ``--subjects``, ``--set`` and ``--json``."""
    parser = parser_of(about)
    parser.add_argument("cohort", help="data list that pooled_cohort.py wrote")
    parser.add_argument("--section", default="validation")
    parser.add_argument("--subjects", type=int, metavar="N", help="only the first N of each data set")
    parser.add_argument("--json", metavar="FILE")
    return with_settings(parser)


def of_measures(about: str) -> argparse.ArgumentParser:
    """A parser with ``--phantom``, ``--acdc`` and ``--hearts``, one of them required (``data_of``), and ``--fits``."""
    parser = parser_of(about)
    named = parser.add_mutually_exclusive_group(required=True)
    named.add_argument("--phantom", metavar="COHORT")
    named.add_argument("--acdc", metavar="ACDC")
    named.add_argument("--hearts", metavar="COHORT", help="data list that pooled_cohort.py wrote")
    parser.add_argument("--fits", default="output/measures", help="folder of the fits, made where it is missing")
    return parser


def data_of(options: argparse.Namespace) -> tuple[str, str]:
    """``phantom``, ``acdc`` or ``hearts``, and its path."""
    return next((kind, path) for kind in ("phantom", "acdc", "hearts") if (path := getattr(options, kind)))
