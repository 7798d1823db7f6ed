"""What a coordinator of sealed sums does whatever is summed: make keys, ask for statements.

    ask for keys ─► list of keys ─► beacons ─► cohorts ─► secrets for each other

Each step is in the log, under a checkpoint that witnesses signed, before anyone acts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from concord.base.errors import (
    FederationError,
    QuorumLost,
    SealRefused,
    StatementRefused,
    UpdateRefused,
)
from concord.crypto.seal import differing_tags
from concord.federation.assembly import Arrival, Departure
from concord.federation.coordinator import TICK_S, Coordinator
from concord.federation.frames import Payload
from concord.federation.messages import Said, SealStep
from concord.ledger.sealed.book import EpochBook, SumBook
from concord.ledger.sealed.instance import sealed_instance
from concord.ledger.state import epochs
from concord.ledger.statements.fields import Body
from concord.ledger.statements.rounds import Refused
from concord.ledger.statements.sealing import (
    BeaconShown,
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    KeyShown,
    KeysSealed,
)

MAX_EPOCHS = 5
"""So often keys are asked for, until a cohort is complete."""
Take = Callable[[Arrival, Body], None]
"""Takes a statement that was asked for; raises UpdateRefused where what came with it is wrong."""
_Step = type[Body]


class SealedTable(Coordinator):
    """A coordinator that makes keys with the members, and asks them for statements.

    Before the first epoch, `_agree_on` has to be told what they agree on with their keys.
    """

    _agreed = b""
    _told: bytes = b"{}"

    def _agree_on(self, agreed: bytes, told: bytes) -> None:
        """Have all members find the same, or stay out.

        Args:
            agreed: What each of them has to find: they sign its digest.
            told: What they are told to find it from.
        """
        self._agreed, self._told = agreed, told

    # --- epochs -----------------------------------------------------------------------------

    def _renew_keys(self) -> None:
        """Ask for keys if that is needed, or if somebody waits to come in.

        Raises:
            QuorumLost: again and again too few members give keys.
        """
        for _ in range(MAX_EPOCHS):
            must, may = self._log.must_renew(), self._log.may_renew()
            if not must and not (may and self._someone_waits()):
                return
            try:
                self._epoch(must or may)
            except (StatementRefused, SealRefused) as error:
                self._watcher.note(f"keys could not be made: {error.message}")
            self._wait_for_seats()
        if must := self._log.must_renew():
            raise QuorumLost(
                f"no cohort has its keys: {must}",
                remedy="see why members fail, then `concord run --resume`",
            )

    def _someone_waits(self) -> bool:
        epoch = self._log.seat.epoch
        return epoch is not None and any(m not in epoch.sealed for m in self._assembly.seated)

    def _epoch(self, why: str) -> None:
        seat = self._log.seat
        number = 0 if seat.epoch is None else seat.epoch.number + 1
        agreed = self._folder.objects.put(self._agreed)
        self._log.seal(EpochOpened(number=number, members=self._log.able(), reason=why))
        epoch = self._epoch_book
        self._watcher.note(f"sealed mode: {why}; members make keys")
        self._ask(KeyShown, "key", epoch.digest, self._log.able(), self._told)
        now = self._log.seat.epoch
        assert now is not None  # noqa: S101 - just opened
        self._log.seal(KeysClosed(epoch=epoch.digest, keys=epochs.on_the_list(now)))
        self._ask(BeaconShown, "beacon", epoch.digest, epoch.keys)
        now = self._log.seat.epoch
        assert now is not None  # noqa: S101 - as above
        cohorts = epochs.drawn_cohorts(now, self._run)
        self._log.seal(CohortsDrawn(epoch=epoch.digest, cohorts=cohorts))
        if epoch.agreed_coverage != agreed:
            raise FederationError(
                "members found other vocabulary rows, or another list, than this coordinator",
                remedy="use the same parallel set and versions everywhere",
            )
        self._ask(KeysSealed, "secrets", epoch.digest, [m for one in cohorts for m in one])
        sizes = ", ".join(str(len(one)) for one in cohorts)
        self._watcher.note(f"sealed mode: cohorts of {sizes}")

    @property
    def _epoch_book(self) -> EpochBook:
        return self._log.seals.epochs[self._run.digest]

    def _ask(
        self,
        wanted: _Step,
        step: str,
        about: str,
        members: Iterable[str],
        payload: Payload = None,
        *,
        take: Take | None = None,
        patience_s: float | None = None,
    ) -> None:
        """Ask members for one statement each, and take what comes until all came or patience ends.

        Those who come too late are told what was decided without them.

        Args:
            take: Takes each statement with what comes with it; without it nothing may.
            patience_s: For answers that take work.
        """
        patience_s = self._patience_s if patience_s is None else patience_s
        self._witness_all(enough=True)
        message = SealStep.model_validate(
            {"step": step, "about": about, "note": self._log.publish().encode().decode()}
        )
        waiting = set()
        for member in members:
            if member in self._assembly.listening and self._telling.knows_all(member):
                self._engine.send(member, message, payload)
                waiting.add(member)
        began_s = self._clock.monotonic_s()
        while waiting and self._clock.monotonic_s() - began_s < patience_s:
            arrival = self._assembly.next(TICK_S)
            if isinstance(arrival, Departure):
                self._left(arrival)
                waiting.discard(arrival.member)
            elif arrival is not None and isinstance(arrival.message, Said):
                if self._heard(arrival, wanted, take):
                    waiting.discard(arrival.member)
            else:
                self._take(arrival)

    def _heard(self, arrival: Arrival, wanted: _Step, take: Take | None) -> bool:
        """Whether a statement answers what was asked for, even by a no; it is in the log then."""
        try:
            body = self._log.hear(arrival).statement.body
            if isinstance(body, Refused):
                self._watcher.declined(arrival.member, self._log.rounds, body.reason)
                return True
            if isinstance(body, wanted) and take is not None:
                take(arrival, body)
            return isinstance(body, wanted)
        except (StatementRefused, UpdateRefused) as error:
            self._watcher.refused(arrival.member, self._log.rounds, str(error))
            return isinstance(error, UpdateRefused)
        finally:
            arrival.frame.drop_payload()


def set_up_alike(run: str, book: SumBook[Any], number: int) -> tuple[list[str], dict[str, str]]:
    """Members of a cohort whose set-ups agree with each other's, and why the others' do not.

    Who was shown another plan, roster or base has another context. Where the tags of a pair differ
    though both have the same, the one with more such pairs is left out first.
    """
    cohort = book.epoch.cohorts[number]
    ctx = sealed_instance(run, book, cohort).ctx
    reasons: dict[str, str] = {}
    setups = {}
    for index, member in enumerate(cohort.members):
        setup = book.setups.get(member)
        if setup is not None and setup.ctx == ctx:
            setups[index] = setup
        elif setup is not None:
            reasons[member] = "was set up for another plan, roster or base"
    while pairs := differing_tags(setups):
        counts: dict[int, int] = {}
        for index in (one for pair in pairs for one in pair):
            counts[index] = counts.get(index, 0) + 1
        worst = max(sorted(counts), key=lambda index: counts[index])
        pair = next(pair for pair in pairs if worst in pair)
        partner = pair[0] if pair[1] == worst else pair[1]
        reasons[cohort.members[worst]] = f"shares no key with {cohort.members[partner]}"
        del setups[worst]
    return [cohort.members[index] for index in sorted(setups)], reasons
