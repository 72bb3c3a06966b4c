"""Times and tables as text."""

from nisf.utils.text import clock, csv_text


def test_times_are_those_that_people_say():
    assert [clock(seconds) for seconds in (45, 720, 11100)] == ["45 s", "12 min", "3 h 5 min"]


def test_a_table_has_a_header_plain_newlines_and_quotes_where_they_are_needed():
    rows = [{"name": "a, b", "value": 0.1, "known": None}, {"name": 'say "x"', "value": float("nan"), "more": True}]
    assert csv_text(rows) == 'name,value,known,more\n"a, b",0.1,,\n"say ""x""",nan,,True\n'
    assert csv_text(rows, ("value", "name", "other")) == 'value,name,other\n0.1,"a, b",\nnan,"say ""x""",\n'
    assert csv_text([], ("a", "b")) == "a,b\n"
