"""The command ``nisf doctor``, and what it says of damage that was done."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nisf.cli import doctor

NISF = Path(sys.executable).with_name("nisf")


def run(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    given = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([str(NISF), "doctor", *map(str, words)], cwd=cwd, capture_output=True, text=True, env=given)


def test_doctor_measures_this_machine(tmp_path):
    done = run("--json", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(done.stdout)
    found = {one["name"]: one for one in content["findings"]}
    assert content["ok"] and {one["state"] for one in found.values()} <= {"ok", "warning"}
    assert found["packages"]["numbers"]["torch"] == torch.__version__
    assert found["folder"]["numbers"]["free_bytes"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert found["threads"]["numbers"]["threads"] == 1
    rates = [found["products"]["numbers"]["flop_per_second"], found["network"]["numbers"]["points_per_second"]]
    assert rates[0] > 1e8 and rates[1] > 1e3  # how they compare depends on what else runs
    assert found["a scan"]["numbers"]["seconds"] > doctor.POINTS / rates[1]
    both = 2 * doctor.FLOP_A_POINT * rates[1] / rates[0]  # model.pt has two networks
    assert found["network"]["numbers"]["share"] == pytest.approx(both)


def test_doctor_says_what_stands_in_the_way_and_ends_with_1(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = run("--folder", tmp_path / "file" / "out", cwd=tmp_path, CXX="no-such-compiler")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    lines = {tuple(line.split()[:2]): line for line in done.stdout.splitlines()}
    assert "cannot be written to" in lines[("problem", "folder")]
    assert "no C++ compiler" in lines[("warning", "compiler")]


def test_an_unknown_device_is_bad_input(tmp_path):
    done = run("--device", "cuda:99", cwd=tmp_path)
    assert done.returncode == 2
    assert "nisf: the device cuda:99 cannot be used" in done.stderr and "Traceback" not in done.stderr


def test_the_shipped_weights_are_those_of_the_digests_and_damage_is_seen(tmp_path):
    # after new weights: cd bundle/models && sha256sum *.pt > SHA256SUMS
    assert doctor._weights().state == "ok"
    listed = {line.split()[1] for line in (doctor.MODELS / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in doctor.MODELS.glob("*.pt")}
    models = shutil.copytree(doctor.MODELS, tmp_path / "models")
    whole = (models / "phantom.pt").read_bytes()
    (models / "phantom.pt").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (models / "unet.pt").unlink()
    found = doctor._weights(models)
    assert found.state == "problem"
    assert "phantom.pt is damaged" in found.text and "unet.pt is missing" in found.text
    assert "hippocampus.pt is" not in found.text


def test_a_package_out_of_range_is_a_problem():
    found = doctor._versions(["torch>=99", "numpy>=1.24", "nowhere>=1"])
    assert found.state == "problem"
    assert f"torch is {torch.__version__}, >=99 is needed" in found.text and "nowhere is missing" in found.text
    assert "numpy is" not in found.text
