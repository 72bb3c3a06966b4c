"""The steps in Python against the files that the command writes."""

import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from helpers.phantom_dicom import write_dicom
from helpers.report_scans import read_again

import nisf
from nisf import Segmenter, segment
from nisf.geometry.orientation import short_axis_permutation
from nisf.io.dicom_headers import dicom_paths
from nisf.io.images import read_volume
from nisf.io.latent_file import read_latent
from nisf.measures.measure import measure_folder
from nisf.phantom.cohort import make_subject, write_cohort
from nisf.quality.record import Quality
from nisf.report.views import slices_view
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.bundle import NONE, run_bundle
from nisf.utils.errors import InputError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """One scan of a phantom, stored in a random orientation."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, 0, 0, 1, seed=5, matrix=40, slices=5, frames=3, voxel_mm=3.0)
    return folder


@pytest.fixture(scope="module")
def scan(cohort):
    return cohort / "test000_sa.nii.gz"


@pytest.fixture(scope="module")
def result(scan):
    return Segmenter("phantom", draws=2, device="cpu", final_points=2048)(scan)


def test_labels_and_saved_files_are_those_of_the_command(scan, result, tmp_path):
    run_bundle(
        "inference",
        ["inference", "phantom"],
        layout="images",
        split_rule=NONE,
        dataset_dir=[str(scan)],
        output_dir=str(tmp_path / "command"),
        final_points=2048,
    )
    saved = result.save(tmp_path / "api")
    written = nib.load(tmp_path / "command" / "test000_sa" / "test000_sa_seg.nii.gz")
    np.testing.assert_array_equal(result.labels, np.asarray(written.dataobj))
    np.testing.assert_array_equal(result.affine, written.affine)
    files = sorted((tmp_path / "command" / "test000_sa").iterdir())
    assert sorted(path.relative_to(tmp_path / "api") for path in saved) == [
        path.relative_to(tmp_path / "command") for path in files
    ]
    np.testing.assert_array_equal(np.asarray(nib.load(saved[0]).dataobj), np.asarray(written.dataobj))
    np.testing.assert_array_equal(result.image, nib.load(scan).get_fdata(dtype=np.float32))


def test_in_any_folder_by_the_public_names_and_to_several_places(scan, result, tmp_path, monkeypatch):
    (tmp_path / "scan.nii.gz").write_bytes(scan.read_bytes())
    monkeypatch.chdir(tmp_path)
    segmenter = nisf.Segmenter("phantom", device="cpu", final_points=2048)
    found = segmenter("scan.nii.gz")
    np.testing.assert_array_equal(found.labels, result.labels)
    assert found.fitted.read(found.affine[:3, 3][None], time=0.35).shape == (5, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]  # nothing is written unless it is asked for
    where = [writer.output_dir for writer in segmenter.writers]
    first, second = found.save("first"), found.save(tmp_path / "second")
    assert [path.relative_to("first") for path in first] == [path.relative_to(tmp_path / "second") for path in second]
    assert all(path.is_file() for path in [*first, *second])
    assert where == [writer.output_dir for writer in segmenter.writers]


def test_the_function_is_that_of_the_saved_latent_and_draws_differ(result, tmp_path):
    (file,) = (path for path in result.save(tmp_path) if path.name.endswith("_latent.pt"))
    loaded = FittedScan.load(file, draws=2)
    points = result.affine[:3, 3] + np.random.default_rng(0).uniform(-60, 60, (200, 3))
    assert torch.equal(result.fitted.read(points, 0.4), loaded.read(points, 0.4))
    (first, _), (second, _) = result.fitted.draws
    assert torch.equal(first, loaded.draws[0][0]) and not torch.equal(first, second)


def test_volumes_are_near_the_true_ones(cohort, result):
    (subject,) = json.loads((cohort / "cohort.json").read_text())["test"]
    true = nib.load(cohort / subject["label"])
    voxel = np.prod(true.header.get_zooms()[:3]) / 1000
    for number, name in result.class_names.items():
        expected = (np.asarray(true.dataobj) == number).sum(axis=(0, 1, 2)) * voxel
        np.testing.assert_allclose(result.volumes()[name], expected, atol=0.25 * expected.max())


def test_stated_axes_give_the_same_result_where_the_file_has_lost_them(scan, result, tmp_path):
    """The slices in reverse order, and of the affine nothing left but the voxel sizes."""
    image = nib.load(scan)
    (order, flips), names = short_axis_permutation(image.affine), (("lateral", "septal"), ("inferior", "anterior"))
    axes = {order[a]: words[flips[a]] for a, words in enumerate((*names, ("base", "apex")))}  # reversed below
    stored = np.flip(np.asarray(image.dataobj), order[2])
    nib.save(nib.Nifti1Image(stored, np.diag([*image.header.get_zooms()[:3], 1])), tmp_path / "scan.nii.gz")
    stated = [axes[a] for a in range(3)]
    segmenter = Segmenter("phantom", device="cpu", final_points=2048, array_axes=stated)
    found = segmenter(tmp_path / "scan.nii.gz")
    assert (np.flip(found.labels, order[2]) == result.labels).mean() > 0.9999
    (file,) = (path for path in found.save(tmp_path) if path.name.endswith("_latent.pt"))
    assert read_latent(file).settings["array_axes"] == str(stated)


def test_only_some_classes_and_the_coarser_grid(scan, result):
    found = segment(scan, ["phantom", "fast"], device="cpu", only=["lv", "3"])
    assert set(np.unique(found.labels)) == {0, 1, 3}
    for number in (1, 3):
        one, other = found.labels == number, result.labels == number
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.8


@pytest.mark.parametrize(
    "words, sentence",
    [
        ({"config": "phantoms"}, "phantoms: there is no such config"),
        ({"final_point": 5}, "did you mean --final_points"),
        ({"model": "none.pt"}, "none.pt: there is no such model file"),
        ({"only": "XV"}, "the class 'XV' of only is unknown"),
    ],
)
def test_wrong_settings_are_said_before_a_scan_is_read(words, sentence):
    with pytest.raises(InputError, match=sentence):
        Segmenter(**words)


def test_a_scan_that_is_not_there_is_named():
    with pytest.raises(InputError, match="missing.nii.gz: there is no such file"):
        segment("missing.nii.gz")


@pytest.fixture(scope="module")
def gap(tmp_path_factory):
    """DICOM folder of an examination without its third slice, its result, and the warnings said meanwhile."""
    folder, said = tmp_path_factory.mktemp("gap"), []
    write_dicom(make_subject(5, matrix=40, slices=6, frames=3, voxel_mm=3.0), folder / "exam", others=False)
    for path in dicom_paths(folder / "exam"):
        if pydicom.dcmread(path).InstanceNumber in (7, 8, 9):
            Path(path).unlink()
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("nisf").addHandler(handler)
    result = Segmenter("phantom", device="cpu")(folder / "exam")
    logging.getLogger("nisf").removeHandler(handler)
    result.save(folder / "out")
    return folder, result, said


def test_a_scan_is_read_once_and_its_warnings_are_said_once(gap):
    folder, result, said = gap
    assert sum("1 place between them have none" in line for line in said) == 1
    np.testing.assert_array_equal(result.image, read_volume(str(folder / "exam"))[0])


def test_of_a_missing_slice_the_report_says_so_and_a_dice_is_expected(gap):
    folder, result, _ = gap
    scan = read_again(folder / "out" / "exam")
    (black,) = np.flatnonzero(~scan.image.any(axis=(0, 1, 3)))
    view = slices_view(scan)
    words = dict(zip(view.numbers, view.labels))
    assert words.pop(black) == f"{black + 1}: no slice" and list(words.values()) == [f"{z + 1}" for z in words]
    verdict = Quality.of_saved(scan.saved.quality, scan.saved.pipeline)
    assert verdict.predicted_dice > 0.5 and verdict.uncalibrated == ""
    assert f"Slice {black + 1} from the base holds no image." in [flag["text"] for flag in verdict.flags]
    measures = measure_folder(folder / "out" / "exam", draws=0)
    assert measures["uncalibrated"] == "slices or frames were held out or are missing"
