"""Named float32 tensors in one file, in exactly one form per content.

The file is a valid safetensors file with a canonical header (names sorted, RFC 8785, padded to
eight bytes), written and read tensor by tensor: two machines that hold the same tensors write the
same bytes, so the digest of the file is the digest of the model. Memory stays at one tensor.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest
from concord.base.errors import CheckpointError, ConcordError, InternalError
from concord.base.files import atomic_file
from concord.base.mapped import let_go, map_file

FloatArray = NDArray[np.float32]
MAX_HEADER_BYTES = 8 << 20
"""Some 80,000 tensors; a longer one would only take time to refuse."""
_WINDOW = 1 << 18
MAX_DIMENSION = 1 << 40
_NAME = re.compile(r"(?!/)(?!.*\.\.)[!-~]{1,256}")
"""Printable ASCII; names are never used as paths, and do not look like a way out of a folder."""


@dataclass(frozen=True, order=True)
class TensorSpec:
    """Name and shape of a float32 tensor."""

    name: str
    shape: tuple[int, ...]

    @cached_property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def write_tensors(
    path: Path,
    specs: Sequence[TensorSpec],
    arrays: Iterable[FloatArray],
    *,
    durable: bool = True,
) -> Digest:
    """Write `arrays`, which come in the order of `specs` sorted by name, and return the digest.

    Raises:
        InternalError: an array has another shape than its spec says.
        StorageError: the disk is full or the folder cannot be written.
    """
    return write_tensor_parts(path, specs, _whole(sorted(specs), arrays), durable=durable)


def _whole(
    ordered: Sequence[TensorSpec], arrays: Iterable[FloatArray]
) -> Iterator[tuple[FloatArray]]:
    for spec, array in zip(ordered, arrays, strict=True):
        if array.shape != spec.shape:
            raise InternalError(f"has shape {array.shape}, not {spec.shape}", where=spec.name)
        yield (array,)


def write_tensor_parts(
    path: Path,
    specs: Sequence[TensorSpec],
    tensors: Iterable[Iterable[FloatArray]],
    *,
    durable: bool = True,
) -> Digest:
    """As `write_tensors`, each tensor in parts that follow one another.

    A part is digested and written while it is still in the processor's cache, and may be
    overwritten when the next one is asked for.

    Raises:
        InternalError: the parts of a tensor have another size than its spec says.
        StorageError: the disk is full or the folder cannot be written.
    """
    ordered = tuple(sorted(specs))
    header = _header(ordered)
    sha256 = hashlib.sha256(header)
    with atomic_file(path, durable=durable) as stream:
        stream.write(header)
        for spec, parts in zip(ordered, tensors, strict=True):
            size = 0
            for part in parts:
                data = np.ascontiguousarray(part, dtype="<f4").data.cast("B") if part.size else b""
                sha256.update(data)
                stream.write(data)
                size += part.size
            if size != spec.size:
                raise InternalError(f"has {size:,} values, not {spec.size:,}", where=spec.name)
    return "sha256:" + sha256.hexdigest()


def tensor_header(specs: Sequence[TensorSpec]) -> bytes:
    """The bytes before the data in the canonical file of these tensors."""
    return _header(tuple(sorted(specs)))


@lru_cache(maxsize=4)
def _header(ordered: tuple[TensorSpec, ...]) -> bytes:
    """Header of a file; remembered, since every base of a run has the same one."""
    entries: dict[str, object] = {}
    offset = 0
    for spec in ordered:
        end = offset + 4 * spec.size
        entries[spec.name] = {
            "dtype": "F32",
            "shape": list(spec.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = canonical_json(entries)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


class TensorFile:
    """A tensor file opened for reading through a memory map.

    Args:
        path: The file.
        expected: What it has to hold, where the reader knows: its header is then compared with
            the one form that these have, byte for byte, and never parsed.

    Raises:
        CheckpointError: the file is missing, torn, not in canonical form, or holds other tensors.
    """

    def __init__(self, path: Path, expected: Sequence[TensorSpec] | None = None) -> None:
        self.path = path
        try:
            with path.open("rb") as stream:
                if expected is not None:
                    _compare_header(stream, expected, path)
                    stream.seek(0)
                (length,) = struct.unpack("<Q", stream.read(8))
                if length > MAX_HEADER_BYTES:
                    raise CheckpointError("header is larger than allowed", where=path)
                text = stream.read(length)
            self.specs = _read_header(text, path)
            data_bytes = 4 * sum(spec.size for spec in self.specs)
            if len(text) != length or path.stat().st_size != 8 + length + data_bytes:
                raise CheckpointError("is shorter or longer than its header says", where=path)
            self._file = map_file(path)
            self._data: FloatArray = np.frombuffer(self._file, "<f4", offset=8 + length)
        except (OSError, ValueError, struct.error) as error:  # ValueError: shortened meanwhile
            raise CheckpointError(
                f"cannot be read: {error}", where=path, remedy="resume from an earlier round"
            ) from error
        starts = np.cumsum([0, *(spec.size for spec in self.specs)])
        self._starts = dict(zip((spec.name for spec in self.specs), starts.tolist(), strict=False))
        self._by_name = {spec.name: spec for spec in self.specs}

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> FloatArray:
        """The tensor as a read-only view of the file."""
        spec = self._by_name[name]
        start = self._starts[name]
        return cast(FloatArray, self._data[start : start + spec.size].reshape(spec.shape))

    def let_go(self, name: str) -> None:
        """Drop a tensor's pages from this process's memory; views of it stay good."""
        spec, start = self._by_name[name], self._starts[name]
        if spec.size:
            let_go(self._file, self._data[start : start + spec.size].data.cast("B"))

    def require_finite(self) -> None:
        """Refuse values that no training can start from; reads all of it, window by window.

        Raises:
            CheckpointError: a value is NaN or infinite; names the tensor.
        """
        for spec, array in self.items():
            flat = array.reshape(-1)
            for start in range(0, flat.size, _WINDOW):
                if not np.isfinite(flat[start : start + _WINDOW]).all():
                    raise CheckpointError(
                        f"{spec.name} holds a value that is not finite", where=self.path
                    )

    def items(self) -> Iterator[tuple[TensorSpec, FloatArray]]:
        """Each tensor in file order, which is the order of names."""
        for spec in self.specs:
            yield spec, self[spec.name]


def _compare_header(stream: BinaryIO, expected: Sequence[TensorSpec], path: Path) -> None:
    header = _header(tuple(sorted(expected)))
    if stream.read(len(header)) != header:
        raise CheckpointError("holds other tensors than the run has", where=path)


def _shape(value: list[int]) -> tuple[int, ...]:
    if not all(type(length) is int and 0 <= length < MAX_DIMENSION for length in value):
        raise ValueError("a shape is not made of whole numbers that a tensor can have")
    return tuple(value)


def _check_names(entries: Collection[str]) -> None:
    for name in entries:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is not a name for a tensor")


def _read_header(text: bytes, path: Path) -> list[TensorSpec]:
    try:
        entries = parse_json(text, where=path, max_bytes=MAX_HEADER_BYTES)
        _check_names(entries)
        specs = [TensorSpec(name, _shape(entry["shape"])) for name, entry in entries.items()]
        canonical = _header(tuple(specs))[8:] if specs == sorted(specs) else b""
    except (ConcordError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"has no readable header: {error}", where=path) from error
    if canonical != text:
        raise CheckpointError("is not in canonical form", where=path)
    return specs
