"""The command ``inspect``: what a folder holds, and what of it is taken."""

from __future__ import annotations

import json as json_text
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nisf.cli.library_warnings import library_warnings
from nisf.cli.parser import command
from nisf.utils.errors import InputError

if TYPE_CHECKING:
    from nisf.io.listing import Listed, ScanListing


@command
def inspect(
    source: str = "", output: str | None = None, stack: str | None = None, json: bool = False, verbose: bool = False
) -> None:
    """Lists the series of a folder or file, and what nisf segment would read of them and why.

    For each series: slices, frames, size, distances, plane, and what is unusual. Nothing is segmented. A contact sheet
    shows the middle slice of each, the one that would be read in a green frame. Descriptions of series are shown: mind
    what people type into them.

    Exit status: 0 every scan can be read, 1 one cannot, 2 the call cannot work.

    Args:
        source: folder, or file, as nisf segment takes it.
        output: contact sheet to write, a PNG file; <source>_contact.png in the current folder unless given.
        stack: as in nisf segment.
        json: print the list as JSON, alone on standard output.
        verbose: show every warning of the libraries that read the files, in place of their number.
    """
    from nisf.io.listing import list_scans
    from nisf.io.nifti import stem_of
    from nisf.plots.contact_sheet import contact_sheet

    if not source:
        raise InputError("name a folder or a file: nisf inspect FOLDER")
    with library_warnings(verbose):
        scans = list_scans(source, stack)
    path = Path(output or f"{stem_of(Path(source).resolve())}_contact.png")
    tiles = [(_tile_text(one), one.taken, one.pictures) for scan in scans for one in scan.stacks]
    sheet = contact_sheet(tiles, path) if tiles else None
    if json:
        plain = [{**vars(scan), "stacks": [one.to_dict() for one in scan.stacks]} for scan in scans]
        print(json_text.dumps(plain, indent=1))
    else:
        print("\n\n".join(map(_text_of, scans)))
        if sheet:
            print(f"\ncontact sheet: {sheet}")
    if any(scan.problem for scan in scans):
        raise SystemExit(1)


def _tile_text(one: Listed) -> str:
    return f"{textwrap.shorten(one.name, 40)}\n{one.slices} x {one.frames}, {one.size[0]} x {one.size[1]}"


def _text_of(scan: ScanListing) -> str:
    lines = [scan.source]
    for one in scan.stacks:
        lines += ["", f"{'->' if one.taken else '  '} {one.name}", *(f"     {line}" for line in _details(one))]
    lines += [f"   {line}" for line in scan.passed]
    return "\n".join([*lines, "", f"   would be refused: {scan.problem}"] if scan.problem else lines)


def _details(one: Listed) -> Sequence[str]:
    gap = f", {one.slice_mm:g} mm apart" if one.slice_mm else ""
    time = f", {one.frame_ms:g} ms each" if one.frame_ms else ""
    return [
        f"{_count(one.slices, 'slice')}{gap}; {_count(one.frames, 'frame')}{time}; {one.size[0]} x {one.size[1]} "
        f"pixels of {one.pixel_mm[0]:.4g} x {one.pixel_mm[1]:.4g} mm; {one.plane}",
        f"{'taken' if one.taken else 'left'}: {one.reason}",
        *(f"note: {note}" for note in one.notes),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
