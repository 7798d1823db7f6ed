"""What a member believes of the log, and what it says in it.

The member holds a replica of its own: nothing that the coordinator claims counts before the
statements that show it were checked here. It answers a plan only under a checkpoint that it has
checked, and that enough other members have cosigned; a head that is too old counts as a halt, or
else whoever cuts the network would undo one.
"""

from __future__ import annotations

from concord.base.clock import Clock
from concord.base.digest import Digest
from concord.base.errors import MessageRefused, SignatureRefused
from concord.base.objects import ObjectStore
from concord.charter.constitution import Charter
from concord.crypto.notes import Note
from concord.federation.folders import MemberFolder
from concord.federation.joined import split
from concord.federation.messages import CallRound, Cosigned, ExtendLog
from concord.federation.work import Train, UpdateHeader
from concord.ledger.entries import Entry
from concord.ledger.keyring import KeyRing
from concord.ledger.replica import Replica
from concord.ledger.rotation import settle_keys
from concord.ledger.signer import Signer
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import PlanSeat, RunSeat
from concord.ledger.statements.rounds import Granted, Measured, Refused, UpdateSent
from concord.ledger.witness import WitnessStore

MAX_ENTRY_BYTES = 65_535
MAX_DOCUMENT_BYTES = 4 << 20


class MemberVoice:
    """One member's replica, witness and pen.

    Args:
        folder: The member's folder; its keys are in the private part of it.
        clock: Time, handed in.
    """

    def __init__(self, folder: MemberFolder, clock: Clock) -> None:
        self._member = folder.id
        self._clock = clock
        self._objects = ObjectStore(folder.open_private("ledger") / "objects")
        self._replica = Replica(ObjectLibrary(self._objects))
        self._keys = KeyRing(folder.private)
        self._signer = Signer(folder.id, "member", self._keys, clock)
        self._store = WitnessStore(folder.witness)

    def take_documents(self, payload: bytes) -> None:
        """Keep documents under their digests; what nobody names is never read."""
        for part in split(payload, max_part_bytes=MAX_DOCUMENT_BYTES):
            self._objects.put(part)

    def extend(self, message: ExtendLog, payload: bytes) -> Cosigned:
        """Check new entries and the checkpoint after them, and cosign it.

        Raises:
            StatementRefused: an entry may not stand where it stands.
            ForkDetected: the log shows another history than it showed before.
            SignatureRefused: the log did not sign this.
        """
        if message.start == 0:
            self._replica = Replica(self._replica.library)
        if message.start != self._replica.size:
            raise MessageRefused(
                f"entries from {message.start} on; {self._replica.size} are known here"
            )
        self._replica.extend(split(payload, max_part_bytes=MAX_ENTRY_BYTES))
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
        return Cosigned(size=self._replica.size, line=line)

    def round_of(self, run: Digest) -> int:
        """Rounds of a run that are in the log."""
        return self._replica.state.run(run).rounds

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
        reason = objection or self._reason_against(call, plan, base)
        if reason is not None:
            return self._say(Refused(plan=plan.digest, reason=reason), run, seat.rounds), None
        work = Train(run=run, round=seat.rounds, base=plan.base, inner_steps=plan.inner_steps)
        return self._say(Granted(plan=plan.digest), run, seat.rounds), work

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
        )
        return self._say(body, work.run, work.round)

    def measured(self, body: Measured, *, run: Digest, round_: int) -> Entry:
        """The signed statement of a measurement."""
        return self._say(body, run, round_)

    def _say(
        self, body: Granted | Refused | UpdateSent | Measured, run: Digest, round_: int
    ) -> Entry:
        return self._signer.say(self._replica.state, body, run=run, round_=round_)

    def _open_plan(self, digest: Digest, run: Digest) -> tuple[RunSeat, PlanSeat]:
        seat = self._replica.state.runs.get(run)
        if seat is None or seat.plan is None or seat.plan.digest != digest:
            raise MessageRefused("the plan is not the one that the log holds for this run")
        return seat, seat.plan

    def _reason_against(self, call: CallRound, plan: PlanSeat, base: Digest | None) -> str | None:
        """Why this member does not take part; None if it does.

        1. the checkpoint is this log's, and witnessed as the charter asks
        2. its head is young enough
        3. nobody has halted this member
        4. the charter in force is the one that this member ratified
        5. the plan names this member, and the base that it holds
        """
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
            return f"checkpoint: {error.message}"[:300]
        age_s = now - seen_s
        if age_s > charter.log.max_head_age_s:
            return (
                f"halted: the head of the log is {age_s // 60} minutes old, and may be a stale one"
            )
        if halted := state.halt_of(self._member, now):
            return f"halted: {state.halts[halted].reason}"[:300]
        if self._member not in state.bound(now):
            return "the charter in force is not the one that this member ratified"
        if self._member not in plan.roster or base != plan.base:
            return "the plan names a base or a roster that this member does not hold or stand in"
        return None
