"""What papers are made of, in sections: each a plain value that follows from log and objects alone.

A paper is given the sections that it names and no others, so that a record that changes changes
exactly the papers that depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from concord.base.digest import Digest
from concord.base.errors import ConcordError
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorFile
from concord.charter.dataset.croissant import parse_record
from concord.charter.law import log10
from concord.ledger.layouts import parameter_count
from concord.ledger.state.release_gates import judge
from concord.ledger.statements.rounds import Measured, RoundCommitted, UpdateSent
from concord.ledger.statements.sealing import UpdateCommitted
from concord.release.build import Candidate
from concord.release.facts import release_duties, runs_compute

Section = Any
Sections = Mapping[str, Section]
CONTACT = "complaint-contact"
MAX_CONTACT_BYTES = 4_000


def sections_of(made_of: Candidate) -> dict[str, Section]:
    """All sections of a candidate."""
    return {
        "release": _release(made_of),
        "architecture": _architecture(made_of),
        "members": _members(made_of),
        "datasets": _datasets(made_of),
        "measurements": _measurements(made_of),
        "gates": _gates(made_of),
        "decision": _decision(made_of),
        "compute": _compute(made_of),
        "law": _law(made_of),
        "contact": _contact(made_of),
    }


def _release(made_of: Candidate) -> Section:
    charter = made_of.library.charter(made_of.state.charter)
    run = made_of.library.run(made_of.document)
    return {
        "name": made_of.state.name,
        "version": made_of.version,
        "federation": made_of.state.federation,
        "charter": made_of.state.charter,
        "charter_name": charter.name,
        "purpose": charter.purpose,
        "open_result": charter.rights.open_result,
        "licence": run.use.model_licence,
        "run": made_of.document,
        "run_name": run.name,
        "stage": run.use.stage,
        "rounds": made_of.seat.rounds,
        "model": made_of.model,
        "day": day(made_of.now),
    }


def _architecture(made_of: Candidate) -> Section:
    run = made_of.library.run(made_of.document)
    return {
        "family": run.model.architecture if run.model.continue_from is None else None,
        "continued_from": run.model.continue_from,
        "parameters": _parameters(made_of.objects, made_of.model),
        "context": run.model.context,
        "hidden": run.model.hidden,
        "layers": run.model.layers,
        "heads": run.model.heads,
        "optimizer": run.inner.optimizer,
        "inner_steps": run.rounds.inner_steps,
        "merge": run.update.merge,
        "codec": run.update.codec,
        "mode": run.mode,
        "seed": run.seed,
    }


def _parameters(objects: ObjectStore, model: Digest) -> int | None:
    try:
        return parameter_count(TensorFile(objects.path(model)).specs)
    except (ConcordError, OSError):
        return None


def _members(made_of: Candidate) -> Section:
    """Who gave what to this run, by the log."""
    run = made_of.library.run(made_of.document)
    gave: dict[str, dict[str, Any]] = {
        member.id: {"tokens": 0, "bytes_up": 0, "flop": 0, "train_s": 0.0, "rounds": 0}
        for member in run.roster
    }
    for entry in made_of.archive.entries:
        body, statement = entry.statement.body, entry.statement
        if statement.binding.run != made_of.document:
            continue
        if isinstance(body, UpdateSent | UpdateCommitted) and statement.author.party in gave:
            one = gave[statement.author.party]
            one["tokens"] += body.tokens
            one["bytes_up"] += body.bytes
            one["flop"] += body.flops
            one["train_s"] += float(body.train_s or 0)
        elif isinstance(body, RoundCommitted):
            for name in body.merged:
                gave[name]["rounds"] += 1
    found = []
    for member in sorted(run.roster, key=lambda one: one.id):
        entry_ = made_of.state.members[member.id].entry
        found.append(
            {
                "id": member.id,
                "name": entry_.name or None,
                "owner": entry_.legal_owner,
                "kind": None if entry_.kind == "unstated" else entry_.kind,
                "jurisdiction": entry_.jurisdiction or None,
                "languages": list(member.languages),
                **gave[member.id],
                "train_s": round(gave[member.id]["train_s"], 1),
                "energy_j": None,
            }
        )
    return found


def _datasets(made_of: Candidate) -> Section:
    """Records that stand, by member and name; without facts where the record is not at hand."""
    found = []
    for member, named in sorted(made_of.state.datasets.items()):
        for name, digest in sorted(named.items()):
            facts = None
            if digest in made_of.objects:
                record = parse_record(made_of.objects.get(digest), where=digest)
                facts = record.model_dump(mode="json")
            found.append({"member": member, "dataset": name, "record": digest, "facts": facts})
    return found


def _measurements(made_of: Candidate) -> Section:
    """What members measured of this base on their own held-out text."""
    run = made_of.library.run(made_of.document)
    languages = {member.id: list(member.languages) for member in run.roster}
    last: dict[str, Measured] = {}
    for entry in made_of.archive.entries:
        body = entry.statement.body
        if isinstance(body, Measured) and body.base == made_of.model:
            last[entry.statement.author.party] = body
    return [
        {
            "member": member,
            "languages": languages[member],
            "bits_per_byte": _bits(last[member]) if member in last else None,
            "bytes": last[member].bytes if member in last else None,
            "documents": last[member].documents if member in last else None,
        }
        for member in sorted(languages)
    ]


def _bits(body: Measured) -> str | None:
    return f"{body.nats / math.log(2) / body.bytes:.4f}" if body.bytes else None


def _gates(made_of: Candidate) -> Section:
    return [
        {
            "id": one.gate.id,
            "metric": one.gate.metric,
            "slice": one.gate.slice,
            "limit": one.gate.limit_words,
            "confidence": str(one.gate.confidence) if one.gate.compare != "limit" else None,
            "blocking": one.gate.blocking,
            "status": one.status,
            "reason": one.reason,
            "measured": {
                runner: {name: repr(value) for name, value in sorted(seat.measured.items())}
                for runner, seat in sorted(one.counted.items())
            },
        }
        for one in judge(made_of.state, made_of.library, made_of.model, made_of.now)
    ]


def _decision(made_of: Candidate) -> Section:
    for proposal, seat in made_of.state.proposals.items():
        if seat.decision is not None and seat.decision == made_of.decision:
            return {
                "proposal": proposal,
                "decision": seat.decision,
                "rule": seat.rule,
                "outcome": seat.outcome,
                "ballots": {member: vote.choice for member, vote in sorted(seat.votes.items())},
            }
    return None


def _compute(made_of: Candidate) -> Section:
    runs = runs_compute(made_of.archive, made_of.objects)
    total = sum(run.flop for run in runs)
    return {
        "flop": str(total),
        "log10_flop": str(log10(total)),
        "method": "6 x parameters x tokens of all updates, or what members declared where it is"
        " more; attention over the context left out",
        "runs": [{"name": run.name, "tokens": run.tokens, "flop": str(run.flop)} for run in runs],
    }


def _law(made_of: Candidate) -> Section:
    return [
        {
            "id": duty.id,
            "jurisdiction": duty.jurisdiction,
            "law": duty.law,
            "says": duty.says,
            "since": duty.since,
            "evidence": list(duty.artifacts),
            "shown": {name: day(at) for name, at in sorted(duty.shown.items())},
            "status": duty.status,
            "not_verified": duty.check,
        }
        for duty in release_duties(made_of.archive, made_of.objects, now=made_of.now)
    ]


def _contact(made_of: Candidate) -> Section:
    """Who runs the coordinator, and the complaint route that a member declared."""
    state = made_of.state
    coordinator = state.coordinator.member
    about = [digest for digest in (made_of.model, state.federation) if digest]
    text = None
    for digest in about:
        for seat in state.evidence.get(digest, {}).get(CONTACT, {}).values():
            if text is None and seat.result == "passed" and seat.evidence in made_of.objects:
                text = made_of.objects.get(seat.evidence)[:MAX_CONTACT_BYTES].decode(
                    "utf-8", "replace"
                )
    return {
        "coordinator": coordinator,
        "legal_owner": state.member(coordinator).entry.legal_owner,
        "complaints": text,
    }


def day(unix_s: int) -> str:
    """A day, UTC."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d}"
