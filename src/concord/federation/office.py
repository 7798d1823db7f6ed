"""Statements made from the command line: signed here, and put into the log or handed in.

Whoever holds the log's key and can lock the log writes it; otherwise the statement waits in the
log's inbox for the process that does. Either way it was first held against the state, so that what
would be refused is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from concord.base.clock import Clock
from concord.base.errors import KeyRefused, LogError, LogHeld, StatementRefused
from concord.base.files import write_atomic
from concord.charter.constitution import Charter
from concord.charter.run import RunDocument
from concord.crypto.keys import PrivateKey
from concord.crypto.notes import Note, sign_checkpoint
from concord.federation.folders import FederationFolder
from concord.ledger.archive import Archive, Watch
from concord.ledger.entries import Entry, refuse_future
from concord.ledger.inbox import Inbox
from concord.ledger.keyring import KeyRing
from concord.ledger.log import JOURNAL, Log, open_log
from concord.ledger.names import log_origin
from concord.ledger.replica import Replica
from concord.ledger.rotation import settle_keys
from concord.ledger.signer import Signer
from concord.ledger.state.apply import apply
from concord.ledger.state.gathering import Gathering, gathering
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.state.signers import required
from concord.ledger.state.votes import stands, with_charters_in_force
from concord.ledger.statements.fields import Body
from concord.ledger.statements.statement import Role
from concord.ledger.statements.votes import Ballot, Decision, Proposal, StartRun
from concord.ledger.tiles import CHECKPOINT
from concord.ledger.witness import WitnessStore


@dataclass(frozen=True)
class Filed:
    """What became of a statement."""

    entry: Entry
    index: int | None
    """Its place in the log; None while it waits in the inbox."""
    waits_at: Path | None = None


class Office:
    """A federation's log, for single statements.

    Args:
        federation: The federation's folder.
        clock: Time, handed in.
        watch: Is told how much of the log was read, now and then.

    Raises:
        StatementRefused, SignatureRefused, LogCorrupt: the log cannot be believed.
    """

    def __init__(
        self, federation: FederationFolder, clock: Clock, watch: Watch | None = None
    ) -> None:
        self.federation = federation
        self._clock = clock
        self.library = ObjectLibrary(federation.objects)
        archive = Archive(federation.log, self.library, watch)
        self._replica = archive.replica
        self.entries = archive.entries
        """Entries of the log, as they were checked."""
        self._inbox = Inbox(federation.log / "inbox")
        self._ahead: State | None = None
        if (federation.log / JOURNAL).exists():
            with suppress(LogHeld), open_log(federation.log) as log:
                self._catch_up(log)

    @property
    def state(self) -> State:
        """After all that is in the log, and what was handed in from here."""
        return self._ahead or self._replica.state

    @property
    def logged(self) -> State:
        """After all that is in the log, without what was handed in."""
        return self._replica.state

    @property
    def state_now(self) -> State:
        """The state at this moment: what was adopted with a delay may be in force by now."""
        return with_charters_in_force(self.state, self.now(), self.library)

    @property
    def charter(self) -> Charter:
        """The charter in force at this moment."""
        return self.library.charter(self.state_now.charter)

    def now(self) -> int:
        return int(self._clock.unix_s())

    def today(self) -> date:
        """The day, UTC."""
        return datetime.fromtimestamp(self.now(), UTC).date()

    def keys(self, role: Role, party: str) -> KeyRing:
        """Where the keys of a party lie on this machine, if they do."""
        if role == "overseer":
            return self.federation.overseer_keys(party)
        return self.federation.member(party).keys

    def keys_of(self, party: str) -> KeyRing:
        """The same by the party's place in the log; its files follow the log first."""
        ring = self.keys("overseer" if party in self.state.overseers else "member", party)
        settle_keys(ring, self.logged, party)
        return ring

    def members_here(self) -> tuple[str, ...]:
        """Present members whose keys lie in this folder."""
        seated = self.state.seated()
        return tuple(m for m in seated if self.federation.member(m).keys.exists())

    def draft(
        self, body: Body, *, party: str, role: Role = "member", also: Iterable[PrivateKey] = ()
    ) -> Entry:
        """A statement signed with the party's key, which lies here; not filed.

        Args:
            also: Keys of others who sign it too.

        Raises:
            KeyRefused: the key is not here.
        """
        signer = Signer(party, role, self.keys_of(party), self._clock)
        return signer.say(self.state, body, also=tuple(also))

    def sign(self, entry: Entry, party: str) -> Entry:
        """A statement of several parties with one more signature.

        Raises:
            KeyRefused: the party's key is not here.
            StatementRefused: the statement is of another federation, or not for this party to sign.
        """
        if entry.statement.binding.federation != self.state.federation:
            raise StatementRefused("belongs to another federation", where="federation")
        key = self.keys_of(party).load("identity")
        needed = required(self.state_now, entry.statement, self.charter)
        if key.public not in needed.keys:
            raise StatementRefused(f"{party!r} has no signature to give here", where="signatures")
        return entry.also_signed(key)

    def gathering(self, entry: Entry) -> Gathering:
        """Who signed a statement, and who still has to."""
        return gathering(self.state_now, entry, self.charter)

    def say(
        self, body: Body, *, party: str, role: Role = "member", also: Iterable[PrivateKey] = ()
    ) -> Filed:
        """Sign a statement with the party's key, which lies here, and file it.

        Raises:
            KeyRefused: the key is not here.
            StatementRefused: the statement may not stand in the log.
        """
        return self.file(self.draft(body, party=party, role=role, also=also))

    def check(self, entry: Entry) -> State:
        """The state after a statement, if it may stand in the log now.

        Raises:
            StatementRefused: it may not, or it is dated later than the clock allows.
        """
        skew_s = self.charter.log.clock_skew_s if self.state.size else 0
        refuse_future(entry, self.now(), skew_s)
        return apply(self.state, entry, self.library)

    def file(self, entry: Entry) -> Filed:
        """Put a signed statement into the log, or hand it in where the log is written elsewhere.

        Raises:
            StatementRefused: it may not stand in the log.
        """
        after = self.check(entry)
        if self._ahead is None and self._writes(after):
            with suppress(LogHeld), self._open() as log:
                self._catch_up(log)
                return self._append(log, entry)
        self._ahead = after  # what comes next builds on it, and waits behind it
        return Filed(entry, None, self._inbox.hand_in(entry.data))

    def take_inbox(self) -> tuple[list[Filed], list[tuple[str, str]]]:
        """Put what waits in the inbox into the log.

        Returns:
            What was filed; and the names of what was refused, with the reasons.

        Raises:
            KeyRefused: the log's key is not here.
            LogHeld: another process writes to the log, and takes the inbox up itself.
        """
        if not self._writes(self.state):
            raise KeyRefused(
                f"the log's key is at {self.state.coordinator.member!r}, not here",
                where=self.federation.log,
                remedy="hand the files in there: `concord file`",
            )
        filed, refused = [], []
        with self._open() as log:
            self._catch_up(log)
            for name, data in self._inbox.waiting():
                try:
                    entry = Entry.parse(data, where=name)
                    self.check(entry)
                    filed.append(self._append(log, entry))
                    self._inbox.done(name)
                except StatementRefused as error:
                    if self._holds(data):  # a crash came between the log and the inbox
                        self._inbox.done(name)
                        continue
                    self._inbox.refuse(name, str(error))
                    refused.append((name, str(error)))
        return filed, refused

    def _holds(self, data: bytes) -> bool:
        return any(entry.data == data for entry in self.entries)

    def _append(self, log: Log, entry: Entry) -> Filed:
        self.check(entry)
        (index,) = log.append([entry.data])
        self._catch_up(log)
        self.publish(log)
        return Filed(entry, index)

    def _catch_up(self, log: Log) -> None:
        self.entries += self._replica.extend(log.entries(self._replica.size))

    def _open(self) -> Log:
        """The log for writing; a published copy becomes one when its coordinator is here now."""
        if (self.federation.log / JOURNAL).exists():
            return open_log(self.federation.log)
        return Log.adopt(self.federation.log, log_origin(self.state.name))

    def _writes(self, state: State) -> bool:
        """Whether the key that signs the log in this state lies here."""
        ring = self.federation.member(state.coordinator.member).keys
        places = [purpose for purpose in ("log", "log.next") if ring.exists(purpose)]
        return any(ring.load(p).public.text == state.coordinator.log_key for p in places)

    def publish(self, log: Log) -> Note | None:
        """Sign the checkpoint with the log's key, and with every witness key that lies here.

        None if the log's key is elsewhere: its holder signs.
        """
        if not self._writes(self.state):
            return None
        keys = self.keys_of(self.state.coordinator.member)
        mine = self._replica.checkpoint
        line = sign_checkpoint(mine, log_origin(self.state.name), keys.load("log"))
        note = Note(mine, (line,))
        note = note.with_lines(*self._cosignatures(note))
        log.publish(note)
        return note

    def _cosignatures(self, note: Note) -> Iterable[str]:
        for member in self.members_here():
            keys = self.keys_of(member)
            if keys.exists("witness") and self._is_witness(member, keys):
                yield self._cosignature(self._replica, note, member)

    def cosign(self, members: Iterable[str]) -> Note:
        """Add cosignatures of members' witnesses, whose keys lie here, to what is published.

        Raises:
            KeyRefused: a key is not here.
            ForkDetected, LogError: a witness signed another history, or the log grew meanwhile.
        """
        archive = Archive(self.federation.log, self.library)
        lines = [self._cosignature(archive.replica, archive.note, member) for member in members]
        if not (self.federation.log / JOURNAL).exists():
            note = archive.note.with_lines(*lines)
            write_atomic(self.federation.log / CHECKPOINT, note.encode())
            return note
        with open_log(self.federation.log) as log:
            now = log.read_checkpoint()
            if now is None or now.checkpoint != archive.note.checkpoint:
                raise LogError("the log grew meanwhile", where=self.federation.log)
            note = now.with_lines(*lines)
            log.publish(note)
        return note

    def _cosignature(self, replica: Replica, note: Note, member: str) -> str:
        return replica.cosign(
            note,
            member=member,
            keys=self.keys_of(member),
            store=WitnessStore(self.federation.member(member).witness),
            now=self.now(),
        )

    def _is_witness(self, member: str, keys: KeyRing) -> bool:
        """Whether the witness key here is the one that the log holds: an older one helps nobody."""
        key = keys.load("witness").public.text
        return key == self.state.witness_keys()[member] and key not in self.state.revoked

    def decide(self, proposal: str, *, party: str, role: Role = "coordinator") -> Filed:
        """Say what a vote came to.

        Raises:
            StatementRefused: the vote is not over.
        """
        seat = self.state.proposal(proposal)
        found = stands(self.state_now, seat, now=self.now(), library=self.library)
        delay_s = self.charter.rule[found.rule].delay
        body = Decision(
            proposal=proposal,
            outcome=found.outcome.result.value,
            rule=found.rule,
            ballots=found.counted,
            effective=self.now() + delay_s,
        )
        return self.say(body, party=party, role=role)

    def adopt_run(self, run: RunDocument, *, days: int = 7) -> Filed:
        """Propose a run and vote for it with every key that lies here, then say the outcome.

        For a federation that one person simulates: no machine of a real one holds all keys.

        Raises:
            StatementRefused: the charter does not allow the run, or the vote is not over with the
                keys that lie here.
        """
        digest = self.library.put_run(run)
        coordinator = self.state.coordinator.member
        body = Proposal(
            title=f"Run {run.name}",
            text="Proposed and voted on from the folder that holds the members' keys.",
            change=StartRun(document=digest),
            closes=self.now() + days * 86_400,
        )
        here = self.members_here()
        if coordinator not in here:
            raise KeyRefused("the coordinator's key is not here", where=coordinator)
        proposal = self.say(body, party=coordinator).entry.statement.digest
        for member in here:
            if member in self.state.voters(self.now()):
                self.say(Ballot(proposal=proposal, choice="yes"), party=member)
        return self.decide(proposal, party=coordinator)


def adopt_if_all_keys_are_here(
    federation: FederationFolder, run: RunDocument, clock: Clock
) -> str | None:
    """Adopt a run that was not adopted, where every member's key lies in this folder.

    Returns:
        What was done, in words; None if there was nothing to do.

    Raises:
        StatementRefused: the run was not adopted, and not all keys are here; or the charter does
            not allow it.
    """
    office = Office(federation, clock)
    if run.digest in office.state.runs:
        return None
    here, seated = office.members_here(), office.state.seated()
    if set(here) != set(seated):
        raise StatementRefused(
            "the run was not adopted by the members",
            where=federation.run_path(run.name),
            remedy=f"put it to the vote: concord propose run {federation.root} --run {run.name}",
        )
    filed = office.adopt_run(run)
    body = filed.entry.statement.body
    assert isinstance(body, Decision)  # noqa: S101 - that is what it filed
    if body.outcome != "adopted":
        raise StatementRefused(f"the vote on the run ended {body.outcome}", where=run.name)
    votes = f"{len(body.ballots)} of {len(seated)} members voted"
    return f"run {run.name}: {votes}, adopted by rule {body.rule}"
