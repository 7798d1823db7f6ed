"""Hostile words in what the terminal shows: they neither steer it nor turn a line around."""

import pytest

from concord.cli.plain import TURNING, printable
from concord.cli.say import columns


def test_turning_marks_and_escapes_vanish_and_joiners_stay():
    assert printable("a\u202etxt.exe\u2066b\u061c") == "atxt.exeb"
    assert printable("\x1b[2Jgone\x07") == "[2Jgone"
    assert printable("می\u200cخواهم") == "می\u200cخواهم"


@pytest.mark.parametrize("mark", sorted(TURNING))
def test_no_cell_of_a_table_moves_its_neighbours(mark):
    lines = columns([[f"name{mark}", "yes"], ["other\nline", "no"]])
    assert lines == ["name        yes", "other line  no"]
