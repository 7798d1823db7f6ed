"""From records, evaluations and arms to the evidence of a report: nothing new is measured here."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from pydantic import ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.errors import DocumentError
from concord.base.files import write_atomic
from concord.base.tensors import TensorFile
from concord.charter.document import Document, describe
from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps
from concord.federation.engine import EngineName
from concord.federation.messages import TextCounts
from concord.federation.records import Evaluation, RunFolder
from concord.federation.report import (
    Arm,
    Evidence,
    FactCounts,
    Point,
    ReportMember,
    ReportRound,
    RunCard,
    Sums,
    TokenizerPart,
)
from concord.federation.sealed.words import sealed_words
from concord.ledger.layouts import parameter_count
from concord.ledger.round_record import RoundRecord

FACTS_FILE = "run.json"
PACKAGES = ("concord", "torch", "transformers", "tokenizers", "numpy")
HERE_NOTE = "All members ran on one machine; links between sites were not part of this run."
SITES_NOTE = (
    "Members trained at sites of their own and were linked over mutual TLS. On which machines"
    " their sites stood, and how far apart, is not recorded."
)
MIXED_NOTE = (
    "A part of this run was between sites, linked over mutual TLS; another part had all members"
    " on one machine. Times of the two do not compare."
)
NOTES = (
    "The model is small: it shows how training together compares with training alone, not skill.",
    "Published weights cannot be recalled.",
)
COMPARISON_NOTE = (
    "The pooled and alone models are for comparison: the pooled one reads all text in one place,"
    " which a federation exists to avoid."
)


@dataclass(frozen=True)
class MeasuredArm:
    """One arm of a comparison, as the report needs it."""

    name: str
    tokens: int
    flops: int
    steps: int
    seconds: float
    sums: Mapping[str, Sums]
    facts: Mapping[str, tuple[int, int]]
    """Known and asked, by the member that holds the facts."""


class RunFacts(Document):
    """What a run tells besides its records; kept in `run.json`, so that a report can be made anew.

    A resumed run adds the time it took to that of earlier starts, and its engine to theirs.
    """

    text: dict[str, TextCounts]
    tokens: dict[str, int]
    labels: dict[str, str]
    phases: dict[str, float]
    wall_s: float
    toml: str | None
    fact_choices: int | None = None
    tokenizer: TokenizerPart | None = None
    engines: tuple[EngineName, ...] = ("local",)

    def save(self, folder: RunFolder) -> None:
        """Write `run.json`, adding an earlier start's time."""
        path = folder.root / FACTS_FILE
        earlier = RunFacts.load(folder) if path.exists() else None
        facts = self
        if earlier is not None:
            phases = {n: s + self.phases.get(n, 0.0) for n, s in earlier.phases.items()}
            wall_s = earlier.wall_s + self.wall_s
            engines = tuple(sorted({*earlier.engines, *self.engines}))
            facts = self.model_copy(
                update={
                    "phases": {**self.phases, **phases},
                    "wall_s": wall_s,
                    "engines": engines,
                }
            )
        write_atomic(path, canonical_json(facts.model_dump(mode="json")))

    @classmethod
    def load(cls, folder: RunFolder) -> Self:
        """Read `run.json`.

        Raises:
            DocumentError: the run has not ended yet, or the file is damaged.
        """
        path = folder.root / FACTS_FILE
        try:
            return cls.model_validate(parse_json(path.read_bytes(), where=path))
        except OSError as error:
            raise DocumentError(
                "the run has not come to its end yet",
                where=folder.root,
                remedy="finish it with `concord run --resume`",
            ) from error
        except ValidationError as error:
            raise DocumentError(describe(error), where=path) from error


def collect_evidence(
    folder: RunFolder, run: RunDocument, facts: RunFacts, arms: Sequence[MeasuredArm]
) -> Evidence:
    """Put everything that was measured into one document."""
    records = [record for _, record in folder.records()]
    curves = _curves(folder.evaluations(), records)
    shared_sums = curves[-1].text if curves and curves[-1].round == records[-1].round else {}
    matrix: dict[str, dict[str, Sums]] = {"shared": dict(shared_sums)} if shared_sums else {}
    for arm in arms:
        matrix[arm.name] = {**matrix.get(arm.name, {}), **arm.sums}
    shared_arm = _shared_arm(run, records)
    return Evidence(
        card=_card(folder, run, records, facts),
        members=tuple(_member(run, member, facts) for member in run.member_ids),
        rounds=tuple(_round(run, record) for record in records[1:]),
        curves=tuple(curves),
        matrix=matrix,
        arms={"shared": shared_arm, **{a.name: _arm(a) for a in arms if a.name != "shared"}},
        facts=_facts(run, arms),
        fact_choices=facts.fact_choices,
        tokenizer=facts.tokenizer,
        notes=(
            *sealed_words(run),
            place_note(facts.engines),
            *NOTES,
            *([COMPARISON_NOTE] if len(arms) > 1 else []),
        ),
    )


