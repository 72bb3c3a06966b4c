"""What the bundle's folder holds, and that versions and licences agree."""

import re
from pathlib import Path

import pytest
from helpers.configs import BUNDLE, METADATA, SHARED, parser_of, raw

from nisf import __version__
from nisf.models.committee import members_of
from nisf.models.weights import load_weights


def test_versions_agree_everywhere():
    assert METADATA["version"] == __version__
    assert METADATA["version"] in METADATA["changelog"]
    assert re.search(r"^version = (.+)$", (BUNDLE.parent / "setup.cfg").read_text(), re.MULTILINE)[1] == __version__
    lines = (BUNDLE.parent / "constraints.txt").read_text().splitlines()
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
    assert (BUNDLE / "LICENSE").read_text() == (BUNDLE.parent / "LICENSE").read_text()
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
        assert all(float(one.guess_gain.abs().max()) > 0 for one in members_of(network))
        assert float(network.temperature) != 1
