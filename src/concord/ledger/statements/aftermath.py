"""After a release: withdrawals, advisories, and matters that somebody must answer in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from concord.base.digest import Digest
from concord.charter.document import Identifier
from concord.ledger.statements.fields import Body, DigestText, Line, LongText, UnixTime

Severity = Literal["low", "medium", "high", "critical"]


class Recall(Body):
    """A version is withdrawn. Copies cannot be called back: whoever checks one is told."""

    KIND: ClassVar[str] = "recall"
    version: Line
    model: DigestText
    ground: Identifier
    """Names the ground, such as `personal-data`."""
    reason: LongText
    replaced_by: Line | None = None
    """Version to use instead."""

    def subjects(self) -> Mapping[str, Digest]:
        return {"model": self.model}


class Advisory(Body):
    """What users of a version should know; it stays in use."""

    KIND: ClassVar[str] = "advisory"
    version: Line
    model: DigestText
    severity: Severity
    title: Line
    text: LongText

    def subjects(self) -> Mapping[str, Digest]:
        return {"model": self.model}


class Matter(Body):
    """An incident, a complaint or an opt-out: somebody has to answer it by its day.

    Who brought it stays outside the log; what is written here is public for good.
    """

    KIND: ClassVar[str] = "matter"
    sort: Literal["incident", "complaint", "opt-out"]
    version: Line | None = None
    """Of a release, if it is about one."""
    title: Line
    text: LongText = ""
    about: DigestText | None = None
    """What it is about: a dataset's record, a model, a statement."""
    document: DigestText | None = None
    """Digest of a document that is kept elsewhere."""
    to: Identifier | None = None
    """The member that has to answer; else whoever can."""
    due: UnixTime
    """When it must be answered."""

    def subjects(self) -> Mapping[str, Digest]:
        named = {"about": self.about, "document": self.document}
        return {name: digest for name, digest in named.items() if digest is not None}


class MatterAnswered(Body):
    """What became of it."""

    KIND: ClassVar[str] = "matter-answered"
    matter: DigestText
    outcome: Literal["resolved", "upheld", "rejected"]
    text: LongText

    def subjects(self) -> Mapping[str, Digest]:
        return {"matter": self.matter}
