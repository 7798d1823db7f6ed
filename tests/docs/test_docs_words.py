"""What no page may hold: places of one machine, unfinished work, traces of a merge."""

from __future__ import annotations

import re

import pytest
from doclab import Page, pages, read_page

PAGES = pages()
_MACHINE = re.compile(r"(?<![\w.>*])/(?:work|tmp|home|root|mnt|Users|var|opt)\b")
_UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|TBD|lorem ipsum)\b|^(?:<{7}|>{7}) ", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_page_names_no_place_of_one_machine(page: Page) -> None:
    assert _MACHINE.findall(page.text) == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_page_is_finished(page: Page) -> None:
    assert _UNFINISHED.findall(page.text) == []


def test_readme_shows_a_real_output_of_the_demo() -> None:
    shown = read_page("README.md").text.partition("<!-- demo -->")[2].partition("<!-- /demo -->")[0]
    assert "Who gained what, in bits per byte" in shown
    assert "The shared model continues, in three languages" in shown
