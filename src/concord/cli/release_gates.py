"""`concord gate list`, `run`, `evidence`: what a release has to pass, and who found what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from concord.base.digest import Digest
from concord.base.errors import ConcordError, DocumentError
from concord.charter.gates import METRICS, Gate
from concord.cli import desk
from concord.cli.say import columns, say, say_json
from concord.cli.setting import clock
from concord.crypto.keyfiles import load_key
from concord.federation.office import Office
from concord.ledger.sentences import moment, short
from concord.ledger.state.model import State
from concord.ledger.state.release_gates import GateVerdict, judge, last_release
from concord.ledger.statements.evidence import GateEvidence

if TYPE_CHECKING:
    from concord.crypto.keys import PrivateKey
    from concord.release.gates.run import Runner

RUN = typer.Option(None, "--run", help="Run, if the folder holds several.")
NOT_ALL_PASSED = 1


def register(app: typer.Typer) -> None:
    app.command("list")(show_list)
    app.command("run")(run_gates)
    app.command("evidence")(show_evidence)


def show_list(
    folder: Path = desk.FOLDER,
    name: str | None = RUN,
    model: str | None = typer.Option(None, help="First digits of a base; else the run's last."),
    as_json: bool = desk.JSON,
) -> None:
    """Show the gates of the charter, and whether a model passed each.

    Example: concord gate list atlas
    """
    archive = desk.open_archive(folder)
    state = desk.state_now(archive)
    digest = _model(state, name) if model is None else _known(state, model)
    found = judge(state, archive.replica.library, digest, desk.now())
    if as_json:
        say_json({"model": digest, "gates": [_verdict_json(one) for one in found]})
        return
    say(f"model {short(digest)}")
    if not found:
        say("the charter declares no gate")
    for line in columns(map(_row, found)):
        say(line)


def run_gates(
    folder: Path = desk.FOLDER,
    parties: list[str] = typer.Option(
        ..., "--as", help="Who runs it; its key lies here. `all`: whoever has to and is here."
    ),
    only: list[str] = typer.Option([], "--gate", help="Only this gate; repeatable."),
    name: str | None = RUN,
    pairs: list[str] = typer.Option(
        [], "--pairs", help="File of pairs as `bias-pairs=FILE`; else the member's own."
    ),
    board_key: Path | None = typer.Option(
        None, "--board-key", help="Key of the member's review board, where the charter asks for it."
    ),
    dry: bool = typer.Option(False, "--dry-run", help="Measure, and sign nothing."),
    as_json: bool = desk.JSON,
) -> None:
    """Run gates on the last base of a run, and put the signed evidence into the log.

    What reads a member's text runs at the member; numbers alone leave it. Ends with exit status 1
    if a gate failed, or could not be run.

    Example: concord gate run atlas --as kenya
    """
    from concord.release.gates.bench import Bench
    from concord.release.gates.run import Runner

    office = desk.open_office(folder)
    state = office.state_now
    model = _model(state, name)
    document = next(d for d, seat in state.runs.items() if seat.base == model)
    bench = Bench(office.federation, office.library.run(document), model, state)
    runner = Runner(bench, clock(), pair_files(pairs))
    also = [] if board_key is None else [load_key(board_key)]
    rows = []
    for gate, party in tasks(office, only, parties):
        rows.append(run_one(office, runner, gate, party, also=also, dry=dry))
        if not as_json:
            say("  ".join(rows[-1][key] for key in ("gate", "runner", "result", "found")))
    if as_json:
        say_json(rows)
    if any(row["result"] not in ("passed", "n/a") for row in rows):
        raise typer.Exit(NOT_ALL_PASSED)


def tasks(office: Office, only: Sequence[str], parties: Sequence[str]) -> list[tuple[Gate, str]]:
    """Which gate is run by whom.

    Raises:
        DocumentError: a gate is unknown, or nobody who could run one is here.
    """
    gates = office.charter.gate
    if unknown := sorted(set(only) - {gate.id for gate in gates}):
        raise DocumentError(
            f"the charter has no gate {unknown[0]!r}",
            where="--gate",
            remedy=f"gates: {', '.join(gate.id for gate in gates) or 'none'}",
        )
    members = desk.members_named(office, parties)
    found = []
    for gate in gates:
        if only and gate.id not in only:
            continue
        chosen = members
        if gate.run_by == "any" and list(parties) == [desk.ALL]:
            chosen = _independent(office.state, members)[: gate.min_runners]
        found += [(gate, member) for member in chosen]
    return found


def _independent(state: State, members: list[str]) -> list[str]:
    """One member of each legal owner."""
    owners: dict[str, str] = {}
    for member in members:
        owners.setdefault(state.member(member).entry.legal_owner, member)
    return list(owners.values())


def run_one(
    office: Office,
    runner: Runner,
    gate: Gate,
    party: str,
    *,
    also: Sequence[PrivateKey] = (),
    dry: bool = False,
) -> dict[str, str]:
    """Run a gate as a member, and file the evidence; what came of it, in words."""
    from concord.release.gates.evidence import sign_evidence

    row = {"gate": gate.id, "runner": party}
    model = runner.bench.model
    if gate.compare == "previous" and last_release(office.state_now) in (None, model):
        return {**row, "result": "n/a", "found": "there is no release before it"}
    try:
        found = runner.measure(gate, party)
    except ConcordError as error:
        return {**row, "result": "not run", "found": str(error)}
    result = "passed" if gate.passes(found.measured) else "failed"
    told = ", ".join(f"{name} {value:g}" for name, value in found.measured.items())
    row |= {"result": result, "found": f"{told} ({gate.limit_words})"}
    if dry:
        return row
    signers = [office.keys_of(party).load("identity"), *also]
    charter = office.state_now.charter  # measuring may take hours
    data = sign_evidence(gate, model, found, runner=party, charter=charter, keys=signers)
    body = GateEvidence(
        gate=gate.id,
        model=model,
        evidence=office.federation.objects.put(data),
        result="passed" if result == "passed" else "failed",
        measured=dict(found.measured),
        against=found.against,
    )
    filed = office.say(body, party=party, also=also)
    return {**row, "statement": filed.entry.statement.digest}


def show_evidence(
    folder: Path = desk.FOLDER,
    name: str | None = RUN,
    only: str | None = typer.Option(None, "--gate", help="Only this gate."),
    as_json: bool = desk.JSON,
) -> None:
    """Show the evidence that the log holds for a model, with counts where its file is at hand.

    Example: concord gate evidence atlas
    """
    from concord.release.gates.evidence import read_evidence

    archive = desk.open_archive(folder)
    objects = desk.federation_at(folder).objects
    state = desk.state_now(archive)
    rows: list[dict[str, Any]] = []
    for gate, by_runner in sorted(state.evidence.get(_model(state, name), {}).items()):
        for runner, seat in sorted(by_runner.items()):
            if only not in (None, gate):
                continue
            row: dict[str, Any] = {"gate": gate, "runner": runner, **seat.model_dump(mode="json")}
            if seat.evidence in objects and seat.measured:
                own = read_evidence(objects.get(seat.evidence), where=seat.evidence)[0].own
                row |= {"n": own.n, "details": own.details, "tool": own.tool}
            rows.append(row)
    if as_json:
        say_json(rows)
        return
    for row in rows:
        measured = ", ".join(f"{name} {value}" for name, value in row["measured"].items())
        details = ", ".join(f"{key} {value}" for key, value in row.get("details", {}).items())
        say(f"{row['gate']}  {row['runner']}  {row['result']}  {measured}  {moment(row['time'])}")
        if details:
            say(f"    of {row['n']:,}: {details}")
    if not rows:
        say("no evidence yet: concord gate run")


def _model(state: State, name: str | None) -> Digest:
    runs = {seat.name: seat for seat in state.runs.values() if seat.rounds and seat.base}
    if name is None and len(runs) == 1:
        name = next(iter(runs))
    seat = runs.get(name or "")
    if seat is None or seat.base is None:
        raise DocumentError(
            f"runs with a committed round: {', '.join(sorted(runs)) or 'none'}",
            where="--run",
            remedy="name one of them",
        )
    return seat.base


def _known(state: State, prefix: str) -> Digest:
    bases = {d for seat in state.runs.values() for d in (seat.base, *seat.recent.values()) if d}
    known = bases | set(state.releases.values()) | set(state.evidence)
    return desk.find_digest(prefix, known, what="base")


def pair_files(given: list[str]) -> dict[str, Path]:
    found = {}
    for text in given:
        metric, _, path = text.partition("=")
        if metric not in METRICS or not path:
            raise DocumentError(
                f"{text[:80]!r} is no metric=FILE",
                where="--pairs",
                remedy="such as bias-pairs=FILE",
            )
        found[metric] = Path(path)
    return found


def _row(one: GateVerdict) -> list[str]:
    blocking = "" if one.gate.blocking else " (does not block)"
    return [
        one.gate.id,
        one.status + blocking,
        f"{one.gate.metric}, {one.gate.limit_words}",
        one.reason,
    ]


def _verdict_json(one: GateVerdict) -> dict[str, Any]:
    return {
        "gate": one.gate.model_dump(mode="json"),
        "status": one.status,
        "blocks": one.blocks,
        "reason": one.reason,
        "counted": sorted(one.counted),
        "not_counted": dict(one.not_counted),
    }
