"""The grid of an image file."""

import nibabel as nib
import numpy as np
import pytest
from helpers.phantom_dicom import Examination
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from nisf.geometry.grid import even_times
from nisf.io.images import image_grid, read_image
from nisf.utils.errors import InputError


def oblique(spacing=(1.5, 1.2, 8.0), seed=0):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() * spacing
    affine[:3, 3] = [11.0, -42.0, 7.0]
    return affine


@pytest.mark.parametrize("shape, times", [((6, 5, 4), 1), ((6, 5, 4, 3), 3)])
def test_the_grid_of_a_nifti_file(tmp_path, shape, times):
    affine = oblique()
    nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), affine), tmp_path / "a.nii.gz")
    grid = image_grid(tmp_path / "a.nii.gz")
    assert grid.shape == (6, 5, 4) and grid.times == even_times(times)
    np.testing.assert_allclose(grid.affine, affine, atol=1e-4)


def test_the_grid_of_a_dicom_file(tmp_path):
    """Written with its own directions in LPS, as a scanner does; read in RAS."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    one = pydicom.Dataset()
    one.file_meta = pydicom.dataset.FileMetaDataset()
    one.file_meta.TransferSyntaxUID, one.file_meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = MRImageStorage, generate_uid(), "MR"
    one.SeriesInstanceUID, one.StudyInstanceUID = generate_uid(), generate_uid()
    one.Rows, one.Columns, one.SamplesPerPixel, one.PhotometricInterpretation = 5, 7, 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, 0
    right, down = np.array([0.6, 0.8, 0.0]), np.array([0.0, 0.0, -1.0])
    one.ImageOrientationPatient, one.ImagePositionPatient = [*right, *down], [10.0, -20.0, 30.0]
    one.PixelSpacing, one.SliceThickness = [2.0, 1.5], 6.0  # between rows, between columns
    one.PixelData = np.arange(35, dtype=np.uint16).tobytes()
    one.save_as(tmp_path / "lax.dcm", enforce_file_format=True)
    grid = image_grid(tmp_path / "lax.dcm")
    assert sorted(grid.shape) == [1, 5, 7] and grid.times == (0.0,)
    lps = np.array([10, -20, 30]) + np.array([4 * 2.0 * down, 6 * 1.5 * right, np.zeros(3)]).sum(axis=0)
    last = np.array(grid.shape) - 1
    np.testing.assert_allclose(apply_affine(grid.affine, last), lps * [-1, -1, 1], atol=1e-4)


def long_axis(folder, frames=4, slices=1):
    """A long-axis cine as a scanner exports it, its array and affine."""
    affine = oblique((2.0, 1.5, 6.0))
    array = np.random.default_rng(0).integers(0, 900, (7, 5, slices, frames)).astype(np.int16)
    Examination(folder, beat=800.0).add(3, "cine_4ch", array, affine)
    return array, affine


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("frames", [1, 4])
def test_a_dicom_series_is_read_slice_by_slice_and_frame_by_frame(tmp_path, frames, slices):
    array, affine = long_axis(tmp_path, frames, slices)
    found, grid = read_image(tmp_path)
    assert grid.shape == (7, 5, slices) and grid.times == even_times(frames)
    straight = np.allclose(grid.affine, affine, atol=1e-4)  # slices may be counted from the other end
    world = apply_affine(affine, np.argwhere(array[..., 0] >= 0)[:: 1 if straight else -1])
    np.testing.assert_array_equal(found, array if straight else array[:, :, ::-1])
    assert abs(np.linalg.det(grid.affine[:3, :3])) == pytest.approx(2 * 1.5 * 6, rel=1e-4), "6 mm thick"
    middle = (np.array(grid.shape) - 1) / 2
    np.testing.assert_allclose(apply_affine(grid.affine, middle), world.mean(axis=0), atol=1e-3)


def test_a_still_of_the_cycle_has_its_time(tmp_path):
    array, affine = long_axis(tmp_path / "cine")
    timed = {"TriggerTime": 600.0, "NominalInterval": 800}
    Examination(tmp_path / "still").add(5, "lge", array[..., :1], affine, **timed)
    assert image_grid(tmp_path / "still").times == (pytest.approx(0.75),)


def test_several_stacks_in_one_folder_are_named(tmp_path):
    array, affine = long_axis(tmp_path)
    affine[:3, :3] = affine[:3, [1, 2, 0]]
    Examination(tmp_path, beat=800.0).add(4, "cine_2ch", array, affine)
    with pytest.raises(InputError, match=r"2 stacks \(slices x frames: series 3: 1 x 4, series 4: 1 x 4\); give a f"):
        image_grid(tmp_path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    for name, words in (("a.nii.gz", "is empty, cut off or no image"), ("b.nii.gz", "there is no such image")):
        with pytest.raises(InputError, match=f"{name}.*{words}"):
            image_grid(tmp_path / name)
