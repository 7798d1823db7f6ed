"""What `concord init --founders` reads: who founds a federation, and who oversees it.

coordinator = "kenya"

[member.kenya]
name = "Kenya"
kind = "public-institution"
jurisdiction = "KE"
speakers = 80_000_000

[overseer.achieng]
jurisdiction = "KE"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from concord.base.errors import DocumentError
from concord.charter.document import Document, Identifier, describe
from concord.federation.founding import Founder
from concord.ledger.statements.membership import MemberKind

Count = Annotated[int, Field(ge=1, le=10**10)]


class FounderEntry(Document):
    """A founding member."""

    name: Annotated[str, Field(max_length=200)] = ""
    owner: Identifier | None = None
    kind: MemberKind = "unstated"
    jurisdiction: Annotated[str, Field(max_length=200)] = ""
    speakers: Count = 1
    population: Count = 1


class OverseerEntry(Document):
    """A person of the oversight body."""

    jurisdiction: Annotated[str, Field(max_length=200)] = ""


class FoundersFile(Document):
    """The whole file; members that it does not name are founders without further words."""

    coordinator: Identifier | None = None
    member: dict[Identifier, FounderEntry] = Field(default_factory=dict)
    overseer: dict[Identifier, OverseerEntry] = Field(default_factory=dict)

    def founders(
        self, members: Sequence[str], labels: Mapping[str, str], places: Mapping[str, str]
    ) -> dict[str, Founder]:
        """What is said of each member; name and jurisdiction from elsewhere where the file is
        silent."""
        found = {}
        for member in members:
            entry = self.member.get(member, FounderEntry())
            values = entry.model_dump()
            values["name"] = entry.name or labels.get(member, member)
            values["jurisdiction"] = entry.jurisdiction or places.get(member, "")
            found[member] = Founder(**values)
        return found


def read_founders(path: Path | None, members: Sequence[str]) -> FoundersFile:
    """Read the file; without one, the members found with equal numbers and nobody oversees.

    Raises:
        DocumentError: it is no such file, or names members that are none.
    """
    if path is None:
        return FoundersFile()
    try:
        found = FoundersFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}", where=path) from error
    except ValidationError as error:
        raise DocumentError(describe(error), where=path, remedy="correct the field") from error
    except ValueError as error:
        raise DocumentError(f"is not TOML: {error}", where=path) from error
    named = {*found.member, *([found.coordinator] if found.coordinator else [])}
    if strangers := sorted(named - set(members)):
        raise DocumentError(
            f"names {strangers[0]!r}, which is no member",
            where=path,
            remedy=f"the members are {', '.join(members)}",
        )
    return found
