"""The keys of one party, in its private folder.

    private/keys/identity.pem     signs the party's statements
    private/keys/witness.pem      cosigns checkpoints of the log
    private/keys/log.pem          signs the log's checkpoints, while the party runs the coordinator
    private/keys/identity.next.pem           comes in its place once the log says so
    private/keys/identity.before-<new>.pem   was in its place before the key <new>
    private/keys/sequence         the last number it gave to a statement

Every place has a key of its own: what is signed in one can never be taken for the other.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from concord.base.files import private_folder, storage_errors, sync_folder
from concord.crypto.keyfiles import load_key, save_key
from concord.crypto.keys import PrivateKey, PublicKey

MEMBER_KEYS = ("identity", "witness", "log")
OVERSEER_KEYS = ("identity",)


class KeyRing:
    """Keys below one private folder."""

    def __init__(self, private: Path) -> None:
        self.folder = private / "keys"

    def path(self, purpose: str) -> Path:
        return self.folder / f"{purpose}.pem"

    def exists(self, purpose: str = "identity") -> bool:
        return self.path(purpose).exists()

    def create(self, *purposes: str) -> dict[str, PublicKey]:
        """Make the keys that are not there yet, and return the public halves of all named."""
        private_folder(self.folder.parent)
        private_folder(self.folder)
        for purpose in purposes:
            if not self.exists(purpose):
                save_key(self.path(purpose), PrivateKey.generate())
        return {purpose: self.load(purpose).public for purpose in purposes}

    def load(self, purpose: str) -> PrivateKey:
        """Read a key.

        Raises:
            KeyRefused: it is missing, damaged, or open to others.
        """
        return load_key(self.path(purpose))

    def prepare(self, purpose: str) -> PrivateKey:
        """The key that is to come in the place of the present one; the same until it is there.

        It lies beside the present key before any statement names it, so that a crash between the
        log and this folder loses no key.
        """
        private_folder(self.folder.parent)
        private_folder(self.folder)
        coming = self.path(f"{purpose}.next")
        if not coming.exists():
            save_key(coming, PrivateKey.generate())
        return load_key(coming)

    def settle(self, purpose: str, public: str) -> bool:
        """Put the prepared key in its place, if it is the one that the log holds now.

        The old key is kept beside it. Done again after a crash at any instant, it ends the same.

        Args:
            public: The key that the log holds for this place, as text.

        Raises:
            KeyRefused: the prepared key is damaged, or open to others.
        """
        coming, present = self.path(f"{purpose}.next"), self.path(purpose)
        if not coming.exists():
            return False
        key = load_key(coming).public
        if key.text != public:
            return False
        kept = self.path(f"{purpose}.before-{key.key_id[:8]}")
        with storage_errors(present):
            if present.exists() and not kept.exists():
                os.link(present, kept)
            os.replace(coming, present)
            sync_folder(self.folder)
        return True

    def next_number(self, floor: int = 0) -> int:
        """A number for a statement: above all that were given before, and at least `floor`.

        Two processes of one party never get the same one.
        """
        path = self.folder / "sequence"
        with storage_errors(path):
            private_folder(self.folder)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream, storage_errors(path):
            fcntl.flock(stream, fcntl.LOCK_EX)
            text = stream.read().strip()
            number = max(int(text) + 1 if text.isdigit() else 0, floor)
            stream.seek(0)
            stream.write(b"%020d\n" % number)
        return number
