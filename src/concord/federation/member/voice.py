"""What a member believes of the log, and what it says in it.

The member holds a replica of its own: nothing that the coordinator claims counts before the
statements that show it were checked here. It answers a plan only under a checkpoint that it has
checked, and that enough other members have cosigned; a head that is too old counts as a halt, or
else whoever cuts the network would undo one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concord.base.clock import Clock
from concord.base.digest import Digest
from concord.base.errors import MessageRefused, SignatureRefused
from concord.base.files import remove_torn
from concord.base.objects import ObjectStore
from concord.charter.constitution import Charter
from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps
from concord.crypto.notes import Note
from concord.federation.folders import MemberFolder
from concord.federation.joined import split
from concord.federation.member.consent import MemberConsent
from concord.federation.member.copy import HomeCopy
from concord.federation.messages import CallRound, Cosigned, ExtendLog, SealStep
from concord.federation.work import Train, UpdateHeader, Withheld
from concord.ledger.answers import Answer
from concord.ledger.entries import Entry
from concord.ledger.keyring import KeyRing
from concord.ledger.permission import Action, RoundAsked
from concord.ledger.replica import Replica
from concord.ledger.rotation import settle_keys
from concord.ledger.sealed.book import CountBook, EpochBook, RoundBook, SealBook
from concord.ledger.signer import Signer
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import PlanSeat, RunSeat
from concord.ledger.statements.fields import Body
from concord.ledger.statements.rounds import (
    Granted,
    Measured,
    MeasureRefused,
    Refused,
    UpdateSent,
)
from concord.ledger.witness import WitnessStore

MAX_ENTRY_BYTES = 65_535
MAX_DOCUMENT_BYTES = 4 << 20
MOST_HANDED_ON = 4
"""Statements at a time: fewer than a member may send for one question (`engine.allowance`)."""


class MemberVoice:
    """One member's replica, witness and pen.

    Args:
        folder: The member's folder; its keys are in the private part of it.
        clock: Time, handed in.
    """

    def __init__(self, folder: MemberFolder, clock: Clock) -> None:
        self._member = folder.id
        self._clock = clock
        kept = folder.open_private("ledger") / "objects"
        remove_torn(kept, deep=True)
        self._objects = ObjectStore(kept)
        self._replica = Replica(ObjectLibrary(self._objects))
        self._keys = KeyRing(folder.private)
        self._signer = Signer(folder.id, "member", self._keys, clock)
        self._store = WitnessStore(folder.witness)
        self._consent = MemberConsent(folder)
        self._granted: Answer | None = None
        self._datasets: tuple[str, ...] | None = None
        self._canaries: Digest | None = None
        self._seals = SealBook(self._replica.library)
        self._copy = HomeCopy(folder)
        self._handed_on: set[bytes] = set()

    def use_datasets(self, names: Iterable[str] | None) -> None:
        """Name the datasets whose text was prepared; None: none is described, or nobody knows."""
        self._datasets = None if names is None else tuple(sorted(names))

    def use_canaries(self, commitment: Digest | None) -> None:
        """Name the commitment to the canaries in the text; None: there are none."""
        self._canaries = commitment

    def take_documents(self, payload: bytes) -> None:
        """Keep documents under their digests; what nobody names is never read."""
        for part in split(payload, max_part_bytes=MAX_DOCUMENT_BYTES):
            self._objects.put(part)
            self._copy.keep_document(part)

    def extend(self, message: ExtendLog, payload: bytes) -> Cosigned:
        """Check new entries and the checkpoint after them, and cosign it.

        Raises:
            StatementRefused: an entry may not stand where it stands.
            ForkDetected: the log shows another history than it showed before.
            SignatureRefused: the log did not sign this.
        """
        if message.start == 0:
            self._replica = Replica(self._replica.library)
            self._seals = SealBook(self._replica.library)
        if message.start != self._replica.size:
            raise MessageRefused(
                f"entries from {message.start} on; {self._replica.size} are known here"
            )
        taken = self._replica.extend(split(payload, max_part_bytes=MAX_ENTRY_BYTES))
        for entry in taken:
            self._seals.add(entry)
        settle_keys(self._keys, self._replica.state, self._member)
        note = Note.parse(message.note.encode())
        self._replica.check(note)
        line = self._replica.cosign(
            note,
            member=self._member,
            keys=self._keys,
            store=self._store,
            now=int(self._clock.unix_s()),
        )
        data = [one.data for one in taken]
        self._copy.extend(note.checkpoint.origin, message.start, data, note.with_lines(line))
        self._copy.settle(taken)
        return Cosigned(size=self._replica.size, line=line)

    def waiting(self) -> list[Entry]:
        """What this member's commands said while it was not connected; each once."""
        found = list(self._copy.waiting(self._replica.state, self._replica.library))
        fresh = [entry for entry in found if entry.data not in self._handed_on][:MOST_HANDED_ON]
        self._handed_on.update(entry.data for entry in fresh)
        return fresh

    def round_of(self, run: Digest) -> int:
        """Rounds of a run that are in the log."""
        return self._replica.state.run(run).rounds

    def planned_steps(self, run: RunDocument) -> int:
        """Inner steps that the log plans for this member next."""
        seat = self._replica.state.run(run.digest)
        if seat.plan is not None:
            return seat.plan.steps_of(self._member)
        return inner_steps(run.rounds, seat.rounds)

    def answer(
        self, call: CallRound, *, run: Digest, base: Digest | None, objection: str | None = None
    ) -> tuple[Entry, Train | None]:
        """A signed grant with the work to do, or a signed refusal.

        Args:
            run: Digest of the run document that this member prepared for.
            base: The base that it holds.
            objection: Why the member itself is against it, if it is.

        Raises:
            MessageRefused: the call is about no plan that the log holds.
        """
        seat, plan = self._open_plan(call.plan, run)
        head = self._head(call)
        reason = objection or head.fault or self._reason_against(plan, base)
        found = self._ask_about(plan, seat.rounds, run, stale=head.stale)
        self._granted = None
        if reason is not None or not found.allowed:
            return self._refuse(plan.digest, reason, found, run, seat.rounds), None
        self._granted = found
        body = Granted(
            plan=plan.digest,
            dataset_records=found.records,
            policy=found.policy or "",
            rules=found.rules,
            canaries=self._canaries,
        )
        steps = plan.steps_of(self._member)
        work = Train(run=run, round=seat.rounds, base=plan.base, inner_steps=steps)
        return self._say(body, run, seat.rounds), work

    def ask_again(
        self, call: CallRound, work: Train, granted: Granted | None = None
    ) -> Entry | None:
        """Right before the first byte is read: a signed refusal if the grant holds no more.

        A policy file that was changed since the grant ends it, whatever it says: the grant names
        the file that it was given by.

        Args:
            granted: The grant as the log holds it; without it, that of this process.
        """
        _, plan = self._open_plan(call.plan, work.run)
        stale = self._head(call).stale
        found = self._ask_about(plan, work.round, work.run, stale=stale)
        if found.allowed and self._as_granted(found, granted):
            return None
        reason = "policy: it was changed after the grant" if found.allowed else None
        self._granted = None
        return self._refuse(plan.digest, reason, found, work.run, work.round)

    def _as_granted(self, found: Answer, granted: Granted | None) -> bool:
        if granted is None:
            return found == self._granted
        told = (granted.dataset_records, granted.policy, granted.rules)
        return (found.records, found.policy, found.rules) == told

    def still_allows(self, work: Train) -> bool:
        """Whether the member's policy would let it go on with its text now, between two plans."""
        state, now = self._replica.state, int(self._clock.unix_s())
        if state.halt_of(self._member, now) or self._member not in state.bound(now):
            return False
        document = self._replica.library.run(work.run)
        roster = tuple(name for name in document.member_ids if name in state.seated())
        asked = RoundAsked(document, work.round, roster, document.mode)
        return self._ask(asked, "train", stale=False).allowed

    def _refuse(
        self, plan: Digest, reason: str | None, found: Answer, run: Digest, round_: int
    ) -> Entry:
        denied = not found.allowed
        body = Refused(
            plan=plan,
            reason=reason or found.reason,
            dataset_records=found.records if denied else (),
            policy=found.policy,
            rules=found.rules if denied else (),
        )
        return self._say(body, run, round_)

    def _ask_about(self, plan: PlanSeat, round_: int, run: Digest, *, stale: bool) -> Answer:
        document = self._replica.library.run(run)
        asked = RoundAsked(document, round_, plan.roster, plan.mode)
        return self._ask(asked, "train", stale=stale)

    def _ask(self, asked: RoundAsked, action: Action, *, stale: bool) -> Answer:
        return self._consent.ask(
            self._replica.state,
            self._replica.library,
            asked,
            action=action,
            now=int(self._clock.unix_s()),
            stale=stale,
            datasets=self._datasets,
        )

    def announce(self, call: CallRound, work: Train, header: UpdateHeader, size: int) -> Entry:
        """The signed statement that goes with an update."""
        body = UpdateSent(
            plan=call.plan,
            base=header.base,
            update=header.payload_digest,
            bytes=size,
            steps=header.steps,
            tokens=header.tokens,
            flops=header.flops,
            train_s=header.train_s,
            mean_loss=header.mean_loss,
            privacy=header.privacy,
        )
        return self._say(body, work.run, work.round)

    def objects_to_counting(self, step: SealStep, run: Digest) -> Entry | None:
        """A signed refusal, if the member's text may not be counted for the plan that is open.

        Raises:
            MessageRefused: the log holds another plan, or none.
        """
        _, plan = self._open_plan(step.about, run)
        head = self._head(CallRound(plan=step.about, note=step.note))
        found = self._ask_about(plan, 0, run, stale=head.stale)
        reason = head.fault or self._reason_against(plan, plan.base)
        if reason is None and found.allowed:
            return None
        return self._refuse(plan.digest, reason, found, run, 0)

    def objects_to_measuring(self, base: Digest, *, run: Digest, round_: int) -> Entry | None:
        """A signed refusal, if the member's text may not be used to measure this base."""
        document = self._replica.library.run(run)
        seated = self._replica.state.seated()
        roster = tuple(name for name in document.member_ids if name in seated)
        found = self._ask(
            RoundAsked(document, round_, roster, document.mode), "evaluate", stale=False
        )
        if found.allowed:
            return None
        body = MeasureRefused(
            base=base,
            reason=found.reason,
            dataset_records=found.records,
            policy=found.policy,
            rules=found.rules,
        )
        return self._say(body, run, round_)

    def withhold(self, call: CallRound, work: Train, withheld: Withheld) -> Entry:
        """A signed refusal after the grant: the update that was made is not sent."""
        body = Refused(plan=call.plan, reason=withheld.reason, rules=withheld.rules)
        return self._say(body, work.run, work.round)

    def charged(self) -> dict[str, int]:
        """Steps that the log says were charged to each privacy budget of this member."""
        own = self._replica.state.privacy.get(self._member, {})
        return {dataset: seat.steps for dataset, seat in own.items()}

    def sealed_epoch(self, step: SealStep, run: Digest) -> EpochBook:
        """The epoch of a step of sealed mode, as the log holds it under a witnessed checkpoint.

        Raises:
            MessageRefused: the log holds another one, or none.
            SignatureRefused: too few witnesses signed the checkpoint.
        """
        self._require_witnessed(step)
        epoch = self._seals.epochs.get(run)
        if epoch is None or epoch.digest != step.about:
            raise MessageRefused("is not about the epoch that the log holds for this run")
        return epoch

    def sealed_round(self, plan: Digest, run: Digest, step: SealStep | None = None) -> RoundBook:
        """What the log holds of an open sealed round.

        Args:
            step: A step to be taken in it, which needs a checkpoint that was witnessed.

        Raises:
            MessageRefused: the log holds another plan, or none.
            SignatureRefused: too few witnesses signed the checkpoint.
        """
        if step is not None:
            self._require_witnessed(step)
        self._open_plan(plan, run)
        book = self._seals.rounds.get(run)
        if book is None or book.plan_digest != plan:
            raise MessageRefused("the plan is not of a sealed round")
        return book

    def sealed_counts(self, step: SealStep, run: Digest) -> CountBook:
        """What the log holds of an open plan for counts, under a witnessed checkpoint.

        Raises:
            MessageRefused: the log holds another plan, or none.
            SignatureRefused: too few witnesses signed the checkpoint.
        """
        self._require_witnessed(step)
        self._open_plan(step.about, run)
        book = self._seals.counts.get(run)
        if book is None or book.plan_digest != step.about:
            raise MessageRefused("the plan is not one for counts")
        return book

    def seal_says(self, body: Body, run: Digest, round_: int | None = None) -> Entry:
        """A signed statement of sealed mode."""
        return self._signer.say(self._replica.state, body, run=run, round_=round_)

    def _require_witnessed(self, step: SealStep) -> None:
        """One history for all: what is masked and unmasked must be what everybody sees."""
        note = Note.parse(step.note.encode())
        self._replica.check(note)
        self._replica.require_quorum(note)

    def measured(self, body: Measured, *, run: Digest, round_: int) -> Entry:
        """The signed statement of a measurement."""
        return self._say(body, run, round_)

    def _say(
        self,
        body: Granted | Refused | UpdateSent | Measured | MeasureRefused,
        run: Digest,
        round_: int,
    ) -> Entry:
        return self._signer.say(self._replica.state, body, run=run, round_=round_)

    def _open_plan(self, digest: Digest, run: Digest) -> tuple[RunSeat, PlanSeat]:
        seat = self._replica.state.runs.get(run)
        if seat is None or seat.plan is None or seat.plan.digest != digest:
            raise MessageRefused("the plan is not the one that the log holds for this run")
        return seat, seat.plan

    def _head(self, call: CallRound) -> _Head:
        """Whether the checkpoint is this log's, witnessed as the charter asks, and young enough."""
        state, now = self._replica.state, int(self._clock.unix_s())
        charter: Charter = self._replica.library.charter(state.charter)
        note = Note.parse(call.note.encode())
        try:
            self._replica.check(note)
            if charter.log.witnessed_before_training:
                seen_s = self._replica.require_quorum(note)
            else:
                seen_s = max(self._replica.witnesses(note).values(), default=state.time)
        except SignatureRefused as error:
            return _Head(f"checkpoint: {error.message}"[:300], stale=True)
        self._copy.extend(note.checkpoint.origin, self._replica.size, (), note)
        age_s = now - seen_s
        if age_s > charter.log.max_head_age_s:
            fault = (
                f"halted: the head of the log is {age_s // 60} minutes old, and may be a stale one"
            )
            return _Head(fault, stale=True)
        return _Head(None, stale=False)

    def _reason_against(self, plan: PlanSeat, base: Digest | None) -> str | None:
        """Why this member does not take part, whatever its policy says; None if it may.

        1. nobody has halted this member
        2. the charter in force is the one that this member ratified
        3. the plan names this member, and the base that it holds
        """
        state, now = self._replica.state, int(self._clock.unix_s())
        if halted := state.halt_of(self._member, now):
            return f"halted: {state.halts[halted].reason}"[:300]
        if self._member not in state.bound(now):
            return "the charter in force is not the one that this member ratified"
        if self._member not in plan.roster or base != plan.base:
            return "the plan names a base or a roster that this member does not hold or stand in"
        return None


@dataclass(frozen=True)
class _Head:
    """What the member makes of the log's head."""

    fault: str | None
    stale: bool
    """Whether it counts as halted: who cuts the network would undo a halt otherwise."""
