"""The page on privacy shows settings that are accepted, every field, and the limits in force."""

from __future__ import annotations

import tomllib

from doclab import read_page, table_rows

from concord.federation.member.privacy_file import AuditSettings, PrivacyFile, SensitiveText
from concord.train.audit.verdict import AuditLimits

PAGE = read_page("docs/privacy.md")


def test_settings_that_are_shown_are_accepted() -> None:
    blocks = PAGE.blocks("toml")
    assert len(blocks) == 2
    for block in blocks:
        PrivacyFile.model_validate(tomllib.loads(block))


def test_every_field_is_described() -> None:
    named = [row[0].strip("`") for row in table_rows(PAGE.text)]
    fields = {*SensitiveText.model_fields, *AuditSettings.model_fields, *AuditLimits.model_fields}
    assert set(named) == fields - {"limits"}
    assert len(named) == len(set(named))


def test_limits_that_are_shown_are_the_defaults() -> None:
    shown = {row[0].strip("`"): row[1] for row in table_rows(PAGE.section("The audit"))}
    for name, limit in AuditLimits().model_dump().items():
        assert shown[name] == ("none" if limit is None else f"{limit:g}")
