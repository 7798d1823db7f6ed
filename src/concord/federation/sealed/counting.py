"""The coordinator of a sealed run, before the first round: one sealed sum of counts, one tokenizer.

    list of merges ─► keys ─► plan ─► set-ups ─► masking sets ─► masked counts ─► survivor sets
                   ─► shares ─► sums ─► tokenizer

The list follows from public sentences; members count in their text how often each of its merges is
made; the coordinator sees sums of that alone. Who drops out is treated as in a round. Members'
counts never change, so a survivor set is named once in the life of a run: a coordinator that was
killed afterwards asks for the shares that are still lacking, and where the sum cannot be opened the
list alone decides. The list alone is also what is left where too few members give keys or counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from concord.base.digest import digest_file
from concord.base.errors import (
    QuorumLost,
    RefusalReason,
    SealRefused,
    SealVoid,
    UpdateRefused,
)
from concord.data.bpe.listed import MergeList
from concord.data.bpe.listed_choice import Summed
from concord.federation.assembly import Arrival, Phase
from concord.federation.coordinator import TICK_S
from concord.federation.sealed.table import SealedTable, set_up_alike
from concord.ledger.sealed.book import CountBook
from concord.ledger.sealed.counts import counts_header, learned_tokenizer, sum_counts
from concord.ledger.statements.counting import TokenizerLearned
from concord.ledger.statements.fields import Body
from concord.ledger.statements.sealing import (
    MaskingSet,
    SealSetUp,
    SurvivorSet,
    Unmasked,
    UpdateCommitted,
)
from concord.update.integer.flu import open_file

MAX_ATTEMPTS = 3
"""Plans for counts that come to no survivor set, before the list alone decides."""


MAX_ASKED = 3
"""So often survivors are asked for shares that are lacking: a member may come back."""


@dataclass(frozen=True)
class Learned:
    """How learning went.

    Args:
        tokenizer: Content of `tokenizer.json`.
        members: Whose counts are in; nobody's where the list alone decided.
        known: Merges of the list whose sum is known.
    """

    tokenizer: str
    members: tuple[str, ...]
    known: int
    listed: int


class CountingCoordinator(SealedTable):
    """Learns the tokenizer of a sealed run, over members that have read their text."""

    def learn(self, listed: MergeList) -> Learned:
        """Learn the tokenizer; it is in the log and among the objects then.

        Raises:
            QuorumLost: too few members are there, or agree on the list, to make keys.
        """
        self._listed = listed
        self._agree_on(listed.encode(), listed.encode())
        self._assembly.patient = True
        summed, members = self._summed()
        tokenizer = learned_tokenizer(self._run, listed, summed)
        self._say_learned(tokenizer, members)
        self._assembly.patient = False
        known = int(summed.known.sum())
        return Learned(tokenizer, members, known, len(listed))

    def _summed(self) -> tuple[Summed, tuple[str, ...]]:
        if (begun := self._begun()) is not None:
            return self._opened(begun)
        reason = "the sum of an earlier start may be known"
        while not self._log.seat.released and self._log.seat.attempt < MAX_ATTEMPTS:
            self._renew_keys()
            plan = self._log.plan_counts(self._listed.digest)
            reason = self._attempt(plan)
            if not reason:
                return self._opened(self._book)
            self._log.void(0, reason)
        self._watcher.note(f"the tokenizer is learned from public sentences alone: {reason}")
        self._renew_keys()
        return Summed.nothing(self._listed), ()

    def _begun(self) -> CountBook | None:
        """The plan of an earlier start, if its survivor set was named; any other one is void."""
        plan = self._log.seat.plan
        if plan is None:
            return None
        if self._log.seals.counts[self._run.digest].survivors:
            return self._book
        self._log.void(0, "the coordinator was started again")
        return None

    @property
    def _book(self) -> CountBook:
        return self._log.seals.counts[self._run.digest]

    # --- one attempt ------------------------------------------------------------------------

    def _attempt(self, plan: str) -> str:
        """All steps up to the survivor sets; why there is none, or nothing."""
        book = self._book
        self._ask(SealSetUp, "setup", plan, book.plan.roster)
        for number, cohort in enumerate(book.epoch.cohorts):
            alike, why = set_up_alike(self._run.digest, book, number)
            for member, reason in why.items():
                self._watcher.refused(member, 0, reason)
            if len(alike) >= cohort.least:
                self._log.seal(MaskingSet(plan=plan, cohort=number, members=tuple(alike)), 0)
        masked = [m for one in book.masking.values() for m in one]
        if not masked:
            return "too few members were set up alike for a sealed sum"
        taken: set[str] = set()

        def take(arrival: Arrival, body: Body) -> None:
            if isinstance(body, UpdateCommitted):
                self._accept(book, arrival, body)
                taken.add(arrival.member)

        stall_s = self._rule.stall_s
        self._ask(UpdateCommitted, "count", plan, masked, take=take, patience_s=stall_s)
        for number, members in sorted(book.masking.items()):
            survivors = tuple(m for m in members if m in taken)
            if len(survivors) >= book.epoch.cohorts[number].least:
                self._log.seal(SurvivorSet(plan=plan, cohort=number, members=survivors), 0)
        return "" if book.survivors else "no cohort has enough counts for a sealed sum"

    def _accept(self, book: CountBook, arrival: Arrival, body: UpdateCommitted) -> None:
        """Keep masked counts of this plan, of this member and of their exact length.

        Raises:
            UpdateRefused: they are something else.
        """
        path, number = arrival.frame.payload, book.epoch.number_of(arrival.member)
        if path is None or number is None:
            raise UpdateRefused(RefusalReason.MALFORMED, "came without its file")
        open_file(path, counts_header(self._run, book, self._listed, number, arrival.member))
        if digest_file(path) != body.update or path.stat().st_size != body.bytes:
            raise UpdateRefused(RefusalReason.MALFORMED, "payload does not match its digest")
        self._folder.objects.adopt(path, body.update)

    def _opened(self, book: CountBook) -> tuple[Summed, tuple[str, ...]]:
        """Ask for shares, and open the sums that can be opened."""
        survivors = [m for one in book.survivors.values() for m in one]
        for _ in range(MAX_ASKED):
            missing = [m for m in survivors if m not in book.answers]
            self._wait_for(missing)
            self._ask(Unmasked, "unmask", book.plan_digest, missing)
            if all(_answered(book, number) for number in book.survivors):
                break
        files = {m: self._folder.objects.path(book.sent[m].update) for m in survivors}
        opened, reason = [], ""
        for number in sorted(book.survivors):
            try:
                sum_counts(self._run, book, self._listed, [number], files)
                opened.append(number)
            except (SealRefused, SealVoid, UpdateRefused) as error:
                reason = f"the sum of cohort {number} cannot be opened: {error.message}"
                self._watcher.note(reason)
        if not opened:
            self._log.void(0, reason)
            return Summed.nothing(self._listed), ()
        summed, faults = sum_counts(self._run, book, self._listed, opened, files)
        for fault in faults:
            self._watcher.note(f"a wrong share: {fault}")
        return summed, tuple(sorted(m for n in opened for m in book.survivors[n]))

    def _say_learned(self, tokenizer: str, members: tuple[str, ...]) -> None:
        seat = self._log.seat
        assert seat.epoch is not None  # noqa: S101 - keys were made before
        sent = {} if not members else {m: self._book.sent[m].update for m in members}
        body = TokenizerLearned(
            epoch=seat.epoch.digest,
            plan=self._book.plan_digest if members else None,
            merges=self._listed.digest,
            tokenizer=self._folder.objects.put(tokenizer.encode()),
            counts=sent,
        )
        self._log.seal(body, 0)
        self._witness_all(enough=True)

    def _wait_for(self, members: list[str]) -> None:
        """Wait for members that are coming back; no other sum can be had in place of this one."""
        began_s, gone = self._clock.monotonic_s(), set(self._assembly.in_phase(Phase.GONE))
        while not set(members) - gone <= set(self._assembly.listening):
            if self._clock.monotonic_s() - began_s > self._patience_s:
                return
            self._take(self._assembly.next(TICK_S))
            gone = set(self._assembly.in_phase(Phase.GONE))

    # --- who is there -----------------------------------------------------------------------

    def _wait_for_seats(self) -> None:
        """Wait until enough members have read their text for a sealed sum."""
        needed, began_s = self._seats_needed(), self._clock.monotonic_s()
        while len(self._assembly.listening) < needed:
            gone = len(self._assembly.in_phase(Phase.GONE))
            waited_s = self._clock.monotonic_s() - began_s
            if len(self._run.member_ids) - gone < needed or waited_s > self._rule.stall_s:
                raise QuorumLost(
                    f"{len(self._assembly.listening)} members have their text ready; {needed} are"
                    f" needed for a sealed sum{self._absent()}",
                    remedy="see why the others left, then `concord run --resume`",
                )
            self._take(self._assembly.next(TICK_S))

    def _seats_needed(self) -> int:
        seal = self._run.seal
        assert seal is not None  # noqa: S101 - a sealed run has one
        return max(seal.min_survivors, self._telling.needed)


def _answered(book: CountBook, number: int) -> bool:
    """Whether enough survivors of a cohort gave their shares."""
    answers = sum(member in book.answers for member in book.survivors[number])
    return answers >= book.epoch.cohorts[number].threshold