def place_note(engines: Sequence[EngineName]) -> str:
    """Where members ran, as far as is known: a sited run's machines may be one or many."""
    if "flare" not in engines:
        return HERE_NOTE
    return MIXED_NOTE if "local" in engines else SITES_NOTE


def _curves(
    evaluations: Iterable[tuple[str, Evaluation]], records: list[RoundRecord]
) -> list[Point]:
    """One point per base that is part of the history; the last sums of a member count."""
    bases = {record.round: record.base for record in records}
    points: dict[int, dict[str, Sums]] = {}
    for member, found in evaluations:
        if bases.get(found.round) == found.base and found.bytes:
            sums = Sums(nats=found.nats, bytes=found.bytes, tokens=found.tokens)
            points.setdefault(found.round, {})[member] = sums
    return [Point(round=round_, text=text) for round_, text in sorted(points.items())]


def _round(run: RunDocument, record: RoundRecord) -> ReportRound:
    made = record.contributions
    return ReportRound(
        round=record.round,
        participants=tuple(sorted(made)),
        left_out=dict(record.left_out),
        seconds=record.seconds,
        train_s={m: c.train_s for m, c in made.items()},
        training_s=min(record.seconds, max((c.train_s for c in made.values()), default=0.0)),
        bytes_up=dict(record.bytes_up),
        bytes_down=dict(record.bytes_down),
        inner_steps=inner_steps(run.rounds, record.round - 1),
        tokens=sum(c.tokens for c in made.values()),
        flops=float(sum(c.flops for c in made.values())),
        norms={m: c.norm for m, c in made.items() if c.norm is not None},
        mean_loss={m: c.mean_loss for m, c in made.items() if c.mean_loss is not None},
    )


def _shared_arm(run: RunDocument, records: list[RoundRecord]) -> Arm:
    made = [c for record in records for c in record.contributions.values()]
    return Arm(
        tokens=sum(c.tokens for c in made),
        flops=float(sum(c.flops for c in made)),
        steps=sum(inner_steps(run.rounds, record.round - 1) for record in records[1:]),
        seconds=sum(record.seconds for record in records),
        trials=1,
    )


def _arm(arm: MeasuredArm) -> Arm:
    # Every arm runs at the rates the run document names: one setting each.
    return Arm(
        tokens=arm.tokens, flops=float(arm.flops), steps=arm.steps, seconds=arm.seconds, trials=1
    )


def _facts(
    run: RunDocument, arms: Sequence[MeasuredArm]
) -> dict[str, dict[str, FactCounts]] | None:
    """Own: facts the member holds. Others': facts the other members hold."""
    found: dict[str, dict[str, FactCounts]] = {}
    for arm in arms:
        if not arm.facts or arm.name.startswith("sovereign/"):
            continue
        members = run.member_ids if "/" not in arm.name else (arm.name.partition("/")[2],)
        found[arm.name] = {
            member: FactCounts(
                own_known=arm.facts.get(member, (0, 0))[0],
                own_total=arm.facts.get(member, (0, 0))[1],
                others_known=sum(k for m, (k, _) in arm.facts.items() if m != member),
                others_total=sum(n for m, (_, n) in arm.facts.items() if m != member),
            )
            for member in members
        }
    return found or None


def _member(run: RunDocument, member: str, facts: RunFacts) -> ReportMember:
    owner = next(m.owner for m in run.roster if m.id == member)
    return ReportMember(
        id=member,
        label=facts.labels.get(member, ""),
        owner=owner,
        text=facts.text.get(member),
        tokens=facts.tokens.get(member),
    )


def _card(
    folder: RunFolder, run: RunDocument, records: list[RoundRecord], facts: RunFacts
) -> RunCard:
    base = TensorFile(folder.objects.path(records[-1].base))
    started = datetime.fromtimestamp((folder.root / "records" / "000000.json").stat().st_mtime, UTC)
    return RunCard(
        name=run.name,
        run=run.model_dump(mode="json"),
        digest=run.digest,
        toml=facts.toml,
        seeds=(run.seed,),
        parameters=parameter_count(base.specs),
        base=records[-1].base,
        started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        wall_s=facts.wall_s,
        phases=dict(facts.phases),
        versions=_versions(),
        machine=machine(),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """What a reader needs to judge timings."""
    pages: Any = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "memory": f"{pages / 2**30:.0f} GiB",
    }
