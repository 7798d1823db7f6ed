"""One update as one file: who and what it is for, then every tensor in the layout's order.

    "CONCORD1"                                   8 bytes
    header length                                u32, little-endian
    header                                       canonical JSON, at most 4 KiB
    encoded tensors, one after another
    length of each encoded tensor                u64 each

Lengths come last, so that a writer needs one pass and one tensor of memory. A reader takes nothing
on trust: the header says which layout it means, the layout says how long each tensor may be, and
the file must end where the lengths say. The coordinator's answer, the encoded outer step, has the
same form and no member.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest, check_digest, digest_bytes
from concord.base.errors import (
    ConcordError,
    DocumentError,
    RefusalReason,
    UpdateError,
    UpdateRefused,
)
from concord.base.files import atomic_file
from concord.base.identifiers import check_identifier
from concord.base.mapped import let_go, map_file
from concord.base.tensors import FloatArray
from concord.update.codecs import CODECS, WINDOW
from concord.update.feedback import ErrorFeedback
from concord.update.layout import Entry, Layout

MAGIC = b"CONCORD1"
MAX_HEADER_BYTES = 4096
MAX_ROUND = 2**53 - 1
Tensors = Mapping[str, FloatArray] | Callable[[str], FloatArray]


@dataclass(frozen=True)
class UpdateIdentity:
    """What an update is for. `member` is None for the coordinator's outer step.

    Raises:
        DocumentError: a digest, the round or the member has no proper form.
    """

    run: Digest
    round: int
    base: Digest
    member: str | None

    def __post_init__(self) -> None:
        check_digest(self.run, where="run")
        check_digest(self.base, where="base")
        if self.member is not None:
            check_identifier(self.member, where="member")
        if isinstance(self.round, bool) or not 0 <= self.round <= MAX_ROUND:
            raise DocumentError("is not a round", where="round")


@dataclass(frozen=True)
class EncodedSummary:
    """What was written."""

    digest: Digest
    bytes: int
    tensor_bytes: Mapping[str, int]


def least_bytes(layout: Layout) -> int:
    """No update of this layout is smaller."""
    body = sum(least for least, _ in layout.byte_bounds)
    return len(MAGIC) + 4 + body + 8 * len(layout)


def most_bytes(layout: Layout) -> int:
    """No update of this layout is larger; a transport can stop reading there."""
    body = sum(most for _, most in layout.byte_bounds)
    return len(MAGIC) + 4 + MAX_HEADER_BYTES + body + 8 * len(layout)


class PayloadWriter:
    """Writes one update, tensor by tensor, in the layout's order."""

    def __init__(self, stream: BinaryIO, layout: Layout, identity: UpdateIdentity) -> None:
        self._stream = stream
        self._layout = layout
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._lengths: list[int] = []
        header = _header(layout, identity)
        self._write(MAGIC + struct.pack("<I", len(header)) + header)

    def add(self, array: FloatArray) -> bytes:
        """Encode the next tensor and return its bytes.

        Raises:
            UpdateError: it has another shape than the layout says, or cannot be encoded.
        """
        entry = self._layout.entries[len(self._lengths)]
        if array.shape != entry.spec.shape:
            raise UpdateError(f"has shape {array.shape}, not {entry.spec.shape}", where=entry.name)
        flat = np.ascontiguousarray(array, np.float32).reshape(-1)
        try:
            data = CODECS[entry.codec].encode(flat)
        except UpdateError as error:
            raise UpdateError(error.message, where=entry.name, remedy=error.remedy) from error
        self._lengths.append(len(data))
        self._write(data)
        return data

    def finish(self) -> EncodedSummary:
        """Write the lengths. Call once, after the last tensor."""
        if len(self._lengths) != len(self._layout):
            raise UpdateError(f"holds {len(self._lengths)} of {len(self._layout)} tensors")
        self._write(struct.pack(f"<{len(self._lengths)}Q", *self._lengths))
        names = (entry.name for entry in self._layout)
        return EncodedSummary(
            digest="sha256:" + self._sha256.hexdigest(),
            bytes=self._bytes,
            tensor_bytes=dict(zip(names, self._lengths, strict=True)),
        )

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._sha256.update(data)
        self._bytes += len(data)


