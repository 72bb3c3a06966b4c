"""Folders with something unusual are read as the right folder is, with a line about it, or refused with a sentence."""

import re

import numpy as np
import pytest
from helpers.corpus import CASES, expected, the_subject
from nibabel.affines import apply_affine

from nisf.io.dicom_cine import find_scan
from nisf.utils.errors import InputError


@pytest.fixture(scope="module")
def subject():
    return the_subject()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case, subject, tmp_path):
    options = case.options or {}
    source = case.make(subject, tmp_path / "scan")
    if case.refused:
        with pytest.raises(InputError, match=re.escape(case.refused)):
            find_scan(source, options.get("stack"), options.get("strict", False))
        return
    scan = find_scan(source, options.get("stack"), options.get("strict", False))
    assert case.notes in scan.notes[0] if case.notes else not scan.notes, scan.notes
    array, affine = expected(case, subject)
    turn = np.rint(np.linalg.inv(affine) @ scan.affine)  # voxel that comes out to voxel of the right array
    np.testing.assert_allclose(affine @ turn, scan.affine, atol=1e-3)
    places = scan.kept_slices or list(range(scan.shape[2]))
    at = apply_affine(turn, np.stack(np.meshgrid(*map(np.arange, scan.shape[:3]), indexing="ij"), -1)[:, :, places])
    right, found = array[tuple(np.moveaxis(at.astype(int), -1, 0))], scan.array()[:, :, places]
    assert set(np.unique(at[..., 2])) == set(range(array.shape[2])) - set(case.missing)
    if case.near:
        assert np.abs(found - right).max() <= case.near * np.ptp(array)
        assert np.corrcoef(found.ravel(), right.ravel())[0, 1] > 0.98
    else:
        np.testing.assert_allclose(found, right, atol=1e-3)
