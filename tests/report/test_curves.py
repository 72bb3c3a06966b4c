"""Curves of volume: values, bands, dots and marks in their places; words escaped and the axes where the SVG says."""

import math
import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from helpers.report_scans import HOSTILE
from matplotlib.figure import Figure

from nisf.plots.style import COLOURS
from nisf.report.curves import curves_svg, draw_curves


def a_curve(value, band=5.0, slices=None):
    value = np.asarray(value, float)
    ends = {"low": (value - band).tolist(), "high": (value + band).tolist()}
    return {"value": value.tolist(), **ends, "by_slices": slices}


def drawn(*args):
    ax = Figure().add_subplot()
    draw_curves(ax, *args)
    return ax


def test_curves_stand_at_their_values_with_bands_dots_and_marks():
    time = np.linspace(0, 1, 11)
    curves = {"time": time.tolist(), "seconds": None, "LV": a_curve(100 + 50 * np.cos(2 * math.pi * time))}
    curves["RV"] = a_curve(np.full(11, 80.0), slices=[80.0, None, 60.0])
    ax = drawn(curves, {"ED": 0.0, "ES": 0.5}, [0.0, 0.2, 0.4])
    lv, rv, dots, _, es = ax.lines
    np.testing.assert_allclose(lv.get_xydata()[[0, 5]], [[0, 150], [50, 50]])
    assert (lv.get_color(), rv.get_color()) == (COLOURS[1], COLOURS[3])
    np.testing.assert_allclose(dots.get_xydata(), [[0, 80], [20, np.nan], [40, 60]])
    assert set(es.get_xdata()) == {50} and "ES" in [text.get_text() for text in ax.texts]
    corners = [band.get_paths()[0].vertices[:, 1] for band in ax.collections]
    assert [(one.min(), one.max()) for one in corners] == [(45, 155), (75, 85)]
    assert "part of the cycle" in ax.get_xlabel() and ax.get_ylim()[0] == 0


def test_a_curve_that_ends_before_the_cycle_is_closed_and_in_milliseconds():
    curves = {"time": [0.0, 0.25, 0.5, 0.75], "seconds": [0.0, 0.2, 0.4, 0.6], "LV": a_curve([100, 80, 60, 90])}
    ax = drawn(curves)
    np.testing.assert_allclose(ax.lines[0].get_xydata()[[1, -1]], [[200, 80], [800, 100]])
    assert ax.get_xlim() == pytest.approx((0, 800)) and ax.get_xlabel() == "time, ms"


def test_a_curve_without_intervals_has_no_band():
    curve = {**a_curve([50, 60]), "low": [None, None], "high": [None, None], "by_slices": None}
    ax = drawn({"time": [0, 1], "seconds": None, "LV": curve}, {}, [0.0])
    assert len(ax.collections) == 0 and len(ax.lines) == 1


def test_the_svg_escapes_names_and_says_where_its_axes_are():
    text = curves_svg({"time": [0, 1], "seconds": None, HOSTILE: a_curve([100, 200], 0)}, {HOSTILE + "$": 0.5}, [])
    svg = xml.fromstring(text)
    words = "".join(svg.itertext())
    assert words.count(HOSTILE) == 2 and "//" not in re.sub(r">[^<]*<", "><", text)
    left, width = float(svg.get("data-left")), float(svg.get("data-width"))
    line = next(one for one in svg.iter() if one.get("class") == "playhead")
    curve = next(one for one in svg.iter() if COLOURS[1] in (one.get("style") or "") and one.get("d"))
    places = np.array(re.findall(r"([\d.]+) ([\d.]+)", curve.get("d")), float)
    np.testing.assert_allclose(sorted(places[:, 0]), [left, left + width], atol=0.01)
    assert float(line.get("x1")) == left and float(line.get("y1")) <= places[:, 1].min() + 15
