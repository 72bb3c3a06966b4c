"""Which array axis runs across the slices, where thin voxels leave it open."""

import logging

import numpy as np
import pytest
import torch
from helpers.phantom_dicom import Examination
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from nisf.geometry.orientation import APEX, SHORT_AXIS, directions
from nisf.transforms.load import LoadCined
from nisf.transforms.spatial import CanonicalOrientationd


def turned(affine, shape, caplog):
    """The directions of the axes of an image after it was turned, and the warning."""
    image = MetaTensor(torch.rand(1, *shape, 1), affine=torch.from_numpy(affine), meta={"filename_or_obj": "thin.nii"})
    with caplog.at_level(logging.WARNING):
        item = CanonicalOrientationd("image")({"image": image})
    return item["image"], caplog.text


def affine_of(columns, spacing):
    affine = np.eye(4)
    affine[:3, :3] = columns * spacing
    return affine


@pytest.mark.parametrize("shape", [(40, 30, 10), (10, 40, 30), (40, 10, 30)])
def test_few_slices_go_last_however_thin_they_are(shape, caplog):
    across = shape.index(10)
    spacing = np.roll([1.0, 1.4, 2.0], across)  # thinner than the pixels, which are not square
    image, said = turned(affine_of(Rotation.random(random_state=3).as_matrix(), spacing), shape, caplog)
    assert image.shape[3] == 10 and not said


def test_where_nothing_tells_the_last_axis_is_taken_with_a_warning(caplog):
    middle, _ = Rotation.align_vectors([APEX], [np.ones(3) / np.sqrt(3)])  # the apex lies between the three axes
    image, said = turned(affine_of(middle.as_matrix(), (1.0, 1.4, 2.0)[::-1]), (12, 11, 10), caplog)
    assert image.shape[3] == 10
    assert "thin.nii: neither voxel sizes nor directions tell which array axis" in said and "array_axes" in said


def test_slices_of_a_dicom_stack_are_known(tmp_path, caplog):
    """Nearly as many slices as columns, as thin as nothing else, at an odd angle: the files say which they are."""
    array = np.random.default_rng(0).integers(0, 900, (12, 8, 9, 3)).astype(np.int16)
    columns = SHORT_AXIS @ Rotation.from_euler("x", 40, degrees=True).as_matrix()
    Examination(tmp_path).add(7, "cine", array, affine_of(columns, (2.0, 1.0, 1.0)))
    with caplog.at_level(logging.WARNING):
        image = CanonicalOrientationd("image")(LoadCined("image")({"image": str(tmp_path)}))["image"]
    assert image.shape[3] == 9 and not caplog.text
    np.testing.assert_allclose(np.abs(directions(image.affine.numpy())[:, 2] @ columns[:, 2]), 1, atol=1e-6)
