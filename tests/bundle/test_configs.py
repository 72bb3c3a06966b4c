"""The folder is a bundle as MONAI's zoo wants it, and its configs fit each other."""

import json
from pathlib import Path

import pytest
import torch
from helpers.configs import BUNDLE, CONFIGS, SHARED, parser_of, raw
from monai.bundle import ConfigParser, ConfigWorkflow, ReferenceResolver
from monai.data import MetaTensor

from nisf.transforms.scan import Scan, with_scan
from nisf.utils.settings import UsedSettings

# ---- configs that fit each other

#: Run ids, and the configs that are laid over their base, alone or one after another.
RUNS = {
    "inference": [("inference.json",), ("inference.json", "adam.json")],
    "evaluation": [("inference.json", "evaluate.json"), ("inference.json", "evaluate.json", "multi_gpu_evaluate.json")],
    "join": [("inference.json", "join.json")],
    "join_unets": [("inference.json", "join.json")],
    "onnx": [("inference.json", "onnx.json")],
    "training": [
        ("train.json",),
        ("train.json", "multi_gpu_train.json"),
        ("train.json", "endless.json"),
        ("unet.json",),
        ("unet.json", "multi_gpu_unet.json"),
    ],
    "calibration": [("train.json",)],
    "run": [("train.json",)],
    "sampling": [("sampling.json",)],
}

#: What MONAI Label reads and no run id.
FOR_LABEL_SERVERS = {"displayable_configs"}


def test_no_setting_is_dead():
    used = [UsedSettings(run_id, raw(*names)) for run_id, several in RUNS.items() for names in several]
    for path in CONFIGS.glob("*.json"):
        names = [] if path.stem == "metadata" else json.loads(path.read_text())
        dead = [name for name in names if not any(name.removeprefix("+") in one for one in used)]
        assert set(dead) <= {*RUNS, *FOR_LABEL_SERVERS}, path.name


@pytest.mark.parametrize("names", [names for several in RUNS.values() for names in several], ids=str)
def test_every_reference_leads_somewhere(names):
    config = raw(*names)
    parser = ConfigParser(config)
    assert [one for one in ReferenceResolver.find_refs_in_config(config, "") if one not in parser] == []


@pytest.mark.parametrize(
    "run_id, names",
    [
        ("training", ["train.json"]),
        ("training", ["unet.json"]),
        ("inference", ["inference.json"]),
        ("evaluation", ["inference.json", "evaluate.json"]),
        ("sampling", ["sampling.json"]),
    ],
)
def test_run_means_the_configs_own_run_id(run_id, names):
    parser = ConfigParser(raw(*names))
    parser.parse()
    assert ReferenceResolver.normalize_id(parser["run"]) == ReferenceResolver.normalize_id(parser[run_id])


@pytest.mark.parametrize("name", ["run", "calls"])
def test_a_run_id_is_called_once_each_time(name, tmp_path):
    """MONAI keeps no result of a run id, and ``run`` stands for another by ``%``."""
    (tmp_path / "calls.json").write_text('{"made": [], "calls": ["$@made.append(1)"], "run": "%calls"}')
    workflow = ConfigWorkflow(str(tmp_path / "calls.json"), run_id=name, logging_file=False)
    workflow.initialize()
    workflow.run()
    workflow.run()
    assert workflow.parser.get_parsed_content("made") == [1, 1]


@pytest.mark.parametrize("name", ["acdc", "phantom", "hippocampus", "plain", "paper", "fast"])
def test_an_override_changes_only_what_is_there_and_differs(name):
    override = json.loads((CONFIGS / f"{name}.json").read_text())
    assert set(override) - set(raw("unet.json")) == set()
    base = raw("unet.json")
    same = {key for key, value in override.items() if name not in ("plain", "paper") and base[key] == value}
    # phantom.json goes for inference as well, acdc.json for training without data
    assert same <= {"layout", "split_rule"}


def test_paper_config_is_the_papers_recipe():
    paper = raw("train.json", "paper.json")
    assert paper["subjects_per_step"] == 1 and paper["points_per_subject"] is None and paper["foreground"] == 0
    assert (paper["lr"], paper["latent_lr"], paper["alpha"]) == (1e-4, 1e-4, 10.0)
    assert (paper["latent_l2"], paper["weight_decay"]) == (1e-4, 1e-4)
    assert (paper["num_layers"], paper["hidden_size"], paper["latent_size"]) == (8, 128, 128)
    assert (paper["frame_kind"], paper["schedule"], paper["fit_points"]) == ("relative", "constant", None)


SETTINGS = ("class_names", "in_channels", "coord_dims", "latent_size", "hidden_size", "num_layers", "omega0", "sigma0")

#: The step that validation chooses is right for inference only under the same penalty and step size.
ADAM_SETTINGS = ("fit_lr", "latent_l2")

#: The temperature found at the end of a training is right only for the same fit.
FIT_SETTINGS = ("prior_weight", "final_points", "pose", "unet_weight", "fit")

#: Where the organ lies is found alike.
POSE_SETTINGS = (
    *("pose_body", "pose_pointer", "pose_radius", "pose_length", "pose_phases", "unet_frames", "pixel", "features"),
)


@pytest.mark.parametrize("data, weights", [("", "phantom_unet.pt"), ("DATA", "unet.pt")])
def test_training_alone_takes_the_unet_of_the_data_that_it_trains_on(data, weights):
    parser = parser_of("train.json", dataset_dir=data)
    assert Path(parser.get_parsed_content("unet_model")) == BUNDLE / "models" / weights
    assert parser.get_parsed_content("unet") is not None


@pytest.mark.parametrize("overrides", [[], *SHARED.values()], ids=["default", *SHARED])
def test_training_and_inference_build_the_same_network(overrides):
    training, inference = (raw(base, *overrides) for base in ("train.json", "inference.json"))
    assert training["network_def"] == inference["network_def"]
    assert training["num_classes"] == inference["num_classes"]
    for setting in (*SETTINGS, *FIT_SETTINGS, *POSE_SETTINGS):
        assert training[setting] == inference[setting], setting
    adam = raw("inference.json", "adam.json", *overrides)
    assert all(training[setting] == adam[setting] for setting in ADAM_SETTINGS)


@pytest.mark.parametrize("name", ["load", "orient", "add_unet_prob", "pose_of", "pose_of_unet", "crop", "scale"])
@pytest.mark.parametrize("overrides", [[], *SHARED.values()], ids=["default", *SHARED])
def test_training_and_inference_read_turn_and_lay_a_scan_alike(overrides, name):
    assert raw("train.json", *overrides)[name] == raw("inference.json", *overrides)[name]
    steps = [
        raw("inference.json")["preprocessing"]["transforms"],
        raw("train.json")["validate"]["preprocessing"]["transforms"],
    ]
    assert name == "pose_of" or all(f"@{name}" in step for step in steps)


@pytest.mark.parametrize("overrides", SHARED.values(), ids=SHARED.keys())
def test_the_field_of_a_scan_is_that_of_the_config(overrides):
    image = MetaTensor(torch.rand(1, 50, 44, 4, 3), affine=torch.diag(torch.tensor([4.0, 4, 8, 1])))
    image = with_scan(image, Scan((0.0, 0.3, 0.6)))
    parser = parser_of("train.json", overrides, dataset_dir="DATA")
    frame = parser.get_parsed_content("crop").frame_of(image, [0.1, -0.2, 0.0, 0.3, 0.05, -0.1])
    assert (frame.pose is not None) == (parser["frame_kind"] == "posed") and len(frame.times) == 3
