"""Names of the places in a charter: dotted fields, and files of its bundle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

DOCUMENT, SCHEMA, RULES, LAW = "charter.toml", "schema.cedarschema", "charter.cedar", "law/"
_LAW_FILE = re.compile(r"law/[a-z][a-z0-9_-]{0,31}\.cedar")


def flat(value: Any) -> dict[str, str]:
    """Every field of a document by its dotted path, as text: `rule.amend.all.0.min` -> `2/3`.

    What is left out is missing; a list of plain values is one field.
    """
    return dict(_flat("", value))


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from _flat(f"{path}.{number}", inner)
    elif isinstance(value, list):
        yield path, ", ".join(map(str, value)) or "none"
    elif isinstance(value, bool):
        yield path, str(value).lower()
    elif value is not None and value != {}:
        yield path, str(value)


def covers(path: str, field: str) -> bool:
    """Whether `field` is `path` or lies below it."""
    return field == path or field.startswith(f"{path}.")


def is_bundle_file(path: str) -> bool:
    """Whether a bundle can hold a file of this name."""
    return path in (DOCUMENT, SCHEMA, RULES) or bool(_LAW_FILE.fullmatch(path))


def is_file_path(path: str) -> bool:
    """Whether an entrenched path names a file, or all law files."""
    return path == LAW or is_bundle_file(path)
