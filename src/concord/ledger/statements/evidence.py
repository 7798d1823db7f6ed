"""Records of data, evidence of gates, and releases, by digest; their contents lie among objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from concord.base.digest import Digest
from concord.charter.run import Identifier
from concord.ledger.statements.fields import Body, DigestText, Line


class DatasetRecord(Body):
    """A member describes a dataset that never leaves it, or revokes the description."""

    KIND: ClassVar[str] = "dataset-record"
    dataset: Identifier
    record: DigestText
    revoked: bool = False

    def subjects(self) -> Mapping[str, Digest]:
        return {"dataset-record": self.record}


class GateEvidence(Body):
    """What one runner found when it ran a gate on a model."""

    KIND: ClassVar[str] = "gate-evidence"
    gate: Identifier
    model: DigestText
    evidence: DigestText
    result: Literal["passed", "failed", "warned"]

    def subjects(self) -> Mapping[str, Digest]:
        return {"model": self.model, "evidence": self.evidence}


class Release(Body):
    """A version is published, by an adopted decision."""

    KIND: ClassVar[str] = "release"
    version: Line
    model: DigestText
    manifest: DigestText
    decision: DigestText

    def subjects(self) -> Mapping[str, Digest]:
        return {"model": self.model, "manifest": self.manifest, "decision": self.decision}
