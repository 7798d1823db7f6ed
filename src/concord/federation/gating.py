"""The probe gate: what is measured, and who is left out for it.

    L_l(S)       nats per token of language l's probe lines, for the base that the round would lead
                 to if the updates S went in (merge and rate of the run; no codec, no momentum)
    benefit_il   L_l(all but i) - L_l(all): positive if i's update helps language l
    quarantined  those whose mean over l is below -harm

It sees damage, and damage alone: an update that harms a little, or a language that the probes do
not hold, passes. Probes are public, so who wants to can train on them. It leaves an update out of
one round; it expels nobody.

Pure, and without torch: measuring is a `Prober`'s, which runs in a process of its own, so that the
coordinator loads no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest
from concord.base.errors import CheckpointError, ConcordError, DocumentError
from concord.charter.run import RunDocument
from concord.ledger.arithmetic import RoundInputs
from concord.ledger.state.gates import harmful

MAX_PROBE_BYTES = 16 << 20
MAX_VALUES_BYTES = 16 << 20
Benefits = Mapping[str, Mapping[str, float]]
"""Nats per token, by member and language."""
_PROBES = TypeAdapter(dict[str, list[str]])
_VALUES = TypeAdapter(dict[str, dict[str, float]])


@dataclass(frozen=True)
class GateCase:
    """What a prober needs to know of one round. It crosses to a process of this machine."""

    inputs: RoundInputs
    updates: Mapping[str, Path]
    """Of each member whose update was accepted."""
    probes: Path
    tokenizer: Path | None
    """None where the run keeps the tokenizer of the model folder it continues from."""
    continued: Path | None


class Prober(Protocol):
    """Measures a round's updates on the probes."""

    def benefits(self, case: GateCase) -> Benefits:
        """What each update does to each language; all that can be compared."""


@dataclass(frozen=True)
class Gate:
    """A run's probe gate: the probes, by digest and place, and who measures."""

    probes: Digest
    path: Path
    prober: Prober
    continued: Path | None = None


@dataclass(frozen=True)
class Findings:
    """What came of measuring a round."""

    benefits: Mapping[str, float]
    """Mean over languages."""
    values: bytes
    """By language, as they are kept."""
    quarantined: tuple[str, ...]


def probe_set(lines: Mapping[str, Sequence[str]], run: RunDocument) -> bytes:
    """The probes of a run: the first lines of each language that the tokenizer did not see.

    Raises:
        DocumentError: there are none.
    """
    chosen = {language: list(found[: run.gate.lines]) for language, found in lines.items()}
    if not chosen or not all(chosen.values()):
        raise DocumentError(
            "needs lines of the parallel set in every language of the roster",
            where="gate",
            remedy="name tokenizer.parallel and the members' languages, or turn the gate off",
        )
    return canonical_json(chosen)


def read_probes(path: Path) -> dict[str, list[str]]:
    """The lines of each language.

    Raises:
        CheckpointError: the file holds something else.
    """
    try:
        value = parse_json(path.read_bytes(), where=path, max_bytes=MAX_PROBE_BYTES)
        return _PROBES.validate_python(value)
    except (OSError, ValidationError, ConcordError) as error:
        raise CheckpointError("holds no probes", where=path) from error


def findings(benefits: Benefits, members: Sequence[str], run: RunDocument) -> Findings:
    """Who is left out for these benefits. Who could not be compared has a benefit of nothing."""
    table = {m: {k: float(v) for k, v in benefits.get(m, {}).items()} for m in sorted(members)}
    means = {member: fmean(row.values()) if row else 0.0 for member, row in table.items()}
    return Findings(means, canonical_json(table), tuple(harmful(means, run)))


def read_values(data: bytes) -> dict[str, dict[str, float]]:
    """What `Findings.values` holds.

    Raises:
        CheckpointError: it holds something else.
    """
    try:
        return _VALUES.validate_python(parse_json(data, max_bytes=MAX_VALUES_BYTES))
    except (ValidationError, ConcordError) as error:
        raise CheckpointError("holds no values of a probe gate") from error
