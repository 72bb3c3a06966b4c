"""The folder is a bundle as MONAI's zoo wants it, and its configs fit each other."""

import json
import os
import re
import sys
from pathlib import Path

import monai.apps.utils
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import (
    ConfigParser,
    ConfigWorkflow,
    ReferenceResolver,
    ckpt_export,
    verify_metadata,
    verify_net_in_out,
)
from monai.data import MetaTensor, load_net_with_metadata
from monai.utils import set_determinism

from nisf import __version__
from nisf.models.nisf import NISF
from nisf.models.weights import load_weights, save_weights
from nisf.transforms.scan import Scan, with_scan
from nisf.utils.settings import UsedSettings

HERE = Path(__file__).resolve().parent.parent
BUNDLE = HERE.parent / "bundle"
CONFIGS = BUNDLE / "configs"
SCHEMA = HERE / "data" / "metadata_schema.json"
METADATA = json.loads((CONFIGS / "metadata.json").read_text())

#: Configs laid over both train.json and inference.json.
SHARED = {
    "acdc": ["acdc.json"],
    "phantom": ["phantom.json"],
    "hippocampus": ["hippocampus.json"],
    "the paper's form": ["phantom.json", "plain.json"],
}
#: What a config is laid over, itself included.
BASES = {
    "inference.json": ["inference.json"],
    "train.json": ["inference.json", "train.json"],
    "unet.json": ["inference.json", "train.json", "unet.json"],
    "sampling.json": ["sampling.json"],
}
TRAINING = {"default": [], **SHARED, "paper": ["paper.json"], "paper on acdc": ["acdc.json", "paper.json"]}
INFERENCE = {"default": [], **SHARED, "evaluation": ["evaluate.json", "phantom.json"]}


def files(base, overrides, root=BUNDLE):
    """Paths of configs, with what ``base`` is laid over."""
    return [os.path.join(root, "configs", name) for name in (*BASES[base], *overrides)]


def parser_of(base, overrides=(), **values):
    """The merged config, its expressions able to run."""
    parser = ConfigParser()
    parser.read_config(files(base, overrides))
    parser.update({"bundle_root": str(BUNDLE), **values})
    return parser


def raw(base, *overrides):
    """The merged config, unparsed."""
    return ConfigParser.load_config_files(files(base, overrides))


@pytest.fixture(autouse=True)
def process_as_it_was(monkeypatch, tmp_path):
    """Another working directory, no download; what a config's `initialize` sets for a whole process is undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def no_download(url, *args, **kwargs):
        raise AssertionError(f"tried to download {url}")

    monkeypatch.setattr(monai.apps.utils, "_download_with_progress", no_download)
    yield
    set_determinism(None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights for the network of each override, by name."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name, overrides in INFERENCE.items():
        torch.manual_seed(0)
        network = parser_of("inference.json", overrides).get_parsed_content("network_def")
        paths[name] = str(save_weights(network, folder / f"{name}.pt"))
    return paths


def save(path, shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) % 3
    nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 8.0, 1.0])), path)
    return path.name


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of tiny files for each layout: subjects for training, validation and test."""
    root = tmp_path_factory.mktemp("data")
    cohort = {"name": "tiny", "labels": {"0": "background", "1": "LV", "2": "MYO", "3": "RV"}}
    for number, section in enumerate(("training", "validation", "test"), start=1):
        image = save(root / "cohort" / f"s{number}.nii.gz", (6, 6, 3, 2))
        label = save(root / "cohort" / f"s{number}_label.nii.gz", (6, 6, 3, 2))
        cohort[section] = [{"subject": f"s{number}", "image": image, "label": label}]
        patient = f"patient{ {'training': 1, 'validation': 2, 'test': 10}[section]:03d}"
        for frame in ("01", "12"):
            save(root / "acdc" / patient / f"{patient}_frame{frame}.nii.gz", (6, 6, 3))
            save(root / "acdc" / patient / f"{patient}_frame{frame}_gt.nii.gz", (6, 6, 3))
        (root / "acdc" / patient / "Info.cfg").write_text("ED: 1\nES: 12\nNbFrame: 30\n")
        for folder in ("imagesTr", "labelsTr"):
            name = {"training": "003", "validation": "001", "test": "002"}[section]
            save(root / "msd" / folder / f"hippocampus_{name}.nii.gz", (6, 6, 4))
    (root / "cohort" / "cohort.json").write_text(json.dumps(cohort))
    return {"cohort": root / "cohort", "images": root / "cohort", "acdc": root / "acdc", "msd": root / "msd"}


