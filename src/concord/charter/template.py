"""The charter that `concord init` writes: commented, and passing the power lint from 3 members."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

from concord.base.errors import CharterError
from concord.base.files import storage_errors, write_atomic
from concord.charter.bundle import CharterBundle, bundle_from
from concord.charter.paths import DOCUMENT, LAW, RULES, SCHEMA

PURPOSE = (
    "To train one open language model together, to which each member contributes and which belongs"
    " to all, while every member keeps its text, its keys and its say."
)
LAWS = tuple(f"{LAW}{place}.cedar" for place in ("br", "ch", "cn", "eu", "in", "us"))
LOWEST_CAP = Fraction(1, 4)


def default_cap(members: int) -> Fraction:
    """A cap that holds in every round that has its quorum, also after one member has left.

    With quorum 1/2, ⌈(n - 1)/2⌉ owners may be all that is left in a round, and at least 2.
    """
    if members == 1:
        return Fraction(1)
    return max(LOWEST_CAP, Fraction(1, max(2, -(-(members - 1) // 2))))


def default_charter(
    name: str, *, members: int, purpose: str = PURPOSE, delay: str = "30d"
) -> CharterBundle:
    """The default charter of so many members.

    Args:
        name: Of the federation, in words.
        members: How many sign it.
        purpose: In words.
        delay: From the adoption of an amendment until it takes effect.

    Raises:
        CharterError: a value cannot stand in a charter.
    """
    values = {
        "NAME": json.dumps(name, ensure_ascii=False),
        "PURPOSE": json.dumps(purpose, ensure_ascii=False),
        "OWNER_CAP": str(default_cap(members)),
        "MIN_MEMBERS": str(min(members, 2)),
        "DELAY": delay,
    }
    return bundle_from(
        {
            DOCUMENT: _filled(_template(DOCUMENT), values).encode("utf-8"),
            SCHEMA: _template(SCHEMA).encode("utf-8"),
            RULES: _template(RULES).encode("utf-8"),
            **{path: _template(path).encode("utf-8") for path in LAWS},
        }
    )


def write_default_charter(
    folder: Path, name: str, *, members: int, purpose: str = PURPOSE, delay: str = "30d"
) -> CharterBundle:
    """Write the default charter into a folder, which must hold none yet.

    Raises:
        CharterError: there is a charter already, or a value cannot stand in one.
        StorageError: the folder cannot be written.
    """
    bundle = default_charter(name, members=members, purpose=purpose, delay=delay)
    if (folder / DOCUMENT).exists():
        raise CharterError(
            "there is a charter already", where=folder, remedy="propose an amendment"
        )
    with storage_errors(folder):
        (folder / "law").mkdir(parents=True, exist_ok=True)
    for path, data in bundle.files.items():
        write_atomic(folder / path, data)
    return bundle


def default_policy() -> str:
    """The policy file that a new member begins with: commented, and its own to change."""
    return _template("policy.cedar")


def _template(name: str) -> str:
    return (files("concord.charter") / "templates" / name).read_text(encoding="utf-8")


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Fill in line by line, so that a value that looks like a placeholder stays what it is."""
    lines = []
    for line in text.splitlines(keepends=True):
        for key, value in values.items():
            if f"@{key}@" in line:
                line = line.replace(f"@{key}@", value)
                break
        lines.append(line)
    return "".join(lines)
