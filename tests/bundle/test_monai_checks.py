"""The bundle passes what MONAI's zoo checks."""

import json
import os
from pathlib import Path

import pytest
import torch
from helpers.configs import BUNDLE, CONFIGS, INFERENCE, METADATA, TRAINING, files, parser_of, raw
from monai.bundle import ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out
from monai.data import load_net_with_metadata

from nisf.models.committee import members_of
from nisf.models.nisf import NISF
from nisf.models.weights import load_weights

RULES = Path(__file__).resolve().parents[1] / "data" / "metadata_rules.json"


def test_metadata_keep_our_rules_which_monais_function_checks(caplog):
    with caplog.at_level("INFO"):
        verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(RULES))
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
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(RULES))


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
    assert isinstance(members_of(workflow.network_def)[0], NISF)
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
    assert isinstance(members_of(workflow.network_def)[0], NISF)
    assert len(workflow.dataset) >= 1
    assert workflow.evaluator.inferer is workflow.inferer