# ---- the zoo's checks


def test_metadata_passes_monais_check(caplog):
    with caplog.at_level("INFO"):
        verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(SCHEMA))
    assert "metadata is verified with no error" in caplog.text


def without(content, path):
    """A copy without the entry at ``path``."""
    copy = json.loads(json.dumps(content))
    at = copy
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return copy


IMAGE = ("network_data_format", "inputs", "image")


@pytest.mark.parametrize(
    "path",
    [("changelog",), ("required_packages_version",), ("copyright",), (*IMAGE, "channel_def"), (*IMAGE, "value_range")],
    ids=lambda path: path[-1],
)
def test_the_check_misses_nothing_that_the_specification_asks_for(path, tmp_path):
    (tmp_path / "metadata.json").write_text(json.dumps(without(METADATA, path)))
    with pytest.raises(ValueError, match=path[-1]):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(SCHEMA))


@pytest.mark.parametrize("net_id", ["network_def", "network"])
def test_network_takes_and_gives_what_the_metadata_says(net_id, weights):
    given = {"config_file": files("inference.json", []), "meta_file": str(CONFIGS / "metadata.json")}
    settings = {"bundle_root": str(BUNDLE), "model": weights["default"], "device": "cpu", "any": 50}
    verify_net_in_out(net_id, **given, **settings)
    with pytest.raises(ValueError, match="channel"):
        verify_net_in_out(net_id, **given, **settings, **{"_meta_#network_data_format#outputs#pred#num_channels": 4})


def test_exported_torchscript_gives_the_networks_numbers(weights, tmp_path):
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=weights["default"],
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=str(CONFIGS / "inference.json"),
        bundle_root=str(BUNDLE),
    )
    exported, metadata, extra = load_net_with_metadata(str(tmp_path / "model.ts"), more_extra_files=["inference.json"])
    network = load_weights(parser_of("inference.json").get_parsed_content("network_def"), weights["default"])
    coords, latent = torch.rand(2, 4, 30) * 2 - 1, torch.randn(2, network.latent_size)
    torch.testing.assert_close(exported(coords), network(coords))
    torch.testing.assert_close(exported(coords, latent), network(coords, latent))
    assert metadata["version"] == METADATA["version"]
    assert "network_def" in json.loads(extra["inference.json"])


