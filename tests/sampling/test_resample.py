"""A segmented scan read off its grid, by the commands of a user, against the exact truth of a synthetic heart."""

import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.bundle_runs import run
from helpers.forked import run_command
from scipy.spatial.transform import Rotation

from nisf.geometry.grid import Grid
from nisf.phantom.cohort import Subject, make_subject, write_cohort
from nisf.sampling.resample import sample_to_files
from nisf.utils.errors import InputError

OPTIONS = {"matrix": 80, "slices": 10, "frames": 4, "voxel_mm": 2.0, "thickness_mm": 8.0, "gap_mm": 0.0}


@pytest.fixture(scope="module")
def segmented(tmp_path_factory) -> Path:
    """A folder with an oblique scan and its result in ``out``."""
    folder = tmp_path_factory.mktemp("segmented")
    write_cohort(folder, 0, 0, 1, seed=5, **OPTIONS)
    (folder / "test000_sa.nii.gz").rename(folder / "scan.nii.gz")
    settings = {
        "dataset_dir": "scan.nii.gz",
        "layout": "images",
        "split_rule": None,
        "output_dir": "out",
        "bf16": False,
    }
    done = run("inference", ["inference.json", "phantom.json"], folder, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def subject():
    """The heart in it."""
    return make_subject([5, 2, 0], **OPTIONS)


LATENT = Path("out") / "scan" / "scan_latent.pt"


def sampled(folder, name, **words):
    """Array and file of what was sampled."""
    sample_to_files(folder / LATENT, folder / name, **words)
    image = nib.load(folder / name)
    return np.asarray(image.dataobj), image


def truth_on(image, subject, time, offset=(0.0, 0.0, 0.0)):
    """Exact labels on an image's grid, shifted by ``offset`` voxels."""
    index = np.argwhere(np.ones(image.shape[:3])) + np.asarray(offset)
    return subject.label_at(nib.affines.apply_affine(image.affine, index), time).reshape(image.shape[:3])


def dice(first, second):
    """Mean over LV, MYO, RV."""
    return np.mean(
        [2 * ((first == c) & (second == c)).sum() / ((first == c).sum() + (second == c).sum()) for c in (1, 2, 3)]
    )


def write_lax(folder, subject, spacing):
    """A long-axis series with an affine of its own: turned in plane, flipped, away from the scan's grid."""
    heart = subject.heart
    lateral, inferior, apex = heart.axes
    turn = Rotation.from_rotvec(np.deg2rad(20) * inferior).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = np.stack([turn @ apex, -(turn @ lateral), inferior], axis=1) * (spacing, spacing, 6.0)
    shape = (int(150 / spacing), int(140 / spacing), 16, 2)
    affine[:3, 3] = heart.middle() - affine[:3, :3] @ ((np.array(shape[:3]) - 1) / 2)
    nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), affine), folder / "lax.nii.gz")


def test_on_its_own_grid_it_says_what_segment_said(segmented):
    found, image = sampled(segmented, "same.nii.gz", like=segmented / "scan.nii.gz")
    said = nib.load(segmented / "out" / "scan" / "scan_seg.nii.gz")
    assert found.shape == said.shape and np.allclose(image.affine, said.affine)
    assert (found == np.asarray(said.dataobj)).mean() > 0.9999


def test_a_long_axis_image_of_another_geometry_is_read_in_its_place(segmented, subject):
    """Half a voxel (3 mm) away in any direction the truth agrees less, so an axis, a flip or an offset would show."""
    write_lax(segmented, subject, spacing=6.0)
    found, image = sampled(segmented, "lax_seg.nii.gz", like=segmented / "lax.nii.gz", limit=8)
    lax = nib.load(segmented / "lax.nii.gz")
    assert found.shape == lax.shape and np.allclose(image.affine, lax.affine, atol=1e-4)
    for frame, time in enumerate((0.0, 0.5)):
        right = dice(found[..., frame], truth_on(image, subject, time))
        assert right > 0.8
        for axis, sign in ((0, 0.5), (0, -0.5), (1, 0.5), (1, -0.5), (2, 0.5), (2, -0.5)):
            offset = np.eye(3)[axis] * sign
            assert dice(found[..., frame], truth_on(image, subject, time, offset)) < right - 0.003, (frame, offset)


