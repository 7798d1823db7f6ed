"""A run's probe gate, measured again by whoever doubts it: a reported failure must recompute.

Reads log and objects alone, like `concord verify`, and needs torch beside it: the network is built
from the run document, each base is computed again up to the round, and each update is measured as
the coordinator says that it was. Floating point differs a little between machines, so values may
differ by `TOLERANCE_NATS`; a quarantine that only such a difference could explain stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from concord.base.clock import Clock
from concord.base.errors import VerificationFailed
from concord.federation.gating import GateCase, Prober, read_values
from concord.ledger.account import CommittedRound, RunAccount
from concord.ledger.replay import Replayer
from concord.ledger.statements.gates import GateReport
from concord.ledger.verify import Verification
from concord.ledger.verify_terms import Wishes

TOLERANCE_NATS = 1e-3


@dataclass(frozen=True)
class CheckedRound:
    """A gate report that was computed again, and holds."""

    run: str
    round: int
    benefits: dict[str, float]
    """Of each update, as computed again."""
    quarantined: tuple[str, ...]
    largest_difference: float
    """To what was reported, in nats per token."""


def check_gates(
    folder: Path, *, workdir: Path, clock: Clock, prober: Prober, run: str | None = None
) -> Iterator[CheckedRound]:
    """Compute every gate report of a federation's runs again.

    Raises:
        VerificationFailed: log or objects are not right, or a report is not; names the first.
    """
    seen = Verification(
        folder, workdir=workdir / "log", clock=clock, wishes=Wishes(run=run, replay=False)
    )
    seen.run()
    for digest, account in seen.account.runs.items():
        name = seen.state.runs[digest].name
        if run not in (None, name) or account.opening.probes is None:
            continue
        document = seen.library.run(digest)
        place = workdir / name
        place.mkdir()
        replayer = Replayer(document, seen.objects, place)
        replayer.start(account.opening.first_base)
        for one in account.rounds:
            if one.gate is not None:
                case = _case(replayer, account, one, folder, document.model.continue_from)
                yield _checked(name, one, one.gate, prober, case, seen)
            replayer.round(
                {member: part.update for member, part in one.body.merged.items()},
                {member: part.weight for member, part in one.body.merged.items()},
                base=one.body.base,
                step=one.body.step,
                outer_state=one.body.outer_state,
                steps=one.plan.steps,
            )


def _case(
    replayer: Replayer, run: RunAccount, one: CommittedRound, folder: Path, continued: str | None
) -> GateCase:
    objects, report = replayer.objects, one.gate
    assert report is not None  # noqa: S101 - the caller looked
    tokenizer, probes = run.opening.tokenizer, run.opening.probes
    assert probes is not None  # noqa: S101 - the caller looked
    return GateCase(
        inputs=replace(replayer.inputs, steps=one.plan.steps),
        updates={member: objects.path(one) for member, one in report.updates.items()},
        probes=objects.path(probes),
        tokenizer=None if tokenizer is None else objects.path(tokenizer),
        continued=None if continued is None else (folder / continued).resolve(),
    )


def _checked(
    name: str,
    one: CommittedRound,
    report: GateReport,
    prober: Prober,
    case: GateCase,
    seen: Verification,
) -> CheckedRound:
    stated = read_values(seen.objects.get(report.values))
    found = {member: dict(row) for member, row in prober.benefits(case).items()}
    largest = 0.0
    for member, mean in report.benefits.items():
        where = f"{one.place}: gate report, {member}"
        mine, theirs = found.get(member, {}), stated.get(member, {})
        if mine.keys() != theirs.keys():
            raise VerificationFailed("names other languages than the probes hold", where=where)
        for language, value in mine.items():
            largest = max(largest, abs(value - theirs[language]))
            if abs(value - theirs[language]) > TOLERANCE_NATS:
                raise VerificationFailed(
                    f"benefit to {language} is said to be {theirs[language]:.4f}, and is"
                    f" {value:.4f} nats per token",
                    where=where,
                    remedy="the coordinator's report is wrong: ask the members to decide about it",
                )
        if abs((fmean(theirs.values()) if theirs else 0.0) - mean) > 1e-9:
            raise VerificationFailed("mean is not that of its own values", where=where)
    means = {m: fmean(row.values()) if row else 0.0 for m, row in found.items()}
    return CheckedRound(
        name,
        one.number,
        {member: means.get(member, 0.0) for member in report.updates},
        report.quarantined,
        largest,
    )
