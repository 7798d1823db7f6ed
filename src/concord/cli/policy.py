"""`concord policy`: what a member's policy says, why, and what another one would have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import typer

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError, PolicyRefused
from concord.charter.bundle import CharterBundle, member_policy
from concord.charter.counterfactual import question_from, what_would_change
from concord.charter.dataset import dataset_attributes
from concord.charter.policy import Policy, Verdict
from concord.charter.spoken import origin, spoken_rules
from concord.cli import desk
from concord.cli.records import record_at_hand
from concord.cli.say import count, say, say_json
from concord.federation.folders import MemberFolder
from concord.federation.member.consent import own_budgets, own_policy, own_records, read_policy
from concord.ledger.answers import Answer, answer_from, decide
from concord.ledger.archive import Archive
from concord.ledger.past import PastAnswer, past_answers
from concord.ledger.permission import (
    Action,
    Circumstances,
    Holding,
    RoundAsked,
    holdings,
    question,
)
from concord.ledger.sentences import listed, moment
from concord.ledger.state.model import State

app = typer.Typer(
    help="A member's own policy: check it, ask it, try another.", no_args_is_help=True
)
MEMBER = typer.Option(..., "--as", help="The member; its folder lies in this one.")
POLICY = typer.Option(None, "--policy", help="Another policy file than the member's own.")


@app.command()
def check(
    folder: Path = desk.FOLDER,
    member: str = MEMBER,
    policy: Path | None = POLICY,
    as_json: bool = desk.JSON,
) -> None:
    """Check a policy file under the charter in force, as the member's machine does.

    Exit status 2 if it cannot be used; every round would then be refused.

    Example: concord policy check atlas --as kenya
    """
    desk_ = _Desk(folder, member, policy)
    own, rules = desk_.own_ids, desk_.policy.rules
    permits = [name for name in rules if rules[name].effect == "permit"]
    if as_json:
        say_json(
            {
                "policy": desk_.digest,
                "charter": desk_.bundle.digest,
                "permits": permits,
                "forbids": [name for name in own if name not in permits],
                "forbids_before_it": [name for name in rules if name not in own],
            }
        )
        return
    say(f"{desk_.path} can be used: {desk_.digest}")
    say(f"permits: {listed(permits) or 'nothing, so every round is refused'}")
    say(f"forbids: {listed(name for name in own if name not in permits) or 'nothing more'}")
    before = len(rules) - len(own)
    say(f"before it: {count(before, 'rule')} of the charter and the laws, which only forbid")


@app.command()
def explain(
    folder: Path = desk.FOLDER,
    member: str = MEMBER,
    dataset: str | None = typer.Option(None, help="One dataset; all of the member's without it."),
    run: str | None = typer.Option(None, help="Name of the run, if there are several."),
    action: Literal["train", "evaluate"] = typer.Option("train", help="What is asked for."),
    mode: Literal["open", "sealed"] | None = typer.Option(None, help="As if the round were this."),
    at: int | None = typer.Option(None, help="As if it were this time, in Unix seconds."),
    policy: Path | None = POLICY,
    as_json: bool = desk.JSON,
) -> None:
    """Say what the policy answers to the next round, by which rules, and what would change it.

    Every answer under "it would be otherwise" was tried out on the policy; the fewest changes that
    are enough are named, up to three at once.

    Example: concord policy explain atlas --as kenya
    """
    desk_ = _Desk(folder, member, policy)
    asked = desk_.next_round(run, mode)
    circumstances = desk_.circumstances(at)
    told = []
    for holding in desk_.holdings(dataset):
        request, entities = question(
            desk_.state, asked, member, holding, circumstances, action=action
        )
        parts = question_from(request, entities)
        verdict = parts.ask(desk_.policy)
        told.append((holding, verdict, what_would_change(desk_.policy, parts)))
    if as_json:
        say_json(
            {
                "policy": desk_.digest,
                "charter": desk_.bundle.digest,
                "run": asked.run.name,
                "round": asked.round + 1,
                "action": action,
                "datasets": [_explained(desk_, *one) for one in told],
            }
        )
        return
    say(f"run {asked.run.name}, round {asked.round + 1}, {action}: {listed(asked.roster)}")
    for holding, verdict, changes in told:
        _tell(desk_, holding, verdict, changes)


def _tell(desk_: _Desk, holding: Holding, verdict: Verdict, changes: list[tuple[str, ...]]) -> None:
    say(f"\n{holding.name}: {'yes' if verdict.allowed else 'no'}", style="bold")
    for rule in verdict.rule_ids:
        say(f"  {rule} ({desk_.origin(rule)}): {desk_.sentences[rule]}")
    if not verdict.rule_ids:
        say("  no rule permits it")
    for fault in verdict.faults:
        say(f"  an error, and so no: {fault}", style="yellow")
    other = "no" if verdict.allowed else "yes"
    if not changes:
        say(f"  nothing was found that makes it {other} with up to three changes")
    for chosen in changes:
        say(f"  it would be {other} if {' and '.join(chosen)}")


def _explained(
    desk_: _Desk, holding: Holding, verdict: Verdict, changes: list[tuple[str, ...]]
) -> dict[str, Any]:
    return {
        "dataset": holding.name,
        "record": holding.record,
        "allowed": verdict.allowed,
        "error": bool(verdict.faults),
        "rules": [
            {"id": rule, "from": desk_.origin(rule), "says": desk_.sentences[rule]}
            for rule in verdict.rule_ids
        ],
        "otherwise_if": [list(chosen) for chosen in changes],
    }


@app.command("what-if")
def what_if(
    folder: Path = desk.FOLDER,
    member: str = MEMBER,
    policy: Path | None = POLICY,
    as_json: bool = desk.JSON,
) -> None:
    """Ask a changed policy about all past rounds of the log: which answers would be others?

    Rounds are asked about as the log has them, at the time of the member's answer, under today's
    charter. What only the member's machine knew then (where it stood) is taken from `member.toml`
    as it is now.

    Example: concord policy what-if atlas --as kenya --policy stricter.cedar
    """
    desk_ = _Desk(folder, member, policy)
    past = past_answers(desk_.archive.entries, desk_.library, member)
    asked = [one for one in past if one.by_policy]
    answers = [(one, desk_.answer(one)) for one in asked]
    changed = [(one, answer) for one, answer in answers if one.allowed != answer.allowed]
    if as_json:
        say_json(
            {
                "policy": desk_.digest,
                "asked": len(asked),
                "not_decided_by_policy": len(past) - len(asked),
                "changed": [_changed(one, answer) for one, answer in changed],
            }
        )
        return
    others = len(past) - len(asked)
    say(f"{count(len(asked), 'past answer')} by policy; {count(len(changed), 'other answer')}")
    if others:
        say(f"{count(others, 'refusal')} on other grounds, such as a halt, would stay")
    for one, answer in changed:
        then, now = ("yes", "no") if one.allowed else ("no", "yes")
        why = answer.reason or f"by {listed(answer.rules)}"
        say(f"  {moment(one.time)}, {one.asked.run.name}, round {one.asked.round + 1}:"
            f" {then} then, {now} with it: {why}")  # fmt: skip


def _changed(one: PastAnswer, answer: Answer) -> dict[str, Any]:
    return {
        "run": one.asked.run.name,
        "round": one.asked.round + 1,
        "plan": one.said.plan,
        "then": {"allowed": one.allowed, "rules": list(one.said.rules)},
        "with_it": {
            "allowed": answer.allowed,
            "rules": list(answer.rules),
            "reason": answer.reason,
        },
    }


class _Desk:
    """A member's policy and the log, as these commands need them.

    Raises:
        PolicyRefused: the file cannot be used under the charter in force.
    """

    def __init__(self, folder: Path, member: str, policy: Path | None) -> None:
        self.archive: Archive = desk.open_archive(folder)
        self.library = self.archive.replica.library
        self.state: State = desk.state_now(self.archive)
        self.state.member(member)
        self.member = member
        self.federation = desk.federation_at(folder)
        self.folder: MemberFolder = self.federation.member(member)
        self.path = policy or self.folder.policy
        text = own_policy(self.folder) if policy is None else read_policy(policy)
        self.digest: Digest = digest_bytes(text)
        self.bundle: CharterBundle = self.library.bundle(self.state.charter)
        self.policy: Policy = member_policy(self.bundle, text.decode("utf-8"), where=self.path)
        self.own_ids = [name for name in self.policy.rules if name not in self.bundle.rules]
        self.sentences = spoken_rules(self.policy.text)

    def origin(self, rule: str) -> str:
        """Where a rule stands, in words."""
        return origin(self.policy.rules[rule], own=rule in self.own_ids)

    def holdings(self, name: str | None) -> list[Holding]:
        """The member's datasets, or one of them.

        Raises:
            PolicyRefused: the log holds no dataset of that name.
        """
        found = list(
            holdings(self.state, self.member, self._records(self.state), None, self._budgets())
        )
        chosen = [one for one in found if name in (None, one.name)]
        if not chosen:
            raise PolicyRefused(
                f"{self.member!r} has recorded no dataset {name!r}",
                where="--dataset",
                remedy=f"name one of {', '.join(one.name for one in found)}",
            )
        return chosen

    def next_round(self, name: str | None, mode: str | None) -> RoundAsked:
        """The open plan, or the round that would be called now."""
        run = self.federation.load_run(name)
        seat = self.state.runs.get(run.digest)
        plan = None if seat is None else seat.plan
        bound = [one for one in self.state.bound(desk.now()) if one in run.member_ids]
        roster = tuple(bound) if plan is None else plan.roster
        planned = run.mode if plan is None else plan.mode
        return RoundAsked(run, 0 if seat is None else seat.rounds, roster, mode or planned)

    def circumstances(self, at: int | None) -> Circumstances:
        """Of the member's machine, as its own files say."""
        known = self.folder.file.exists()
        residency = self.folder.load().residency if known else None
        return Circumstances(now=desk.now() if at is None else at, residency=residency)

    def answer(self, past: PastAnswer) -> Answer:
        """What this policy says to a past round."""
        action: Action = "train"
        held = self._held(past.state)
        at = self.circumstances(past.time)
        found = decide(self.policy, past.state, past.asked, self.member, held, at, action=action)
        return answer_from(found, self.policy, self.digest)

    def _held(self, state: State) -> Sequence[Holding]:
        records = self._records(state)
        return holdings(state, self.member, records, budgets=self._budgets())

    def _budgets(self) -> dict[str, Decimal]:
        try:
            return own_budgets(self.folder)
        except (OSError, ValueError, KeyError, ArithmeticError) as error:
            raise DocumentError(
                "cannot be read", where=self.folder.root / "privacy.toml"
            ) from error

    def _records(self, state: State) -> dict[Digest, Mapping[str, Any]]:
        """What records say that this state names: the member's own, and those among the objects."""
        found = own_records(self.folder)
        named = {
            *state.datasets.get(self.member, {}).values(),
            *state.revoked_datasets.get(self.member, {}).values(),
        }
        for digest in sorted(named - found.keys()):
            try:
                document = record_at_hand(self.federation.objects, digest)
            except DocumentError:
                continue  # it says nothing then, and the answer is no
            if document is not None:
                found[digest] = dataset_attributes(document)
        return found
