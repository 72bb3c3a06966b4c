"""Agreement with reference values, and the file that holds them."""

import numpy as np
import pytest

from nisf.measures.agreement import agreement
from nisf.measures.reference_values import reference_values
from nisf.utils.errors import InputError


def test_bias_limits_and_the_slope_of_values_drawn_to_their_mean():
    known = np.array([20.0, 35.0, 50.0, 60.0, 70.0, np.nan])
    found = agreement(0.8 * known + 12, known)
    assert (found.pairs, found.slope, found.intercept, found.r) == (5, *map(pytest.approx, (0.8, 12, 1.0)))
    apart = 12 - 0.2 * known[:5]
    assert (found.bias, found.limits) == (pytest.approx(apart.mean()), pytest.approx(1.96 * apart.std(ddof=1)))
    assert found.error == pytest.approx(np.abs(apart).mean())
    assert agreement([1, 2], [1, 2]) is None and np.isnan(agreement([1, 2, 3], [5, 5, 5]).slope)


def test_values_by_scan_from_a_table(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("scan,reader,LVEF,LVEDV\nfirst,me,55.5,\nsecond,me,40,180\n", encoding="utf-8-sig")
    assert reference_values(table) == {"first": {"LVEF": 55.5}, "second": {"LVEF": 40.0, "LVEDV": 180.0}}


@pytest.mark.parametrize(
    "text, words",
    [
        ("scan,EF\na,50\n", "needs a column scan and one or more of LVEDV"),
        ("LVEF\n50\n", "needs a column scan"),
        ("scan,LVEF\na,50\na,51\n", "names the scan a twice"),
        ("scan,LVEF\na,50 %\n", "the LVEF of a is '50 %'; give a number"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(tmp_path, text, words):
    table = tmp_path / "mine.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=words):
        reference_values(table)
    with pytest.raises(InputError, match="there is no such file"):
        reference_values(tmp_path / "other.csv")
