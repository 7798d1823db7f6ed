"""The coordinator: calls rounds, screens and merges what comes, commits, and asks for measures.

It holds no secret and sees no text; it never imports what reads text or trains. All of a round's
decisions are `rounds.decide`; all of its arithmetic is `concord.update`; here is only the order
in which things happen. A round has happened when its record is in the log (`chronicle`), so that a
coordinator killed at any instant, or another one that took over, goes on from the last committed
round.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from concord.base.clock import Clock
from concord.base.digest import Digest
from concord.base.errors import (
    FederationError,
    MessageRefused,
    QuorumLost,
    RefusalReason,
    StatementRefused,
    UpdateRefused,
)
from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps
from concord.federation.assembly import (
    Arrival,
    Assembly,
    CurrentBase,
    Departure,
    Phase,
    Tokenizer,
)
from concord.federation.byte_counter import ByteCounter
from concord.federation.chronicle import Chronicle
from concord.federation.first_base import fetch_first_base
from concord.federation.gating import Gate, findings
from concord.federation.merging import OpenMerge, RunState
from concord.federation.messages import (
    Committed,
    Cosigned,
    Evaluate,
    Finish,
    Progress,
    Said,
)
from concord.federation.records import Evaluation, RunFolder
from concord.federation.rounds import (
    Action,
    ClosingRule,
    RoundState,
    Standing,
    call_round,
    close_round,
    decide,
    no_fault,
    quarantine,
    record_standing,
)
from concord.federation.run_log import RunLog
from concord.federation.telling import Telling
from concord.federation.watcher import Watcher
from concord.federation.work import UpdateHeader
from concord.ledger.arithmetic import weights_fault
from concord.ledger.entries import Entry
from concord.ledger.round_record import RoundRecord
from concord.ledger.state.gates import REVIEW_ROUNDS
from concord.ledger.state.model import REVIEW_STRIKES
from concord.ledger.statements.rounds import (
    Granted,
    Measured,
    MeasureRefused,
    Refused,
    UpdateSent,
)

TICK_S = 0.5
MAX_ATTEMPTS = 20
EVALUATION_PATIENCE = 5
WITNESS_PATIENCE_S = 30.0


class _Paused(Exception):
    """Too few are seated, and another process waits to go on with the run."""


class Coordinator:
    """Runs the rounds of one run document over an engine.

    Args:
        run: The run document.
        folder: Where the run's records and objects are.
        assembly: The members, on a started engine.
        tokenizer: What the members are to use.
        chronicle: The log.
        clock: Time, handed in.
        watcher: Looks on.
        gate: The probe gate, if the run has one.
        witness_patience_s: How long members have to answer what needs no training.
        pause: Asked at every border of a round: whether another process is to go on from here.
    """

    def __init__(
        self,
        run: RunDocument,
        folder: RunFolder,
        assembly: Assembly,
        *,
        tokenizer: Tokenizer,
        chronicle: Chronicle,
        clock: Clock,
        watcher: Watcher,
        gate: Gate | None = None,
        witness_patience_s: float = WITNESS_PATIENCE_S,
        pause: Callable[[], bool] = lambda: False,
    ) -> None:
        self._run = run
        self._log = RunLog(run, folder, chronicle)
        self._telling = Telling(assembly, chronicle)
        self._folder = folder
        self._assembly = assembly
        self._engine = assembly.engine
        self._tokenizer = tokenizer
        self._clock = clock
        self._watcher = watcher
        self._gate = gate
        self._pause = pause
        self._patience_s = max(witness_patience_s, run.rounds.min_grace_s)
        self._state: RunState | None = None
        self._bytes = ByteCounter(assembly.engine, run.member_ids)
        self._starting = True
        self._rule = ClosingRule.of(run.rounds, lambda members: weights_fault(run, members))

    def run(self) -> bool:
        """Run all rounds that are not committed yet, then measure the final base.

        Returns:
            False if it was paused before: members are not told that the run is over.

        Raises:
            QuorumLost: too few members are left.
            MemberFailed: a member cannot take part, found out before training began.
            CheckpointError: records or objects were altered.
        """
        self._assembly.use_tokenizer(self._tokenizer)
        state = self._resume() or self._found()
        self._state = state
        # From here on nobody has anything larger to send than an update.
        self._engine.max_payload_bytes = state.largest_update
        self._log.begin(state, None if self._gate is None else self._gate.probes)
        self._assembly.use_base(state.current)
        self._assembly.patient = True
        try:
            return self._rounds(state)
        except _Paused:
            return False

    def _rounds(self, state: RunState) -> bool:
        while state.committed < self._run.rounds.count:
            self._wait_for_seats()
            if self._starting:
                # What brought members to their seats belongs to no round.
                self._bytes.since_last()
                self._starting = False
            self._round(state)
            paused = self._pause() and state.committed < self._run.rounds.count
            if self._due(state.committed):
                if paused:
                    self._measure_all(state.current)
                else:
                    self._ask_evaluation(state.current)
            if paused:
                return False
        self._watcher.stage("evaluation")
        self._measure_all(state.current)
        self._log.close(state)
        self._witness_all()
        for member in self._assembly.seated:
            self._engine.send(member, Finish())
        return True

    # --- beginnings -------------------------------------------------------------------------

    def _resume(self) -> RunState | None:
        if not self._folder.started():
            return None
        self._log.reconcile()
        return RunState.resume(self._run, self._folder)

    def _found(self) -> RunState:
        """Agree on the seeded first base, fetch it once, and commit it as record 0."""
        self._wait_until_ready()
        payload, digest = fetch_first_base(self._assembly, tick_s=TICK_S)
        return RunState.found(self._run, self._folder, payload, digest, self._tokenizer.digest)

    def _wait_until_ready(self) -> None:
        while waiting := self._assembly.in_phase(
            Phase.AWAY, Phase.PREPARING, Phase.PREPARED, Phase.ENCODING
        ):
            self._take(self._assembly.next(TICK_S))
            if gone := self._assembly.in_phase(Phase.GONE):
                reason = self._assembly.places[gone[0]].reason
                raise FederationError(f"cannot take part: {reason}", where=", ".join(waiting))

    def _wait_for_seats(self) -> None:
        """Wait until a quorum is seated; before the first round of this start, for all who come.

        Who was there when a run was stopped is then there again when it goes on.
        """
        needed = self._seats_needed()
        called_s = self._clock.monotonic_s()
        while len(self._assembly.seated) < len(self._run.member_ids):
            if self._pause():
                raise _Paused
            waited_s = self._clock.monotonic_s() - called_s
            seated = len(self._assembly.seated)
            if seated >= needed and not (self._starting and self._someone_comes(waited_s)):
                return
            possible = len(self._run.member_ids) - len(self._assembly.in_phase(Phase.GONE))
            if possible < needed or waited_s > self._rule.stall_s:
                raise QuorumLost(
                    f"{seated} of {len(self._run.member_ids)} members are connected,"
                    f" the quorum is {needed}{self._absent()}",
                    remedy="see why the others left, then `concord run --resume`",
                )
            self._take(self._assembly.next(TICK_S))

    def _someone_comes(self, waited_s: float) -> bool:
        """Whether a member is on its way; one that is away may be so for long."""
        if self._assembly.in_phase(Phase.PREPARING, Phase.PREPARED, Phase.ENCODING, Phase.READY):
            return True
        return bool(self._assembly.in_phase(Phase.AWAY)) and waited_s <= self._patience_s

    def _seats_needed(self) -> int:
        """Members that must be there before a round is worth calling."""
        return max(self._rule.needed(len(self._log.roster())), self._telling.needed)

    def _absent(self) -> str:
        places = self._assembly.places
        gone = (f"; {m}: {places[m].reason}" for m in self._assembly.in_phase(Phase.GONE))
        return "".join(gone)

    # --- one round --------------------------------------------------------------------------

    def _round(self, state: RunState) -> None:
        round_ = state.committed
        for _ in range(MAX_ATTEMPTS):
            if self._try_round(state):
                return
            self._wait_for_seats()
        raise QuorumLost(
            f"round {round_} was called {MAX_ATTEMPTS} times without a quorum",
            remedy="see why members fail, then `concord run --resume`",
        )

    def _try_round(self, state: RunState) -> bool:
        """Call the round once; whether it was committed."""
        merge = state.open_round(started_s=self._clock.monotonic_s())
        closed, reason = self._collect(state, merge)
        if closed is not None and self._gate is not None:
            closed = self._gated(state, merge, closed, self._gate)
        if closed is None:
            merge.discard()
            return False
        self._commit(state, merge, closed, reason)
        return True

    def _collect(self, state: RunState, merge: OpenMerge) -> tuple[RoundState | None, str]:
        """Call the round and take answers until it closes; None if it was abandoned."""
        round_ = state.committed
        for name, reason in self._log.take_from_inbox():
            self._watcher.refused(name, round_, reason)
        steps = inner_steps(self._run.rounds, round_)
        plan = self._log.plan(state, steps)
        merge.plan(self._log.planned_steps)
        roster = self._log.roster()
        self._witness_all(enough=True)
        if (lacking := self._telling.lacking()) is not None:
            self._log.void(round_, lacking)
            self._watcher.abandoned(round_, lacking)
            return None, lacking
        # Who was seated after the others were told does not know the plan; the next round has it.
        seated = tuple(m for m in self._assembly.seated if self._telling.knows_all(m))
        answers = call_round(round_, roster, now_s=self._clock.monotonic_s())
        call = self._telling.call(plan)
        for member in roster:
            if member in seated:
                self._engine.send(member, call)
            else:
                late = member in self._assembly.seated
                reason = "came too late" if late else self._assembly.places[member].reason
                answers = self._note(answers, member, Standing.LOST, reason)
        self._watcher.round_called(round_, seated, steps)
        while True:
            now_s = self._clock.monotonic_s()
            decision = decide(answers, self._rule, now_s=now_s)
            if decision.action is Action.CLOSE:
                return close_round(answers), decision.reason
            if decision.action is Action.ABANDON:
                self._log.void(round_, decision.reason)
                self._watcher.abandoned(round_, decision.reason)
                return None, decision.reason
            wait_s = min(TICK_S, decision.ask_again_s - now_s)
            arrival = self._assembly.next(max(0.0, wait_s if math.isfinite(wait_s) else TICK_S))
            if isinstance(arrival, Departure):
                self._left(arrival)
                answers = self._note(answers, arrival.member, Standing.LOST, arrival.reason)
            elif arrival is not None:
                answers = self._answer(answers, merge, arrival)

    def _gated(
        self, state: RunState, merge: OpenMerge, closed: RoundState, gate: Gate
    ) -> RoundState | None:
        """Leave out what the probes speak against; None if too little is left for a round."""
        updates = merge.update_digests()
        benefits = gate.prober.benefits(merge.gate_case(gate))
        found = findings(benefits, list(updates), self._run)
        self._log.gate(found, base=state.current.digest, probes=gate.probes, updates=updates)
        if not found.quarantined:
            return closed
        reasons = {
            m: f"the probes are {-found.benefits[m]:.3f} nats per token better without it"
            for m in found.quarantined
        }
        for member, reason in reasons.items():
            self._watcher.refused(member, closed.round, f"quarantined: {reason}")
        for member in self._log.under_review(after=found.quarantined):
            self._watcher.note(
                f"{member} was quarantined {REVIEW_STRIKES} times in {REVIEW_ROUNDS} rounds:"
                f" the members may want to decide about it (`concord gate show`)"
            )
        merge.quarantine(found.quarantined)
        closed = quarantine(closed, reasons)
        needed = self._rule.needed(len(closed.members))
        fault = self._rule.fault(closed.accepted)
        if len(closed.accepted) < needed or fault:
            why = (
                f"{len(closed.accepted)} updates are left after the gate, quorum {needed}; {fault}"
            )
            self._log.void(closed.round, why)
            self._watcher.abandoned(closed.round, why)
            return None
        return closed

    def _answer(self, answers: RoundState, merge: OpenMerge, arrival: Arrival) -> RoundState:
        if not isinstance(arrival.message, Said):
            self._take(arrival)
            return answers
        member = arrival.member
        try:
            entry = self._log.hear(arrival)
        except StatementRefused as error:
            return self._refuse(answers, arrival, str(error))
        body, round_ = entry.statement.body, entry.statement.binding.round
        if isinstance(body, UpdateSent):
            if round_ != answers.round:
                self._take_late(arrival, entry)
                return answers
            return self._take_update(answers, merge, arrival, entry)
        arrival.frame.drop_payload()
        if isinstance(body, Granted):
            return self._note(answers, member, Standing.TRAINING, "")
        if isinstance(body, Refused):
            self._watcher.declined(member, answers.round, body.reason)
            return self._note(answers, member, Standing.DECLINED, body.reason)
        if isinstance(body, Measured) and round_ is not None:
            self._measured(member, body, round_)
        return answers

    def _take_update(
        self, answers: RoundState, merge: OpenMerge, arrival: Arrival, entry: Entry
    ) -> RoundState:
        try:
            merge.accept(arrival.member, header_of(entry), arrival.frame)
        except UpdateRefused as error:
            return self._refuse(answers, arrival, f"{error.reason}: {error.message}")
        return self._note(answers, arrival.member, Standing.ACCEPTED, "")

    def _take_late(self, arrival: Arrival, entry: Entry) -> None:
        """An update of the round before: the log took it, so the run lets it into the next one."""
        try:
            if self._state is None:
                raise UpdateRefused(RefusalReason.WRONG_ROUND, "there was no round before")
            self._state.accept_late(arrival.member, header_of(entry), arrival.frame)
        except UpdateRefused as error:
            arrival.frame.drop_payload()
            why = f"{error.reason}: {error.message}"
            self._watcher.refused(arrival.member, self._log.rounds, why)

    def _refuse(self, answers: RoundState, arrival: Arrival, reason: str) -> RoundState:
        """What a member sent is left out; an answer to an earlier plan leaves this one open."""
        arrival.frame.drop_payload()
        self._watcher.refused(arrival.member, answers.round, reason)
        if self._log.is_late(arrival):
            return answers
        return self._note(answers, arrival.member, Standing.REFUSED, reason)

    def _note(
        self, answers: RoundState, member: str, standing: Standing, reason: str
    ) -> RoundState:
        now_s = self._clock.monotonic_s()
        return record_standing(answers, member, standing, now_s=now_s, reason=reason[:200])

    def _left(self, departure: Departure) -> None:
        self._telling.lost(departure.member)
        self._watcher.member_left(departure.member, departure.reason)

    def _witness_all(self, *, enough: bool = False) -> None:
        """Tell all seated members what is new, and wait for their cosignatures.

        Args:
            enough: Wait only for as many as the charter asks for before training.
        """
        self._telling.tell_all()
        called_s = self._clock.monotonic_s()
        while self._telling.waiting if enough else self._telling.waiting_for_anyone:
            if self._clock.monotonic_s() - called_s > self._patience_s:
                return
            self._take(self._assembly.next(TICK_S))
        self._log.publish()

    def _commit(self, state: RunState, merge: OpenMerge, closed: RoundState, reason: str) -> None:
        before = state.current.digest
        up, down = self._bytes.since_last()
        record = merge.commit(
            left_out=closed.left_out,
            closed_because=reason,
            now_s=self._clock.monotonic_s(),
            bytes_up=up,
            bytes_down=down,
            announce=self._log.committed,
        )
        self._tell_committed(state, record, before)

    def _tell_committed(self, state: RunState, record: RoundRecord, before: Digest) -> None:
        """A round has happened: let everybody take its step."""
        assert record.step is not None  # noqa: S101 - every committed round has one
        message = Committed(
            round=record.round,
            base_before=before,
            base=record.base,
            payload_digest=record.step,
            included={m: c.update for m, c in record.contributions.items()},
        )
        self._assembly.base = state.current
        for member in self._assembly.seated:
            self._engine.send(member, message, self._folder.objects.path(record.step))
        self._watcher.committed(record)

    # --- measures ---------------------------------------------------------------------------

    def _due(self, committed: int) -> bool:
        every = self._run.evaluation.every_rounds
        return bool(every) and committed % every == 0 and committed < self._run.rounds.count

    def _ask_evaluation(self, base: CurrentBase) -> None:
        self._telling.tell_all()
        for member in self._assembly.seated:
            self._engine.send(member, Evaluate(round=base.round, base=base.digest))

    def _measure_all(self, base: CurrentBase) -> None:
        """Ask everybody for a base's sums, unless an earlier start already has them.

        Closed like a round, with more grace: a member that hangs does not keep the others.
        """
        done = {m for m, e in self._folder.evaluations() if e.base == base.digest}
        self._wait_for_seats()
        self._witness_all()
        waiting = tuple(sorted(set(self._assembly.seated) - done))
        if not waiting:
            return
        for member in waiting:
            self._engine.send(member, Evaluate(round=base.round, base=base.digest))
        rule = replace(
            self._rule,
            fault=no_fault,
            grace_share=self._rule.grace_share * EVALUATION_PATIENCE,
            min_grace_s=self._rule.min_grace_s * EVALUATION_PATIENCE,
        )
        answers = call_round(base.round, waiting, now_s=self._clock.monotonic_s())
        while decide(answers, rule, now_s=self._clock.monotonic_s()).action is Action.WAIT:
            arrival = self._assembly.next(TICK_S)
            measured = self._take(arrival)
            if isinstance(arrival, Departure):
                answers = self._note(answers, arrival.member, Standing.LOST, arrival.reason)
            elif arrival is not None and measured == base.digest:
                answers = self._note(answers, arrival.member, Standing.ACCEPTED, "")

    def _take(self, arrival: Arrival | Departure | None) -> str | None:
        """Handle what may come at any time; returns the base that a member was asked to measure,
        if it answered."""
        if arrival is None:
            return None
        if isinstance(arrival, Departure):
            self._left(arrival)
            return None
        if not isinstance(arrival.message, Said):
            arrival.frame.drop_payload()
        match arrival.message:
            case Progress():
                self._watcher.progress(arrival.member, arrival.message)
            case Cosigned():
                self._telling.take(arrival.member, arrival.message)
            case Said():
                return self._hear(arrival)
            case other:
                error = MessageRefused(f"{other.kind!r} was not asked for")
                self._engine.disconnect(arrival.member, str(error))
        return None

    def _hear(self, arrival: Arrival) -> str | None:
        """A statement outside of a round: a measurement, or an answer that came too late."""
        try:
            entry = self._log.hear(arrival)
        except StatementRefused as error:
            arrival.frame.drop_payload()
            self._watcher.refused(arrival.member, self._log.rounds, str(error))
            return None
        statement = entry.statement
        if isinstance(statement.body, UpdateSent):
            self._take_late(arrival, entry)
            return None
        arrival.frame.drop_payload()
        if isinstance(statement.body, Measured) and statement.binding.round is not None:
            self._measured(arrival.member, statement.body, statement.binding.round)
            return statement.body.base
        if isinstance(statement.body, MeasureRefused):
            self._watcher.declined(arrival.member, self._log.rounds, statement.body.reason)
            return statement.body.base
        return None

    def _measured(self, member: str, body: Measured, round_: int) -> None:
        found = Evaluation(round=round_, **body.model_dump())
        self._folder.append_evaluation(member, found)
        self._watcher.evaluated(member, found)


def header_of(entry: Entry) -> UpdateHeader:
    """An announced update, as merging takes it."""
    body, round_ = entry.statement.body, entry.statement.binding.round
    if not isinstance(body, UpdateSent) or round_ is None:
        raise MessageRefused("is not about an update")
    return UpdateHeader(
        round=round_,
        base=body.base,
        payload_digest=body.update,
        steps=body.steps,
        tokens=body.tokens,
        flops=body.flops,
        train_s=body.train_s,
        mean_loss=body.mean_loss,
    )
