"""A federation's whole history, said in memory by all its parties: for tests and benchmarks.

Every party has its key (made from its name: INSECURE, for tests only), every statement is signed
and held against the state, every update is encoded, screened and merged by the functions of a real
run, and the log is the log. What is left out is training, processes and time.

A history can be made to lie where only a recomputation would show it: see `Lie`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from concord.base.digest import Digest, digest_bytes, digest_file
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorSpec, write_tensors
from concord.charter.bundle import load_bundle, store_bundle
from concord.charter.paths import DOCUMENT, RULES, SCHEMA
from concord.charter.run import RunDocument, parse_run
from concord.charter.schedule import inner_steps
from concord.charter.template import default_charter
from concord.crypto.keys import PrivateKey
from concord.crypto.merkle import EMPTY_ROOT
from concord.crypto.notes import Checkpoint, Note, cosign, sign_checkpoint
from concord.ledger.arithmetic import (
    RoundInputs,
    ScreenedUpdate,
    merge_round,
    next_history,
    round_weights,
)
from concord.ledger.entries import Entry
from concord.ledger.log import Log
from concord.ledger.names import log_origin, witness_name
from concord.ledger.replica import Replica
from concord.ledger.round_record import Contribution, RoundRecord
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.state.votes import stands
from concord.ledger.statements.fields import Body
from concord.ledger.statements.membership import (
    CoordinatorEntry,
    Founding,
    MemberEntry,
    OverseerEntry,
)
from concord.ledger.statements.rounds import (
    Granted,
    Measured,
    Merged,
    Refused,
    RoundCommitted,
    RoundPlan,
    RunClosed,
    RunOpening,
    UpdateSent,
)
from concord.ledger.statements.statement import Author, Binding, Role, Statement
from concord.ledger.statements.votes import Ballot, Change, Decision, Proposal, StartRun
from concord.testing.founded import charter_toml
from concord.update.combine import RoundPaths
from concord.update.gauge import UpdateNorms
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update
from concord.update.screening import NormHistory
from concord.update.stack import measure

NAME = "test"
BEGAN_S = 1_700_000_000
SPECS: tuple[TensorSpec, ...] = (
    TensorSpec("embed_tokens.weight", (8, 16)),
    TensorSpec("layer.weight", (16, 16)),
)


def key(party: str, purpose: str = "identity", number: int = 0) -> PrivateKey:
    """A party's key, the same every time. INSECURE: whoever knows the name has it."""
    seed = hashlib.sha256(f"{party}/{purpose}/{number}".encode()).digest()
    return PrivateKey.from_seed(seed)


def member_entry(member: str, owner: str | None = None, **said: Any) -> MemberEntry:
    """What a member founds or applies with; `said` is its name, jurisdiction, numbers."""
    return MemberEntry(
        id=member,
        owner=owner,
        key=key(member).public.text,
        witness_key=key(member, "witness").public.text,
        **said,
    )


def granted(plan: Digest, **changes: Any) -> Granted:
    """A grant by a policy that is nowhere."""
    value = {"plan": plan, "policy": digest_bytes(b"a policy"), "rules": ("permit",), **changes}
    return Granted.model_validate(value)


def run_value(members: Iterable[str], **sections: Any) -> dict[str, Any]:
    """A run document of few, small rounds; `sections` replace or extend what it says."""
    value: dict[str, Any] = {
        "name": "first",
        "roster": [{"id": member} for member in members],
        "inner": {
            "batch_tokens": 128,
            "warmup_steps": 0,
            "decay_share": 0,
            "state": {"mode": "local"},
        },
        "rounds": {"count": 3, "inner_steps": 4, "quorum": "1/2"},
        "update": {"outer": {"lr": 0.7, "momentum": 0.9}},
    }
    for name, section in sections.items():
        value[name] = {**value.get(name, {}), **section} if isinstance(section, dict) else section
    return value


