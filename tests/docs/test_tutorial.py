"""The tutorial notebook, run as a reader would run it, in an empty folder."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parent.parent.parent / "docs" / "tutorials" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The notebook with its outputs, and the folder in which it ran."""
    folder = tmp_path_factory.mktemp("tutorial")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook, folder


def printed(notebook) -> str:
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    return "".join(output.get("text", "") for output in outputs)


def test_the_notebook_measures_what_the_phantom_is(ran):
    text = printed(ran[0])
    dice = {name: float(value) for name, value in re.findall(r"(\w+) +Dice ([\d.]+)", text)}
    assert set(dice) == {"LV", "MYO", "RV"} and min(dice.values()) > 0.8, text
    found = re.findall(r"(LV\w+) +([\d.]+) \S+ +\(draws ([\d.]+) to ([\d.]+)\) +true ([\d.]+)", text)
    assert [name for name, *_ in found] == ["LVEDV", "LVESV", "LVEF"]
    for name, value, low, high, true in found:
        assert float(low) <= float(high)
        assert float(value) == pytest.approx(float(true), abs=8 if name == "LVEF" else 0.15 * float(true) + 5), name


def test_the_notebook_shows_pictures_and_leaves_what_report_needs(ran):
    notebook, folder = ran
    pictures = [
        o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "image/png" in o.get("data", {})
    ]
    assert len(pictures) == 3
    assert list((folder / "tutorial" / "results").glob("*/*_seg.nii.gz"))
    assert list((folder / "tutorial" / "results").glob("*/*_latent.pt"))


def test_the_notebook_is_kept_without_outputs_and_paths_of_a_machine():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert not re.search(r"/(home|work|tmp|Users)/", NOTEBOOK.read_text())
