"""Names and colours of the labels in files that ITK-SNAP and 3D Slicer read, beside a segmentation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

from PIL.ImageColor import getrgb

from nisf.inference.save import ResultWriter
from nisf.io.results import folder_of
from nisf.plots.style import class_colour
from nisf.utils.files import write_text

#: Full names of the heart's classes.
TITLES = {"LV": "LV blood pool", "MYO": "LV myocardium", "RV": "RV blood pool"}

#: SNOMED CT of each class, as keywords of pydicom's dictionary: DICOM's context group of heart structures (CID 7151)
#: has no code for a blood pool, so the ventricle stands for it and the title says blood pool.
TYPES = {"LV": "LeftVentricle", "MYO": "LeftVentricleMyocardium", "RV": "RightVentricle"}


class SaveLabelNamesd(ResultWriter):
    """Writes ``<output_dir>/<scan>/<scan>_labels.txt`` (ITK-SNAP) and ``<scan>_labels.ctbl`` (3D Slicer).

    Args:
        output_dir: folder of the results.
        class_names: inside class number (text) to name.
    """

    def __init__(self, output_dir: str, class_names: Mapping[str, str]) -> None:
        super().__init__(output_dir)
        self.class_names = dict(class_names)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Writes and returns the item with the files added to ``saved``."""
        item = dict(data)
        name = folder_of(item["scan"].files, item["scan"].subject)
        files = write_label_names(self.output_dir / name / f"{name}_labels", self.class_names)
        item["saved"] = [*item.get("saved", []), *map(str, files)]
        return item


def write_label_names(stem: str | Path, class_names: Mapping[str, str]) -> tuple[Path, Path]:
    """Writes ``<stem>.txt`` (ITK-SNAP: Import Label Descriptions) and ``<stem>.ctbl`` (3D Slicer: Colors).

    Args:
        stem: folder and file name without extension.
        class_names: class number (text) to name; 0, the background, may be left out.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    classes = {int(k): (TITLES.get(v, v), getrgb(class_colour(int(k)))) for k, v in class_names.items() if int(k) > 0}
    snap = ["# ITK-SnAP Label Description File", "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL"]
    snap += ['    0     0    0    0        0  0  0    "Clear Label"']
    slicer = [f"# Color table file {Path(stem).name}.ctbl", f"# {len(classes) + 1} values", "0 background 0 0 0 0"]
    for number, (title, (red, green, blue)) in sorted(classes.items()):
        snap.append(f'{number:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{title}"')
        slicer.append(f"{number} {title.replace(' ', '_')} {red} {green} {blue} 255")
    return (
        write_text(f"{stem}.txt", "\n".join(snap) + "\n"),
        write_text(f"{stem}.ctbl", "\n".join(slicer) + "\n"),
    )
