"""Digests of settings."""

import subprocess
import sys
from pathlib import Path

import pytest

from nisf.utils.digest import digest_of_settings

SETTINGS = {"seed": 0, "prior_weight": 1e-4, "only": None, "pose": True, "shift": [0.0, 0.5], "model": "a.pt"}


def test_the_order_and_the_kind_of_a_number_do_not_matter():
    turned = {**dict(reversed(SETTINGS.items())), "shift": (0, 0.5), "seed": 0.0, "model": Path("a.pt")}
    assert digest_of_settings(turned) == digest_of_settings(SETTINGS)


def test_another_process_finds_the_same():
    code = f"from nisf.utils.digest import digest_of_settings; print(digest_of_settings({SETTINGS!r}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == digest_of_settings(SETTINGS)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"prior_weight": 2e-4}, {"pose": 1}, {"shift": [0.5, 0.0]}, {"only": "LV"}, {"more": 0}]
)
def test_another_value_gives_another_digest(other):
    assert digest_of_settings({**SETTINGS, **other}) != digest_of_settings(SETTINGS)
