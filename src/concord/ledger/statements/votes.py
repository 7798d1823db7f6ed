"""Deliberation: a proposal carries the exact change, and a decision follows from ballots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from concord.base.digest import Digest
from concord.charter.document import Document, Identifier
from concord.ledger.statements.fields import (
    MAX_PARTIES,
    Body,
    DigestText,
    Line,
    LongText,
    UnixTime,
)


class Amend(Document):
    """Another charter, law files and all."""

    kind: Literal["amend"] = "amend"
    before: DigestText
    """The charter that the change was made to; if another is in force by then, it is void."""
    charter: DigestText


class StartRun(Document):
    """A run under this run document."""

    kind: Literal["run"] = "run"
    document: DigestText


class Admit(Document):
    """A new member, by the digest of its application."""

    kind: Literal["admit"] = "admit"
    application: DigestText
    member: Identifier


class Suspend(Document):
    """A member has no vote and no part in rounds until then; its data is never touched."""

    kind: Literal["suspend"] = "suspend"
    member: Identifier
    until: UnixTime


class Expel(Document):
    """A member is one no more."""

    kind: Literal["expel"] = "expel"
    member: Identifier


class ReleaseModel(Document):
    """A base is published as a version."""

    kind: Literal["release"] = "release"
    version: Line
    model: DigestText


class LiftHalt(Document):
    """The members ask to end a halt early; the oversight body has to agree."""

    kind: Literal["lift-halt"] = "lift-halt"
    halt: DigestText


class Ordinary(Document):
    """A resolution in words, without effect on rules or runs."""

    kind: Literal["ordinary"] = "ordinary"


Change = Annotated[
    Amend | StartRun | Admit | Suspend | Expel | ReleaseModel | LiftHalt | Ordinary,
    Field(discriminator="kind"),
]


class Proposal(Body):
    """What is put to the vote, until when."""

    KIND: ClassVar[str] = "proposal"
    title: Line
    text: LongText = ""
    change: Change
    closes: UnixTime
    """Ballots count up to this time."""

    def subjects(self) -> Mapping[str, Digest]:
        match self.change:
            case Amend():
                return {"charter-before": self.change.before, "charter": self.change.charter}
            case StartRun():
                return {"run-document": self.change.document}
            case Admit():
                return {"application": self.change.application}
            case ReleaseModel():
                return {"model": self.change.model}
            case LiftHalt():
                return {"halt": self.change.halt}
        return {}


class Comment(Body):
    """A reasoned word on a proposal."""

    KIND: ClassVar[str] = "comment"
    proposal: DigestText
    text: LongText
    reply_to: DigestText | None = None

    def subjects(self) -> Mapping[str, Digest]:
        return {"proposal": self.proposal}


class Ballot(Body):
    """A member's vote, by roll call. The last one counts; earlier ones stay in the log."""

    KIND: ClassVar[str] = "ballot"
    proposal: DigestText
    choice: Literal["yes", "no", "abstain"]
    reason: Line = ""

    def subjects(self) -> Mapping[str, Digest]:
        return {"proposal": self.proposal}


class Decision(Body):
    """What a vote came to. Anyone recomputes it: a wrong one is refused."""

    KIND: ClassVar[str] = "decision"
    proposal: DigestText
    outcome: Literal["adopted", "rejected", "no-quorum", "vetoed"]
    rule: Line
    """Name of the charter's rule that decided."""
    ballots: Annotated[dict[Identifier, DigestText], Field(max_length=MAX_PARTIES)]
    """Digest of each ballot that counted."""
    effective: UnixTime

    def subjects(self) -> Mapping[str, Digest]:
        return {
            "proposal": self.proposal,
            **{f"ballot/{member}": digest for member, digest in self.ballots.items()},
        }


class Ratification(Body):
    """A member binds itself to an adopted charter. Without it the member is not bound."""

    KIND: ClassVar[str] = "ratification"
    ratified: DigestText

    def subjects(self) -> Mapping[str, Digest]:
        return {"charter": self.ratified}