def encode_update(
    target: Path | BinaryIO,
    layout: Layout,
    identity: UpdateIdentity,
    tensors: Tensors,
    *,
    feedback: ErrorFeedback | None = None,
) -> tuple[EncodedSummary, ErrorFeedback | None]:
    """Encode an update to a file (whole or not at all) or a stream, one tensor at a time.

    Args:
        target: Where to write.
        layout: What the update consists of.
        identity: What it is for.
        tensors: Array of each entry's name, of the entry's shape: for weights the base minus the
            member's own (the pseudo-gradient), for state and counts the values themselves.
        feedback: Residuals for entries whose codec feeds back; without it nothing is carried.

    Returns:
        What was written, and the residuals to use next time if this update is accepted.

    Raises:
        UpdateError: a tensor is missing, of another shape, not finite, or negative where it must
            not be.
        StorageError: the file cannot be written.
    """
    read = _reader(tensors)
    residuals = {} if feedback is None else feedback.to_arrays()  # of tensors that stay, too
    with atomic_file(target) if isinstance(target, Path) else nullcontext(target) as stream:
        writer = PayloadWriter(stream, layout, identity)
        for entry in layout:
            array = read(entry.name)
            codec = CODECS[entry.codec]
            if feedback is None or not codec.feeds_back:
                writer.add(array)
                continue
            carried = feedback.carried(entry.name, array)
            sent = codec.decode(writer.add(carried), carried.size)
            residuals[entry.name] = carried - sent.reshape(carried.shape)
        summary = writer.finish()
    return summary, None if feedback is None else ErrorFeedback(residuals, feedback.beta)


def _reader(tensors: Tensors) -> Callable[[str], FloatArray]:
    if not isinstance(tensors, Mapping):
        return tensors
    arrays = tensors

    def read(name: str) -> FloatArray:
        if name not in arrays:
            raise UpdateError("the update lacks this tensor", where=name)
        return arrays[name]

    return read


class UpdateFile:
    """An encoded update, opened for reading. Nothing in it can be changed.

    A tensor's pages are let go when it was decoded, so that many large updates side by side take
    no more memory than one tensor of one of them.

    Args:
        source: A file, which is mapped and not read, or bytes.
        layout: What the update has to consist of.
        expected: What it has to be for; None leaves that to the caller (`screening`).

    Raises:
        UpdateRefused: TOO_LARGE, MALFORMED, WRONG_NAME or WRONG_SHAPE (another layout), or, with
            `expected`, WRONG_RUN, WRONG_ROUND, WRONG_BASE or NOT_IN_ROSTER (another member).
        UpdateError: the file cannot be read.
    """

    plain: bool = True
    """Whether the bytes say all: values are decoded from them and not changed afterwards."""

    def __init__(
        self,
        source: Path | bytes | bytearray | memoryview,
        layout: Layout,
        expected: UpdateIdentity | None = None,
    ) -> None:
        self.layout = layout
        self._data = _mapped(source) if isinstance(source, Path) else memoryview(bytes(source))
        if self._data.nbytes > most_bytes(layout):
            raise UpdateRefused(
                RefusalReason.TOO_LARGE, f"{self._data.nbytes:,} bytes are more than an update has"
            )
        self.identity, start = _read_header(self._data, layout)
        self._parts = _cut(self._data, start, layout)
        if expected is not None:
            check_identity(self.identity, expected)

    @property
    def bytes(self) -> int:
        """Length of the whole update."""
        return self._data.nbytes

    def digest(self) -> Digest:
        """Digest of the whole update; reads all of it."""
        return digest_bytes(self._data)

    def encoded(self, name: str) -> memoryview:
        """A tensor's bytes as they are."""
        return self._parts[name]

    def windows(self, name: str, length: int = WINDOW) -> Iterator[FloatArray]:
        """Decode a tensor a part at a time; see `Codec.windows`.

        Raises:
            UpdateRefused: MALFORMED or NON_FINITE.
        """
        entry = self.layout.by_name[name]
        yield from _named(
            CODECS[entry.codec].windows(self._parts[name], entry.spec.size, length), entry
        )
        let_go(self._data, self._parts[name])

    def decode(self, name: str) -> FloatArray:
        """Decode a tensor into a new array of its shape.

        Raises:
            UpdateRefused: MALFORMED or NON_FINITE.
        """
        spec = self.layout.by_name[name].spec
        array = np.empty(spec.size, np.float32)
        start = 0
        for window in self.windows(name):
            array[start : start + window.size] = window
            start += window.size
        return array.reshape(spec.shape)


