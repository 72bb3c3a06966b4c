"""Configs, layouts and settings by name."""

import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from nisf.runs import is_listed, segment
from nisf.utils.bundle import bundle_root, check_settings, config_files, settings_of, words_of
from nisf.utils.errors import InputError


def test_configs_are_found_by_name_and_by_path_and_later_ones_override(tmp_path):
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"prior_weight": 0.5}))
    names = ["inference", "acdc.json", str(own)]
    files = config_files(names)
    assert [Path(file).name for file in files] == ["inference.json", "acdc.json", "own.json"]
    assert Path(files[0]).parent == bundle_root() / "configs"
    settings = settings_of(names)
    assert settings["prior_weight"] == 0.5 and settings["layout"] == "acdc"
    assert settings == ConfigParser.load_config_files(files)  # as MONAI merges them


@pytest.mark.parametrize(
    "text, sentence",
    [
        (None, "own.json: there is no such config"),
        ("{", "own.json: is no valid JSON"),
        ("[1]", "own.json: is no valid"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(text, sentence, tmp_path):
    if text is not None:
        (tmp_path / "own.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        settings_of([str(tmp_path / "own.json")])


def test_knobs_that_nothing_reads_are_refused():
    known = settings_of(["train", "acdc"])
    check_settings({"lr": 1, "train#trainer#max_epochs": 2}, known)
    with pytest.raises(InputError, match="--max_epoch is no setting of the config; did you mean --max_epochs"):
        check_settings({"max_epoch": 2}, known)


def test_words_and_data_lists(tmp_path):
    assert words_of("a, b,3") == words_of(["a", "b", 3]) == ["a", "b", "3"]
    assert words_of(None) == words_of("") == []
    assert is_listed("some/list.json") and not is_listed(str(tmp_path))
    (tmp_path / "cohort.json").write_text("{}")
    assert is_listed(str(tmp_path))


def test_a_layout_takes_one_data_set():
    with pytest.raises(InputError, match="two: with the layout acdc one data set at a time"):
        segment(["one", "two"], "out", layout="acdc")
