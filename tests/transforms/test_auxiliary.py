"""Partial input as files: other series, loose points, a mask of valid voxels."""

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantom_dicom import Examination
from scipy.spatial.transform import Rotation

from nisf.transforms.auxiliary import MOST, LoadPartiald, read_series, with_partial
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd
from nisf.utils.errors import InputError


def oblique(spacing=(2.0, 2.0, 8.0)):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=1).as_matrix() * spacing
    affine[:3, 3] = [3.0, -20.0, 11.0]
    return affine


@pytest.fixture
def scan(tmp_path):
    """An item of a scan of 6 x 5 x 4 voxels and 2 frames, loaded."""
    array = np.random.default_rng(0).uniform(100, 900, (6, 5, 4, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, oblique()), tmp_path / "scan.nii.gz")
    return LoadCined("image")({"subject": "scan", "image": str(tmp_path / "scan.nii.gz")})


def test_an_image_becomes_points_where_its_affine_puts_them(tmp_path):
    """A single slice, as a long-axis plane is."""
    array = np.arange(24, dtype=np.float32).reshape(4, 3, 1, 2)
    nib.save(nib.Nifti1Image(array, oblique()), tmp_path / "lax.nii.gz")
    found = read_series(str(tmp_path / "lax.nii.gz"))
    assert found.points.shape == (24, 3) and found.intensity.shape == (1, 24)
    index = np.argwhere(np.ones((4, 3, 1)))
    np.testing.assert_allclose(found.points[::2], nib.affines.apply_affine(oblique(), index), atol=1e-4)
    np.testing.assert_array_equal(found.times.reshape(-1, 2), np.tile([0.0, 0.5], (12, 1)))
    order = found.intensity[0].argsort(stable=True)
    assert torch.equal(order, torch.arange(24)) and float(found.intensity.min()) == 0 == 1 - float(
        found.intensity.max()
    )


def test_a_dicom_cine_becomes_the_points_of_the_same_nifti(tmp_path):
    array = np.random.default_rng(0).integers(0, 900, (4, 3, 1, 5)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, oblique()), tmp_path / "lax.nii.gz")
    Examination(tmp_path / "lax").add(3, "cine_2ch", array, oblique())
    nifti, dicom = (read_series(str(tmp_path / name)) for name in ("lax.nii.gz", "lax"))
    np.testing.assert_allclose(dicom.points, nifti.points, atol=1e-3)
    np.testing.assert_array_equal(dicom.times, nifti.times)
    assert torch.equal(dicom.intensity, nifti.intensity)


def test_a_csv_file_becomes_points(tmp_path):
    (tmp_path / "a.csv").write_text("intensity,x,y,z,time\n10,1,2,3,0.25\n30,4,5,6,1.5\n20,7,8,9,0\n")
    found = read_series(str(tmp_path / "a.csv"))
    np.testing.assert_array_equal(found.points, [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    np.testing.assert_array_equal(found.times, [0.25, 0.5, 0])
    assert found.intensity[0, 2] == pytest.approx(0.5, abs=0.02)


def test_a_long_series_is_thinned(tmp_path):
    array = np.random.default_rng(0).uniform(0, 1, (80, 80, 2, 20)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, oblique()), tmp_path / "long.nii.gz")
    found = read_series(str(tmp_path / "long.nii.gz"))
    assert len(found.points) == len(found.times) == found.intensity.shape[1] == MOST


@pytest.mark.parametrize(
    "text, said",
    [
        ("x,y,z\n1,2,3\n", "no column 'intensity'"),
        ("x,y,z,intensity\n1,2,3,many\n", "line 2 has a value that is not a number"),
        ("x,y,z,intensity\n", "has no points"),
        ("x,y,z,intensity\n1,2,3,4\n5,6,7,4\n", "constant, NaN or infinite"),
        ("x,y,z,intensity\n1,2,3,4\n5,6,7,nan\n", "constant, NaN or infinite"),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_named(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=f"a.csv: .*{said}"):
        read_series(str(tmp_path / "a.csv"))


def test_what_a_mask_leaves_out_gets_the_median_and_may_not_be_seen(tmp_path, scan):
    mask = np.ones((6, 5, 4), np.uint8)
    mask[:2] = 0
    nib.save(nib.Nifti1Image(mask, oblique()), tmp_path / "mask.nii.gz")
    item = LoadPartiald()({**scan, "mask": str(tmp_path / "mask.nii.gz")})
    assert torch.equal(scan_of(item["image"]).mask, torch.from_numpy(mask > 0)) and "mask" not in item
    assert torch.equal(item["image"][:, 2:].as_tensor(), scan["image"][:, 2:].as_tensor())
    assert len(item["image"][:, :2].unique()) == 1
    assert scan_of(scan["image"]).mask is None


def test_a_mask_is_turned_and_cropped_as_the_image_is(tmp_path, scan):
    mask = (np.random.default_rng(1).random((6, 5, 4)) > 0.5).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, oblique()), tmp_path / "mask.nii.gz")
    item = LoadPartiald()({**scan, "mask": str(tmp_path / "mask.nii.gz")})
    item["image"][:] = item["image"].as_tensor() * scan_of(item["image"]).mask[None, ..., None]
    item = CropToFieldd("image", half_field=4.0)(CanonicalOrientationd("image")(item))
    image, found = item["image"].as_tensor(), scan_of(item["image"]).mask
    assert found.shape == image.shape[1:4] and found.numel() < mask.size, "turned, and something was cut away"
    assert torch.equal((image[0] != 0).all(dim=-1), found)


def test_series_go_with_the_image(tmp_path, scan):
    (tmp_path / "a.csv").write_text("x,y,z,intensity\n1,2,3,10\n4,5,6,30\n")
    item = LoadPartiald()({**scan, "series": [str(tmp_path / "a.csv")]})
    (found,) = scan_of(item["image"]).series
    assert found.points.tolist() == [[1, 2, 3], [4, 5, 6]] and "series" not in item


@pytest.mark.parametrize(
    "what, said", [("shape", "grid is not that"), ("affine", "grid is not that"), ("empty", "is empty")]
)
def test_a_mask_that_does_not_fit_is_refused(tmp_path, scan, what, said):
    array = np.full((6, 5, 3) if what == "shape" else (6, 5, 4), what != "empty", np.uint8)
    nib.save(nib.Nifti1Image(array, oblique() + 0.5 * (what == "affine")), tmp_path / "mask.nii.gz")
    with pytest.raises(InputError, match=f"mask.nii.gz: .*{said}"):
        LoadPartiald()({**scan, "mask": str(tmp_path / "mask.nii.gz")})


def test_partial_input_belongs_to_one_scan(tmp_path):
    (tmp_path / "a.csv").write_text("")
    one = [{"subject": "a"}]
    assert with_partial(one, [], None) == one
    assert with_partial(one, [str(tmp_path / "a.csv")], None)[0]["series"] == [str(tmp_path / "a.csv")]
    with pytest.raises(InputError, match="2 were named"):
        with_partial(one * 2, [str(tmp_path / "a.csv")], None)
    with pytest.raises(InputError, match="b.csv: there is no such file"):
        with_partial(one, str(tmp_path / "b.csv"), None)
