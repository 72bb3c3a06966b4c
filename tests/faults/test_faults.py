"""Faults done for real: a full disk, folders that cannot be written, files that cannot be read, damaged stores and
checkpoints, code in place of weights, too little memory, a loss that is no number. What was there before stays."""

import ctypes
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.bundle_runs import TINY
from helpers.tiny import disk_full_after

from nisf.phantom.cohort import write_cohort
from nisf.training.checkpoints import checkpoints_in
from nisf.training.store import is_whole
from nisf.utils.bundle import run_bundle
from nisf.utils.errors import InputError, sentence_of

SIZE = {"matrix": 24, "voxel_mm": 6, "slices": 4, "thickness_mm": 18, "gap_mm": 2, "frames": 3, "subsamples": 1}
NISF = Path(sys.executable).with_name("nisf")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), 3, 1, 2, **SIZE)


def train(cohort, folder, epochs, **settings):
    """Trains in this process."""
    settings = {**TINY, "steps_per_epoch": 5, "checkpoint_interval": 1, "val_interval": epochs, **settings}
    where = {"dataset_dir": str(cohort), "output_dir": str(folder / "out"), "cache_dir": str(folder / "store")}
    run_bundle("training", ["inference", "train", "phantom", "plain"], max_epochs=epochs, **{**where, **settings})


def said(error):
    """The sentence of what a call raised."""
    found = sentence_of(error.value)
    assert found and "\n" not in found, repr(error.value)
    return found


@pytest.fixture(scope="module")
def trained(cohort, tmp_path_factory):
    """Two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    train(cohort, folder, 2)
    return folder


def epochs_on_disk(folder):
    return [path.name for path in checkpoints_in(folder / "out")]


@contextmanager
def memory_of(megabytes):
    """No more than so much beside what is in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_a_full_disk_ends_a_training_and_leaves_its_checkpoint(cohort, tmp_path):
    train(cohort, tmp_path, 1)
    size = (tmp_path / "out" / "checkpoint_epoch=1.pt").stat().st_size
    with disk_full_after(size // 2), pytest.raises(Exception) as error:
        train(cohort, tmp_path, 3, resume=True)
    assert "checkpoint_epoch=2.pt: cannot be written" in said(error) and "free space" in said(error)
    assert epochs_on_disk(tmp_path) == ["checkpoint_epoch=1.pt"]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    train(cohort, tmp_path, 3, resume=True)
    assert epochs_on_disk(tmp_path) == ["checkpoint_epoch=2.pt", "checkpoint_epoch=3.pt"]


def test_a_loss_that_is_no_number_ends_a_training_before_it_spoils_a_checkpoint(cohort, trained, tmp_path):
    (tmp_path / "out").mkdir()
    before = (trained / "out" / "checkpoint_epoch=2.pt").read_bytes()
    (tmp_path / "out" / "checkpoint_epoch=2.pt").write_bytes(before)
    with pytest.raises(Exception) as error:
        train(cohort, tmp_path, 6, resume=True, alpha=float("inf"))
    assert "the loss is no longer a number in epoch 3" in said(error) and "smaller step size" in said(error)
    assert epochs_on_disk(tmp_path) == ["checkpoint_epoch=2.pt"]
    assert (tmp_path / "out" / "checkpoint_epoch=2.pt").read_bytes() == before


def test_too_little_memory_is_said_in_one_sentence(cohort, trained, tmp_path):
    with memory_of(300), pytest.raises(Exception) as error:
        train(cohort, tmp_path, 1, points_per_subject=40_000_000, cache_dir=str(trained / "store"))
    assert "not enough memory" in said(error) and "points_per_subject" in said(error)


def test_too_little_memory_in_sampling_is_not_told_as_a_full_disk(phantom_result, tmp_path):
    latent = str(next(phantom_result.glob("*_latent.pt")))
    with memory_of(400), pytest.raises(Exception) as error:
        run_bundle("sampling", ["sampling"], latent=latent, output=str(tmp_path / "fine.nii.gz"), spacing=0.15)
    assert "not enough memory" in said(error) and "smaller grid" in said(error) and "disk" not in said(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["a changed byte", "cut off"])
def test_a_damaged_store_is_made_anew(cohort, trained, tmp_path, damage):
    store = tmp_path / "store"
    store.mkdir()
    for path in (trained / "store").glob("*.pt"):
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        if damage == "cut off":
            content = content[:middle]
        else:
            content[middle] ^= 255
        (store / path.name).write_bytes(content)
    assert not any(is_whole(path) for path in store.glob("*.pt"))
    train(cohort, tmp_path, 2)
    assert all(is_whole(path) for path in store.glob("*.pt"))
    found, expected = (torch.load(f / "out" / "model.pt", weights_only=True) for f in (tmp_path, trained))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_training_anew_leaves_the_checkpoints_of_the_one_before(cohort, trained, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint_epoch=9.pt").write_bytes(b"of another training")
    train(cohort, tmp_path, 1)
    assert epochs_on_disk(tmp_path) == ["checkpoint_epoch=1.pt"]
    assert (tmp_path / "out" / "earlier_1" / "checkpoint_epoch=9.pt").read_bytes() == b"of another training"


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def bomb(tmp_path):
    """A file in which code lies, and the mark that it would leave."""
    path, mark = tmp_path / "bomb.pt", tmp_path / "went_off"
    torch.save({"network": Bomb(mark), "latent": torch.zeros(8)}, path)
    return path, mark


def test_code_in_place_of_weights_is_refused(cohort, bomb, tmp_path):
    path, mark = bomb
    with pytest.raises(Exception) as error:
        run_bundle("inference", ["inference", "phantom", "plain"], dataset_dir=str(cohort), model=str(path))
    assert f"{path}: the model file is damaged" in said(error)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint_epoch=1.pt").write_bytes(path.read_bytes())
    with pytest.raises(Exception) as error:
        train(cohort, tmp_path, 2, resume=True)
    assert "checkpoint_epoch=1.pt: the checkpoint is damaged" in said(error)
    from nisf.sampling.fitted_scan import FittedScan

    with pytest.raises(InputError, match="bomb.pt"):
        FittedScan.load(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # it would have gone off
    assert mark.exists()


def as_anybody():
    """Takes from a child of root the right to read and write whatever it likes."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; without root there is nothing to take


def nisf(*words, cwd):
    return subprocess.run(
        [str(NISF), *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300, preexec_fn=as_anybody
    )


def test_folders_and_files_without_permission_are_named(tmp_path):
    shut, scan = tmp_path / "shut", tmp_path / "scan.nii.gz"
    shut.mkdir()
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((16, 16, 4, 2), np.float32), np.eye(4)), scan)
    shut.chmod(0o555)
    done = nisf("segment", scan, "-o", shut / "out", cwd=tmp_path)
    assert done.returncode == 2 and "shut/out: cannot be written" in done.stderr
    assert done.stderr.count("\n") <= 2, done.stderr
    scan.chmod(0)
    done = nisf("segment", scan, "-o", "out", cwd=tmp_path)
    assert done.returncode in (1, 2) and "scan.nii.gz" in done.stdout + done.stderr
    assert "Permission denied" in done.stdout + done.stderr and "Traceback" not in done.stderr