class History:
    """A founded federation, and all that is said in it.

    Args:
        root: Where log and objects are to lie.
        members: Founders.
        overseers: The oversight body.
        owners: Legal owner of a member, where it is another than itself.
        said: Name, jurisdiction and numbers of members, where they give some.
        specs: Tensors of the model.
        extra: More TOML, behind the charter's.
        charter: Places of the charter, see `concord.testing.founded.DEFAULTS`.
    """

    def __init__(
        self,
        root: Path,
        members: Sequence[str] = ("chad", "fiji", "peru"),
        *,
        overseers: Sequence[str] = (),
        owners: Mapping[str, str] | None = None,
        said: Mapping[str, Mapping[str, Any]] | None = None,
        specs: Sequence[TensorSpec] = SPECS,
        extra: str = "",
        **charter: str | int,
    ) -> None:
        self.root = root
        self.specs = specs
        self.objects = ObjectStore(root / "objects")
        self.replica = Replica(ObjectLibrary(self.objects))
        self.entries: list[Entry] = []
        self.now = BEGAN_S
        self.keys: dict[tuple[str, str], PrivateKey] = {}
        """Keys that took the place of a party's first."""
        entries = tuple(
            member_entry(m, (owners or {}).get(m), **(said or {}).get(m, {}))
            for m in sorted(members)
        )
        self._found(members[0], entries, overseers, self.store_charter(extra, **charter))

    @property
    def state(self) -> State:
        return self.replica.state

    def store_charter(self, extra: str = "", **choices: str | int) -> Digest:
        """Put a charter among the objects; `extra` is more TOML, behind the rest."""
        folder = self.root / "charter"
        folder.mkdir(parents=True, exist_ok=True)
        for name in (SCHEMA, RULES):
            (folder / name).write_bytes(default_charter(NAME, members=3).files[name])
        (folder / DOCUMENT).write_text(charter_toml(**choices) + extra)
        return store_bundle(load_bundle(folder), self.objects)

    def key(self, party: str, purpose: str = "identity") -> PrivateKey:
        """The key that a party uses now."""
        return self.keys.get((party, purpose), key(party, purpose))

    # --- saying -----------------------------------------------------------------------------

    def statement(
        self,
        body: Body,
        party: str,
        role: Role = "member",
        *,
        run: Digest | None = None,
        round_: int | None = None,
    ) -> Statement:
        """A statement as its author would make it now."""
        state = self.state
        return Statement(
            body=body,
            binding=Binding(
                federation=state.federation, charter=state.charter, run=run, round=round_
            ),
            author=Author(role=role, party=party),
            seq=state.next_number(role, party),
            time=self.now,
        )

    def say(
        self,
        body: Body,
        party: str,
        role: Role = "member",
        *,
        run: Digest | None = None,
        round_: int | None = None,
        also: Sequence[PrivateKey] = (),
    ) -> Entry:
        """A statement, signed by its author and `also`, enters the log."""
        statement = self.statement(body, party, role, run=run, round_=round_)
        return self.take(Entry.sign(statement, [self.key(party), *also]))

    def take(self, entry: Entry) -> Entry:
        """An entry enters the log, if it may stand there."""
        self.replica.take(entry)
        self.entries.append(entry)
        self.now += 1
        return entry

    def coordinator(
        self, body: Body, run: Digest | None = None, round_: int | None = None
    ) -> Entry:
        """A statement of the coordinator."""
        return self.say(body, self.state.coordinator.member, "coordinator", run=run, round_=round_)

    def vote(self, change: Change, title: str = "A change", **choices: str) -> Entry:
        """A proposal, a ballot of every voter (yes but for `choices`), and a decision."""
        coordinator = self.state.coordinator.member
        body = Proposal(title=title, change=change, closes=self.now + 3600)
        proposal = self.say(body, coordinator).statement.digest
        for member in self.state.voters(self.now):
            choice: Any = choices.get(member, "yes")
            self.say(Ballot(proposal=proposal, choice=choice), member)
        return self.decide(proposal)

    def decide(self, proposal: Digest) -> Entry:
        """What a vote came to."""
        library = self.replica.library
        found = stands(self.state, self.state.proposal(proposal), now=self.now, library=library)
        rule = library.charter(self.state.charter).rule[found.rule]
        outcome: Any = str(found.outcome.result)
        body = Decision(
            proposal=proposal,
            outcome=outcome,
            rule=found.rule,
            ballots=found.counted,
            effective=self.now + rule.delay,
        )
        return self.coordinator(body)

    # --- publishing -------------------------------------------------------------------------

    def note(self, *, without: Sequence[str] = ()) -> Note:
        """The checkpoint of all entries, signed by the log and by every witness but those named."""
        mine, state = self.replica.checkpoint, self.state
        log_key = self.key(state.coordinator.member, "log")
        lines = [sign_checkpoint(mine, log_origin(state.name), log_key)]
        for member in state.seated():
            if member not in without:
                name, witness = witness_name(state.name, member), self.key(member, "witness")
                lines.append(cosign(mine, name, witness, self.now))
        return Note(mine, tuple(lines))

    def publish(self, note: Note | None = None) -> Path:
        """Write the log, and return the federation's folder."""
        write_log(self.root / "log", [entry.data for entry in self.entries], note or self.note())
        return self.root

    # --- beginnings -------------------------------------------------------------------------

    def _found(
        self,
        coordinator: str,
        members: tuple[MemberEntry, ...],
        overseers: Sequence[str],
        charter: Digest,
    ) -> None:
        body = Founding(
            name=NAME,
            nonce="0" * 32,
            charter=charter,
            members=members,
            overseers=tuple(OverseerEntry(id=o, key=key(o).public.text) for o in overseers),
            coordinator=CoordinatorEntry(
                member=coordinator, log_key=key(coordinator, "log").public.text
            ),
        )
        statement = Statement(
            body=body,
            binding=Binding(federation=None, charter=charter),
            author=Author(role="founders", party=NAME),
            seq=0,
            time=self.now,
        )
        self.take(Entry.sign(statement, [key(m.id) for m in members]))

    def adopt(self, *, probes: Digest | None = None, **sections: Any) -> RunHistory:
        """Put a run to the vote, adopt it and open it, with probes if it has a gate."""
        members = tuple(self.state.bound(self.now))
        run = parse_run(run_value(sections.pop("members", members), **sections))
        document = ObjectLibrary(self.objects).put_run(run)
        self.vote(StartRun(document=document), f"Run {run.name}")
        return RunHistory(self, run, probes)


