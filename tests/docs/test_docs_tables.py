"""Tables that repeat what the code says: fields, errors, dependencies."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from typing import Any

import pytest
from charter_page import PAGE as CHARTER
from doclab import ROOT, read_page, table_rows
from fields_page import FieldsPage, sections_of
from run_document_page import PAGE as RUN

from concord.base import errors
from concord.base.errors import ConcordError, RefusalReason
from concord.charter.constitution import Charter
from concord.charter.run import parse_run
from concord.charter.template import default_charter
from concord.federation.folders import MemberFile

FIELDS = pytest.mark.parametrize("page", [RUN, CHARTER], ids=lambda page: page.root)


@FIELDS
def test_page_has_every_field_with_its_default(page: FieldsPage) -> None:
    shown = read_page(page.name)
    assert page.render(shown) == shown.text, "refresh it: see CONTRIBUTING.md, Documents"


@FIELDS
def test_page_has_every_section_once(page: FieldsPage) -> None:
    assert sorted(sections_of(read_page(page.name))) == sorted(page.sections())


@FIELDS
def test_every_field_is_explained(page: FieldsPage) -> None:
    rows = [row for row in table_rows(read_page(page.name).text) if len(row) == 4]
    assert [row[0] for row in rows if not row[3]] == []


def _tree(root: type[ConcordError]) -> list[type[ConcordError]]:
    return [root, *chain.from_iterable(_tree(child) for child in root.__subclasses__())]


def test_error_page_lists_exactly_the_tree_of_errors() -> None:
    rows = table_rows(read_page("docs/errors.md").section("Codes"))
    told = {(row[0].strip("`"), row[1].strip("`"), int(row[2])) for row in rows}
    tree = [c for c in _tree(ConcordError) if c.__module__ == errors.__name__]
    raised = {(c.code, c.__name__, c.exit_status) for c in tree if c is not ConcordError}
    assert told == raised
    assert len(rows) == len(told)


def test_error_page_gives_each_code_a_meaning_and_a_remedy() -> None:
    rows = table_rows(read_page("docs/errors.md").section("Codes"))
    assert all(len(row) == 5 and row[3] and row[4] for row in rows)


def test_error_page_lists_exactly_the_reasons_of_refusal() -> None:
    title = "Reasons for which an update is refused"
    rows = table_rows(read_page("docs/errors.md").section(title))
    assert {row[0].strip("`") for row in rows} == {str(reason) for reason in RefusalReason}


def test_dependency_page_lists_exactly_the_direct_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    asked += [name for found in extras.values() for name in found]
    names = {re.split(r"[\s<>=!~;\[]", requirement)[0] for requirement in asked} - {"concord"}
    rows = table_rows(read_page("docs/dependencies.md").text)
    assert sorted(row[0].strip("`") for row in rows) == sorted(names)
    assert all(row[1] for row in rows)


@pytest.mark.parametrize(
    "name", ["README.md", "docs/tutorial-researcher.md", "docs/tutorial-member.md", RUN.name]
)
def test_toml_that_is_shown_is_accepted(name: str) -> None:
    for block in read_page(name).blocks("toml"):
        value = tomllib.loads(block)
        if "text" in value:
            MemberFile.model_validate(value)
        else:
            parse_run({"name": "shown", "roster": [{"id": "kenya"}]} | value, where=name)


def test_charter_toml_that_is_shown_is_accepted() -> None:
    whole = tomllib.loads(default_charter("Atlas", members=5).files["charter.toml"].decode())
    for block in read_page(CHARTER.name).blocks("toml"):
        Charter.model_validate(_laid_over(whole, tomllib.loads(block)))


def _laid_over(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    inner = {
        key: _laid_over(whole[key], value)
        for key, value in part.items()
        if isinstance(value, dict) and isinstance(whole.get(key), dict)
    }
    return whole | part | inner
