"""Tables of docs/scale.md are what the command prints."""

from __future__ import annotations

from doclab import read_page
from scale_page import render


def test_every_table_is_the_commands_output() -> None:
    text = read_page("docs/scale.md").text
    assert text.count("a round, ") >= 3
    assert render(text) == text
