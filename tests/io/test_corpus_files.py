"""Scans as archives, converters and people store them are read as what they are, or refused with the reason."""

import logging
import tempfile

import numpy as np
import pytest
from helpers.corpus_files import CASES, small_cine
from helpers.dicom_help import examination

from nisf.io.datalist import load_split
from nisf.io.images import read_scan
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of
from nisf.utils.errors import InputError


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """Array and affine of the small cine, and of the examination."""
    found = read_scan(str(examination(tmp_path_factory.mktemp("right"))[1]))
    return {False: small_cine(), True: (found.array, found.affine)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_stored_scan(case, right, tmp_path, monkeypatch, caplog):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "files").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    given = str(case.make(tmp_path / "files"))
    (subject,) = load_split(case.layout, given if case.layout != "images" else [given], "all")
    assert subject["subject"] in ("cine", "scan", "frame", "files")
    with caplog.at_level(logging.WARNING):
        if case.refused:
            with pytest.raises(InputError, match=case.refused) as told:
                LoadCined("image")(subject)
            assert given in str(told.value) and str(tmp_path / "scratch") not in str(told.value)
        else:
            image = LoadCined("image")(subject)["image"]
            array, affine = right[case.dicom]
            np.testing.assert_array_equal(image[0].numpy(), array)
            np.testing.assert_allclose(image.affine, affine, atol=1e-4)
            step = case.starts[1] if case.starts else scan_of(image).frame_duration if case.dicom else 0.0
            assert scan_of(image).frame_duration == pytest.approx(step, rel=1e-4)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("nisf")]
    assert case.said in " ".join(told) and bool(case.said) == bool(told)
    assert not list((tmp_path / "scratch").iterdir()), "nothing is left"
    assert not list(tmp_path.rglob("evil*")), "nothing is written elsewhere"
