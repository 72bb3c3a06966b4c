"""A bundle that the zoo would not take is caught; ``make bundle`` says that ours is one that it takes."""

import hashlib
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import monai.bundle
import pytest
import torch

from nisf.models.committee import network_of
from nisf.models.weights import load_weights
from zoo import files, live
from zoo.build import BUNDLE, NAME, build
from zoo.checklist import CheckFailed, run_checks
from zoo.pins import OWN, check_pins, imported, named, package_pins

METADATA = "configs/metadata.json"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder and zip."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture
def folder(built, tmp_path):
    """A copy to break."""
    return Path(shutil.copytree(built[0], tmp_path / NAME))


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=4) + "\n")


def test_the_zip_is_the_same_whenever_it_is_made_and_holds_the_bundle_alone(built, tmp_path):
    source = Path(shutil.copytree(BUNDLE, tmp_path / "source"))
    for path in source.rglob("*"):
        os.utime(path, (1e9, 1e9))
    (source / "scripts" / "__pycache__").mkdir(exist_ok=True)
    (source / "scripts" / "__pycache__" / "left.pyc").write_bytes(b"x")
    (source / "models" / "model.ts~").mkdir()
    (tmp_path / "again" / NAME / "old").mkdir(parents=True)
    _, again = build(tmp_path / "again", source)
    assert again.read_bytes() == built[1].read_bytes()
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == sorted([NAME, again.name])
    names = zipfile.ZipFile(again).namelist()
    assert names == sorted(names) and not [name for name in names if "pycache" in name or "egg-info" in name]
    assert {
        f"{NAME}/{name}" for name in ("LICENSE", METADATA, "models/model.pt", "scripts/nisf/models/nisf.py")
    } <= set(names)


def changed(name, old, new):
    """Replaces text in a file of the bundle."""

    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    "check, breaks, sentence",
    [
        (files.necessary_files, lambda f: (f / "LICENSE").unlink(), "LICENSE: is missing"),
        (files.preferred_files, lambda f: (f / "models/model.pt").write_bytes(b""), "models/model.pt: is missing"),
        (
            files.documents,
            changed("docs/data_license.txt", "models/unet.pt", ""),
            "no terms for models/unet.pt",
        ),
        (
            files.sizes_and_hashes,
            lambda f: (f / "models/model.pt").write_bytes(b"x"),
            "models/model.pt: .* not the file",
        ),
        (files.sizes_and_hashes, lambda f: (f / "models/new.pt").write_bytes(b"x"), "models/new.pt: has no digest"),
        (
            files.sizes_and_hashes,
            lambda f: os.truncate(f / "LICENSE", 26 * 10**6),
            "LICENSE: has 26.0 MB, more than 25",
        ),
        (files.json_form, changed("configs/fast.json", '    "', '   "'), "fast.json: line 2 .* not indented"),
        (
            files.json_form,
            changed("configs/fast.json", "{\n", '{\n    "chunk": 1,\n    "chunk": 2,\n'),
            "key chunk twice",
        ),
        (files.json_form, changed("configs/fast.json", "{", "{,"), "fast.json: is no JSON"),
        (
            files.no_absolute_paths,
            changed("configs/train.json", '_dir": ""', '_dir": "/home/me/x"'),
            "train.json: .*/home",
        ),
        (
            files.no_absolute_paths,
            changed("configs/train.json", '_dir": ""', '_dir": "$\'/data/x\'"'),
            "train.json: .*/data",
        ),
        (
            files.keys,
            changed("configs/inference.json", '"network_def": {', '"net": {'),
            "inference.json: has no network_def",
        ),
        (
            files.version,
            changed(METADATA, '"version": "0.1.0"', '"version": "0.2.0"'),
            "'0.2.0' is not .* in the changelog",
        ),
        (
            files.code_form,
            changed("scripts/nisf/models/weights.py", "import hashlib", "import  hashlib"),
            "black: would",
        ),
        (package_pins, changed(METADATA, '"scipy": "', '"scipy": ">='), "the version of scipy is '>="),
        (
            package_pins,
            changed(METADATA, '"scipy": "', '"scipy": "0.'),
            "scipy is pinned to 0.*but the checks run with",
        ),
        (package_pins, changed(METADATA, '"pydicom"', '"xlrd-never"'), "xlrd-never"),
        (
            package_pins,
            changed("scripts/nisf/models/weights.py", "import torch", "import nbformat, torch"),
            "nbformat, needed by wei",
        ),
    ],
)
def test_what_is_broken_is_named(check, breaks, sentence, folder, capsys):
    breaks(folder)
    assert run_checks({"this": check}, folder) == 1
    line = capsys.readouterr().out
    assert line.startswith("FAIL  this") and re.search(sentence, line), line


def test_no_pin_can_be_left_out(built):
    metadata, needed = json.loads((built[0] / METADATA).read_text()), {**imported(built[0]), **named(built[0])}
    others = metadata.pop("required_packages_version")
    for name in others:
        kept = {key: value for key, value in others.items() if key != name}
        with pytest.raises(CheckFailed, match="is not pinned"):
            check_pins({**metadata, "required_packages_version": kept}, needed)
    for name in OWN.values():
        less = {key: value for key, value in metadata.items() if key != name}
        with pytest.raises(CheckFailed, match="is not pinned"):
            check_pins({**less, "required_packages_version": others}, needed)
    assert len(others) > 15 and check_pins({**metadata, "required_packages_version": others}, needed)


def test_a_file_above_the_limit_may_be_named_with_its_hash(folder):
    large = b"0" * (26 * 10**6)
    (folder / "models" / "more.bin").write_bytes(large)

    def name_it(digest):
        entry = {"path": "models/more.bin", "url": "https://example.org/more.bin", "hash_type": "md5"}
        (folder / "large_files.json").write_text(json.dumps({"large_files": [{**entry, "hash_val": digest}]}))

    name_it(hashlib.md5(b"another").hexdigest())
    with pytest.raises(CheckFailed, match="models/more.bin: is missing or not the file whose md5"):
        files.sizes_and_hashes(folder)
    name_it(hashlib.md5(large).hexdigest())
    assert "26.0 MB" in files.sizes_and_hashes(folder)


def misnamed_postprocessing(config):
    config["after"] = config["postprocessing"]
    config["evaluator"]["postprocessing"] = "@after"


@pytest.mark.parametrize(
    "check, name, change, sentence",
    [
        (live.metadata_rules, "metadata", lambda c: c.pop("changelog"), "changelog"),
        (
            live.net_in_out,
            "metadata",
            lambda c: c["network_data_format"]["outputs"]["pred"].update(num_channels=4),
            "channel",
        ),
        (live.inference_properties, "inference", misnamed_postprocessing, "lacks or misnames postprocessing"),
        (live.loads, "inference", lambda c: None, "the code that ran was not the bundle's"),  # it is this repository's
    ],
)
def test_what_does_not_run_as_monai_wants_it_is_named(check, name, change, sentence, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder.parent)
    edit(folder / "configs" / f"{name}.json", change)
    assert run_checks({"this": check}, folder) == 1
    assert sentence in capsys.readouterr().out


def test_monai_loads_the_network_with_its_weights():
    loaded = monai.bundle.load(BUNDLE.name, bundle_dir=str(BUNDLE.parent), workflow_type="inference", device="cpu")
    ours = load_weights(network_of(**loaded.options()), BUNDLE / "models" / "model.pt").eval()
    coords, latent = torch.rand(2, 4, 30) * 2 - 1, torch.randn(2, loaded.latent_size)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(coords, latent), ours(coords, latent))
