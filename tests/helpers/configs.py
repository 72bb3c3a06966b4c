"""The bundle's configs, merged as its commands merge them."""

import json
import os
from pathlib import Path

from monai.bundle import ConfigParser

BUNDLE = Path(__file__).resolve().parents[2] / "bundle"

CONFIGS = BUNDLE / "configs"

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
