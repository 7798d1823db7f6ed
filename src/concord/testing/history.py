"""A federation's whole history, said in memory by all its parties: for tests and benchmarks.

Every party has its key (made from its name: INSECURE, for tests only), every statement is signed
and held against the state, every update is encoded, screened and merged by the functions of a real
run, and the log is the log. What is left out is training, processes and time.

A history can be made to lie where only a recomputation would show it: see `run_history.Lie`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from concord.base.digest import Digest
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorSpec
from concord.charter.bundle import load_bundle, store_bundle
from concord.charter.paths import DOCUMENT, RULES, SCHEMA
from concord.charter.run import parse_run
from concord.charter.template import default_charter
from concord.crypto.keys import PrivateKey
from concord.crypto.merkle import EMPTY_ROOT
from concord.crypto.notes import Checkpoint, Note, cosign, sign_checkpoint
from concord.ledger.entries import Entry
from concord.ledger.log import Log
from concord.ledger.names import log_origin, witness_name
from concord.ledger.replica import Replica
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.state.votes import stands
from concord.ledger.statements.fields import Body
from concord.ledger.statements.membership import (
    CoordinatorEntry,
    Founding,
    MemberEntry,
    OverseerEntry,
)
from concord.ledger.statements.statement import Author, Binding, Role, Statement
from concord.ledger.statements.votes import Ballot, Change, Decision, Proposal, StartRun
from concord.testing.founded import charter_toml
from concord.testing.run_history import RunHistory

NAME = "test"
BEGAN_S = 1_700_000_000
SPECS: tuple[TensorSpec, ...] = (
    TensorSpec("embed_tokens.weight", (8, 16)),
    TensorSpec("layer.weight", (16, 16)),
)


def key(party: str, purpose: str = "identity", number: int = 0) -> PrivateKey:
    """A party's key, the same every time. INSECURE: whoever knows the name has it."""
    seed = hashlib.sha256(f"{party}/{purpose}/{number}".encode()).digest()
    return PrivateKey.from_seed(seed)


def member_entry(member: str, owner: str | None = None, **said: Any) -> MemberEntry:
    """What a member founds or applies with; `said` is its name, jurisdiction, numbers."""
    return MemberEntry(
        id=member,
        owner=owner,
        key=key(member).public.text,
        witness_key=key(member, "witness").public.text,
        **said,
    )


def run_value(members: Iterable[str], **sections: Any) -> dict[str, Any]:
    """A run document of few, small rounds; `sections` replace or extend what it says."""
    value: dict[str, Any] = {
        "name": "first",
        "roster": [{"id": member} for member in members],
        "inner": {
            "batch_tokens": 128,
            "warmup_steps": 0,
            "decay_share": 0,
            "state": {"mode": "local"},
        },
        "rounds": {"count": 3, "inner_steps": 4, "quorum": "1/2"},
        "update": {"outer": {"lr": 0.7, "momentum": 0.9}},
    }
    for name, section in sections.items():
        value[name] = {**value.get(name, {}), **section} if isinstance(section, dict) else section
    return value


