"""The table of faults: each row says where its fault was tried, by tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doclab import ROOT, read_page, table_rows

ROWS = table_rows(read_page("docs/sites.md").section("Faults that were tried"))
PLACES = {
    "sites": ("tests_sites/", "tests/sites/test_real_server.py"),
    "wire": ("tests/engine/",),
    "local": ("tests/cli/test_kill_and_resume.py",),
    "parts": ("tests/",),
}
NOT_TRIED = "not tried"


def _tests() -> dict[str, set[str]]:
    """Files in which a test function of each name is."""
    found: dict[str, set[str]] = {}
    for folder in ("tests", "tests_sites"):
        for path in Path(ROOT / folder).rglob("test_*.py"):
            for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.M):
                found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return found


TESTS = _tests()


def _claims(cell: str) -> list[tuple[str, str]]:
    parts = (one.strip().partition(": ") for one in cell.split(";"))
    return [(place, what) for place, _, what in parts]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_tests_that_are_where_it_says(row: list[str]) -> None:
    _, happens, where = row
    claims = _claims(where)
    assert claims[0][0] == "sites", "every row says what was tried with real sites"
    tried = 0
    for place, what in claims:
        names = re.findall(r"`(test_\w+)`", what)
        assert ", ".join(f"`{name}`" for name in names) == what or what == NOT_TRIED
        for name in names:
            assert any(file.startswith(PLACES[place]) for file in TESTS.get(name, ())), name
        tried += len(names)
    assert bool(tried) == bool(happens), "what nobody tried is not said to happen"


def test_every_fault_that_has_to_be_withstood_is_in_the_table() -> None:
    faults = " ".join(row[0] for row in ROWS)
    for word in (
        *("process is killed", "site is killed", "upload", "download", "coordinator is killed"),
        *("holds the log", "object store", "coordinator's disk", "member's disk", "many rounds"),
        *("two coordinators", "clock", "expired", "revoked", "forged", "another federation"),
        *("says nothing", "falls silent"),
    ):
        assert word in faults
