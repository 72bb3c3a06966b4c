"""A real scan whose affine is wrong reaches the fit as the right file does."""

import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.wrong_affines import WRONG
from monai.transforms import Compose
from nibabel.affines import from_matvec

from nisf.geometry.orientation import has_orientation
from nisf.io.images import read_volume
from nisf.transforms.load import LoadCined
from nisf.utils.bundle import parser_of

SCAN = Path(__file__).resolve().parents[2] / "bundle" / "examples" / "volunteer" / "sax.nii.gz"


@pytest.fixture(scope="module")
def prepared():
    """Array [X, Y, Z] and affine of one frame, and what prepares a file up to the order of its slices."""
    parser = parser_of(["inference"])
    array, affine = read_volume(SCAN)
    steps = [parser.get_parsed_content(name) for name in ("orient", "add_unet_prob", "slice_order")]
    assert has_orientation(affine)
    array, affine = array[16:-16, 16:-16, :, 0], affine @ from_matvec(np.eye(3), [16, 16, 0])
    return array, affine, Compose([LoadCined("image"), *steps])


def test_where_lps_was_taken_for_ras_it_is_the_right_files_array(prepared, tmp_path, caplog):
    array, affine, steps = prepared
    found = []
    for name in ("right", "LPS taken for RAS"):
        with caplog.at_level(logging.INFO):
            path = WRONG[name].write(tmp_path / "scan.nii", array, affine)
            found.append(np.asarray(steps({"subject": "s", "image": str(path)})["image"]))
        assert caplog.text.count("scan.nii") == (name != "right")  # one line
    np.testing.assert_array_equal(*found)
    assert "as if LPS had been taken for RAS" in caplog.text