def write_log(folder: Path, entries: Sequence[bytes], note: Note) -> None:
    """Write a log of these entries under this checkpoint, which nobody checks but its root."""
    origin = note.checkpoint.origin
    with Log.create(folder, origin) as log:
        empty = Checkpoint(origin, 0, EMPTY_ROOT)
        log.publish(Note(empty, note.lines))
        log.append(entries)
        log.publish(note)


@dataclass(frozen=True)
class Lie:
    """What a coordinator does to one round, and signs. Each default is the truth.

    Attributes:
        run: Computes with another run document than the one that binds.
        weights: Computes with other weights than it states.
        base: Changes the new base behind the arithmetic; gets its path.
        claim: Changes the statement.
        record: Changes the record.
    """

    run: Callable[[RunDocument], RunDocument] = lambda run: run
    weights: Callable[[dict[str, Fraction]], dict[str, Fraction]] = lambda weights: weights
    base: Callable[[Path], object] = lambda path: path
    claim: Callable[[RoundCommitted], RoundCommitted] = lambda body: body
    record: Callable[[RoundRecord], RoundRecord] = lambda record: record


TRUTH = Lie()


@dataclass
class RunHistory:
    """One run, from its opening on."""

    history: History
    run: RunDocument
    probes: Digest | None = None
    tokenizer: Digest | None = None
    plan: Entry | None = None
    norms: NormHistory = field(default_factory=NormHistory)
    base: Path = Path()
    outer_state: Path | None = None
    record: Digest = ""

    def __post_init__(self) -> None:
        self.digest = self.run.digest
        self.work = self.history.root / "work" / self.run.name
        self.work.mkdir(parents=True)
        self.base = self.work / "base"
        specs = list(self.history.specs)
        arrays = (np.full(spec.shape, 0.5, np.float32) for spec in specs)
        first = write_tensors(self.base, specs, arrays)
        self._keep(self.base)
        record = RoundRecord(
            run=self.digest, round=0, previous=None, base=first, tokenizer=self.tokenizer
        )
        self.record = self.history.objects.put(record.data)
        opening = RunOpening(
            first_base=first, tokenizer=self.tokenizer, probes=self.probes, record=self.record
        )
        self.coordinator(opening)

    @property
    def round(self) -> int:
        return self.history.state.run(self.digest).rounds

    @property
    def inputs(self) -> RoundInputs:
        return RoundInputs(
            run=self.run,
            round=self.round,
            base=self.base,
            base_digest=digest_file(self.base),
            outer_state=self.outer_state,
            norm_history=self.norms,
        )

    def coordinator(self, body: Body, round_: int | None = None) -> Entry:
        return self.history.coordinator(body, self.digest, round_)

    def say(self, body: Body, member: str) -> Entry:
        return self.history.say(body, member, run=self.digest, round_=self.round)

    # --- one round --------------------------------------------------------------------------

    def call(self, **changes: Any) -> Digest:
        """The plan of the next round."""
        state = self.history.state
        seat = state.run(self.digest)
        plan: dict[str, Any] = {
            "attempt": seat.attempt,
            "term": state.term,
            "base": seat.base,
            "roster": [m for m in state.bound(self.history.now) if m in self.run.member_ids],
            "inner_steps": inner_steps(self.run.rounds, seat.rounds),
            "codec": self.run.update.codec,
            "quorum": self.run.rounds.quorum,
        }
        body = RoundPlan.model_validate({**plan, **changes})
        self.plan = self.coordinator(body, seat.rounds)
        return self.plan.statement.digest

    def answer(self, member: str, **how: Any) -> ScreenedUpdate:
        """A grant, and an update as `send` makes it."""
        self.say(granted(self._plan), member)
        return self.send(member, **how)

    def send(
        self,
        member: str,
        *,
        scale: float = 0.01,
        tokens: int = 100,
        identity_round: int | None = None,
    ) -> ScreenedUpdate:
        """An update, and the statement that goes with it; returns it with its norms."""
        inputs = self.inputs
        round_ = inputs.round if identity_round is None else identity_round
        path = self.work / f"{inputs.round}-{member}"
        identity = UpdateIdentity(self.digest, round_, inputs.base_digest, member)
        draw = np.random.default_rng(list(f"{member} {inputs.round}".encode()))
        arrays = {
            spec.name: draw.standard_normal(spec.shape, np.float32) * np.float32(scale)
            for spec in self.history.specs
        }
        encode_update(path, inputs.update_layout, identity, arrays)
        body = UpdateSent(
            plan=self._plan,
            base=inputs.base_digest,
            update=self._keep(path),
            bytes=path.stat().st_size,
            steps=inputs.agreed_steps,
            tokens=tokens,
            flops=6 * 384 * tokens,
            train_s=1.5,
            mean_loss=2.25,
        )
        self.say(body, member)
        update = UpdateFile(path, inputs.update_layout)
        return ScreenedUpdate(update, measure(update))

    def refuse(self, member: str, reason: str = "no grant for this use") -> None:
        self.say(Refused(plan=self._plan, reason=reason), member)

    def commit(
        self,
        updates: Mapping[str, ScreenedUpdate],
        *,
        left_out: Mapping[str, str] | None = None,
        lie: Lie = TRUTH,
    ) -> Entry:
        """Merge, and say what came."""
        inputs, history = self.inputs, self.history
        weights = round_weights(self.run, updates.keys())
        paths = RoundPaths(
            step=self.work / "step",
            base=self.work / "base.next",
            outer_state=self.work / "outer.next",
            durable=False,
        )
        made = merge_round(self._lying(inputs, lie), updates, lie.weights(weights), paths)
        lie.base(paths.base)
        kept = None if made.outer_state is None else self.work / f"outer{inputs.round}"
        if kept is not None:
            paths.outer_state.replace(kept)
        self.norms = next_history(inputs, updates)
        said = self._said()
        record = lie.record(
            RoundRecord(
                run=self.digest,
                round=inputs.round + 1,
                previous=self.record,
                base=self._keep(paths.base),
                outer_state=made.outer_state,
                step=self._keep(paths.step),
                contributions={
                    m: _contribution(said[m], weights[m], one.norms) for m, one in updates.items()
                },
                left_out=dict(left_out or {}),
                closed_because="everyone answered",
                norm_history=self.norms.to_record(),
                bytes_up={m: body.bytes for m, body in said.items()},
                seconds=2.5,
            )
        )
        self.record = history.objects.put(record.data)
        entry = self.coordinator(
            lie.claim(_committed(self._plan, inputs.base_digest, record, self.record)), inputs.round
        )
        self.base, self.outer_state = paths.base.replace(self.work / "base"), kept
        return entry

    def round_of(self, *members: str, measured: bool = False, **how: Any) -> Entry:
        """A whole round in which these members take part; all of the roster if none is named."""
        self.call()
        taking = members or self._roster
        updates = {member: self.answer(member) for member in taking}
        absent = dict.fromkeys(self._roster, "late: no update before the round closed")
        left_out = {m: why for m, why in absent.items() if m not in taking}
        entry = self.commit(updates, left_out=left_out, **how)
        if measured:
            for member in taking:
                self.measure(member)
        return entry

    def measure(self, member: str) -> Entry:
        """Sums over a member's held-out text for the current base."""
        base = self.history.state.run(self.digest).base or ""
        return self.say(Measured(base=base, nats=1.5, bytes=8, tokens=2, documents=1), member)

    def close(self) -> Entry:
        base = self.history.state.run(self.digest).base or ""
        return self.coordinator(RunClosed(base=base))

    @property
    def _plan(self) -> Digest:
        seat = self.history.state.run(self.digest)
        return "" if seat.plan is None else seat.plan.digest

    @property
    def _roster(self) -> tuple[str, ...]:
        seat = self.history.state.run(self.digest)
        return () if seat.plan is None else seat.plan.roster

    def _keep(self, path: Path) -> Digest:
        return self.history.objects.put(path.read_bytes())

    def _said(self) -> dict[str, UpdateSent]:
        found = {}
        for entry in reversed(self.history.entries):
            body = entry.statement.body
            if isinstance(body, UpdateSent) and body.plan == self._plan:
                found[entry.statement.author.party] = body
            if isinstance(body, RoundPlan):
                break
        return found

    def _lying(self, inputs: RoundInputs, lie: Lie) -> RoundInputs:
        run = lie.run(self.run)
        if run is self.run:
            return inputs
        return _Lying(run, *(getattr(inputs, name) for name in _FIELDS), digest=self.digest)


