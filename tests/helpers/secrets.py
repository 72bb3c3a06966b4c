"""A secret in every attribute of a DICOM file that can hold text, and a search for them in whatever was written."""

from __future__ import annotations

import base64
import gzip
import re
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pydicom
from PIL import Image
from pydicom.datadict import DicomDictionary, RepeatersDictionary, keyword_dict

#: VRs whose values are text, or text in a form of its own.
TEXT = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
OTHER = {"DA", "DT", "TM", "UI"}

#: Attributes without which an image cannot be read or referred to.
NEEDED = {
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "PhotometricInterpretation", "Modality"),
}


def secret_of(tag: int, vr: str) -> str:
    """A value of this VR that no other attribute has and that is nowhere by chance."""
    if vr == "DA":
        return f"9{tag % 900 + 100}{tag // 900 % 12 + 1:02d}{tag // 10800 % 28 + 1:02d}"
    if vr in ("DT", "TM"):
        return ("93370909" if vr == "DT" else "") + f"0507{tag % 60:02d}.{tag // 60 % 1_000_000:06d}"
    return f"1.2.999.{tag}.20371130" if vr == "UI" else f"ZQ{tag:08X}"


@cache
def secrets() -> pydicom.Dataset:
    """The attributes of pydicom's dictionary with a secret in each, private ones and one in each sequence."""
    needed = {keyword_dict[keyword] for keyword in NEEDED}
    repeated = {int(mask.replace("x", "0"), 16): entry for mask, entry in RepeatersDictionary.items()}
    found = pydicom.Dataset()
    for tag, (vrs, *_) in {**DicomDictionary, **repeated}.items():
        vr = vrs.split(" or ")[0]
        if tag < 0x00080000 or tag in needed or tag & 0xFFFF == 0:
            continue
        if vr in TEXT | OTHER:
            found.add_new(tag, vr, secret_of(tag, vr))
        elif vr == "SQ":
            item = pydicom.Dataset()
            item.TextValue = secret_of(tag, vr)
            found.add_new(tag, vr, [item])
    block = found.private_block(0x0099, "ZQPRIVATE0", create=True)
    block.add_new(1, "LO", "ZQPRIVATE1")
    block.add_new(2, "UN", b"ZQPRIVATE2")
    return found


@cache
def values() -> dict[str, str]:
    """Attribute (its name or tag) to secret."""
    found = {}
    for element in secrets():
        text = element.value[0].TextValue if element.VR == "SQ" else element.value
        found[element.keyword or str(element.tag)] = text.decode() if isinstance(text, bytes) else str(text)
    return found


#: Forms of the secrets; a number with more digits before or behind is no date.
FORMS = re.compile(rb"ZQ[0-9A-Z]{8}|1\.2\.999\.\d+\.20371130|(?<![\d.])9\d{7}(?!\d)|(?:93370909)?0507\d\d\.\d{6}(?!\d)")


def found_in(path: Path) -> set[str]:
    """Attributes whose secrets are in a file or in its name."""
    names = {value.encode(): name for name, value in values().items()}
    return {names[text] for part in contents(path) for text in FORMS.findall(part) if text in names}


def contents(path: Path) -> Iterable[bytes]:
    """Name and bytes of a file; of compressed ones, archives and pictures also what is inside."""
    raw = path.read_bytes()
    yield path.name.encode() + b"\n" + raw
    if path.suffix == ".gz":
        yield gzip.decompress(raw)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (name.encode() + b"\n" + archive.read(name) for name in archive.namelist())
    elif path.suffix == ".png":
        yield repr(Image.open(path).info).encode()
    for picture in re.findall(rb"base64,([A-Za-z0-9+/=]+)", raw if path.suffix == ".html" else b""):
        yield base64.b64decode(picture)