def test_named_planes_cut_the_heart_as_a_reader_expects(segmented, subject):
    for plane, least in (("4-chamber", 0.85), ("2-chamber", 0.8)):
        found, image = sampled(segmented, "plane.nii.gz", plane=plane, times=0, outputs=["png", "recon"])
        classes = (1, 2, 3) if plane == "4-chamber" else (1, 2)
        truth = truth_on(image, subject, 0.0)
        scores = [
            2 * ((found[..., 0] == c) & (truth == c)).sum() / ((found[..., 0] == c).sum() + (truth == c).sum())
            for c in classes
        ]
        assert np.mean(scores) > least, (plane, scores)
        recon = nib.load(segmented / "plane_recon.nii.gz").get_fdata()[..., 0]
        shown = replace(subject.acquisition, affine=image.affine, shape=image.shape[:3], thickness=2.0, noise=0.0)
        true = Subject(subject.heart, shown, subject.noise_seed).render()[..., 0]
        seen = recon > 0  # neither beyond the stack
        assert np.corrcoef(recon[seen], true[seen])[0, 1] > 0.8, plane
    assert (segmented / "plane.png").read_bytes()[:4] == b"\x89PNG"


def test_finer_voxels_and_moments_between_frames(segmented, subject):
    found, image = sampled(
        segmented, "fine.nii.gz", spacing=[2, 2, 4], times=[0, 0.125, 0.5], box="heart", outputs=["prob"]
    )
    assert np.allclose(image.header.get_zooms()[:3], (2, 2, 4), atol=0.1) and found.shape[3] == 3
    scores = [dice(found[..., t], truth_on(image, subject, time)) for t, time in enumerate((0.0, 0.125, 0.5))]
    assert min(scores) > 0.8 and scores[1] > min(scores[0], scores[2]) - 0.05  # between frames no worse
    edge = [found.take(end, axis=axis) for axis in (0, 1) for end in (0, -1)]
    assert not any(side.any() for side in edge), "the box holds the whole heart in plane"
    probability = nib.load(segmented / "fine_prob.nii.gz").get_fdata()
    assert probability.shape == (*found.shape, 4)
    np.testing.assert_array_equal(probability.argmax(axis=-1), found)


