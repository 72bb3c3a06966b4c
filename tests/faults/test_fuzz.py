"""Random inputs by the hundred: taken for what they are, or refused in one sentence; never a crash.

``pytest tests/faults/test_fuzz.py --fuzz 1000 -s`` tries more of them and says what became of them.
"""

import pytest
from helpers.fuzzed import KINDS, Fuzz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    return Fuzz(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_crashes(fuzz, kind, pytestconfig):
    number, counts = pytestconfig.getoption("--fuzz"), {True: 0, False: 0}

    # the same inputs every time; without a database, shrinking or deadlines
    @settings(
        max_examples=number, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def one(data):
        counts[getattr(fuzz, kind)(data)] += 1

    one()
    print(f"\n| {kind.replace('_', ' ')} | {sum(counts.values())} | {counts[True]} | {counts[False]} | 0 |")
    assert counts[True] > 0  # or nothing of what was taken has been looked at
    assert counts[False] > 0 or kind == "affines"
