"""nisf inspect lists what a folder holds, what would be read and why, with a picture."""

import json

import pytest
from helpers.corpus import the_subject
from helpers.corpus_cases import CASES
from helpers.tiny import phantom_scans
from PIL import Image

from nisf.cli.main import run
from nisf.utils.errors import InputError


@pytest.fixture(scope="module")
def subject():
    return the_subject()


def case(subject, folder, name):
    (found,) = [one for one in CASES if one.name == name]
    return found.make(subject, folder)


def test_every_series_is_listed_and_the_one_to_be_read_is_marked(subject, tmp_path, capsys):
    folder = case(subject, tmp_path / "exam", "a slice lost")
    run(["inspect", str(folder), "-o", str(tmp_path / "sheet.png")])
    said = capsys.readouterr().out
    assert said.count("series ") == 7 and said.count("->") == 1  # three planes of the localiser are a stack each
    taken = said.split("-> series 7 'cine_sax'")[1].split("\n\n")[0]
    assert "3 slices; 6 frames, 154.5 ms each; 24 x 24 pixels of 6 x 6 mm" in taken
    assert "taken: short-axis cine" in taken and "1 place between them have none" in taken
    assert "left: 1 slice of another plane, " in said
    assert Image.open(tmp_path / "sheet.png").size[0] > 800


def test_what_would_be_refused_ends_with_status_1_and_says_why(subject, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = case(subject, tmp_path / "exam", "two such stacks")
    with pytest.raises(SystemExit):
        run(["inspect", str(folder), "--json"])
    (scan,) = json.loads(capsys.readouterr().out)
    assert "name a series with --stack" in scan["problem"] and [one["taken"] for one in scan["stacks"]] == [
        False,
        False,
    ]
    assert (tmp_path / "exam_contact.png").is_file()
    run(["inspect", str(folder), "--json", "--stack", "8"])
    (scan,) = json.loads(capsys.readouterr().out)
    assert [one["taken"] for one in scan["stacks"]] == [False, True] and scan["problem"] is None


def test_an_image_file_is_listed_too(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (scan,) = phantom_scans(tmp_path / "cohort", 1)
    run(["inspect", scan["image"]])
    said = capsys.readouterr().out
    assert "4 slices, " in said and "3 frames, " in said and "24 x 24 pixels of 6 x 6 mm" in said


def test_a_folder_without_images_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="holds no images data"):
        run(["inspect", str(tmp_path)])
