"""A written array lies on the grid of its file, whole or not at all."""

import struct

import nibabel as nib
import numpy as np
import pytest
from helpers.nifti_files import SHAPE, classes, oblique_affine, save, series
from helpers.tiny import disk_full_after

from nisf.io.images import read_scan
from nisf.io.nifti import open_nifti, save_nifti, stem_of
from nisf.utils.errors import InputError


@pytest.mark.parametrize("codes", [(1, 1), (2, 0), (0, 3)])
@pytest.mark.parametrize("units", [("mm", "sec"), ("mm", "msec"), ("mm", "unknown")])
def test_written_series_lies_on_the_grid_of_its_file(tmp_path, codes, units):
    like = save(tmp_path / "i.nii.gz", series(), codes=codes, units=units)
    saved = nib.load(save_nifti(tmp_path / "new" / "o.nii.gz", classes(), like))
    reference = nib.load(like)
    assert np.array_equal(np.asarray(saved.dataobj), classes()) and saved.get_data_dtype() == np.uint8
    assert np.array_equal(saved.affine, reference.affine)
    for field in ("sform_code", "qform_code", "xyzt_units"):
        assert saved.header[field] == reference.header[field], field
    assert saved.header.get_zooms() == reference.header.get_zooms()
    assert saved.header.get_zooms()[3] == np.float32(0.05)


def test_voxel_sizes_that_the_sform_has_lost_are_those_of_the_header(tmp_path):
    """As ACDC's files are: an sform of -1, -1, 1 beside a qform and a pixdim of the true sizes."""
    true = np.diag([-1.3125, -1.3125, 10, 1.0])
    save(tmp_path / "i.nii.gz", series(), true)
    stored = nib.load(tmp_path / "i.nii.gz")
    stored.header["srow_x"], stored.header["srow_y"], stored.header["srow_z"] = np.diag([-1, -1, 1, 1])[:3]
    nib.save(nib.Nifti1Image(stored.dataobj, None, stored.header), tmp_path / "lost.nii.gz")
    assert np.array_equal(nib.load(tmp_path / "lost.nii.gz").affine, np.diag([-1, -1, 1, 1]))
    scan = read_scan(tmp_path / "lost.nii.gz")
    assert np.array_equal(scan.affine, true) and np.array_equal(scan.array, series())
    assert scan.frame_duration == pytest.approx(0.05)
    saved = nib.load(save_nifti(tmp_path / "o.nii.gz", classes(), str(tmp_path / "lost.nii.gz"), 0.05))
    assert np.array_equal(saved.affine, true) and saved.header.get_zooms() == stored.header.get_zooms()


def test_numbers_are_written_as_they_are_whatever_the_scaling_of_the_scan(tmp_path):
    image = nib.Nifti1Image(series()[..., 0].astype(np.float32), oblique_affine())
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.5, 100)
    image.header["cal_max"] = 900
    nib.save(image, tmp_path / "i.nii.gz")
    probability = np.random.default_rng(2).random(SHAPE[:3], dtype=np.float32)
    saved = nib.load(save_nifti(tmp_path / "o.nii.gz", probability, str(tmp_path / "i.nii.gz")))
    assert np.array_equal(saved.get_fdata(dtype=np.float32), probability)
    assert saved.get_data_dtype() == np.float32 and saved.header["cal_max"] == 0


def test_full_disk_leaves_no_half_file_and_the_old_one_in_place(tmp_path):
    like = save(tmp_path / "i.nii.gz", series((40, 40, 8, 3)))
    target = save_nifti(tmp_path / "out" / "o.nii.gz", np.zeros((40, 40, 8, 3), np.uint8), like)
    noise = np.random.default_rng(3).integers(0, 255, (40, 40, 8, 3)).astype(np.uint8)
    with disk_full_after(5000), pytest.raises(InputError, match="o.nii.gz: cannot be written .*; free space"):
        save_nifti(target, noise, like)
    assert [p.name for p in target.parent.iterdir()] == ["o.nii.gz"]
    assert not np.asarray(nib.load(target).dataobj).any(), "what was there before is whole"


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_folder_that_is_a_file_is_said_in_a_sentence(tmp_path, folder):
    like = save(tmp_path / "i.nii.gz", series())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written .a file stands where its folder should be.; .*output_dir"):
        save_nifti(tmp_path / folder / "o.nii.gz", classes(), like)


def test_target_that_is_a_folder_is_said_in_a_sentence(tmp_path):
    like = save(tmp_path / "i.nii.gz", series())
    (tmp_path / "o.nii.gz").mkdir()
    with pytest.raises(InputError, match="o.nii.gz: cannot be written"):
        save_nifti(tmp_path / "o.nii.gz", classes(), like)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["i.nii.gz", "o.nii.gz"], "no temporary file stays"


@pytest.mark.parametrize("name", ["a/b.c.nii.gz", "b.c.nii", "b.c.mha"])
def test_stem(name):
    assert stem_of(name) == "b.c"


def test_voxels_that_begin_nowhere(tmp_path):
    path = save(tmp_path / "a.nii", series())
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[108:112] = struct.pack("<f", np.inf)  # vox_offset
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InputError, match="no image"):
        open_nifti(path)
