"""Folders with something unusual are read as the right folder is, with a line about it, or refused with a sentence."""

import pytest
from helpers.corpus import outcome_of, the_subject
from helpers.corpus_cases import CASES


@pytest.fixture(scope="module")
def subject():
    return the_subject()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case, subject, tmp_path):
    outcome = outcome_of(case, subject, tmp_path / "scan")
    assert outcome.right, outcome
