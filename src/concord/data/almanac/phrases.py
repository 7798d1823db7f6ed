"""Labels and sentence frames that CLDR lacks, from `phrases.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

KINDS = ("money", "tongue", "city", "script", "feast", "neighbours")


@dataclass(frozen=True)
class Phrases:
    """The words of one language.

    Args:
        frames: Sentence per kind of fact, with {0} for the subject and then {1} for the answer.
        labels: Headings.
        feasts: Names of holidays by their English name, where `holidays` has none.
    """

    frames: Mapping[str, str]
    labels: Mapping[str, str]
    feasts: Mapping[str, str]


@cache
def load_table(name: str) -> dict[str, Any]:
    """A TOML file of this package."""
    resource = files("concord.data.almanac").joinpath(name)
    return tomllib.loads(resource.read_text(encoding="utf-8"))


def load_phrases(locale: str) -> Phrases:
    """The phrases of a CLDR locale."""
    table = load_table("phrases.toml")[locale]
    return Phrases(
        frames={kind: table[kind] for kind in KINDS if kind in table},
        labels=table["labels"],
        feasts=table.get("feasts", {}),
    )
