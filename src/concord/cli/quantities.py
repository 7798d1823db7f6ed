"""Numbers with units, as people write them: `7B`, `100Mbit`, `150ms`, `10TB`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from concord.base.errors import DocumentError

_QUANTITY = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)")
_THOUSANDS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


@dataclass(frozen=True)
class Units:
    """Units that a number may have, and how one is written."""

    sizes: Mapping[str, float]
    example: str


COUNTS = Units({**_THOUSANDS, "B": 1e9}, "7B")
"""Parameters and tokens, where B is a billion; operations per second."""
BITS = Units({f"{prefix}bit": size for prefix, size in _THOUSANDS.items()}, "100Mbit")
BYTES = Units({f"{prefix}B": size for prefix, size in _THOUSANDS.items()}, "256GB")
SECONDS = Units({"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}, "150ms")


def quantity(text: str, units: Units, *, where: str) -> float:
    """A number above zero in units.

    Raises:
        DocumentError: it is none, naming the option and the units there are.
    """
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[2] not in units.sizes or float(found[1]) == 0:
        named = ", ".join(unit for unit in units.sizes if unit)
        raise DocumentError(
            f"{text[:40]!r} is not a number above 0 with one of the units {named}",
            where=where,
            remedy=f"write it like {units.example}",
        )
    return float(found[1]) * units.sizes[found[2]]


def bits_shown(bits: float) -> str:
    """Bits per second."""
    return _shown(bits, "bit")


def bytes_shown(size: float) -> str:
    """Bytes, thousands as in SI."""
    return _shown(size, "B")


def _shown(value: float, unit: str) -> str:
    for prefix in ("", "k", "M", "G", "T"):
        if value < 999.5:
            return f"{value:.3g} {prefix}{unit}"
        value /= 1000
    return f"{value:.3g} P{unit}"


def seconds_shown(seconds: float) -> str:
    """A time, in the unit that makes it short."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