class History:
    """A founded federation, and all that is said in it.

    Args:
        root: Where log and objects are to lie.
        members: Founders.
        overseers: The oversight body.
        owners: Legal owner of a member, where it is another than itself.
        said: Name, jurisdiction and numbers of members, where they give some.
        specs: Tensors of the model.
        extra: More TOML, behind the charter's.
        charter: Places of the charter, see `concord.testing.founded.DEFAULTS`.
    """

    def __init__(
        self,
        root: Path,
        members: Sequence[str] = ("chad", "fiji", "peru"),
        *,
        overseers: Sequence[str] = (),
        owners: Mapping[str, str] | None = None,
        said: Mapping[str, Mapping[str, Any]] | None = None,
        specs: Sequence[TensorSpec] = SPECS,
        extra: str = "",
        **charter: str | int,
    ) -> None:
        self.root = root
        self.specs = specs
        self.objects = ObjectStore(root / "objects")
        self.replica = Replica(ObjectLibrary(self.objects))
        self.entries: list[Entry] = []
        self.now = BEGAN_S
        self.keys: dict[tuple[str, str], PrivateKey] = {}
        """Keys that took the place of a party's first."""
        entries = tuple(
            member_entry(m, (owners or {}).get(m), **(said or {}).get(m, {}))
            for m in sorted(members)
        )
        self._found(members[0], entries, overseers, self.store_charter(extra, **charter))

    @property
    def state(self) -> State:
        return self.replica.state

    def store_charter(self, extra: str = "", **choices: str | int) -> Digest:
        """Put a charter among the objects; `extra` is more TOML, behind the rest."""
        folder = self.root / "charter"
        folder.mkdir(parents=True, exist_ok=True)
        for name in (SCHEMA, RULES):
            (folder / name).write_bytes(default_charter(NAME, members=3).files[name])
        (folder / DOCUMENT).write_text(charter_toml(**choices) + extra)
        return store_bundle(load_bundle(folder), self.objects)

    def key(self, party: str, purpose: str = "identity") -> PrivateKey:
        """The key that a party uses now."""
        return self.keys.get((party, purpose), key(party, purpose))

    # --- saying -----------------------------------------------------------------------------

    def statement(
        self,
        body: Body,
        party: str,
        role: Role = "member",
        *,
        run: Digest | None = None,
        round_: int | None = None,
    ) -> Statement:
        """A statement as its author would make it now."""
        state = self.state
        return Statement(
            body=body,
            binding=Binding(
                federation=state.federation, charter=state.charter, run=run, round=round_
            ),
            author=Author(role=role, party=party),
            seq=state.next_number(role, party),
            time=self.now,
        )

    def say(
        self,
        body: Body,
        party: str,
        role: Role = "member",
        *,
        run: Digest | None = None,
        round_: int | None = None,
        also: Sequence[PrivateKey] = (),
    ) -> Entry:
        """A statement, signed by its author and `also`, enters the log."""
        statement = self.statement(body, party, role, run=run, round_=round_)
        return self.take(Entry.sign(statement, [self.key(party), *also]))

    def take(self, entry: Entry) -> Entry:
        """An entry enters the log, if it may stand there."""
        self.replica.take(entry)
        self.entries.append(entry)
        self.now += 1
        return entry

    def coordinator(
        self, body: Body, run: Digest | None = None, round_: int | None = None
    ) -> Entry:
        """A statement of the coordinator."""
        return self.say(body, self.state.coordinator.member, "coordinator", run=run, round_=round_)

    def vote(self, change: Change, title: str = "A change", **choices: str) -> Entry:
        """A proposal, a ballot of every voter (yes but for `choices`), and a decision."""
        coordinator = self.state.coordinator.member
        body = Proposal(title=title, change=change, closes=self.now + 3600)
        proposal = self.say(body, coordinator).statement.digest
        for member in self.state.voters(self.now):
            choice: Any = choices.get(member, "yes")
            self.say(Ballot(proposal=proposal, choice=choice), member)
        return self.decide(proposal)

    def decide(self, proposal: Digest) -> Entry:
        """What a vote came to."""
        library = self.replica.library
        found = stands(self.state, self.state.proposal(proposal), now=self.now, library=library)
        rule = library.charter(self.state.charter).rule[found.rule]
        outcome: Any = str(found.outcome.result)
        body = Decision(
            proposal=proposal,
            outcome=outcome,
            rule=found.rule,
            ballots=found.counted,
            effective=self.now + rule.delay,
        )
        return self.coordinator(body)

    # --- publishing -------------------------------------------------------------------------

    def note(self, *, without: Sequence[str] = ()) -> Note:
        """The checkpoint of all entries, signed by the log and by every witness but those named."""
        mine, state = self.replica.checkpoint, self.state
        log_key = self.key(state.coordinator.member, "log")
        lines = [sign_checkpoint(mine, log_origin(state.name), log_key)]
        for member in state.seated():
            if member not in without:
                name, witness = witness_name(state.name, member), self.key(member, "witness")
                lines.append(cosign(mine, name, witness, self.now))
        return Note(mine, tuple(lines))

    def publish(self, note: Note | None = None) -> Path:
        """Write the log, and return the federation's folder."""
        write_log(self.root / "log", [entry.data for entry in self.entries], note or self.note())
        return self.root

    # --- beginnings -------------------------------------------------------------------------

    def _found(
        self,
        coordinator: str,
        members: tuple[MemberEntry, ...],
        overseers: Sequence[str],
        charter: Digest,
    ) -> None:
        body = Founding(
            name=NAME,
            nonce="0" * 32,
            charter=charter,
            members=members,
            overseers=tuple(OverseerEntry(id=o, key=key(o).public.text) for o in overseers),
            coordinator=CoordinatorEntry(
                member=coordinator, log_key=key(coordinator, "log").public.text
            ),
        )
        statement = Statement(
            body=body,
            binding=Binding(federation=None, charter=charter),
            author=Author(role="founders", party=NAME),
            seq=0,
            time=self.now,
        )
        self.take(Entry.sign(statement, [key(m.id) for m in members]))

    def adopt(self, *, probes: Digest | None = None, **sections: Any) -> RunHistory:
        """Put a run to the vote, adopt it and open it, with probes if it has a gate."""
        members = tuple(self.state.bound(self.now))
        run = parse_run(run_value(sections.pop("members", members), **sections))
        document = ObjectLibrary(self.objects).put_run(run)
        self.vote(StartRun(document=document), f"Run {run.name}")
        return RunHistory(self, run, probes)


def write_log(folder: Path, entries: Sequence[bytes], note: Note) -> None:
    """Write a log of these entries under this checkpoint, which nobody checks but its root."""
    origin = note.checkpoint.origin
    with Log.create(folder, origin) as log:
        empty = Checkpoint(origin, 0, EMPTY_ROOT)
        log.publish(Note(empty, note.lines))
        log.append(entries)
        log.publish(note)
