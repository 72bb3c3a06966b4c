"""Charts as SVG: segments at their places, bars of their heights, words escaped."""

import math
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from helpers.report_scans import HOSTILE, SEGMENTS

from nisf.report.charts import THICKENING, bulls_eye, histogram, wall_colour


def test_names_from_files_are_escaped():
    segment = {"segment": 1, "name": HOSTILE, "value": 5.0, "low": None, "high": None}
    assert HOSTILE in "".join(xml.fromstring(bulls_eye([segment])).itertext())


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


def test_per_cent_have_no_decimals_and_the_limits_of_their_own_colours():
    segments = [{"segment": i + 1, "name": name, "value": 3.0, "thickening": 50.0} for i, name in enumerate(SEGMENTS)]
    first, *_ = xml.fromstring(bulls_eye(segments, "%", "thickening", THICKENING, "thickening")).iter("g")
    assert first.find("title").text == "1 basal anterior: 50 %" and first.find("text").text == "50"
    # both are half-way; the text has the colour of its group
    assert (first.find("path").get("fill"), first.get("fill")) == wall_colour(10.0)


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
