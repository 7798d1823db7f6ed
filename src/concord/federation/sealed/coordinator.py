"""The coordinator of a sealed run: keys once for many rounds, then rounds of which it sees sums.

    epoch    ask for keys ─► list of keys ─► beacons ─► cohorts ─► secrets for each other
    round    plan ─► grants, set-ups ─► masking sets ─► training, masked updates ─► survivor sets
             ─► shares ─► sums ─► merge, commit

Each step is in the log, under a checkpoint that witnesses signed, before anyone acts on it. Who
drops out before the masking set is left out of it; who drops out before the survivor set has its
masks taken out again by the others' shares; who drops out afterwards is in the sum as long as
enough others answer. A cohort that cannot be opened is left out whole; with too few left the
attempt is void, and members train anew for the next one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from concord.base.canonical import canonical_json
from concord.base.errors import (
    QuorumLost,
    StatementRefused,
    UpdateRefused,
)
from concord.charter.schedule import inner_steps
from concord.federation.assembly import Arrival, Departure
from concord.federation.coordinator import TICK_S
from concord.federation.merging import RunState
from concord.federation.messages import Said, SealStep
from concord.federation.rounds import (
    Action,
    RoundState,
    Standing,
    call_round,
    close_round,
    come_back,
    decide,
)
from concord.federation.sealed.merging import SealedMerge, next_inputs
from concord.federation.sealed.table import SealedTable, set_up_alike
from concord.ledger.sealed.book import RoundBook
from concord.ledger.sealed.coverage import EVERYTHING, Coverage
from concord.ledger.state.sealing import MAX_RELEASED
from concord.ledger.statements.rounds import Granted, Refused
from concord.ledger.statements.sealing import (
    MaskingSet,
    SealSetUp,
    SurvivorSet,
    Unmasked,
    UpdateCommitted,
)

Parallel = Mapping[str, list[str]]


class SealedCoordinator(SealedTable):
    """Runs the rounds of a sealed run.

    Before `run`, `cover` has to be told which vocabulary rows are left out.
    """

    _coverage = EVERYTHING
    _agreed = EVERYTHING.encode()

    def cover(self, coverage: Coverage, parallel: Parallel) -> None:
        """Leave vocabulary rows out.

        Args:
            coverage: Which, as every member finds them too.
            parallel: The lines by which they find them.
        """
        self._coverage = coverage
        self._agree_on(coverage.encode(), canonical_json(dict(parallel)))

    # --- one round --------------------------------------------------------------------------

    def _seats_needed(self) -> int:
        """Besides the quorum: enough for the sum of one cohort."""
        seal = self._run.seal
        assert seal is not None  # noqa: S101 - a sealed run has one
        epoch = self._log.seals.epochs.get(self._run.digest)
        cohorts = () if epoch is None else epoch.cohorts
        least = min((cohort.least for cohort in cohorts), default=seal.min_survivors)
        return max(super()._seats_needed(), least)

    def _try_round(self, state: RunState) -> bool:
        self._renew_keys()
        self._assert_not_exhausted()
        started_s = self._clock.monotonic_s()
        sealed = next_inputs(state, self._epoch_book.largest, self._coverage)
        merge = SealedMerge(state, sealed, started_s)
        answers, reason = self._sealed_round(state, merge)
        if answers is None:
            merge.discard()
            self._log.void(state.committed, reason)
            self._watcher.abandoned(state.committed, reason)
            return False
        up, down = self._bytes.since_last()
        before = state.current.digest
        record = merge.commit(
            self._book,
            left_out=answers.left_out,
            closed_because=reason,
            now_s=self._clock.monotonic_s(),
            bytes_up=up,
            bytes_down=down,
            announce=self._log.committed,
        )
        self._tell_committed(state, record, before)
        return True

    def _assert_not_exhausted(self) -> None:
        seat = self._log.seat
        if seat.released >= MAX_RELEASED:
            raise QuorumLost(
                f"{seat.released} attempts at round {seat.rounds + 1} came to a survivor set and"
                " no further: a third would tell more of single updates",
                remedy="propose a new run that continues from this base",
            )

    @property
    def _book(self) -> RoundBook:
        return self._log.seals.rounds[self._run.digest]

    def _sealed_round(self, state: RunState, merge: SealedMerge) -> tuple[RoundState | None, str]:
        """All steps of an attempt, up to sums that are open; None if it is void."""
        round_ = state.committed
        for name, reason in self._log.take_from_inbox():
            self._watcher.refused(name, round_, reason)
        table = merge.sealed.table.encode()
        scales = self._folder.objects.put(table)
        plan = self._log.plan(state, inner_steps(self._run.rounds, round_), scales)
        self._witness_all(enough=True)
        if (lacking := self._telling.lacking()) is not None:
            return None, lacking
        answers = self._set_up(plan)
        answers = self._name_masking_sets(plan, answers)
        if not self._book.masking:
            return None, "too few members were set up alike for a sealed sum"
        closed, reason = self._train(plan, answers, merge, table)
        if closed is None:
            return None, reason
        answers = closed
        self._name_survivors(plan, answers)
        if not self._book.survivors:
            return None, f"no cohort has enough updates for a sealed sum ({reason})"
        survivors = [m for one in self._book.survivors.values() for m in one]
        self._ask(Unmasked, "unmask", plan, survivors)
        answers, opened = self._open(answers, merge)
        if fault := self._quorum_fault(answers, opened):
            return None, fault
        return answers, reason

    def _set_up(self, plan: str) -> RoundState:
        """Call the round; take grants, refusals and set-ups until all answered."""
        roster = self._log.seat.plan.roster if self._log.seat.plan is not None else ()
        now_s = self._clock.monotonic_s()
        answers = call_round(self._log.rounds, roster, now_s=now_s)
        call = self._telling.call(plan)
        waiting = set()
        for member in roster:
            if member in self._assembly.seated and self._telling.knows_all(member):
                self._engine.send(member, call)
                waiting.add(member)
            else:
                late = member in self._assembly.seated
                why = "came too late" if late else self._assembly.places[member].reason
                answers = self._note(answers, member, Standing.LOST, why)
        self._watcher.round_called(answers.round, tuple(sorted(waiting)), self._steps)
        while waiting and self._clock.monotonic_s() - now_s < self._patience_s:
            arrival = self._assembly.next(TICK_S)
            answers, done = self._take_set_up(answers, arrival)
            waiting -= done
        return answers

    @property
    def _steps(self) -> int:
        return inner_steps(self._run.rounds, self._log.rounds)

    def _take_set_up(
        self, answers: RoundState, arrival: Arrival | Departure | None
    ) -> tuple[RoundState, set[str]]:
        if isinstance(arrival, Departure):
            self._left(arrival)
            lost = self._note(answers, arrival.member, Standing.LOST, arrival.reason)
            return lost, {arrival.member}
        if arrival is None or not isinstance(arrival.message, Said):
            self._take(arrival)
            return answers, set()
        member = arrival.member
        arrival.frame.drop_payload()
        try:
            body = self._log.hear(arrival).statement.body
        except StatementRefused as error:
            return self._refuse(answers, arrival, str(error)), {member}
        if isinstance(body, Granted):
            return self._note(answers, member, Standing.TRAINING, ""), set()
        if isinstance(body, Refused):
            return self._note(answers, member, Standing.DECLINED, body.reason), {member}
        return answers, {member} if isinstance(body, SealSetUp) else set()

    def _name_masking_sets(self, plan: str, answers: RoundState) -> RoundState:
        """Say of each cohort who was set up alike; the others are out of the round."""
        book = self._book
        for number, cohort in enumerate(book.epoch.cohorts):
            alike, why = set_up_alike(self._run.digest, book, number)
            for member, reason in why.items():
                answers = self._note(answers, member, Standing.REFUSED, reason)
            alike = [m for m in alike if m in answers.open]
            if len(alike) >= cohort.least:
                body = MaskingSet(plan=plan, cohort=number, members=tuple(alike))
                self._log.seal(body, answers.round)
        masked = {m for one in book.masking.values() for m in one}
        for member in answers.open:
            if member not in masked:
                reason = "was not set up, or too few of its cohort were"
                answers = self._note(answers, member, Standing.REFUSED, reason)
        return answers

    def _train(
        self, plan: str, answers: RoundState, merge: SealedMerge, table: bytes
    ) -> tuple[RoundState | None, str]:
        """Let the masking sets train; take masked updates until the round closes."""
        self._witness_all(enough=True)
        note = self._log.publish().encode().decode()
        message = SealStep(step="train", about=plan, note=note)
        for member in answers.open:
            if member in self._assembly.seated and self._telling.knows_all(member):
                self._engine.send(member, message, table)
            else:
                answers = self._note(answers, member, Standing.LOST, "left before training")
        book = self._book
        rule = replace(self._rule, fault=lambda members: sum_fault(book, members))
        asked: set[str] = set()
        while True:
            asked |= self._ask_lost(answers, message.about, note, asked)
            now_s = self._clock.monotonic_s()
            decision = decide(answers, rule, now_s=now_s)
            if decision.action is Action.CLOSE:
                return close_round(answers), decision.reason
            if decision.action is Action.ABANDON:
                return None, decision.reason
            wait_s = min(TICK_S, decision.ask_again_s - now_s)
            arrival = self._assembly.next(max(0.0, wait_s if math.isfinite(wait_s) else TICK_S))
            if isinstance(arrival, Departure):
                self._left(arrival)
                answers = self._note(answers, arrival.member, Standing.LOST, arrival.reason)
            elif arrival is not None and isinstance(arrival.message, Said):
                answers = self._take_masked(answers, merge, arrival)
            else:
                self._take(arrival)

    def _ask_lost(
        self, answers: RoundState, plan: str, note: str, asked: Collection[str]
    ) -> set[str]:
        """Ask members that were lost and sit here again for what they had masked before, once.

        They alone are told of the log: a message to others would end their training.
        """
        masked = {m for one in self._book.masking.values() for m in one}
        back = masked & set(answers.with_standing(Standing.LOST)) & set(self._assembly.seated)
        for member in sorted(back - set(asked)):
            self._telling.tell(member)
            self._engine.send(member, SealStep(step="resend", about=plan, note=note))
        return back

    def _take_masked(self, answers: RoundState, merge: SealedMerge, arrival: Arrival) -> RoundState:
        member = arrival.member
        try:
            body = self._log.hear(arrival).statement.body
            if isinstance(body, UpdateCommitted):
                merge.accept(member, body, arrival.frame, self._book)
                answers = come_back(answers, member)
                return self._note(answers, member, Standing.ACCEPTED, "")
        except UpdateRefused as error:
            return self._refuse(answers, arrival, f"{error.reason}: {error.message}")
        except StatementRefused as error:
            return self._refuse(answers, arrival, str(error))
        arrival.frame.drop_payload()
        if isinstance(body, Refused):
            return self._note(answers, member, Standing.DECLINED, body.reason)
        return answers

    def _name_survivors(self, plan: str, answers: RoundState) -> None:
        """Say of each cohort whose updates came; this is once and for all."""
        book, accepted = self._book, set(answers.accepted)
        for number, members in sorted(book.masking.items()):
            survivors = tuple(m for m in members if m in accepted)
            if len(survivors) >= book.epoch.cohorts[number].least:
                body = SurvivorSet(plan=plan, cohort=number, members=survivors)
                self._log.seal(body, answers.round)

    def _open(self, answers: RoundState, merge: SealedMerge) -> tuple[RoundState, set[str]]:
        """Open what can be opened; members of other cohorts are left out, with the reason."""
        book, opened = self._book, set[str]()
        reasons = dict.fromkeys(answers.accepted, "too few updates of its cohort came")
        for number, survivors in sorted(book.survivors.items()):
            if why := merge.open(book, number):
                reasons |= dict.fromkeys(survivors, f"the sum of its cohort is void: {why}")
            else:
                opened |= set(survivors)
        members = dict(answers.members)
        for member in answers.accepted:
            if member not in opened:
                out = replace(members[member], standing=Standing.REFUSED)
                members[member] = replace(out, reason=reasons[member][:200])
        return replace(answers, members=members), opened

    def _quorum_fault(self, answers: RoundState, opened: Collection[str]) -> str:
        needed = self._rule.needed(len(answers.members))
        if len(opened) >= needed:
            return ""
        out = "; ".join(f"{m}: {why}" for m, why in answers.left_out.items())
        return f"{len(opened)} updates are in sums that could be opened, {needed} needed; {out}"


def sum_fault(book: RoundBook, members: Collection[str]) -> str:
    """Why these members' updates make no sum that could be opened; empty if they make one."""
    for number, masked in book.masking.items():
        present = sum(member in members for member in masked)
        if present >= book.epoch.cohorts[number].least:
            return ""
    return "no cohort has enough updates for a sealed sum"
