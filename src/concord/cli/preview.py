"""What is shown before a proposal is signed: its rule, its past, its effect on power."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import unified_diff

from concord.charter.compliance import run_faults
from concord.charter.constitution import Charter
from concord.charter.decided import recheck_rounds, redecide
from concord.charter.lint import lint_charter
from concord.charter.run import RunDocument
from concord.cli.say import count, say, say_diff
from concord.federation.office import Office
from concord.ledger.history import history
from concord.ledger.sentences import short
from concord.ledger.state.votes import electors, rule_for
from concord.ledger.statements.membership import MemberEntry
from concord.ledger.statements.votes import Change

SHOWN = 20


def tell_rule(office: Office, change: Change) -> None:
    """Which rule will decide, and by how much."""
    charter = office.charter
    name = rule_for(office.state_now, change, charter, office.library)
    rule = charter.rule[name]
    keys = "; and ".join(key.title for key in rule.all)
    quorum = f"; quorum {rule.quorum}" if rule.quorum else ""
    delay = f"; in effect {rule.delay // 86_400} days after adoption" if rule.delay else ""
    say(f"decided by rule {name}: {keys}{quorum}{delay}")


def tell_past(office: Office, charter: Charter) -> None:
    """What would have gone otherwise under another charter."""
    past = history(office.entries, office.library)
    changed = (*redecide(charter, past.votes), *recheck_rounds(charter, past.rounds))
    say("\nwhat it would have decided", style="bold")
    votes, rounds = count(len(past.votes), "vote"), count(len(past.rounds), "round")
    say(f"  of {votes} and {rounds} so far, {len(changed)} otherwise")
    for one in changed[:SHOWN]:
        say(f"  {one.words}", style="yellow")
    if len(changed) > SHOWN:
        say(f"  and {len(changed) - SHOWN} more")


def tell_membership(
    office: Office, charter: Charter, *, plus: MemberEntry | None = None, minus: str | None = None
) -> None:
    """What the power lint says of the members after the change, where it says something new."""
    before = office.state.voters(office.now())
    after = {name: entry for name, entry in before.items() if name != minus}
    if plus is not None:
        after[plus.id] = plus
    report = lint_charter(charter, electors(after))
    known = lint_charter(office.charter, electors(before))
    who = f"the {len(after)} members that then vote"
    said = False
    for style, words, found, old in (
        ("bold red", "refused", report.errors, known.errors),
        ("yellow", "warning", report.warnings, known.warnings),
    ):
        for sentence in _new(found, old):
            said = True
            say(f"{words}, for {who}: {sentence}", style=style)
    if not said:
        say(f"power lint: nothing new for {who}")


def _new(found: Iterable[str], known: Iterable[str]) -> list[str]:
    old = set(known)
    return [sentence for sentence in found if sentence not in old]


def tell_run(office: Office, run: RunDocument) -> None:
    """How a run document differs from the one that was adopted last, field by field."""
    adopted = [digest for digest in office.state.runs if digest != run.digest]
    before = office.library.run(adopted[-1]) if adopted else None
    names = "nothing" if before is None else f"{before.name} {short(before.digest)}"
    lines = unified_diff(
        [] if before is None else _lines(before),
        _lines(run),
        names,
        f"{run.name} {short(run.digest)}",
        n=2,
        lineterm="",
    )
    say_diff("\n".join(lines))


def _lines(run: RunDocument) -> list[str]:
    return json.dumps(run.model_dump(mode="json"), indent=1, ensure_ascii=False).splitlines()


def tell_run_faults(office: Office, run: RunDocument) -> None:
    """Why the charter would not allow it, all reasons at once."""
    state = office.state_now
    probation = {name for name, seat in state.seated().items() if seat.standing == "probation"}
    for fault in run_faults(office.charter, run, probation=probation):
        say(f"refused by the charter: {fault}", style="bold red")
