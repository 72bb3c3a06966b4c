"""Surfaces of a page: the volumes of the fitted function, as one who faces the patient sees them."""

import base64
from dataclasses import replace

import numpy as np
import pytest
from helpers.report_scans import read_again
from nibabel.affines import apply_affine

from nisf.level_sets.surface import Surface
from nisf.report.surface import PARTS, TIME_POINTS, box_about, surface_data
from nisf.report.views import labelled_points


@pytest.fixture(scope="module")
def scan(phantom_result):
    return read_again(phantom_result)


@pytest.fixture(scope="module")
def data(scan):
    return surface_data(scan)


def unpacked(texts):
    points, corners = (base64.b64decode(text) for text in texts)
    vertices = np.frombuffer(points, "<i2").reshape(-1, 3) / PARTS
    return Surface("", vertices, np.frombuffer(corners, "<u2").reshape(-1, 3).astype(int), 0.0)


def test_surfaces_enclose_the_volumes_of_the_function(scan, data):
    box, step = box_about(scan, labelled_points(scan)), 3.0
    index = np.argwhere(np.ones([int(s // step) for s in box.size]))
    points = box.corner + (index + 0.5) * step @ box.axes.T
    assert len(data["time_points"]) == min(TIME_POINTS, len(scan.times)) == len(data["times"])
    for t, moment in list(enumerate(data["time_points"]))[::2]:
        classes = scan.fitted.classes(points, data["times"][t])
        for name, numbers in (("LV_endocardium", [1]), ("LV_epicardium", [1, 2]), ("RV", [3])):
            ml = (classes[numbers].sum(axis=0) > 0.5).sum() * step**3 / 1000
            assert unpacked(moment[name]).volume_ml == pytest.approx(ml, rel=0.1)


def test_they_are_seen_from_the_front_and_not_mirrored(scan, data):
    """The RV lies to the right of the LV in the patient: to the left in the picture."""
    affine = scan.fitted.frame.affine
    world = [apply_affine(affine, np.argwhere(scan.labels[..., 0] == n).mean(axis=0)) for n in (1, 3)]
    seen = [unpacked(data["time_points"][0][name]).vertices.mean(axis=0) for name in ("LV_endocardium", "RV")]
    away, shown = world[1] - world[0], seen[1] - seen[0]
    np.testing.assert_allclose(shown, [-away[0], away[2], away[1]], atol=8)
    assert shown[0] < -5
    np.testing.assert_array_equal([name for name, _, _ in data["looks"]], list(data["time_points"][0]))


def test_nothing_found_gives_no_surface(scan):
    assert surface_data(replace(scan, labels=np.zeros_like(scan.labels))) is None
