"""Configs, layouts and settings by name."""

import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from nisf.runs import is_listed, segment
from nisf.utils.bundle import (
    EVALUATION,
    INFERENCE,
    PRIOR,
    UNET,
    bundle_root,
    config_files,
    literal,
    parser_of,
    settings_of,
    torch_device,
    used_settings,
    words_of,
)
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
        ('{"train#trainer": 1}', "own.json: .*train.* of no config before; name what they are laid over"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(text, sentence, tmp_path):
    if text is not None:
        (tmp_path / "own.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        settings_of([str(tmp_path / "own.json")])


@pytest.mark.parametrize(
    "run_id, configs, used, unused",
    [
        ("inference", INFERENCE, ("final_points", "fit", "half_field", "evaluator#val_handlers"), ("cache_dir",)),
        ("inference", [*INFERENCE, "adam"], ("fit_lr",), ("final_points", "pose")),
        ("evaluation", [*EVALUATION, "phantom"], ("cache_dir", "hold_out"), ("max_epochs", "lr")),
        (
            "training",
            [*PRIOR, "acdc"],
            ("lr", "train#trainer#max_epochs", "train", "moves#shift"),
            ("model", "unet_epochs"),
        ),
        ("calibration", [*PRIOR, "acdc"], ("model", "unet_blend"), ("resume",)),
        ("training", [*UNET, "acdc"], ("unet_lr", "patch", "resume"), ("lr", "fit_steps", "latents", "unet_model")),
        ("run", PRIOR, ("lr", "bundle_root", "seed"), ("only",)),
        ("sampling", ["sampling"], ("plane", "device"), ()),
    ],
)
def test_a_run_id_uses_the_settings_that_it_leads_to(run_id, configs, used, unused):
    found = used_settings(run_id, configs)
    assert [name for name in used if name not in found] == []
    assert [name for name in unused if name in found] == []
    for name in unused:
        with pytest.raises(InputError, match=f"--{name} is a setting that the run id {run_id} does not use"):
            found.check([name])


def test_settings_that_are_misspelt_are_refused_and_the_nearest_named():
    with pytest.raises(InputError, match="--max_epoch is no setting of the run id training; did you mean --max_epochs"):
        used_settings("training", PRIOR).check(["lr", "max_epoch"])
    with pytest.raises(InputError, match="--tracking_uri is no setting"):
        used_settings("training", PRIOR).check(["tracking_uri"])
    used_settings("training", PRIOR, "mlflow").check(["tracking_uri"])


@pytest.mark.parametrize(
    "name, value, wanted",
    [("uncertainty_draws", "abc", "a number, as 0"), ("prior_weight", "1e-4x", "a number"), ("bf16", "yes", "True or")],
)
def test_text_in_place_of_a_number_is_refused(name, value, wanted):
    with pytest.raises(InputError, match=f"--{name} is '{value}'; give {wanted}"):
        segment(["scan.nii.gz"], "out", **{name: value})


def test_what_the_value_of_a_setting_refers_to_is_used():
    value = {"fit": {"_target_": "nisf.fit.adam.fit_adam", "_mode_": "callable", "lr": "@my_lr"}, "my_lr": 1}
    used_settings("inference", INFERENCE, given=value).check([*value, "final_points"])
    with pytest.raises(InputError, match="--my_lr is no setting"):
        used_settings("inference", INFERENCE, given={"my_lr": 1}).check(["my_lr"])


def test_words_and_data_lists(tmp_path):
    assert words_of("a, b,3") == words_of(["a", "b", 3]) == ["a", "b", "3"]
    assert words_of(None) == words_of("") == []
    assert is_listed("some/list.json") and not is_listed(str(tmp_path))
    (tmp_path / "cohort.json").write_text("{}")
    assert is_listed(str(tmp_path))


def test_a_layout_takes_one_data_set():
    with pytest.raises(InputError, match="two: the layout acdc takes one data set at a time"):
        segment(["one", "two"], "out", layout="acdc")


# ---- what a user writes is never run


HOSTILE = ["$__import__('os').mkdir('ran')", "@network", "%configs/train.json", "a/@#b.nii.gz", "$'@x' + \"%y\"", "$"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_that_looks_like_an_expression_stays_a_name(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = ConfigParser({"kept": literal({"names": [text, "plain.nii.gz"], "one": text})})
    assert parser.get_parsed_content("kept") == {"names": [text, "plain.nii.gz"], "one": text}
    assert parser_of(["inference"], dataset_dir=[text], only=text).get_parsed_content("dataset_dir") == [text]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["$__import__('os').mkdir('ran') or 'x'.nii.gz", "@network.nii.gz", "%a.nii.gz"])
def test_a_scan_with_such_a_name_is_read_like_any_other(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / text).write_bytes(b"no image")
    with pytest.raises(SystemExit):
        segment([text], "out", device="cpu")
    assert f"{text}: is empty, cut off or no image" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["foo", "cpu')", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_refused_in_one_sentence(name):
    with pytest.raises(InputError, match="device .*; use cpu"):
        torch_device(name)
