"""Halts: whoever halts says why and until when; every halt expires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from concord.base.digest import Digest
from concord.ledger.statements.fields import Body, DigestText, Line, UnixTime


class Halt(Body):
    """A member halts itself; an overseer, or as many members as the charter asks, halt all."""

    KIND: ClassVar[str] = "halt"
    scope: Literal["self", "all"]
    ground: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """Names the ground; all may be halted only once for it."""
    reason: Line
    until: UnixTime


class HaltExtension(Body):
    """The oversight body extends a halt of all. Signed by as many overseers as the charter asks."""

    KIND: ClassVar[str] = "halt-extension"
    halt: DigestText
    until: UnixTime

    def subjects(self) -> Mapping[str, Digest]:
        return {"halt": self.halt}


class Resume(Body):
    """A halt ends early: a member's own by itself; one of all by a decision and the overseers."""

    KIND: ClassVar[str] = "resume"
    halt: DigestText
    decision: DigestText | None = None
    """The members' decision to lift it; needed for a halt of all."""

    def subjects(self) -> Mapping[str, Digest]:
        found = {"halt": self.halt}
        return found if self.decision is None else {**found, "decision": self.decision}
