"""Charts as SVG: values at their heights, segments at their places, words escaped."""

import math
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from helpers.report_scans import HOSTILE, SEGMENTS

from nisf.plots.style import COLOURS
from nisf.report.charts import bulls_eye, curves_chart, histogram, wall_colour


def a_curve(value, band=5.0, slices=None):
    value = np.asarray(value, float)
    return {
        "value": value.tolist(),
        "low": (value - band).tolist(),
        "high": (value + band).tolist(),
        "by_slices": slices,
    }


def points(element):
    return np.array([[float(v) for v in pair.split(",")] for pair in element.get("points").split()])


def test_curves_stand_at_their_heights_with_their_bands():
    time = np.linspace(0, 1, 11)
    curves = {"time": time.tolist(), "seconds": None, "LV": a_curve(100 + 50 * np.cos(2 * math.pi * time))}
    curves["RV"] = a_curve(np.full(11, 80.0), slices=[80.0, 60.0])
    chart = xml.fromstring(curves_chart(curves, {"ED": 0.0, "ES": 0.5}, [0.0, 0.4]))
    lv, rv = (points(one) for one in chart.iter("polyline"))
    assert lv[5, 1] > rv[5, 1] > lv[0, 1]  # y runs down: 50, 80, 150 mL
    per_ml = (lv[5, 1] - lv[0, 1]) / 100
    bands = [points(one) for one in chart.iter("polygon")]
    assert np.ptp(bands[1][:, 1]) == pytest.approx(10 * per_ml, abs=0.3)
    dots = [(float(c.get("cx")), float(c.get("cy"))) for c in chart.iter("circle")]
    assert dots[1][1] - dots[0][1] == pytest.approx(20 * per_ml, abs=0.3)
    assert dots[1][0] == pytest.approx(rv[4, 0], abs=0.2)
    assert [one.get("stroke") for one in chart.iter("polyline")] == [COLOURS[1], COLOURS[3]]
    es = next(one for one in chart.iter("line") if one.get("class") == "mark" and float(one.get("x1")) > 100)
    assert float(es.get("x1")) == pytest.approx(lv[5, 0], abs=0.2)
    assert "part of the cycle" in "".join(chart.itertext())


def test_a_curve_that_ends_before_the_cycle_is_closed_and_in_seconds():
    curves = {"time": [0.0, 0.25, 0.5, 0.75], "seconds": [0.0, 0.2, 0.4, 0.6], "LV": a_curve([100, 80, 60, 90])}
    chart = xml.fromstring(curves_chart(curves, {}, []))
    (line,) = (points(one) for one in chart.iter("polyline"))
    assert len(line) == 5 and line[-1, 1] == line[0, 1]
    assert "800" in [one.text for one in chart.iter("text")] and "time, ms" in "".join(chart.itertext())


def test_a_curve_without_intervals_has_no_band():
    curve = {**a_curve([50, 60]), "low": [None, None], "high": [None, None], "by_slices": None}
    chart = xml.fromstring(curves_chart({"time": [0, 1], "seconds": None, "LV": curve}, {}, [0.0]))
    assert list(chart.iter("polygon")) == [] and len(list(chart.iter("polyline"))) == 1


def test_names_from_files_are_escaped():
    curves = {"time": [0, 1], "seconds": None, HOSTILE: a_curve([1, 2])}
    segment = {"segment": 1, "name": HOSTILE, "value": 5.0, "low": None, "high": None}
    for text in (curves_chart(curves, {HOSTILE: 0.5}, []), bulls_eye([segment])):
        assert HOSTILE in "".join(xml.fromstring(text).itertext())


def test_segments_lie_where_the_heart_association_puts_them():
    segments = [{"segment": i + 1, "name": name, "value": i + 1.0} for i, name in enumerate(SEGMENTS)]
    segments[4] |= {"value": None}
    groups = list(xml.fromstring(bulls_eye(segments)).iter("g"))
    places = {}
    for group in groups:
        title, text = group.find("title").text, group.find("text")
        places[title.split(":")[0]] = (float(text.get("x")) - 160, 165 - float(text.get("y")))
    assert len(places) == 16 and "not known" in groups[4].find("title").text
    for name, (x, y) in places.items():
        ring = {"basal": 126, "mid": 83, "apical": 41}[name.split()[1]]
        assert math.hypot(x, y) == pytest.approx(ring, abs=1)
        wall = name.split()[2]
        assert ("septal" in wall) == (x < -1) and ("lateral" in wall) == (x > 1)
        assert not wall.startswith("antero") and wall != "anterior" or y > 0
        assert not wall.startswith("infero") and wall != "inferior" or y < 0


def test_a_thicker_wall_is_darker_and_its_number_readable():
    def light(colour):
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    pale, dark = wall_colour(4.0), wall_colour(16.0)
    assert light(pale[0]) > light(wall_colour(9.0)[0]) > light(dark[0])
    assert dark[1] == "#fff" and pale[1] != "#fff" and wall_colour(40.0) == dark


def test_a_histogram_counts_every_value():
    bars = list(xml.fromstring(histogram([1, 1, 1, 4, 7, 9], marked=9)).iter("rect"))
    counts = [int(bar.find("title").text.rsplit(":", 1)[1]) for bar in bars]
    assert sum(counts) == 6 and counts[0] == 3
    heights = [float(bar.get("height")) for bar in bars]
    np.testing.assert_allclose(np.array(heights) / heights[0], np.array(counts) / 3, atol=0.01)
    assert [bar.get("class") for bar in bars][-1] == "held"
