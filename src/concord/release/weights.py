"""The digest of a release's weights in canonical form, read from safetensors files without torch.

Users load `model.safetensors` as `transformers` writes it; the log speaks of a canonical tensor
file. Both hold the same float32 tensors, so the second follows from the first.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from concord.base.canonical import parse_json
from concord.base.digest import Digest
from concord.base.errors import ConcordError, VerificationFailed
from concord.base.tensors import MAX_HEADER_BYTES, TensorFile, TensorSpec, tensor_header
from concord.ledger.layouts import base_weights

CHUNK = 1 << 20


def weights_digest(files: Sequence[Path]) -> Digest:
    """Digest of the canonical file of all float32 tensors in safetensors files.

    Raises:
        VerificationFailed: a file is damaged, or holds something else than float32 tensors.
    """
    places: dict[str, tuple[Path, int, TensorSpec]] = {}
    for path in files:
        for spec, offset in _tensors(path):
            if spec.name in places:
                raise VerificationFailed(f"{spec.name} is there twice", where=path.name)
            places[spec.name] = (path, offset, spec)
    found = hashlib.sha256(tensor_header([spec for _, _, spec in places.values()]))
    for _, (path, offset, spec) in sorted(places.items()):
        with path.open("rb") as stream:
            stream.seek(offset)
            for part in _parts(stream, 4 * spec.size, path):
                found.update(part)
    return "sha256:" + found.hexdigest()


def base_weights_digest(base: TensorFile) -> Digest:
    """The same of a base: its shared state of optimisers left out."""
    weights = base_weights(base)
    found = hashlib.sha256(tensor_header([s for s in base.specs if s.name in weights]))
    for _, array in sorted(weights.items()):
        if array.size:
            found.update(array.data.cast("B"))
    return "sha256:" + found.hexdigest()


def parameter_count_of(files: Sequence[Path]) -> int:
    """How many numbers the tensors of some files hold."""
    return sum(spec.size for path in files for spec, _ in _tensors(path))


def _tensors(path: Path) -> Iterator[tuple[TensorSpec, int]]:
    """Each tensor with the place of its data in the file."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > MAX_HEADER_BYTES:
                raise VerificationFailed("has a header that is too long", where=path.name)
            entries: dict[str, Any] = parse_json(stream.read(length), where=path.name)
            size = path.stat().st_size - 8 - length
        found = []
        for name, entry in entries.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            spec = TensorSpec(name, tuple(entry["shape"]))
            if any(type(number) is not int for number in (begin, end, *spec.shape)):
                raise VerificationFailed(f"{name[:80]} has odd numbers", where=path.name)
            if entry["dtype"] != "F32" or end - begin != 4 * spec.size or not 0 <= begin <= size:
                raise VerificationFailed(f"{name[:80]} is no float32 tensor", where=path.name)
            found.append((spec, 8 + length + begin))
    except (OSError, struct.error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise VerificationFailed("is no safetensors file", where=path.name) from error
    except ConcordError as error:
        raise VerificationFailed(error.message, where=path.name) from error
    yield from found


def _parts(stream: BinaryIO, size: int, path: Path) -> Iterator[bytes]:
    while size:
        part = stream.read(min(size, CHUNK))
        if not part:
            raise VerificationFailed("ends before its last tensor", where=path.name)
        size -= len(part)
        yield part
