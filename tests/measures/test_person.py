"""A table of people, and what may stand in it."""

import pytest

from nisf.measures.person import checked, people_of
from nisf.utils.errors import InputError


def table(folder, text):
    file = folder / "people.csv"
    file.write_text(text, encoding="utf-8-sig")  # as spreadsheets write it
    return str(file)


def test_what_is_known_comes_as_numbers_and_empty_cells_are_left_out(tmp_path):
    file = table(tmp_path, "scan,sex,height,weight,heart_rate\np1,f,170,65.5,\np2,,,,72\n")
    assert people_of(file) == {"p1": {"sex": "F", "height": 170.0, "weight": 65.5}, "p2": {"heart_rate": 72.0}}
    assert people_of(None) == {}
    assert checked("here", "all", {"sex": "M", "height": None, "weight": 80}) == {"sex": "M", "weight": 80.0}


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("name,height\np1,170\n", "its columns must be scan and any of"),
        ("scan,size\np1,170\n", "its columns must be scan and any of"),
        ("scan,height\np1,1.70\n", "the height of p1 is '1.70'; give a number from 50 to 260"),
        ("scan,weight\np1,heavy\n", "the weight of p1 is 'heavy'"),
        ("scan,heart_rate\np1,nan\n", "the heart_rate of p1 is 'nan'"),
        ("scan,sex\np1,woman\n", "the sex of p1 is 'woman'; write F, M"),
        ("scan,height\np1,170\np1,180\n", "names the scan p1 twice"),
        ("", "its columns must be scan"),
        ("scan,height\np1,170,80\n", "the line of p1 has more cells"),
        ("scan,height,\np1,170,80\n", "the line of p1 has more cells"),
    ],
)
def test_what_cannot_be_is_said_with_file_and_scan(text, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence) as caught:
        people_of(table(tmp_path, text))
    assert "people.csv" in str(caught.value)


def test_a_missing_table_is_named():
    with pytest.raises(InputError, match="nowhere.csv: there is no such file"):
        people_of("nowhere.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("end", ["", ",", ",,"])
def test_tables_of_any_spreadsheet_are_read(encoding, end, tmp_path):
    file = tmp_path / "people.csv"
    file.write_bytes(f"scan,height{end}\r\nJosé,170{end}\r\n".encode(encoding))
    assert people_of(str(file)) == {"José": {"height": 170.0}}