_FIELDS = ("round", "base", "base_digest", "outer_state", "norm_history")


class _Lying(RoundInputs):
    """Computes under one run document, and signs under another."""

    signed_run: Digest

    def __init__(self, *fields: Any, digest: Digest) -> None:
        super().__init__(*fields)
        object.__setattr__(self, "signed_run", digest)

    @property
    def step_identity(self) -> UpdateIdentity:
        return UpdateIdentity(self.signed_run, self.round, self.base_digest, None)


def _contribution(said: UpdateSent, weight: Fraction, norms: UpdateNorms) -> Contribution:
    return Contribution(
        update=said.update,
        weight=weight,
        steps=said.steps,
        tokens=said.tokens,
        flops=said.flops,
        train_s=said.train_s,
        mean_loss=said.mean_loss,
        norm=norms.total,
        payload_bytes=said.bytes,
    )


def _committed(plan: Digest, before: Digest, record: RoundRecord, digest: Digest) -> RoundCommitted:
    return RoundCommitted(
        plan=plan,
        base_before=before,
        base=record.base,
        step=record.step or "",
        outer_state=record.outer_state,
        record=digest,
        merged={
            member: Merged(update=one.update, weight=one.weight, norm=one.norm)
            for member, one in record.contributions.items()
        },
        left_out=dict(record.left_out),
        closed_because=record.closed_because,
        bytes_up=dict(record.bytes_up),
        bytes_down=dict(record.bytes_down),
    )
