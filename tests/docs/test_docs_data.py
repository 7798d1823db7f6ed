"""The page on datasets: its fields are those there are, and its commands do what they say."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from doclab import commands, read_page, table_rows

from concord.charter.dataset import DatasetTerms
from concord.charter.dataset.terms import TIER_WORDS
from concord.cli.dataset_template import TEMPLATE
from concord.cli.main import main
from concord.federation.datasets import DatasetFile, parse_dataset_file
from concord.testing.founded import found

PAGE = read_page("docs/data.md")
TERMS = PAGE.blocks("toml")[0]
NOTICE = "Notice 7 of the Land Registrar, Nairobi: write to land@example.go.ke before June."


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page was followed from the first command to the last."""
    folder = tmp_path_factory.mktemp("data-page")
    found(folder / "atlas", ["kenya", "peru"])
    lines = [{"text": f"Taarifa namba {n} kuhusu {'mvua ' * (n % 7)}{n * n}."} for n in range(60)]
    lines.append({"text": NOTICE})
    (folder / "kenya").mkdir()
    (folder / "kenya" / "text.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (folder / "notice.txt").write_text(NOTICE + "\n")
    member = folder / "atlas" / "members" / "kenya"
    (member / "member.toml").write_text('name = "Kenya"\ntext = ["../../../kenya/text.jsonl"]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command, _ in commands(PAGE):
            if command.startswith("concord data add"):
                (member / "datasets" / "gazette.toml").write_text(TERMS)
            with pytest.raises(SystemExit) as done:
                main(shlex.split(command)[1:])
            assert not done.value.code, command
    return folder


def test_every_command_of_the_page_does_what_it_says(followed: Path) -> None:
    assert (followed / "committed.txt").read_text() == NOTICE.replace(
        "land@example.go.ke", "[EMAIL]"
    )
    template = followed / "atlas" / "members" / "kenya" / "private" / "datasets" / "gazette"
    assert (template / "revoked").exists()


def test_the_page_names_every_field_and_its_default() -> None:
    rows = [row for row in table_rows(PAGE.section("2. Write the terms")) if len(row) == 3]
    told = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert list(told) == list(DatasetTerms.model_fields)
    for name, field in DatasetTerms.model_fields.items():
        required = told[name] == "required"
        assert required == field.is_required(), name


def test_the_page_names_every_tier() -> None:
    rows = table_rows(PAGE.section("Consent tiers"))
    assert [row[0].strip("`") for row in rows] == list(TIER_WORDS)


def test_the_template_holds_every_field_and_nothing_else() -> None:
    written = {line.lstrip("# ").split(" =")[0] for line in TEMPLATE.splitlines() if " = " in line}
    assert written == set(DatasetFile.model_fields) - {"rights_url", "text_key"}


def test_the_terms_that_are_shown_are_accepted() -> None:
    assert parse_dataset_file(TERMS, where="page").personal_data == "mask"
