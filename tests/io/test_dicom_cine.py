"""A DICOM cine gives the array, affine and times of the same scan as NIfTI, and what the header tells besides."""

import numpy as np
import pydicom
import pytest
from helpers.dicom_help import change, enhanced, examination, of_series
from helpers.phantom_dicom import Examination, stored

from nisf.io.dicom_cine import find_scan
from nisf.io.dicom_headers import dicom_paths
from nisf.utils.errors import InputError


def same_world(scan, array, affine):
    """Whether a DICOM scan shows a NIfTI's array at the same places, whichever end its slices begin at."""
    turned = affine.copy()
    turned[:3, 2], turned[:3, 3] = -affine[:3, 2], affine[:3, 3] + (array.shape[2] - 1) * affine[:3, 2]
    straight = np.allclose(scan.affine, affine, atol=1e-4)
    assert straight or np.allclose(scan.affine, turned, atol=1e-4)
    np.testing.assert_array_equal(scan.array(), array if straight else array[:, :, ::-1])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [False, True])
def test_array_and_affine_are_those_of_the_nifti(tmp_path, seed, spread):
    subject, folder = examination(tmp_path, seed, spread=spread)
    scan = find_scan(folder)
    same_world(scan, stored(subject), subject.acquisition.affine)
    assert scan.array().dtype == np.float32 and scan.array().shape == scan.shape
    assert scan.frame_duration == pytest.approx(subject.acquisition.frame_duration, rel=1e-6)
    assert np.array_equal(scan.affine, scan.affine.astype(np.float32)), "what a NIfTI header keeps"


def test_pixels_are_rescaled_slice_by_slice(tmp_path):
    subject, folder = examination(tmp_path, others=False)
    factor = {}

    def edit(data):
        factor[round(float(data.SliceLocation), 3)] = slope = 1 + (data.InstanceNumber - 1) // 3
        data.RescaleSlope, data.RescaleIntercept = slope, -slope

    change(folder, edit)
    scan = find_scan(folder)
    plain = find_scan(examination(tmp_path / "plain", others=False)[1]).array()
    for z, pictures in enumerate(scan.slices):
        slope = factor[round(pictures[0].position @ pictures[0].normal, 3)]
        np.testing.assert_array_equal(scan.array()[:, :, z], plain[:, :, z] * slope - slope)


def test_reversed_names_and_numbers_of_slices_change_nothing(tmp_path):
    subject, folder = examination(tmp_path, others=False)
    last = subject.acquisition.shape[2] * 3 + 1

    def edit(data):
        data.InstanceNumber = last - data.InstanceNumber
        data.AcquisitionNumber = 99 - data.AcquisitionNumber

    change(folder, edit)
    same_world(find_scan(folder), stored(subject), subject.acquisition.affine)


def test_pixels_need_not_be_square_nor_images(tmp_path):
    affine = examination(tmp_path / "plain", others=False)[0].acquisition.affine * [0.5, 0.75, 1, 1]
    array = np.random.default_rng(0).integers(0, 2000, (7, 5, 4, 3)).astype(np.int16)
    Examination(tmp_path / "exam").add(1, "cine", array, affine)
    same_world(find_scan(tmp_path / "exam"), array, affine)


def test_an_enhanced_file_is_a_scan(tmp_path):
    subject, _ = examination(tmp_path / "classic", others=False)
    array, affine = stored(subject), subject.acquisition.affine
    scan = find_scan(enhanced(tmp_path / "one.dcm", array, affine, beat=900.0))
    same_world(scan, array, affine)
    assert scan.frame_duration == pytest.approx(0.3) and scan.person["heart_rate"] == pytest.approx(60 / 0.9)


@pytest.mark.parametrize(
    "elements, seconds, rate",
    [
        ({"TriggerTime": None, "NominalInterval": 750, "HeartRate": None}, 0.0, 80),
        ({"TriggerTime": None, "NominalInterval": 0, "HeartRate": 50}, 0.0, 50),
        ({"TriggerTime": None, "NominalInterval": None, "HeartRate": None}, 0.0, None),
    ],
)
def test_frame_duration_and_heart_rate_from_what_the_header_has(tmp_path, elements, seconds, rate):
    scan = find_scan(examination(tmp_path, others=False, **elements)[1])
    assert scan.frame_duration == pytest.approx(seconds)
    assert scan.person["heart_rate"] == rate


def test_patient_sizes_that_nobody_typed_in_are_unknown(tmp_path):
    _, folder = examination(tmp_path, others=False)

    def edit(data):
        data.PatientSex, data.PatientSize, data.PatientWeight = "O", 0, None

    change(folder, edit)
    person = find_scan(folder).person
    assert (person["sex"], person["height_cm"], person["weight_kg"]) == (None, None, None)


def test_damaged_pixels_are_named(tmp_path):
    _, folder = examination(tmp_path, others=False)
    (path,) = [p for p in dicom_paths(folder) if pydicom.dcmread(p).InstanceNumber == 5]
    content = open(path, "rb").read()
    open(path, "wb").write(content[:-400])
    with pytest.raises(InputError, match=f"{path}: its pixels cannot be read .*; export the series again"):
        find_scan(folder).array()


def test_compressed_pixels_are_read(tmp_path):
    subject, folder = examination(tmp_path, others=False)
    change(folder, lambda data: data.compress(pydicom.uid.RLELossless), of_series(7))
    same_world(find_scan(folder), stored(subject), subject.acquisition.affine)
