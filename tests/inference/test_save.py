"""Results have the shape of their scan's file, and a folder of their own."""

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.nifti_files import SHAPE, classes, save, series

from nisf.inference.save import SaveCined
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of


@pytest.mark.parametrize("shape", [SHAPE[:3], (*SHAPE[:3], 1), SHAPE, (*SHAPE, 1)])
def test_saved_segmentation_has_the_shape_of_its_file(tmp_path, shape):
    path = save(tmp_path / "p1_sa.nii.gz", series(shape))
    item = LoadCined()({"subject": "p1", "image": path})
    frames = item["image"].shape[-1]
    item["seg"] = torch.from_numpy(classes((*SHAPE[:3], frames)))[None]
    saved = SaveCined("seg", str(tmp_path / "out"))({**item, "scan": scan_of(item["image"])})["saved"]
    assert saved == [str(tmp_path / "out" / "p1_sa" / "p1_sa_seg.nii.gz")]
    assert nib.load(saved[0]).shape == shape
    assert nib.load(saved[0]).header.get_zooms() == nib.load(path).header.get_zooms()


def test_saved_frames_are_files_of_their_own_beside_each_other(tmp_path):
    files = [save(tmp_path / f"p1_frame0{t}.nii.gz", series()[..., t], codes=(2, 0)) for t in range(3)]
    item = LoadCined()({"subject": "p1", "image": files})
    item["seg"] = torch.from_numpy(classes())[None]
    saved = SaveCined(["seg"], str(tmp_path / "out"))({**item, "scan": scan_of(item["image"])})["saved"]
    assert saved == [str(tmp_path / "out" / "p1" / f"p1_frame0{t}_seg.nii.gz") for t in range(3)]
    for t, path in enumerate(saved):
        written = nib.load(path)
        assert np.array_equal(np.asarray(written.dataobj), classes()[..., t]) and written.get_data_dtype() == np.uint8
        assert (int(written.header["sform_code"]), int(written.header["qform_code"])) == (2, 0)


def test_probabilities_and_reconstruction_are_saved_as_float32(tmp_path):
    path = save(tmp_path / "p1.nii.gz", series(), codes=(1, 2))
    item = LoadCined()({"subject": "p1", "image": path})
    item["prob"] = torch.rand(4, *SHAPE).half()
    item["recon"] = torch.rand(1, *SHAPE).half()
    prob, recon = (
        nib.load(p)
        for p in SaveCined(["prob", "recon"], str(tmp_path / "out"))({**item, "scan": scan_of(item["image"])})["saved"]
    )
    assert prob.shape == (*SHAPE, 4) and recon.shape == SHAPE, "classes last"
    assert np.array_equal(np.moveaxis(prob.get_fdata(), -1, 0), item["prob"].double().numpy())
    for written in (prob, recon):
        assert written.get_data_dtype() == np.float32
        assert np.array_equal(written.affine, nib.load(path).affine)
        assert (int(written.header["sform_code"]), int(written.header["qform_code"])) == (1, 2)
        assert written.header.get_zooms()[3] == np.float32(0.05)


def test_scans_whose_files_have_one_name_get_folders_of_their_own(tmp_path):
    saved = []
    for subject in ("1001", "1002"):
        (tmp_path / subject).mkdir()
        item = LoadCined()({"subject": subject, "image": save(tmp_path / subject / "sa.nii.gz", series())})
        item["seg"] = torch.from_numpy(classes())[None]
        saved += SaveCined("seg", str(tmp_path / "out"))({**item, "scan": scan_of(item["image"])})["saved"]
    assert saved == [str(tmp_path / "out" / subject / "sa_seg.nii.gz") for subject in ("1001", "1002")]
