"""Which tensors travel in which round, where a model is sent in parts.

    round r sends, merges and moves the tensors of fragment r mod P, and leaves all others alone

All tensors of a layer go together; the embedding, an untied head and the last norm go each by
itself. Parts are taken from the largest to the smallest, layers of one size in their order, and
each goes to the fragment that is smallest so far, the first one of several. So layers of equal size
are strided (layer i in fragment i mod P), and a large embedding has few layers beside it. No
fragment is larger than an even share and the largest part.

Source: strided fragments, Douillard et al. 2025 (Streaming DiLoCo, arXiv 2501.18512); by size, so
that an embedding that is half of a small network does not have its share of the layers beside it:
Concord.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from concord.base.errors import UpdateError
from concord.base.tensors import TensorSpec

NO_LAYER = -1


@dataclass
class _Part:
    """Tensors that go together."""

    layer: int
    names: list[str] = field(default_factory=list)
    size: int = 0


def fragments_of(weights: Sequence[TensorSpec], count: int) -> dict[str, int]:
    """The fragment of each weight, from 0; it follows from names and shapes alone.

    Raises:
        UpdateError: there are fewer parts than fragments.
    """
    parts: dict[str, _Part] = {}
    for spec in sorted(weights):
        key, layer = _layer_of(spec.name)
        part = parts.setdefault(key, _Part(layer))
        part.names.append(spec.name)
        part.size += spec.size
    if len(parts) < count:
        raise UpdateError(
            f"its {len(parts)} parts cannot be sent in {count} fragments",
            remedy="set rounds.fragments to at most the number of layers and one",
        )
    loads = [0] * count
    found: dict[str, int] = {}
    for part in sorted(parts.values(), key=lambda part: (-part.size, part.layer, part.names)):
        chosen = loads.index(min(loads))
        loads[chosen] += part.size
        found |= dict.fromkeys(part.names, chosen)
    return found


def _layer_of(name: str) -> tuple[str, int]:
    """What a tensor goes together with, and the number of its layer: the first one in its name."""
    parts = name.split(".")
    for place, part in enumerate(parts):
        if part.isdecimal() and part.isascii():
            return ".".join(parts[: place + 1]), int(part)
    return name, NO_LAYER
