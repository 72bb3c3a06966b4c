"""A scan's result folder read again: everything on the fitted grid, in the right place."""

import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.report_scans import read_again

from nisf.geometry.grid import Grid
from nisf.io.nifti import save_nifti
from nisf.utils.errors import InputError
from nisf.utils.tensors import save_tensors


@pytest.fixture
def folder(phantom_result, tmp_path):
    return shutil.copytree(phantom_result, tmp_path / "heart")


def test_labels_and_image_stand_where_the_function_says(phantom_result):
    scan = read_again(phantom_result)
    points = Grid.of_scan(scan.fitted.frame).world()
    shape = tuple(scan.fitted.frame.shape)
    assert scan.labels.shape == scan.image.shape == (*shape, len(scan.times))
    for t in (0, 2):
        values = scan.fitted.read(points, scan.times[t]).numpy()
        agree = values[1:].argmax(axis=0).reshape(shape) == scan.labels[..., t]
        assert agree[scan.labels[..., t] > 0].mean() > 0.97
        assert np.corrcoef(values[0], scan.image[..., t].ravel())[0, 1] > 0.8
    assert scan.class_names == {1: "LV", 2: "MYO", 3: "RV"} and scan.missing == ""


def test_files_stored_in_another_orientation_are_turned_back(folder):
    before = read_again(folder)
    file = folder / "heart_seg.nii.gz"
    turned = nib.load(file).as_reoriented([[1, -1], [2, 1], [0, -1]])
    nib.save(turned, file)
    np.testing.assert_array_equal(read_again(folder).labels, before.labels)


def test_one_file_a_frame(folder):
    before = read_again(folder)
    file = folder / "heart_seg.nii.gz"
    labels = np.asarray(nib.load(file).dataobj)
    names = [f"heart_frame{i:02d}.nii.gz" for i in range(labels.shape[3])]
    for i, name in enumerate(names):
        save_nifti(folder / name.replace(".nii", "_seg.nii"), np.ascontiguousarray(labels[..., i]), str(file))
    file.unlink()
    content = torch.load(folder / "heart_latent.pt", weights_only=True)
    save_tensors({**content, "files": names}, folder / "heart_latent.pt")
    np.testing.assert_array_equal(read_again(folder).labels, before.labels)


@pytest.mark.parametrize("paths", [["/none/there/heart.nii.gz"], None])
def test_without_its_image_it_is_said_and_no_path_is_told(folder, paths):
    content = torch.load(folder / "heart_latent.pt", weights_only=True)
    save_tensors({**content, "image_files": paths}, folder / "heart_latent.pt")
    scan = read_again(folder)
    assert scan.image is None and scan.labels.any()
    assert scan.missing and "/none" not in scan.missing
    assert paths is None or "heart.nii.gz: there is no such file" in scan.missing


def test_a_segmentation_of_another_scan_is_refused(folder):
    file = folder / "heart_seg.nii.gz"
    image = nib.load(file)
    moved = image.affine.copy()
    moved[:3, 3] += 500
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), file)
    with pytest.raises(InputError, match="heart_seg.nii.gz: does not have the grid"):
        read_again(folder)
    file.unlink()
    with pytest.raises(InputError, match="holds no segmentation"):
        read_again(folder)
