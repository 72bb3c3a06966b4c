"""Names and colours of the labels as ITK-SNAP and 3D Slicer read them."""

import re
import shlex

import pytest
from matplotlib.colors import to_hex

from nisf.inference.label_names import write_label_names
from nisf.plots.style import class_colour
from nisf.utils.errors import InputError

NAMES = {"1": "LV", "2": "MYO", "3": "RV"}


def colours(columns):
    return to_hex([int(c) / 255 for c in columns])


def test_itk_snap_reads_a_line_of_eight_fields_a_label(tmp_path):
    snap, _ = write_label_names(tmp_path / "a_labels", NAMES)
    lines = [shlex.split(line) for line in snap.read_text().splitlines() if not line.startswith("#")]
    assert snap.name == "a_labels.txt" and all(len(fields) == 8 for fields in lines)
    assert [(int(f[0]), f[7]) for f in lines] == [
        *[(0, "Clear Label"), (1, "LV blood pool"), (2, "LV myocardium"), (3, "RV blood pool")]
    ]
    assert [colours(f[1:4]) for f in lines[1:]] == [class_colour(k) for k in (1, 2, 3)]
    assert [f[4:7] for f in lines] == [["0", "0", "0"]] + [["1", "1", "1"]] * 3, "only the background is not shown"


def test_slicer_reads_six_fields_a_label(tmp_path):
    _, slicer = write_label_names(tmp_path / "a_labels", NAMES)
    text = slicer.read_text()
    assert slicer.name == "a_labels.ctbl" and text.startswith("# Color table file ") and "\n# 4 values\n" in text
    lines = [line.split(" ") for line in text.splitlines() if not line.startswith("#")]
    assert [f[:2] for f in lines] == [
        *[["0", "background"], ["1", "LV_blood_pool"], ["2", "LV_myocardium"], ["3", "RV_blood_pool"]]
    ]
    assert all(re.fullmatch(r"(\d+ ){3}\d+", " ".join(f[2:])) for f in lines)
    assert [colours(f[2:5]) for f in lines[1:]] == [class_colour(k) for k in (1, 2, 3)]
    assert [f[5] for f in lines] == ["0", "255", "255", "255"]


def test_other_anatomies_keep_their_names(tmp_path):
    snap, slicer = write_label_names(tmp_path / "h", {"1": "anterior", "2": "posterior"})
    assert '"posterior"' in snap.read_text() and "\n2 posterior " in slicer.read_text()


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_label_names(tmp_path / "file" / "a", NAMES)
