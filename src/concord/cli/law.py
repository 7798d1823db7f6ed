"""`concord law` and `concord declare`: which duties a release would have, and evidence for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

import typer

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, DocumentError
from concord.base.identifiers import check_identifier
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorFile
from concord.charter.bundle import CharterBundle, load_bundle
from concord.charter.law import Duty, ReleaseFacts, artifacts_of, jurisdictions, law_matrix, log10
from concord.cli import desk
from concord.cli.say import columns, count, say, say_json
from concord.ledger.compute import RunCompute, compute_ledger, evidence_shown
from concord.ledger.layouts import parameter_count
from concord.ledger.state.model import State
from concord.ledger.statements.evidence import GateEvidence

MAX_EVIDENCE_BYTES = 64 << 20


def register(app: typer.Typer) -> None:
    app.command("law")(law)
    app.command("declare")(declare)


def law(
    folder: Path = desk.FOLDER,
    markets: list[str] = typer.Option(
        [], "--market", help="Where it is published; every place with a law file without this."
    ),
    services: list[str] = typer.Option(
        [], "--service", help="Where a service with it is offered, such as CN."
    ),
    licence: str | None = typer.Option(None, help="SPDX name; else the charter's first."),
    at: int | None = typer.Option(None, help="As if it were this time, in Unix seconds."),
    log10_flop: str | None = typer.Option(
        None, help="As if joint compute were 10 to the power of this, such as 25.1."
    ),
    draft: bool = typer.Option(False, help="The law files of the folder, not those in force."),
    as_json: bool = desk.JSON,
) -> None:
    """Show each duty of the law files: n/a, met or UNMET, by the evidence that the log holds.

    The files are aids and no legal advice. What was not verified in the text of a law says so.

    Example: concord law atlas --market EU --market BR
    """
    archive = desk.open_archive(folder)
    federation = desk.federation_at(folder)
    state = desk.state_now(archive)
    library = archive.replica.library
    bundle = load_bundle(federation.charter) if draft else library.bundle(state.charter)
    runs = compute_ledger(state, archive.entries, lambda base: _weights(federation.objects, base))
    facts = ReleaseFacts(
        now=desk.now() if at is None else at,
        flop=sum(run.flop for run in runs),
        licence=licence or bundle.charter.rights.licences[0],
        markets=tuple(markets) or jurisdictions(bundle),
        services=tuple(services),
        evidence=evidence_shown(state, archive.entries, _about(state)),
        log10_flop=None if log10_flop is None else _power(log10_flop),
    )
    duties = law_matrix(bundle, facts)
    if as_json:
        say_json(_as_json(bundle, facts, runs, duties))
    else:
        _tell(facts, runs, duties)


def declare(
    folder: Path = desk.FOLDER,
    name: str = typer.Argument(..., help="Name of the evidence, such as training-summary."),
    file: Path = typer.Option(..., "--file", help="What shows it; put among the objects."),
    party: str = desk.AS,
    model: str | None = typer.Option(None, help="First digits of a base; else the federation."),
    result: Literal["passed", "failed", "warned"] = typer.Option(
        "passed", help="What was found: failed keeps the evidence out, whoever else shows it."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Show evidence in the log: a document by its digest, under the name that a law file asks for.

    Example: concord declare atlas complaint-contact --file contact.md --as kenya
    """
    check_identifier(name, where="name")
    office = desk.open_office(folder)
    known = _names(office.library.bundle(office.state_now.charter))
    if name not in known:
        raise DocumentError(
            f"no law file asks for {name!r}",
            where="name",
            remedy=f"name one of {', '.join(sorted(known))}" if known else "there is no law file",
        )
    state = office.state_now
    digest = state.federation or ""
    if model is not None:
        digest = desk.find_digest(model, _about(state), what="base")
    evidence = office.federation.objects.put(_read(file))
    body = GateEvidence(gate=name, model=digest, evidence=evidence, result=result)
    desk.put(office, body, party=party, as_json=as_json)


