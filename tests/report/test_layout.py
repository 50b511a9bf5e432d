"""Tables: aligned, folded where there is no room, whole as long as there is room for six characters of each text."""

import pytest

from millijoule.report.layout import Column, make_table
from tests.report.test_table import shown

COLUMNS = (Column("layer", text=True), Column("size,\nbytes"), Column("share", rank=1))
ROWS = (("first", "1,024", "10.0 %"), ("second_of_two", "9", "90.0 %"), ("total", "1,033", ""))


def test_headers_stand_at_the_bottom_and_totals_below_a_line():
    assert shown([make_table(COLUMNS, ROWS, total=True)], 80) == (
        "               size,\n"
        "layer          bytes   share\n"
        "----------------------------\n"
        "first          1,024  10.0 %\n"
        "second_of_two      9  90.0 %\n"
        "----------------------------\n"
        "total          1,033\n"
    )


def test_columns_go_by_rank_then_texts_are_folded():
    assert shown([make_table(COLUMNS, ROWS)], 20).splitlines()[1:] == [
        "layer          bytes",
        "--------------------",
        "first          1,024",
        "second_of_two      9",
        "total          1,033",
    ]
    assert shown([make_table(COLUMNS, ROWS)], 15).splitlines()[1:] == [
        "layer     bytes",
        "---------------",
        "first     1,024",
        "second_o      9",
        "f_two",
        "total     1,033",
    ]


@pytest.mark.parametrize("width", [13, 16, 30])
def test_characters_of_double_width_keep_columns_aligned(width):
    lines = shown([make_table(COLUMNS[:2], (("層一層一層一", "1"), ("a b", "22")))], width).splitlines()
    assert [line.rstrip()[-1] for line in lines[3:] if line.rstrip()[-1].isdigit()] == ["1", "2"]
    assert "".join(line.split()[0] for line in lines[3:-1]) == "層一層一層一"


def test_a_table_without_rows_is_its_header():
    assert shown([make_table(COLUMNS[:1], ())], 80) == "layer\n------\n"
