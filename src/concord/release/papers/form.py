"""Papers with a fixed set of fields: one structure, shown as JSON and as Markdown alike.

What the words of a law ask for and no record holds is a field without a value: missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from concord.release.papers.sections import Sections

Value = Any


@dataclass(frozen=True)
class Row:
    """A field; None means that nobody said."""

    name: str
    value: Value


@dataclass(frozen=True)
class Part:
    """A section of a form."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Form:
    """A paper."""

    title: str
    basis: str
    """Where the fields are from, and what was not verified in it."""
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def missing(self) -> list[str]:
        """Fields without a value; where it is one per dataset or member, each that has none."""
        return [
            f"{part.title}: {row.name}{of}"
            for part in self.parts
            for row in part.rows
            for of in _unsaid(row.value)
        ]

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "title": self.title,
            "basis": self.basis,
            "parts": {
                part.title: {row.name: row.value for row in part.rows} for part in self.parts
            },
            "notes": list(self.notes),
            "missing": self.missing,
        }


def _unsaid(value: Value) -> Iterator[str]:
    if value is None or value in ("", [], {}):
        yield ""
    elif isinstance(value, Mapping):
        yield from (f" ({key})" for key, one in value.items() if one is None or one in ("", []))


Maker = Callable[[Sections], Form]


def part(title: str, rows: Iterable[tuple[str, Value]]) -> Part:
    """A section, of names and values."""
    return Part(title, tuple(Row(name, value) for name, value in rows))


def facts_of(given: Sections) -> Iterator[dict[str, Any]]:
    """What each record that is at hand says, with the place of the dataset."""
    for one in given["datasets"]:
        if one["facts"] is not None:
            yield {**one["facts"], "place": f"{one['member']}/{one['dataset']}"}


def by_dataset(given: Sections, pick: Callable[[dict[str, Any]], Value]) -> dict[str, Value]:
    """One fact of each dataset that is described."""
    return {facts["place"]: pick(facts) for facts in facts_of(given)}


def terms_of(given: Sections, field: str) -> dict[str, Value]:
    """One term of each dataset's record."""
    return by_dataset(given, lambda facts: facts["terms"][field])


def undescribed(given: Sections) -> list[str]:
    """Members whose text no record describes, and records that are not at hand."""
    described = {one["member"] for one in given["datasets"] if one["facts"] is not None}
    return sorted({one["id"] for one in given["members"]} - described)
