"""docs/benchmarks/hostile.md, drawn from hostile.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def page(found: Mapping[str, Any]) -> str:
    return "\n".join(found["rows"]) + "\n"
