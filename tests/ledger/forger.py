"""A hostile operator of the log: holds the log's key and the coordinator's, and rewrites the past.

It makes the tree anew over what it altered and signs a checkpoint of it. The keys of members are
not here: what a member signed can be moved, dropped or garbled, never said anew. Where a test lets
a party collude, it hands that party's key over by name.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from concord.crypto.dsse import Signature
from concord.crypto.merkle import Frontier, leaf_hash
from concord.crypto.notes import Checkpoint, Note, sign_checkpoint
from concord.ledger.entries import Entry
from concord.ledger.names import log_origin
from concord.ledger.statements.statement import Author, Binding, Statement
from concord.testing.history import write_log


class Forger:
    """A copy of a history's log and objects, to be altered.

    Args:
        history: What really happened.
        root: An empty folder for the altered copy.
        colluding: Parties that lend their identity key, besides the coordinator.
    """

    def __init__(self, history, root: Path, *, colluding=()):
        self.root = root
        self.state = history.state
        self.note = history.note()
        self.entries = [entry.data for entry in history.entries]
        self.lines: tuple[str, ...] = ()
        coordinator = self.state.coordinator.member
        self.keys = {p: history.key(p) for p in (coordinator, *colluding)}
        self.log_key = history.key(coordinator, "log")
        shutil.copytree(history.root / "objects", root / "objects", copy_function=os.link)

    # --- finding ----------------------------------------------------------------------------

    def entry(self, index) -> Entry:
        return Entry.parse(self.entries[index])

    def find(self, kind, party=None, number=0) -> int:
        """Index of a statement of this kind, by this party; -1 for `number` is the last one."""
        found = [
            index
            for index, data in enumerate(self.entries)
            if (entry := Entry.parse(data)).statement.kind == kind
            and party in (None, entry.statement.author.party)
        ]
        return found[number]

    def object(self, digest) -> Path:
        return self.root / "objects" / "sha256" / digest[7:9] / digest[9:]

    # --- altering ---------------------------------------------------------------------------

    def restate(self, index, *, key=None, body=None, **changes) -> Entry:
        """Change fields of a statement's body, or of the statement.

        It is signed anew if its author's key is here or is given; else the old signature stays.
        """
        old = self.entry(index)
        fields = {**old.statement.body.model_dump(), **(body or {})}
        statement = replace(
            old.statement, body=type(old.statement.body).model_validate(fields), **changes
        )
        signer = key or self.keys.get(statement.author.party)
        if signer is not None:
            entry = Entry.sign(statement, [signer])
        else:
            envelope = replace(old.envelope, payload=statement.payload())
            entry = Entry(statement, envelope, envelope.encode())
        self.entries[index] = entry.data
        return entry

    def say(self, body, party, role="member", *, at=None, key=None, run=None, round_=None, **how):
        """A new statement, at the end or at an index, signed by a key that is here or given."""
        seq = self.state.next_number(role, party)
        charter = how.pop("charter", self.state.charter)
        statement = Statement(
            body=body,
            binding=Binding(
                federation=self.state.federation, charter=charter, run=run, round=round_
            ),
            author=Author(role=role, party=party),
            seq=how.pop("seq", seq),
            time=how.pop("time", self.state.time + 1),
        )
        entry = Entry.sign(statement, [key or self.keys[party]])
        self.insert(len(self.entries) if at is None else at, entry.data)
        return entry

    def insert(self, index, data: bytes):
        self.entries.insert(index, data)

    def drop(self, index):
        return self.entries.pop(index)

    def swap(self, first, second):
        self.entries[first], self.entries[second] = self.entries[second], self.entries[first]

    def garble_signature(self, index):
        """Change one bit of the first signature."""
        old = self.entry(index).envelope
        first = old.signatures[0]
        wrong = Signature(first.key_id, bytes([first.signature[0] ^ 1]) + first.signature[1:])
        self.entries[index] = replace(old, signatures=(wrong, *old.signatures[1:])).encode()

    def unsign(self, index):
        """Drop the first of several signatures."""
        old = self.entry(index).envelope
        self.entries[index] = replace(old, signatures=old.signatures[1:]).encode()

    # --- publishing -------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Checkpoint:
        tree = Frontier()
        for data in self.entries:
            tree.append(leaf_hash(data))
        return Checkpoint(log_origin(self.state.name), tree.size, tree.root())

    def publish(self) -> Path:
        """Write the log over the altered entries, under a checkpoint that the log's key signs."""
        mine = self.checkpoint
        line = sign_checkpoint(mine, log_origin(self.state.name), self.log_key)
        write_log(self.root / "log", self.entries, Note(mine, (line, *self.lines)))
        return self.root