def test_beyond_the_stack_nothing_is_given_silently(segmented):
    scan = nib.load(segmented / "scan.nii.gz")
    affine = scan.affine.copy()
    slices = int(np.argmax(np.linalg.norm(affine[:3, :3], axis=0)))
    shape = list(scan.shape[:3])
    shape[slices] += 6  # three more slices on each side
    affine[:3, 3] -= 3 * affine[:3, slices]
    nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), affine), segmented / "long.nii.gz")
    found, _ = sampled(
        segmented,
        "beyond.nii.gz",
        like=segmented / "long.nii.gz",
        outputs=["extrapolated", "recon"],
        limit=14,
    )
    mark = np.moveaxis(np.asarray(nib.load(segmented / "beyond_extrapolated.nii.gz").dataobj), slices, -1)
    middle = mark[mark.shape[0] // 2, mark.shape[1] // 2]
    # slice centres lie 4, 12 and 20 mm beyond the outer slices' edges
    np.testing.assert_array_equal(middle, [2, 1, 1, *[0] * 10, 1, 1, 2])
    assert not np.moveaxis(found, slices, 2)[:, :, [0, -1]].any()
    recon = np.moveaxis(nib.load(segmented / "beyond_recon.nii.gz").get_fdata(), slices, 2)
    assert not recon[:, :, [0, -1]].any() and recon[:, :, 1].any()


def test_a_long_axis_series_and_a_mask_are_fitted_with_the_stack(segmented, subject):
    """The fit says that it used more; what the mask leaves out is still segmented."""
    heart, scan = subject.heart, nib.load(segmented / "scan.nii.gz")
    plane = Grid.plane(heart.middle(), heart.axes[0], heart.axes[2], (130.0, 130.0), 2.0)
    shown = replace(subject.acquisition, affine=plane.affine, shape=plane.shape, thickness=6.0)
    image = Subject(heart, shown, subject.noise_seed).render()
    nib.save(nib.Nifti1Image(3 * image + 200, plane.affine), segmented / "series.nii.gz")  # another brightness
    valid = np.ones(scan.shape[:3], np.uint8)
    valid[: valid.shape[0] // 3] = 0
    nib.save(nib.Nifti1Image(valid, scan.affine), segmented / "valid.nii.gz")
    settings = {"dataset_dir": "scan.nii.gz", "layout": "images", "split_rule": None, "output_dir": "more"}
    settings |= {"series": "['series.nii.gz']", "mask": "valid.nii.gz"}
    done = run("inference", ["inference.json", "phantom.json"], segmented, **settings)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    both, alone = (
        torch.load(segmented / folder / "scan" / "scan_latent.pt", weights_only=True) for folder in ("more", "out")
    )
    assert both["points"] > 1.3 * alone["points"]
    seg = np.asarray(nib.load(segmented / "more" / "scan" / "scan_seg.nii.gz").dataobj)
    truth = np.asarray(nib.load(segmented / "test000_sa_gt.nii.gz").dataobj)
    assert dice(seg[..., 0], truth[..., 0]) > 0.75


@pytest.mark.parametrize(
    "name, words, said",
    [
        ("refused.png", {}, "let the name end in .nii.gz"),
        ("refused.nii.gz", {"like": "none.nii.gz"}, "none.nii.gz: there is no such image"),
        ("refused.nii.gz", {"plane": "3-chamber"}, "'3-chamber' is unknown"),
        ("refused.nii.gz", {"plane": [[0, 0, 0], [1, 1, 1], [2, 2, 2]]}, "not on one line"),
        ("refused.nii.gz", {"spacing": -1}, "three positive numbers"),
        ("refused.nii.gz", {"spacing": "abc"}, "spacing is abc; give a number"),
        ("refused.nii.gz", {"times": ["abc"]}, "times is \\['abc'\\]; give a number"),
        ("refused.nii.gz", {"like": "scan.nii.gz", "spacing": 1}, "give one of them"),
        ("refused.nii.gz", {"frames": 3, "times": [0.5]}, "give one of them"),
        ("refused.nii.gz", {"frames": 0}, "at least 1 is needed"),
        ("refused.nii.gz", {"box": "liver"}, "the box 'liver' is unknown"),
        ("refused.nii.gz", {"outputs": ["mask"]}, "'mask' is unknown"),
        ("refused.nii.gz", {"outputs": ["png"]}, "drawn of a plane"),
        ("scan.nii.gz/refused.nii.gz", {"plane": "4-chamber"}, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(segmented, monkeypatch, name, words, said):
    monkeypatch.chdir(segmented)
    with pytest.raises(InputError, match=said):
        sample_to_files(LATENT, name, **words)
    assert not list(segmented.glob("*refused*"))


def test_the_command_says_where_it_wrote_and_what_it_could_not_know(segmented):
    command = [sys.executable, "-m", "nisf.cli.main", "sample", str(LATENT), "-o", "two.nii.gz"]
    command += [
        "--plane",
        "[[0,0,0],[30,0,0],[0,30,0]]",
        "--outputs",
        "recon,png",
        "--size",
        "60",
        "--times",
        "[0,0.4]",
    ]
    done = run_command(command, segmented)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "two.nii.gz: 40 x 40 x 1 voxels, 2 frames" in done.stdout and "beyond the stack" in done.stdout
    assert nib.load(segmented / "two.nii.gz").shape == nib.load(segmented / "two_recon.nii.gz").shape == (40, 40, 1, 2)
    assert (segmented / "two.png").exists()
