"""Records of data, evidence of gates, and releases, by digest; their contents lie among objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from concord.base.digest import Digest
from concord.charter.document import Identifier
from concord.ledger.statements.fields import MAX_PARTIES, Body, DigestText, Line, Real

SliceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A language, a member, or `model`."""


class DatasetRecord(Body):
    """A member describes a dataset that never leaves it, or revokes the description."""

    KIND: ClassVar[str] = "dataset-record"
    dataset: Identifier
    record: DigestText
    revoked: bool = False

    def subjects(self) -> Mapping[str, Digest]:
        return {"dataset-record": self.record}


class GateEvidence(Body):
    """What one runner found when it ran a gate on a model, or a document that a law asks for."""

    KIND: ClassVar[str] = "gate-evidence"
    gate: Identifier
    model: DigestText
    evidence: DigestText
    """An in-toto test result, signed by the runner; of other evidence the document itself."""
    result: Literal["passed", "failed", "warned"]
    measured: Annotated[dict[SliceName, Real], Field(max_length=MAX_PARTIES)] = Field(
        default_factory=dict
    )
    """What is held against the gate's limit, by slice. Counts and sums of it lie in the evidence,
    and never text."""
    against: DigestText | None = None
    """The released model that it was compared with."""

    def subjects(self) -> Mapping[str, Digest]:
        found = {"model": self.model, "evidence": self.evidence}
        return found if self.against is None else {**found, "against": self.against}


class Release(Body):
    """A version is published, by an adopted decision."""

    KIND: ClassVar[str] = "release"
    version: Line
    model: DigestText
    manifest: DigestText
    decision: DigestText

    def subjects(self) -> Mapping[str, Digest]:
        return {"model": self.model, "manifest": self.manifest, "decision": self.decision}
