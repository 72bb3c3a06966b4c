"""The picture of a scan's report."""

import numpy as np
import pytest
from helpers.report_scans import HOSTILE, measured, read_again
from matplotlib.figure import Figure
from matplotlib.image import imread

from nisf.plots.style import COLOURS
from nisf.report.summary import INK, draw_tile, summary_picture
from nisf.report.views import View, slices_view


def coloured(picture, colour, tolerance=0.12):
    wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.abs(picture[..., :3] - wanted).max(axis=-1) < tolerance


@pytest.fixture(scope="module")
def pictures(phantom_result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    scan = read_again(phantom_result)
    slices, found = slices_view(scan), {}
    flags = [{"text": HOSTILE, "severe": True}]
    for kind, trusted in (("unknown", None), ("good", True), ("bad", False)):
        quality = {"trusted": trusted, "predicted_dice": None, "flags": flags if trusted is False else []}
        measures = measured(phantom_result, quality=quality, subject=HOSTILE if trusted is False else "heart")
        found[kind] = imread(summary_picture(folder / f"{kind}.png", scan, measures, slices, []))
    found["still"] = imread(summary_picture(folder / "still.png", scan, {"measures": []}, slices, []))
    measured(phantom_result)
    return found


def test_quality_is_written_in_its_colour(pictures):
    for kind, picture in pictures.items():
        head = picture[: picture.shape[0] // 6, : picture.shape[1] // 2]
        counts = {other: coloured(head, ink, 0.01).sum() for other, ink in INK.items()}
        wanted = kind if kind in INK else "unknown"
        assert counts.pop(wanted) > 50 and max(counts.values()) == 0


def test_slices_are_outlined_at_both_phases(pictures):
    with_phases, still = pictures["unknown"], pictures["still"]
    assert with_phases.shape[0] > 1.4 * still.shape[0]
    for number in (1, 2, 3):
        rows = np.flatnonzero(coloured(with_phases[:, : with_phases.shape[1] // 2], COLOURS[number]).any(axis=1))
        assert rows.min() < 0.5 * with_phases.shape[0] < rows.max()


def test_a_tile_has_its_frame_and_outline_in_the_right_place():
    grey = np.zeros((1, 20, 10, 2), np.uint8)
    grey[0, 12:16, 2:5, 1] = 255
    square = [[1, [115, 15, 155, 15, 155, 45, 115, 45]]]
    view = View("", grey, [[[], square]], [""], (0.0, 0.5), (2.0, 3.0))
    figure = Figure(figsize=(4, 3))
    ax = figure.add_axes((0, 0, 1, 1))
    draw_tile(ax, view, 0, 0.45, "")
    shown = ax.images[0].get_array()
    assert shown[3, 13] == 255 and shown.shape == (10, 20)
    np.testing.assert_allclose(ax.lines[0].get_xydata()[0], (11.5 * 2, 1.5 * 3))
    assert ax.lines[0].get_color() == COLOURS[1] and len(ax.lines) == 1
