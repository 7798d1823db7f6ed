"""Checkpoints as signed notes, and the witnesses' lines under them.

    <origin> LF <size> LF <base64 root> LF          the body: what is signed
    LF
    — <name> <base64(key id[4] || signature)> LF    one line per signature

    key id                  = SHA-256(name || LF || type || public key)[:4]
    type 01, the log        : Ed25519 over the body; its name is the origin
    type 04, a cosignature  : u64 time || Ed25519 over "cosignature/v1" LF "time <t>" LF body

Lines of unknown signers are ignored: a note may pass through hands that know more signers than
its reader. A line of a known signer that does not verify makes the note a forgery. A cosignature
does not name its signer, so two witnesses must never share a key.

Sources: C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from concord.base.errors import KeyRefused, SignatureRefused
from concord.crypto.base64text import from_base64, to_base64
from concord.crypto.keys import SIGNATURE_BYTES, PrivateKey, PublicKey
from concord.crypto.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

MAX_NOTE_BYTES = 1 << 20
MAX_NAME_BYTES = 255
_LOG, _COSIGNATURE = b"\x01", b"\x04"
_KEY_ID_BYTES = 4
_TIME = struct.Struct(">Q")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE = re.compile(r"— ([^ ]+) ([A-Za-z0-9+/=]+)")
# Control characters but LF, and those that turn the direction of text on a screen.
_UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Checkpoint:
    """A log's claim: `size` entries, under `root`.

    Raises:
        SignatureRefused: the origin is no name, or size and root cannot go together.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        _check_name(self.origin)
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH_BYTES:
            _refuse("a size or a root is out of range")
        if (self.size == 0) != (self.root == EMPTY_ROOT):
            _refuse("only the empty tree has the empty root")

    @property
    def body(self) -> bytes:
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n".encode()