def missing_properties(kind, base, overrides, root, dataset_dir, **values):
    """What MONAI finds missing or misnamed; every required property is built on the way."""
    paths = files(base, overrides, root)
    workflow = ConfigWorkflow(
        paths,
        meta_file=os.path.join(root, "configs", "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(root),
        dataset_dir=str(dataset_dir),
        output_dir="results",
        **values,
    )
    workflow.initialize()
    return workflow.check_properties(), workflow


@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
@pytest.mark.parametrize("overrides", TRAINING.values(), ids=TRAINING.keys())
def test_training_has_the_properties_that_monai_names(overrides, relative, data):
    root = os.path.relpath(BUNDLE) if relative else str(BUNDLE)
    layout = raw("train.json", *overrides)["layout"]
    missing, workflow = missing_properties("training", "train.json", overrides, root, data[layout])
    assert missing == []
    assert isinstance(workflow.network_def, NISF)
    assert workflow.trainer.state.max_epochs == workflow.max_epochs
    assert [len(part) for part in (workflow.train_dataset, workflow.val_dataset)] == [1, 1]


@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
@pytest.mark.parametrize("name", INFERENCE)
def test_inference_has_the_properties_that_monai_names(name, relative, data, weights):
    root = os.path.relpath(BUNDLE) if relative else str(BUNDLE)
    layout = raw("inference.json", *INFERENCE[name])["layout"]
    missing, workflow = missing_properties(
        "inference", "inference.json", INFERENCE[name], root, data[layout], model=weights[name], device="cpu"
    )
    assert missing == []
    assert isinstance(workflow.network_def, NISF)
    assert len(workflow.dataset) >= 1
    assert workflow.evaluator.inferer is workflow.inferer


# ---- configs that fit each other


#: Run ids, and the configs that are laid over their base, alone or one after another.
RUNS = {
    "inference": [("inference.json",), ("inference.json", "adam.json")],
    "evaluation": [("inference.json", "evaluate.json"), ("inference.json", "evaluate.json", "multi_gpu_evaluate.json")],
    "onnx": [("inference.json", "onnx.json")],
    "training": [
        ("train.json",),
        ("train.json", "multi_gpu_train.json"),
        ("unet.json",),
        ("unet.json", "multi_gpu_unet.json"),
    ],
    "calibration": [("train.json",)],
    "run": [("train.json",)],
    "sampling": [("sampling.json",)],
}


def test_no_setting_is_dead():
    used = [UsedSettings(run_id, raw(*names)) for run_id, several in RUNS.items() for names in several]
    for path in CONFIGS.glob("*.json"):
        names = [] if path.stem == "metadata" else json.loads(path.read_text())
        dead = [name for name in names if not any(name.removeprefix("+") in one for one in used)]
        assert dead == [name for name in dead if name in RUNS], path.name


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
POSE_SETTINGS = ("pose_body", "pose_pointer", "pose_radius", "pose_length", "unet_frames", "pixel", "features")


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


# ---- the folder


def test_versions_agree_everywhere():
    assert METADATA["version"] == __version__
    assert METADATA["version"] in METADATA["changelog"]
    assert re.search(r"^version = (.+)$", (HERE.parent / "setup.cfg").read_text(), re.MULTILINE)[1] == __version__
    lines = (HERE.parent / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    stated = {
        name: METADATA[f"{key}_version"]
        for name, key in {"torch": "pytorch", "monai": "monai", "numpy": "numpy"}.items()
    }
    stated.update(METADATA["required_packages_version"])
    assert {name: pinned[name] for name in stated} == stated


def test_metadata_describes_the_configs_network():
    config, data_format = raw("inference.json"), METADATA["network_data_format"]
    image, pred = data_format["inputs"]["image"], data_format["outputs"]["pred"]
    assert image["num_channels"] == len(image["channel_def"]) == config["coord_dims"]
    names = ["background", *config["class_names"].values()]
    assert pred["num_channels"] == len(pred["channel_def"]) == config["in_channels"] + len(names)
    assert [pred["channel_def"][str(1 + c)] for c in range(len(names))] == names
    assert "not for clinical use" in METADATA["intended_use"].lower()


@pytest.mark.parametrize(
    "name", ["LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf", "configs/metadata.json"]
)
def test_the_folder_holds_what_the_zoo_asks_for(name):
    assert (BUNDLE / name).stat().st_size > 100


def test_licences_are_those_that_are_stated():
    assert "Apache License" in (BUNDLE / "LICENSE").read_text()
    assert (BUNDLE / "LICENSE").read_text() == (HERE.parent / "LICENSE").read_text()
    terms = (BUNDLE / "docs" / "data_license.txt").read_text()
    for path in (BUNDLE / "models").glob("*.pt"):
        assert f"models/{path.name}" in terms


def test_shipped_weights_are_those_of_the_config_that_names_them():
    named, shipped = {}, [overrides for overrides in SHARED.values() if "plain.json" not in overrides]
    for overrides in shipped:
        parser = parser_of("inference.json", overrides)
        named[Path(parser.get_parsed_content("model")).name] = parser
        network = parser.get_parsed_content("unet")  # what it was trained with stands in its file
        assert int(network.patch) == parser["patch"] and float(network.pixel) == parser["pixel"]
        assert network.num_classes == len(parser["class_names"]) + 1
    unet_prob = set((BUNDLE / "models").glob("*unet.pt"))
    assert len(unet_prob) == len(shipped)
    for path in set((BUNDLE / "models").glob("*.pt")) - unet_prob:
        network = load_weights(named[path.name].get_parsed_content("network_def"), path)
        assert int(network.fit_steps) >= 1
        assert int(network.num_subjects) > 1 and float(network.latent_factor.diagonal().min()) > 0
        assert float(network.guess_gain.abs().max()) > 0 and float(network.temperature) != 1
