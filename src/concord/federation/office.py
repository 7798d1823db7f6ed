"""Statements made from the command line: signed here, and put into the log or handed in.

Whoever holds the log's key and can lock the log writes it; otherwise the statement waits in the
log's inbox for the process that does. Either way it was first held against the state, so that what
would be refused is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from concord.base.clock import Clock
from concord.base.errors import KeyRefused, LogHeld, StatementRefused
from concord.charter.run import RunDocument
from concord.crypto.keys import PrivateKey
from concord.crypto.notes import Note, sign_checkpoint
from concord.federation.folders import FederationFolder
from concord.ledger.entries import Entry
from concord.ledger.inbox import Inbox
from concord.ledger.keyring import KeyRing
from concord.ledger.log import Log, open_log
from concord.ledger.names import log_origin
from concord.ledger.reader import LogReader
from concord.ledger.replica import Replica
from concord.ledger.signer import Signer
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.state.votes import stands
from concord.ledger.statements.fields import Body
from concord.ledger.statements.statement import Role
from concord.ledger.statements.votes import Ballot, Decision, Proposal, StartRun
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

    Raises:
        StatementRefused, LogCorrupt: the log cannot be believed.
    """

    def __init__(self, federation: FederationFolder, clock: Clock) -> None:
        self.federation = federation
        self._clock = clock
        self.library = ObjectLibrary(federation.objects)
        self._replica = Replica(self.library)
        try:
            with open_log(federation.log) as log:  # it may hold more than is published
                self._replica.extend(log.entries())
        except LogHeld:
            self._replica.extend(LogReader(federation.log).entries())

    @property
    def state(self) -> State:
        return self._replica.state

    def now(self) -> int:
        return int(self._clock.unix_s())

    def keys(self, role: Role, party: str) -> KeyRing:
        """Where the keys of a party lie on this machine, if they do."""
        if role == "overseer":
            return self.federation.overseer_keys(party)
        return self.federation.member(party).keys

    def members_here(self) -> tuple[str, ...]:
        """Present members whose keys lie in this folder."""
        seated = self.state.seated()
        return tuple(m for m in seated if self.federation.member(m).keys.exists())

    def say(
        self,
        body: Body,
        *,
        party: str,
        role: Role = "member",
        also: Iterable[PrivateKey] = (),
    ) -> Filed:
        """Sign a statement with the party's key, which lies here, and file it.

        Args:
            also: Keys of others who sign it too.

        Raises:
            KeyRefused: the key is not here.
            StatementRefused: the statement may not stand in the log.
        """
        signer = Signer(party, role, self.keys(role, party), self._clock)
        return self.file(signer.say(self.state, body, also=tuple(also)))

    def file(self, entry: Entry) -> Filed:
        """Put a signed statement into the log, or hand it in."""
        try:
            with open_log(self.federation.log) as log:
                self._replica.extend(log.entries(self._replica.size))
                self._replica.take(entry)
                (index,) = log.append([entry.data])
                self.publish(log)
                return Filed(entry, index)
        except LogHeld:
            self._replica.take(entry)
            path = Inbox(self.federation.log / "inbox").hand_in(entry.data)
            return Filed(entry, None, path)

    def publish(self, log: Log) -> Note | None:
        """Sign the checkpoint with the log's key, and with every witness key that lies here.

        None if the log's key is elsewhere: its holder signs.
        """
        coordinator = self.state.coordinator.member
        keys = self.federation.member(coordinator).keys
        if not keys.exists("log"):
            return None
        mine = self._replica.checkpoint
        line = sign_checkpoint(mine, log_origin(self.state.name), keys.load("log"))
        note = Note(mine, (line,))
        note = note.with_lines(*self._cosignatures(note))
        log.publish(note)
        return note

    def _cosignatures(self, note: Note) -> Iterable[str]:
        for member in self.members_here():
            own = self.federation.member(member)
            if own.keys.exists("witness"):
                yield self._replica.cosign(
                    note,
                    member=member,
                    keys=own.keys,
                    store=WitnessStore(own.witness),
                    now=self.now(),
                )

    def decide(self, proposal: str, *, party: str, role: Role = "coordinator") -> Filed:
        """Say what a vote came to.

        Raises:
            StatementRefused: the vote is not over.
        """
        seat = self.state.proposal(proposal)
        found = stands(self.state, seat, now=self.now(), library=self.library)
        delay_s = self.library.charter(self.state.charter).rule[found.rule].delay
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
