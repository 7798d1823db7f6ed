"""One run in the log: its opening, plans, records and end, said by the coordinator."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from concord.base.digest import Digest
from concord.base.errors import CheckpointError, FederationError, StatementRefused
from concord.charter.pace import paced_steps
from concord.charter.run import RunDocument
from concord.federation.assembly import Arrival
from concord.federation.chronicle import Chronicle
from concord.federation.gating import Findings
from concord.federation.merging import RunState
from concord.federation.messages import Said
from concord.federation.records import RunFolder
from concord.ledger.entries import Entry
from concord.ledger.round_record import RoundRecord
from concord.ledger.sealed.book import SealBook
from concord.ledger.state import epochs
from concord.ledger.state.gates import REVIEW_ROUNDS
from concord.ledger.state.model import REVIEW_STRIKES, RunSeat
from concord.ledger.statements.counting import CountsPlanned
from concord.ledger.statements.fields import Body
from concord.ledger.statements.gates import GateReport
from concord.ledger.statements.rounds import (
    Merged,
    RoundCommitted,
    RoundPlan,
    RoundVoid,
    RunClosed,
    RunOpening,
)


class RunLog:
    """What the coordinator says of one run.

    Args:
        run: The run document.
        folder: The run's folder; what lies there follows from the log.
        chronicle: The log.
    """

    def __init__(self, run: RunDocument, folder: RunFolder, chronicle: Chronicle) -> None:
        self._run = run
        self._digest = run.digest
        self._folder = folder
        self._chronicle = chronicle
        self.publish = chronicle.publish
        self.take_from_inbox = chronicle.take_from_inbox
        self.seals = SealBook(chronicle.library)
        for entry in chronicle.entries() if run.mode == "sealed" else ():
            self.seals.add(entry)

    @property
    def seat(self) -> RunSeat:
        """Where the run stands in the log."""
        return self._chronicle.state.run(self._digest)

    @property
    def planned_steps(self) -> dict[str, int]:
        """Inner steps of each member in the open plan, where they differ."""
        plan = self.seat.plan
        return {} if plan is None else dict(plan.steps)

    @property
    def rounds(self) -> int:
        return self.seat.rounds

    def roster(self) -> tuple[str, ...]:
        """Members that may be in a round now: bound by the charter, and not halted."""
        state, now = self._chronicle.state, self._chronicle.now()
        bound = state.bound(now)
        return tuple(
            m for m in self._run.member_ids if m in bound and state.halt_of(m, now) is None
        )

    def reconcile(self) -> None:
        """Bring the run's folder to where the log stands: a crash may have come in between.

        Raises:
            CheckpointError: the folder holds a round that the log does not, or lacks one whose
                record is not among the objects.
        """
        seat = self._chronicle.state.runs.get(self._digest)
        records = self._folder.records()
        stands = 0 if seat is None or seat.record is None else seat.rounds
        if len(records) - 1 > stands:
            raise CheckpointError(
                f"holds {len(records) - 1} rounds, and the log {stands}",
                where=self._folder.root,
                remedy="restore log and folder from the same copy",
            )
        if seat is not None and seat.record is not None and len(records) - 1 < stands:
            self._folder.restore(stands, self._chronicle.library.objects.get(seat.record))
            records = self._folder.records()
        if seat is not None and seat.record is not None and records[-1][0] != seat.record:
            raise CheckpointError(
                "the last record is not the one that the log names", where=self._folder.root
            )

    def begin(self, state: RunState, probes: Digest | None = None) -> None:
        """Open the run in the log, or go on with it; an unfinished plan is void.

        Args:
            probes: The probe set, where the run has a gate.
        """
        seat = self.seat
        if seat.standing == "adopted":
            digest, record = self._folder.records()[0]
            body = RunOpening(
                first_base=record.base, tokenizer=record.tokenizer, probes=probes, record=digest
            )
            self._say(body)
        elif seat.plan is not None:
            self.void(seat.rounds, "the coordinator was started again")
        if self.rounds != state.committed:
            raise CheckpointError(
                f"holds {state.committed} rounds, and the log {self.rounds}",
                where=self._folder.root,
            )

    def plan(self, state: RunState, steps: int, scales: Digest | None = None) -> Digest:
        """Call the next round in the log; returns the digest of the plan's statement.

        Args:
            scales: Of a sealed round: digest of its table of scales.
        """
        seat, now = self.seat, self._chronicle.now()
        if halted := self._chronicle.state.halt_of_all(now):
            halt = self._chronicle.state.halts[halted]
            raise FederationError(
                f"all are halted by {', '.join(halt.by) or 'the oversight body'}: {halt.reason}",
                where="log",
                remedy="look at it with `concord log show`; it ends by itself, or by a vote",
            )
        roster = self.roster() if scales is None else self.sealed_roster()
        body = RoundPlan(
            attempt=seat.attempt,
            term=self._chronicle.state.term,
            base=state.current.digest,
            roster=roster,
            inner_steps=steps,
            steps=paced_steps(self._run, seat.rounds, roster, seat.step_times_us),
            codec=self._run.update.codec,
            quorum=self._run.rounds.quorum,
            mode=self._run.mode,
            epoch=None if scales is None or seat.epoch is None else seat.epoch.digest,
            scales=scales,
        )
        return self._say(body, seat.rounds).statement.digest

    def gate(
        self, found: Findings, *, base: Digest, probes: Digest, updates: Mapping[str, Digest]
    ) -> None:
        """What the probe gate found, before anything is merged."""
        plan = self.seat.plan
        if plan is None:
            raise FederationError("a gate reported without a plan", where="log")
        body = GateReport(
            plan=plan.digest,
            base=base,
            probes=probes,
            updates=dict(updates),
            benefits=dict(found.benefits),
            values=self._folder.objects.put(found.values),
            quarantined=found.quarantined,
        )
        self._say(body, self.seat.rounds)

    def under_review(self, *, after: Collection[str]) -> tuple[str, ...]:
        """Members that a round in which `after` were quarantined puts under review."""
        seat = self.seat
        oldest = seat.rounds + 1 - REVIEW_ROUNDS
        lately = {m: [r for r in seat.strikes.get(m, ()) if r > oldest] for m in after}
        return tuple(m for m, rounds in sorted(lately.items()) if len(rounds) + 1 == REVIEW_STRIKES)

    # --- sealed mode ------------------------------------------------------------------------

    def sealed_roster(self) -> tuple[str, ...]:
        """Members that a sealed round is called with."""
        return epochs.sealed_roster(self._chronicle.state, self.seat, self._run, self.now())

    def now(self) -> int:
        return self._chronicle.now()

    def able(self) -> tuple[str, ...]:
        """Members of a sealed run that may take part now, with or without keys."""
        return epochs.able(self._chronicle.state, self._run, self.now())

    def must_renew(self) -> str:
        """Why no sealed round can be called before keys are made anew; empty if one can."""
        return epochs.must_renew(self.seat, self._run, self.now())

    def may_renew(self) -> str:
        """Why keys may be made anew; empty if they may not."""
        return epochs.may_renew(self._chronicle.state, self.seat, self._run, self.now())

    def plan_counts(self, merges: Digest) -> Digest:
        """Ask for counts of a list of merges; returns the digest of the plan's statement.

        Raises:
            StatementRefused: keys are lacking, or members did not agree on this list.
        """
        seat = self.seat
        if seat.epoch is None:
            raise FederationError("counts were asked for without keys", where="log")
        body = CountsPlanned(
            attempt=seat.attempt,
            term=self._chronicle.state.term,
            roster=self.sealed_roster(),
            epoch=seat.epoch.digest,
            merges=merges,
        )
        return self._say(body, 0).statement.digest

    def seal(self, body: Body, round_: int | None = None) -> Entry:
        """A statement of the coordinator in sealed mode."""
        return self._say(body, round_)

    def void(self, round_: int, reason: str) -> None:
        """The plan came to no end."""
        plan = self.seat.plan
        if plan is not None:
            self._say(RoundVoid(plan=plan.digest, reason=reason[:300]), round_)

    def committed(self, record: RoundRecord, digest: Digest, before: Digest) -> None:
        """The round has happened: from here on, the log holds it."""
        plan = self.seat.plan
        if plan is None or record.step is None:
            raise FederationError("a round was committed without a plan", where="log")
        body = RoundCommitted(
            plan=plan.digest,
            base_before=before,
            base=record.base,
            step=record.step,
            outer_state=record.outer_state,
            record=digest,
            merged={
                member: Merged(update=one.update, weight=one.weight, norm=one.norm, late=one.late)
                for member, one in record.contributions.items()
            },
            left_out={member: reason[:300] for member, reason in record.left_out.items()},
            closed_because=record.closed_because,
            bytes_up=record.bytes_up,
            bytes_down=record.bytes_down,
        )
        self._say(body, record.round - 1)
        self._chronicle.flush()

    def close(self, state: RunState) -> None:
        """All rounds have happened and were measured."""
        if self.seat.standing == "open":
            self._say(RunClosed(base=state.current.digest))
            self._chronicle.flush()

    def hear(self, arrival: Arrival) -> Entry:
        """A member's statement.

        Raises:
            StatementRefused: it may not enter the log.
        """
        message = arrival.message
        assert isinstance(message, Said)  # noqa: S101 - callers looked
        entry = self._chronicle.hear(message.entry.encode(), member=arrival.member)
        self.seals.add(entry)
        return entry

    def is_late(self, arrival: Arrival) -> bool:
        """Whether a statement answers another plan than the one that is open."""
        message, plan = arrival.message, self.seat.plan
        assert isinstance(message, Said)  # noqa: S101 - callers looked
        try:
            body = Entry.parse(message.entry.encode()).statement.body
        except StatementRefused:
            return False
        return plan is None or getattr(body, "plan", plan.digest) != plan.digest

    def _say(
        self,
        body: Body,
        round_: int | None = None,
    ) -> Entry:
        entry = self._chronicle.say(body, run=self._digest, round_=round_)
        self.seals.add(entry)
        return entry