@dataclass(frozen=True)
class Note:
    """A checkpoint and the signature lines under it, in their order, without line ends.

    Raises:
        SignatureRefused: a line is not one, or there is none.
    """

    checkpoint: Checkpoint
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.lines:
            _refuse("nobody signed it")
        _ = self._claims

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note; signatures are not verified.

        Raises:
            SignatureRefused: over 1 MiB, not UTF-8, control characters, another number of lines
                before the empty one, a number or base64 in another form.
        """
        if len(data) > MAX_NOTE_BYTES:
            _refuse(f"{len(data):,} bytes are over the limit of {MAX_NOTE_BYTES:,}")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SignatureRefused("is not UTF-8", where="note") from error
        if _UNSAFE.search(text):
            _refuse("holds control characters")
        body, separator, signatures = text.rpartition("\n\n")
        if not separator or not signatures.endswith("\n"):
            _refuse("has no signature lines after an empty line")
        note = cls(_checkpoint(body), tuple(signatures[:-1].split("\n")))
        if note.encode() != data:
            _refuse("is not in its canonical form")
        return note

    def encode(self) -> bytes:
        """The note's bytes.

        Raises:
            SignatureRefused: they are more than 1 MiB.
        """
        lines = "".join(f"{line}\n" for line in self.lines)
        data = self.checkpoint.body + b"\n" + lines.encode()
        if len(data) > MAX_NOTE_BYTES:
            _refuse(f"{len(data):,} bytes are over the limit of {MAX_NOTE_BYTES:,}")
        return data

    def with_lines(self, *lines: str) -> Note:
        """The note with more lines; those that it has already are not repeated."""
        return Note(self.checkpoint, tuple(dict.fromkeys((*self.lines, *lines))))

    def log_signature_ok(self, name: str, public: PublicKey) -> bool:
        """Whether the log of this name and key signed. False: it did not.

        Raises:
            SignatureRefused: a line claims that it did, and is wrong, or the note is of another
                log.
        """
        if self.checkpoint.origin != name:
            _refuse(f"is of log {self.checkpoint.origin!r}, not {name!r}")
        found = self._signatures(name, _key_id(name, _LOG, public))
        for signature in found:
            public.verify(signature, self.checkpoint.body)
        return bool(found)

    def cosignatures(self, witnesses: Mapping[str, PublicKey]) -> dict[str, int]:
        """Which witnesses cosigned, and when each did so last, in seconds since 1970.

        Args:
            witnesses: Names and keys that count.

        Raises:
            KeyRefused: two witnesses share a key.
            SignatureRefused: a line of one of them is wrong.
        """
        if len(set(witnesses.values())) != len(witnesses):
            raise KeyRefused("two witnesses share a key", remedy="one key per witness")
        times_s: dict[str, int] = {}
        for name, public in witnesses.items():
            for claim in self._signatures(name, _key_id(name, _COSIGNATURE, public)):
                if len(claim) != _TIME.size + SIGNATURE_BYTES:
                    raise SignatureRefused("a cosignature has a wrong length", where=name)
                (time_s,) = _TIME.unpack_from(claim)
                try:
                    public.verify(claim[_TIME.size :], _cosigned(self.checkpoint, time_s))
                except SignatureRefused as error:
                    raise SignatureRefused("its cosignature does not match", where=name) from error
                times_s[name] = max(time_s, times_s.get(name, 0))
        return times_s

    def _signatures(self, name: str, key_id: bytes) -> list[bytes]:
        """Signatures of the lines that a signer of this name and key id claims."""
        return self._claims.get((name, key_id), [])

    @cached_property
    def _claims(self) -> dict[tuple[str, bytes], list[bytes]]:
        """Signatures by the name and key id that each line claims."""
        found: dict[tuple[str, bytes], list[bytes]] = {}
        for line in self.lines:
            name, blob = _split_line(line)
            key = name, blob[:_KEY_ID_BYTES]
            found.setdefault(key, []).append(blob[_KEY_ID_BYTES:])
        return found


def sign_checkpoint(checkpoint: Checkpoint, name: str, key: PrivateKey) -> str:
    """The log's own signature line; its name is the origin.

    Raises:
        SignatureRefused: the name is not the checkpoint's origin.
    """
    if name != checkpoint.origin:
        _refuse(f"a log signs as its origin {checkpoint.origin!r}, not as {name!r}")
    key_id = _key_id(name, _LOG, key.public)
    return _line(name, key_id + key.sign(checkpoint.body))


def cosign(checkpoint: Checkpoint, name: str, key: PrivateKey, time_s: int) -> str:
    """A witness's line: at `time_s` (seconds since 1970) it had seen no other history.

    Raises:
        SignatureRefused: the name or the time is none.
    """
    _check_name(name)
    if not 0 <= time_s <= MAX_SIZE:
        _refuse("a time is out of range")
    signature = key.sign(_cosigned(checkpoint, time_s))
    return _line(name, _key_id(name, _COSIGNATURE, key.public) + _TIME.pack(time_s) + signature)


def _cosigned(checkpoint: Checkpoint, time_s: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time_s + checkpoint.body


def _key_id(name: str, kind: bytes, public: PublicKey) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind + public.raw).digest()[:_KEY_ID_BYTES]


def _line(name: str, blob: bytes) -> str:
    return f"— {name} {to_base64(blob)}"


def _split_line(line: str) -> tuple[str, bytes]:
    """Name, and key id with signature, of a line."""
    found = _LINE.fullmatch(line)
    if found is None:
        _refuse("a signature line is malformed")
    _check_name(found[1])
    try:
        blob = from_base64(found[2])
    except ValueError as error:
        raise SignatureRefused("a signature line is not base64", where="note") from error
    if len(blob) <= _KEY_ID_BYTES:
        _refuse("a signature line is too short")
    return found[1], blob


def _checkpoint(body: str) -> Checkpoint:
    parts = body.split("\n")
    if len(parts) != 3:
        _refuse(f"has {len(parts)} lines instead of origin, size and root")
    origin, size, root = parts
    if not _SIZE.fullmatch(size):
        _refuse("its size is not a plain decimal number")
    try:
        return Checkpoint(origin, int(size), from_base64(root))
    except ValueError as error:
        raise SignatureRefused("its root is not base64", where="note") from error


def _check_name(name: str) -> None:
    """A name is not empty, has no space and no plus, and shows as what it is."""
    if not 0 < len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES or "+" in name:
        _refuse("a name is empty, too long, or holds '+'")
    if _UNSAFE.search(name) or any(c.isspace() or "\ud800" <= c <= "\udfff" for c in name):
        _refuse("a name holds spaces or control characters")


def _refuse(message: str) -> NoReturn:
    raise SignatureRefused(message, where="note")
