"""The page's JavaScript modules joined into one script, as a file opened from disk cannot import others."""

from __future__ import annotations

import re
from pathlib import Path

WEB = Path(__file__).resolve().parent / "web"

_IMPORT = re.compile(r'^import [^;]* from "\./([\w/.]+)";\n', re.MULTILINE)
_STAR = re.compile(r'^import \* as (\w+) from "\./([\w/.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|let|function|async function|class)", re.MULTILINE)
_NAME = re.compile(r"^export (?:const|let|function|async function|class) (\w+)", re.MULTILINE)


def joined(entry: str) -> str:
    """A module of ``web`` and all that it imports, each once and before those that import it, as a strict script.

    ``import { a } from "./b.js"`` finds ``a`` in the joined script, so names that modules declare at their top differ;
    a module imported as a whole (``import * as b``) becomes an object of its exports.
    """
    parts, seen = [], set()

    def add(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        text = (WEB / name).read_text(encoding="utf-8")
        for needed in _IMPORT.findall(text):
            add(needed)
        whole = "".join(f"const {alias} = {_exports(other)};\n" for alias, other in _STAR.findall(text))
        parts.append(whole + _EXPORT.sub("", _IMPORT.sub("", text)))

    add(entry)
    script = "".join(f"\n{part}" for part in parts)
    return f'"use strict";\n(() => {{{script}}})();\n'


def kernel() -> bytes:
    """The WebAssembly code of the network's layers."""
    return (WEB / "kernel.wasm").read_bytes()


def _exports(name: str) -> str:
    names = _NAME.findall((WEB / name).read_text(encoding="utf-8"))
    return f"{{ {', '.join(names)} }}"
