"""The register of all kinds of statements. What is not in it is refused."""

from __future__ import annotations

from concord.ledger.statements import evidence, gates, membership, oversight, rounds, sealing, votes
from concord.ledger.statements.fields import Body

BODIES: tuple[type[Body], ...] = (
    membership.Founding,
    membership.Join,
    membership.Leave,
    membership.KeyRotation,
    membership.KeyRevocation,
    membership.Handover,
    votes.Proposal,
    votes.Comment,
    votes.Ballot,
    votes.Decision,
    votes.Ratification,
    oversight.Halt,
    oversight.HaltExtension,
    oversight.Resume,
    rounds.RunOpening,
    rounds.RoundPlan,
    rounds.Granted,
    rounds.Refused,
    rounds.UpdateSent,
    gates.GateReport,
    rounds.RoundCommitted,
    rounds.RoundVoid,
    rounds.Measured,
    rounds.MeasureRefused,
    rounds.RunClosed,
    sealing.EpochOpened,
    sealing.KeyShown,
    sealing.KeysClosed,
    sealing.BeaconShown,
    sealing.CohortsDrawn,
    sealing.KeysSealed,
    sealing.SealSetUp,
    sealing.MaskingSet,
    sealing.UpdateCommitted,
    sealing.SurvivorSet,
    sealing.Unmasked,
    evidence.DatasetRecord,
    evidence.GateEvidence,
    evidence.Release,
)
KINDS: dict[str, type[Body]] = {f"urn:concord:{b.KIND}:{b.VERSION}": b for b in BODIES}