def check_identity(given: UpdateIdentity, expected: UpdateIdentity) -> None:
    """Refuse an update that is meant for something else.

    Raises:
        UpdateRefused: WRONG_RUN, WRONG_ROUND, WRONG_BASE or NOT_IN_ROSTER.
    """
    if given.run != expected.run:
        raise UpdateRefused(RefusalReason.WRONG_RUN, "belongs to another run")
    if given.round != expected.round:
        raise UpdateRefused(
            RefusalReason.WRONG_ROUND, f"is for round {given.round}, this is {expected.round}"
        )
    if given.base != expected.base:
        raise UpdateRefused(RefusalReason.WRONG_BASE, "starts from another base")
    if given.member != expected.member:
        raise UpdateRefused(RefusalReason.NOT_IN_ROSTER, "names another sender")


def _named(windows: Iterator[FloatArray], entry: Entry) -> Iterator[FloatArray]:
    try:
        yield from windows
    except UpdateRefused as error:
        raise UpdateRefused(error.reason, error.message, where=entry.name) from error


def _mapped(path: Path) -> memoryview:
    try:
        if path.stat().st_size == 0:
            return memoryview(b"")
        return map_file(path)
    except (OSError, ValueError) as error:  # ValueError: emptied meanwhile
        reason = getattr(error, "strerror", None) or error
        raise UpdateError(f"cannot be read: {reason}", where=path) from error


def _header(layout: Layout, identity: UpdateIdentity) -> bytes:
    return canonical_json(
        {**asdict(identity), "layout": layout.digest, "names": layout.names_digest}
    )


def _read_header(data: memoryview, layout: Layout) -> tuple[UpdateIdentity, int]:
    """The identity, and where the tensors begin."""
    fixed = len(MAGIC) + 4
    if bytes(data[: len(MAGIC)]) != MAGIC or data.nbytes < fixed:
        raise UpdateRefused(RefusalReason.MALFORMED, "is not an encoded update")
    (length,) = struct.unpack("<I", data[len(MAGIC) : fixed])
    text = bytes(data[fixed : fixed + min(length, MAX_HEADER_BYTES)])
    try:
        value = parse_json(text, max_bytes=MAX_HEADER_BYTES)
        names, layout_digest = value.pop("names"), value.pop("layout")
        identity = UpdateIdentity(**value)
    except (ConcordError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UpdateRefused(RefusalReason.MALFORMED, "has no readable header") from error
    if names != layout.names_digest:
        raise UpdateRefused(RefusalReason.WRONG_NAME, "names other tensors than the run has")
    if layout_digest != layout.digest:
        raise UpdateRefused(RefusalReason.WRONG_SHAPE, "has tensors of another shape or codec")
    if _header(layout, identity) != text:
        raise UpdateRefused(RefusalReason.MALFORMED, "has a header that is not canonical")
    return identity, fixed + length


def _cut(data: memoryview, start: int, layout: Layout) -> dict[str, memoryview]:
    """Bytes of each tensor, every length checked against the layout."""
    table = 8 * len(layout)
    if data.nbytes < start + table:
        raise UpdateRefused(RefusalReason.MALFORMED, "is cut short")
    end = data.nbytes - table
    lengths = struct.unpack(f"<{len(layout)}Q", data[end:])
    parts = {}
    for entry, length, (least, most) in zip(layout, lengths, layout.byte_bounds, strict=True):
        if not least <= length <= most:
            raise UpdateRefused(
                RefusalReason.MALFORMED, f"{length:,} bytes cannot be this tensor", where=entry.name
            )
        parts[entry.name] = data[start : start + length]
        start += length
    if start != end:
        raise UpdateRefused(RefusalReason.MALFORMED, "is shorter or longer than its lengths say")
    return parts
