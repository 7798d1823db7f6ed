"""Sealed rounds in a history said in memory: every party's real protocol steps, without processes.

A step can be left out, repeated, or said by hand, so that a test sees what the fold refuses and
what a recomputation names. Updates are numbers from the member's name; the set-ups, masks, shares
and sums are real.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from concord.base.digest import Digest
from concord.base.tensors import FloatArray
from concord.charter.run import RunDocument, parse_run
from concord.charter.schedule import inner_steps
from concord.federation.sealed.pen import Masked, SealPen
from concord.ledger.arithmetic import RoundInputs, sealed_weights
from concord.ledger.entries import Entry
from concord.ledger.round_record import Contribution, RoundRecord
from concord.ledger.sealed.book import EpochBook, RoundBook, SealBook
from concord.ledger.sealed.coverage import EVERYTHING, Coverage
from concord.ledger.sealed.rounds import (
    SealedInputs,
    cohort_sum,
    merge_sealed,
    open_cohort,
    sealed_inputs,
)
from concord.ledger.sealed.tables import first_clips
from concord.ledger.state import epochs
from concord.ledger.statements.fields import Body
from concord.ledger.statements.rounds import Merged, RoundCommitted, RoundPlan, RoundVoid
from concord.ledger.statements.sealing import (
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    MaskingSet,
    SurvivorSet,
    UpdateCommitted,
)
from concord.ledger.statements.votes import StartRun
from concord.testing.history import History, run_value
from concord.testing.run_history import RunHistory, granted
from concord.update.combine import RoundPaths

LATE = "late: no update before the round closed"


def sealed_run(members: Iterable[str], **sections: Any) -> RunDocument:
    """A sealed run document of few, small rounds; `sections` extend it."""
    value = run_value(members)
    value["inner"] |= {"lr": 1.0, "matrix_lr": 1.0}
    value["update"] |= {"codec": "ring16", "down_codec": "fp32"}
    value["seal"] = {"min_survivors": 3}
    for name, section in sections.items():
        value[name] = {**value.get(name, {}), **section} if isinstance(section, dict) else section
    return parse_run(value)


@dataclass
class SealedHistory:
    """One sealed run in a history, from its adoption on."""

    history: History
    run: RunDocument
    coverage: Coverage = EVERYTHING
    rounds: RunHistory = field(init=False)
    clips: dict[str, float] = field(init=False)
    files: dict[str, Masked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        library = self.history.replica.library
        document = library.put_run(self.run)  # type: ignore[attr-defined]
        self.history.vote(StartRun(document=document), f"Run {self.run.name}")
        self.rounds = RunHistory(self.history, self.run)
        self.history.objects.put(self.coverage.encode())
        self.clips = first_clips(self.run, self.history.specs)
        root = self.history.root / "seal"
        self.pens = {m: SealPen(root / m, m, self.run) for m in self.run.member_ids}

    # --- what the log holds -----------------------------------------------------------------

    @property
    def digest(self) -> Digest:
        return self.run.digest

    @property
    def book(self) -> SealBook:
        """Everything that was said of sealed mode so far."""
        found = SealBook(self.history.replica.library)
        for entry in self.history.entries:
            found.add(entry)
        return found

    @property
    def epoch(self) -> EpochBook:
        return self.book.epochs[self.digest]

    @property
    def round(self) -> RoundBook:
        return self.book.rounds[self.digest]

    @property
    def plan(self) -> Digest:
        return self.round.plan_digest

    def say(self, body: Body, member: str, *, in_round: bool = True) -> Entry:
        number = self.rounds.round if in_round else None
        return self.history.say(body, member, run=self.digest, round_=number)

    def coordinator(self, body: Body, *, in_round: bool = True) -> Entry:
        number = self.rounds.round if in_round else None
        return self.history.coordinator(body, self.digest, number)

    # --- steps ------------------------------------------------------------------------------

    def open_epoch(self, *, asked: Sequence[str] | None = None) -> EpochBook:
        """Keys, beacons, cohorts and secrets of all members; `asked` answer, the others do not."""
        state, now = self.history.state, self.history.now
        seat = state.run(self.digest)
        number = 0 if seat.epoch is None else seat.epoch.number + 1
        able = epochs.able(state, self.run, now)
        self.coordinator(EpochOpened(number=number, members=able, reason="a test"), in_round=False)
        answering = able if asked is None else asked
        for member in answering:
            body = self.pens[member].show_key(self.epoch, self.coverage.digest)
            self.say(body, member, in_round=False)
        self.coordinator(
            KeysClosed(epoch=self.epoch.digest, keys=epochs.on_the_list(self._seat)),
            in_round=False,
        )
        for member in answering:
            self.say(self.pens[member].show_beacon(self.epoch), member, in_round=False)
        cohorts = epochs.drawn_cohorts(self._seat, self.run)
        self.coordinator(CohortsDrawn(epoch=self.epoch.digest, cohorts=cohorts), in_round=False)
        for member in answering:
            self.say(self.pens[member].seal_keys(self.epoch), member, in_round=False)
        return self.epoch

    @property
    def _seat(self) -> Any:
        return self.history.state.run(self.digest).epoch

    @property
    def inputs(self) -> SealedInputs:
        inputs: RoundInputs = self.rounds.inputs
        return sealed_inputs(inputs, self.clips, self.epoch.largest, self.coverage)

    def call(self, **changes: Any) -> Digest:
        """The plan of the next attempt."""
        state = self.history.state
        seat = state.run(self.digest)
        plan: dict[str, Any] = {
            "attempt": seat.attempt,
            "term": state.term,
            "base": seat.base,
            "roster": epochs.sealed_roster(state, seat, self.run, self.history.now),
            "inner_steps": inner_steps(self.run.rounds, seat.rounds),
            "codec": self.run.update.codec,
            "mode": "sealed",
            "quorum": self.run.rounds.quorum,
            "epoch": self._seat.digest,
            "scales": self.history.objects.put(self.inputs.table.encode()),
        }
        body = RoundPlan.model_validate({**plan, **changes})
        return self.coordinator(body).statement.digest

    def set_up(self, *members: str) -> None:
        """Grants and set-ups."""
        for member in members:
            self.say(granted(self.plan), member)
            self.say(self.pens[member].set_up(self.round), member)

    def name_masking_set(self, *members: str, cohort: int = 0) -> Entry:
        return self.coordinator(
            MaskingSet(plan=self.plan, cohort=cohort, members=tuple(sorted(members)))
        )

    def values(self, member: str) -> dict[str, FloatArray]:
        """What a member trained in this attempt."""
        text = f"{member} {self.rounds.round} {self.round.plan.attempt}"
        draw = np.random.default_rng(list(text.encode()))
        specs = self.inputs.inputs.update_layout
        return {e.name: draw.standard_normal(e.spec.shape, np.float32) for e in specs}

    def masked(self, member: str, values: Mapping[str, FloatArray] | None = None) -> Masked:
        """The member's masked update, which lies among the objects."""
        pen, book = self.pens[member], self.round
        pen.accept_masking_set(book)
        made = pen.mask_update(book, self.inputs, values or self.values(member))
        self.history.objects.put(made.path.read_bytes())
        self.files[member] = made
        return made

    def commitment(self, member: str, **changes: Any) -> UpdateCommitted:
        """The statement that goes with a masked update."""
        made, plan = self.files[member], self.round.plan
        fields: dict[str, Any] = {
            "plan": self.plan,
            "base": plan.base,
            "update": made.update,
            "bytes": made.bytes,
            "hidden": made.hidden,
            "steps": plan.inner_steps,
            "tokens": 100,
            "flops": 1000,
            "train_s": 1.5,
        }
        return UpdateCommitted.model_validate({**fields, **changes})

    def send(self, *members: str) -> None:
        for member in members:
            self.masked(member)
            self.say(self.commitment(member), member)

    def name_survivors(self, *members: str, cohort: int = 0) -> Entry:
        return self.coordinator(
            SurvivorSet(plan=self.plan, cohort=cohort, members=tuple(sorted(members)))
        )

    def unmask(self, *members: str) -> None:
        for member in members:
            self.say(self.pens[member].unmask(self.round), member)

    def void(self, reason: str = "a test") -> Entry:
        return self.coordinator(RoundVoid(plan=self.plan, reason=reason))

    def commit(self, **changes: Any) -> Entry:
        """Open all sums, merge, and say what came."""
        book, inputs, history = self.round, self.inputs, self.history
        sums = []
        for number, survivors in sorted(book.survivors.items()):
            files = {m: history.objects.path(book.sent[m].update) for m in survivors}
            opening = open_cohort(self.digest, book, number)
            sums.append(cohort_sum(inputs, book, number, opening, files))
        members = sorted(m for one in book.survivors.values() for m in one)
        weights = sealed_weights(self.run, members)
        work = self.rounds.work
        paths = RoundPaths(
            step=work / "step",
            base=work / "base.next",
            outer_state=work / f"outer{self.rounds.round}",
            durable=False,
        )
        made, clips = merge_sealed(inputs, sums, weights, paths)
        record = RoundRecord(
            run=self.digest,
            round=self.rounds.round + 1,
            previous=self.rounds.record,
            base=history.objects.put(paths.base.read_bytes()),
            outer_state=made.outer_state,
            step=history.objects.put(paths.step.read_bytes()),
            contributions={
                m: Contribution(
                    **book.sent[m].model_dump(include={"update", "steps", "tokens", "flops"}),
                    train_s=book.sent[m].train_s,
                    weight=weights[m],
                    mean_loss=None,
                    norm=None,
                    payload_bytes=book.sent[m].bytes,
                )
                for m in members
            },
            left_out={m: LATE for m in book.plan.roster if m not in members},
            closed_because="everyone answered",
            next_scales={name: clip.hex() for name, clip in clips.items()},
            seconds=2.5,
        )
        self.rounds.record = history.objects.put(record.data)
        body = RoundCommitted(
            plan=self.plan,
            base_before=book.plan.base,
            base=record.base,
            step=record.step or "",
            outer_state=record.outer_state,
            record=self.rounds.record,
            merged={
                m: Merged(update=one.update, weight=one.weight, norm=None)
                for m, one in record.contributions.items()
            },
            left_out=record.left_out,
            closed_because=record.closed_because,
        )
        entry = self.coordinator(body.model_copy(update=changes))
        paths.base.replace(self.rounds.base)
        self.rounds.outer_state = None if made.outer_state is None else paths.outer_state
        self.clips = clips
        return entry

    def round_of(self, *members: str, dropped: Sequence[str] = ()) -> Entry:
        """A whole round of one cohort; `dropped` are masked with the others and send nothing."""
        taking = members or self.run.member_ids
        self.call()
        self.set_up(*taking)
        self.name_masking_set(*taking)
        survivors = [m for m in taking if m not in dropped]
        self.send(*survivors)
        self.name_survivors(*survivors)
        self.unmask(*survivors)
        return self.commit()
