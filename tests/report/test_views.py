"""Moving pictures of a page: the right frame in the right place, outlines on what they outline."""

import io
from dataclasses import replace

import numpy as np
import pytest
from helpers.report_scans import read_again
from nibabel.affines import apply_affine
from PIL import Image
from skimage.draw import polygon2mask

from nisf.plots.contours import PARTS
from nisf.report.views import FRAMES, axes_of, fewer, heart_box, plane_views, sheet, slices_view
from nisf.sampling.coarse_to_fine import UNEVEN


@pytest.fixture(scope="module")
def scan(phantom_result):
    return read_again(phantom_result)


@pytest.fixture(scope="module")
def planes(scan):
    return plane_views(scan, axes_of(scan))


def area(polygons, number):
    """mm^2 (of 1 mm pixels) that the polygons of a class enclose, holes not counted."""
    rings = [np.array(points).reshape(-1, 2) / PARTS for n, points in polygons if n == number]
    signed = [np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)) for x, y in (r.T for r in rings)]
    return abs(sum(signed)) / 2


def test_a_sheet_holds_every_frame_at_its_place():
    x, y, t = np.mgrid[:21, :13, :5]
    frames = (40 * t + x + 2 * y).astype(np.uint8)
    picture = np.asarray(Image.open(io.BytesIO(sheet(frames, 3)))).astype(int).T
    assert picture.shape == (3 * 24, 2 * 16)
    for i in range(5):
        left, top = i % 3 * 24, i // 3 * 16
        assert np.abs(picture[left : left + 21, top : top + 13] - frames[..., i]).max() <= 6


def test_the_stack_shows_image_and_outlines_of_every_slice_and_frame(scan):
    view = slices_view(scan)
    (x0, x1), (y0, y1), _ = heart_box(scan)
    cut = scan.labels[x0:x1, y0:y1]
    assert view.grey.shape == (scan.labels.shape[2], x1 - x0, y1 - y0, len(scan.times))
    for z in range(cut.shape[2]):
        for t in range(cut.shape[3]):
            for number in (1, 3):
                wanted = (cut[:, :, z, t] == number).sum()
                assert area(view.polygons[z][t], number) == pytest.approx(wanted, rel=0.15, abs=6)
    for z in (1, 3):
        seen = scan.image[x0:x1, y0:y1, z]
        assert np.corrcoef(seen.ravel(), view.grey[z].ravel())[0, 1] > 0.97
    plain = view.plain()
    assert len(plain["sheets"]) == len(plain["polygons"]) == len(plain["labels"]) == scan.labels.shape[2]


def test_the_box_holds_every_class_and_a_margin(scan):
    (x0, x1), (y0, y1), (z0, z1) = heart_box(scan)
    outside = scan.labels.copy()
    outside[x0:x1, y0:y1, z0:z1] = 0
    assert not outside.any()
    small = np.zeros_like(scan.labels)
    small[18:21, 22:24, 2, 1] = 1
    assert heart_box(replace(scan, labels=small))[:2] == ((13, 26), (17, 29))  # 14 mm are 5 voxels of 3 mm
    nothing = replace(scan, labels=np.zeros_like(scan.labels))
    assert heart_box(nothing) == tuple((0, n) for n in scan.labels.shape[:3])
    assert axes_of(nothing) is None and plane_views(nothing, None) == []


def test_without_the_image_the_reconstruction_is_shown(scan):
    with_image, without = slices_view(scan), slices_view(replace(scan, image=None))
    assert without.labels == with_image.labels
    for z in (1, 2):
        mm2 = [np.prod(v.spacing) * area(v.polygons[z][0], 1) for v in (with_image, without)]
        assert mm2[1] == pytest.approx(mm2[0], rel=0.15)
    assert np.corrcoef(without.grey[2, ..., 0].ravel(), with_image.grey[2, ..., 0].ravel())[0, 1] > 0.8


def test_planes_have_the_apex_below_and_the_rv_to_the_left(planes):
    four, two = planes
    assert (four.name, two.name) == ("4-chamber", "2-chamber")
    middle = {}
    for number in (1, 3):
        rings = [np.array(p).reshape(-1, 2) / PARTS for n, p in four.polygons[0][0] if n == number]
        middle[number] = np.concatenate(rings).mean(axis=0)
    assert middle[3][0] < middle[1][0] - 5
    # the cavity narrows downwards
    cavity = max((np.array(p).reshape(-1, 2) / PARTS for n, p in two.polygons[0][0] if n == 1), key=len)
    mask = polygon2mask(two.grey.shape[1:3], cavity)
    rows = np.flatnonzero(mask.any(axis=0))
    widths = [mask[:, rows[int(share * len(rows))]].sum() for share in (0.3, 0.95)]
    assert widths[0] > 1.2 * widths[1]


def test_a_plane_s_pixels_stand_where_its_affine_says(scan, planes):
    view = planes[0]
    pixels = np.argwhere(np.ones((*view.grey.shape[1:3], 1)))
    points = apply_affine(view.affine, pixels)
    inside = np.flatnonzero(scan.fitted.beyond(points) == 0)[::97]
    pixels, points = pixels[inside], points[inside]
    assert len(points) > 10
    expected = scan.fitted.read(points, view.times[1])[0].numpy() * 255
    np.testing.assert_allclose(
        [view.grey[0, x, y, 1] for x, y, _ in pixels], expected, atol=1 + 255 * UNEVEN
    )  # interpolated where it is nearly even


def test_fewer_times_are_spread_over_the_cycle():
    times = [i / 50 for i in range(50)]
    assert fewer(times[:7], FRAMES) == tuple(times[:7])
    assert fewer(times, 10) == pytest.approx([i / 10 for i in range(10)])
