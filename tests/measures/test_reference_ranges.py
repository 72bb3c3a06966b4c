"""Published ranges: by sex, and what lies outside of them."""

import pytest

from nisf.measures.reference_ranges import ABSOLUTE, INDEXED, outside, references


def test_a_range_holds_95_percent_about_the_mean():
    one = references("LVEDV", "M")["M"]
    assert (one.low + one.high) / 2 == pytest.approx(one.mean)
    assert (one.high - one.mean) / one.deviation == pytest.approx(1.96)


def test_the_published_means_fit_each_other():
    """Stroke volume and ejection fraction follow from the volumes."""
    for sex in "FM":
        edv, esv, sv, ef = (references(name, sex)[sex].mean for name in ("LVEDV", "LVESV", "LVSV", "LVEF"))
        assert edv - esv == pytest.approx(sv, abs=1.5)
        assert 100 * (edv - esv) / edv == pytest.approx(ef, abs=1.5)


def test_both_sexes_are_given_where_it_is_not_known():
    assert list(references("LVEF")) == list(references("LVEF", "O")) == ["M", "F"]
    assert list(references("LVEF", "F")) == ["F"]
    assert references("RVEDV", "F") == {} and references("LVEDV", "F", indexed=True) == {}
    assert references("LVM", "F", indexed=True)["F"] is INDEXED["LVM"]["F"]


@pytest.mark.parametrize(
    "value, sex, word",
    [(200, "F", "high"), (200, "M", ""), (200, None, ""), (240, None, "high"), (90, "M", "low"), (90, None, "")],
)
def test_outside_of_the_sex_s_range_or_of_both(value, sex, word):
    assert outside(value, "LVEDV", sex) == word


def test_what_has_no_range_is_never_outside():
    assert outside(1e6, "RVEDV", "M") == "" and "RVEDV" not in ABSOLUTE