def _names(bundle: CharterBundle) -> set[str]:
    return {name for rule in bundle.rules.values() for name in artifacts_of(rule)}


def _about(state: State) -> list[Digest]:
    """What evidence may be of: the federation, and the present base of each run."""
    bases = [seat.base for seat in state.runs.values()]
    return [digest for digest in (state.federation, *bases) if digest is not None]


def _weights(objects: ObjectStore, base: Digest) -> int | None:
    try:
        return parameter_count(TensorFile(objects.path(base)).specs)
    except (ConcordError, OSError):
        return None  # not at hand: then what members declared counts


def _power(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or not 0 <= found <= 40:
        raise DocumentError(f"{text[:40]!r} is no power between 0 and 40", where="--log10-flop")
    return found


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}", where=file) from error
    if len(data) > MAX_EVIDENCE_BYTES:
        raise DocumentError(f"is longer than {MAX_EVIDENCE_BYTES:,} bytes", where=file)
    return data


def _tell(facts: ReleaseFacts, runs: Sequence[RunCompute], duties: Sequence[Duty]) -> None:
    assumed = facts.log10_flop is not None
    power = facts.log10_flop if facts.log10_flop is not None else log10(facts.flop)
    say(f"release under {facts.licence} in {', '.join(facts.markets) or 'no place'}"
        f"; services: {', '.join(facts.services) or 'none'}")  # fmt: skip
    if facts.flop or assumed:
        say(f"joint compute 10^{power} FLOP{' (assumed)' if assumed else ''}")
    else:
        say("no compute in the log yet")
    for run in runs:
        weights = "?" if run.parameters is None else f"{run.parameters:,}"
        say(f"  run {run.name}: 6 x {weights} parameters x {run.tokens:,} tokens;"
            f" members declared {run.declared_flop:,} FLOP")  # fmt: skip
    for status, style in (("UNMET", "red"), ("met", "green")):
        chosen = [duty for duty in duties if duty.status == status]
        if not chosen:
            continue
        say(f"\n{status}: {count(len(chosen), 'duty').replace('dutys', 'duties')}", style=style)
        rows = [[duty.id, ", ".join(duty.artifacts), _dates(duty), duty.law] for duty in chosen]
        for line in columns(rows, indent="  "):
            say(line)
    if apart := [duty.id for duty in duties if duty.status == "n/a"]:
        say(f"\nn/a: {', '.join(apart)}")
    flagged = [duty for duty in duties if duty.check is not None and duty.status != "n/a"]
    if flagged:
        say("\nnot verified in the text of the law", style="yellow")
    for duty in flagged:
        say(f"  {duty.id}: {duty.check}")
    say("\nAids, not legal advice, and not complete. docs/law.md says how evidence is shown.")


def _dates(duty: Duty) -> str:
    shown = [f"shown {_day(at)}" for at in sorted(duty.shown.values())]
    return "; ".join([f"since {duty.since}", *shown])


def _day(unix_s: int) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d}"


def _as_json(
    bundle: CharterBundle,
    facts: ReleaseFacts,
    runs: Sequence[RunCompute],
    duties: Sequence[Duty],
) -> dict[str, Any]:
    power = facts.log10_flop if facts.log10_flop is not None else log10(facts.flop)
    return {
        "charter": bundle.digest,
        "law_files": {
            path: digest_bytes(data)
            for path, data in bundle.files.items()
            if path.startswith("law/")
        },
        "licence": facts.licence,
        "markets": list(facts.markets),
        "services": list(facts.services),
        "time": facts.now,
        "flop": str(facts.flop),
        "log10_flop": str(power),
        "runs": [{**vars(run), "declared_flop": str(run.declared_flop)} for run in runs],
        "duties": [{**vars(duty), "artifacts": list(duty.artifacts)} for duty in duties],
    }
