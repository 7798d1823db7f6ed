"""The end of the demo: gates, a vote, and a release that is verified from its folder alone."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from concord.base.clock import SystemClock
from concord.charter.run import RunDocument
from concord.cli.aftermath import RELEASE_KEY
from concord.cli.release import make_release, publish_release
from concord.cli.release_gates import run_one, tasks
from concord.federation.folders import FederationFolder
from concord.federation.office import Office
from concord.ledger.statements.votes import Ballot, Proposal, ReleaseModel
from concord.release.folder import release_place
from concord.release.gates.bench import Bench
from concord.release.gates.run import Runner
from concord.release.signature import new_release_key
from concord.release.verify import verify_release

VERSION = "0.1"
OPEN_S = 3600
LIBRARIES = ("gguf",)
"""Of the extra `release`: what the formats of a release are made with."""


def missing(libraries: Iterable[str] = LIBRARIES) -> list[str]:
    """Which of the libraries are not installed."""
    return [name for name in libraries if find_spec(name) is None]


def release_it(federation: FederationFolder, run: RunDocument, console: Console) -> Path:
    """Run the gates that block, have all members vote, publish, verify; returns the release.

    Raises:
        StatementRefused: a gate failed, and nothing is released.
        VerificationFailed: what was published does not hold.
    """
    clock = SystemClock()
    office = Office(federation, clock)
    model = office.state.runs[run.digest].base or ""
    console.print("\nThe members run the gates of their charter:", style="bold")
    runner = Runner(Bench(federation, run, model, office.state), clock, {})
    for gate, party in tasks(office, (), ("all",)):
        if gate.blocking:
            row = run_one(office, runner, gate, party)
            if row["result"] == "n/a":  # of a first release: it can be compared with none
                continue
            words = f"  {row['gate']:14} {party:12} {row['result']:7} {row['found']}"
            console.print(words, markup=False, highlight=False, soft_wrap=True)
    _vote(office, model)
    new_release_key(federation.member(office.state.coordinator.member).private / RELEASE_KEY)
    release = release_place(federation.root, VERSION)
    make_release(federation, release, VERSION, name=run.name, gguf=("q8_0",))
    publish_release(office, release, VERSION)
    found = verify_release(release.root, clock=clock, federation=office.state.federation)
    console.print(f"Release {VERSION} is published, and verified from its folder alone:")
    for step in found.steps:
        words = f"  {step.name:10} {step.found}"
        console.print(words, markup=False, highlight=False, soft_wrap=True)
    return release.root


def _vote(office: Office, model: str) -> None:
    """Every member votes yes, and the coordinator says what came."""
    coordinator = office.state.coordinator.member
    change = ReleaseModel(version=VERSION, model=model)
    body = Proposal(title=f"Release {VERSION}", change=change, closes=office.now() + OPEN_S)
    proposal = office.say(body, party=coordinator).entry.statement.digest
    for member in office.members_here():
        office.say(Ballot(proposal=proposal, choice="yes"), party=member)
    office.decide(proposal, party=coordinator)
