"""The rounds of one run in a history, true ones or with a lie in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from concord.base.digest import Digest, digest_bytes, digest_file
from concord.base.tensors import write_tensors
from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps
from concord.ledger.arithmetic import (
    RoundInputs,
    ScreenedUpdate,
    merge_round,
    next_history,
    round_weights,
)
from concord.ledger.entries import Entry
from concord.ledger.round_record import Contribution, RoundRecord
from concord.ledger.statements.fields import Body
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
from concord.update.combine import RoundPaths
from concord.update.gauge import UpdateNorms
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update
from concord.update.screening import NormHistory
from concord.update.stack import measure

if TYPE_CHECKING:
    from concord.testing.history import History


def granted(plan: Digest, **changes: Any) -> Granted:
    """A grant by a policy that is nowhere."""
    value = {"plan": plan, "policy": digest_bytes(b"a policy"), "rules": ("permit",), **changes}
    return Granted.model_validate(value)


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
