"""A federation in memory: keys from names, time that moves when told, statements one by one."""

import hashlib
from contextlib import contextmanager

import pytest

from concord.base.digest import digest_bytes
from concord.base.errors import StatementRefused
from concord.base.objects import ObjectStore
from concord.charter.bundle import load_bundle, store_bundle
from concord.charter.paths import DOCUMENT, RULES, SCHEMA
from concord.charter.run import parse_run
from concord.charter.template import default_charter
from concord.crypto.keys import PrivateKey
from concord.ledger.arithmetic import round_weights
from concord.ledger.entries import Entry
from concord.ledger.state.apply import apply
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.statements import membership, oversight, rounds, votes
from concord.ledger.statements.statement import Author, Binding, Statement
from concord.testing.founded import charter_toml
from concord.testing.run_history import granted

MEMBERS = ("chad", "fiji", "peru", "togo")
OVERSEERS = ("ada", "bo", "cyd")
NOON = 1_800_000_000
DAY = 86_400


def key(name):
    """The key of a name: `chad` signs for chad, `chad/witness` and `chad/log` elsewhere."""
    return PrivateKey.from_seed(hashlib.sha256(name.encode()).digest())


def public(name):
    return key(name).public.text


def some(text):
    """A digest of nothing in particular."""
    return digest_bytes(text.encode())


def member_entry(name, **values):
    fields = {"id": name, "key": public(name), "witness_key": public(f"{name}/witness")}
    return membership.MemberEntry(**{**fields, **values})


class Fold:
    """A founded federation and its state.

    Args:
        folder: For the objects.
        charter: Places of the test charter; `extra` is more TOML.
    """

    def __init__(
        self,
        folder,
        members=MEMBERS,
        overseers=OVERSEERS,
        coordinator="chad",
        owners=(),
        **charter,
    ):
        self.folder = folder
        self.objects = ObjectStore(folder / "objects")
        self.library = ObjectLibrary(self.objects)
        self.now = NOON
        self.seq = 0
        self.state = State()
        self.entries = []
        self.charter = self.put_charter(**charter)
        body = membership.Founding(
            name="atlas",
            nonce="0" * 32,
            charter=self.charter,
            members=tuple(member_entry(m, owner=dict(owners).get(m)) for m in members),
            overseers=tuple(membership.OverseerEntry(id=o, key=public(o)) for o in overseers),
            coordinator=membership.CoordinatorEntry(
                member=coordinator, log_key=public(f"{coordinator}/log")
            ),
        )
        self.federation = None
        self.founding = self.say(body, by="atlas", role="founders", signers=members)
        self.federation = self.founding

    def put_charter(self, *, extra="", text=None, **choices):
        folder = self.folder / f"charter-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        for name in (SCHEMA, RULES):
            (folder / name).write_bytes(default_charter("test", members=3).files[name])
        text = charter_toml(**choices) + extra if text is None else text
        (folder / DOCUMENT).write_text(text)
        return store_bundle(load_bundle(folder), self.objects)

    def put_run(self, *members, name="first", weights=(), **sections):
        value = {
            "name": name,
            "roster": [
                {"id": m, **({"weight": dict(weights)[m]} if m in dict(weights) else {})}
                for m in members or MEMBERS
            ],
            "rounds": {"count": 2, "inner_steps": 3, "quorum": "1/2"},
            **sections,
        }
        return self.library.put_run(parse_run(value))

    # --- statements -------------------------------------------------------------------------

    def statement(self, body, by="chad", role="member", *, run=None, round_=None, **other):
        self.seq += 1
        time = other.get("time", self.now)
        charter = self.state.charter_at(time) if self.federation else self.charter
        return Statement(
            body=body,
            binding=Binding(
                federation=other.get("federation", self.federation),
                charter=other.get("charter", charter),
                run=run,
                round=round_,
            ),
            author=Author(role=role, party=by),
            seq=other.get("seq", self.seq),
            time=time,
        )

    def entry(self, body, by="chad", role="member", *, signers=None, **other):
        statement = self.statement(body, by, role, **other)
        return Entry.sign(statement, [key(name) for name in signers or [by]])

    def take(self, entry):
        self.state = apply(self.state, Entry.parse(entry.data), self.library)
        self.entries.append(entry)
        return entry.statement.digest

    def say(self, body, by="chad", role="member", **other):
        """Fold one statement; returns its digest."""
        return self.take(self.entry(body, by, role, **other))

    def refuse(self, match, body, by="chad", role="member", **other):
        """The statement is refused with that reason, and the state is as it was."""
        with self.refused(match):
            self.say(body, by, role, **other)

    @contextmanager
    def refused(self, match):
        before = self.state.digest
        with pytest.raises(StatementRefused, match=match):
            yield
        assert self.state.digest == before

    # --- what is said often -----------------------------------------------------------------

    def propose(self, change, by="chad", days=7, **other):
        body = votes.Proposal(title="A change", change=change, closes=self.now + days * DAY)
        return self.say(body, by, **other)

    def vote(self, proposal, choice, *members):
        for member in members:
            self.say(votes.Ballot(proposal=proposal, choice=choice), member)

    def decision(self, proposal, outcome, *members, rule="ordinary", effective=None):
        seat = self.state.proposals[proposal]
        return votes.Decision(
            proposal=proposal,
            outcome=outcome,
            rule=rule,
            ballots={m: seat.votes[m].ballot for m in members or sorted(seat.votes)},
            effective=self.now if effective is None else effective,
        )

    def adopt(self, change, *members, rule="ordinary", delay_s=0):
        """Propose, vote with all these members, decide; returns the decision's digest."""
        proposal = self.propose(change)
        self.vote(proposal, "yes", *members or self.state.voters(self.now))
        return self.say(self.decision(proposal, "adopted", rule=rule, effective=self.now + delay_s))

    def admit(self, name, **values):
        application = self.say(
            membership.Join(member=member_entry(name, **values)), name, "applicant"
        )
        self.adopt(votes.Admit(application=application, member=name))
        return application

    def halt(self, by="ada", role="overseer", ground="fire", hours=2, **other):
        body = oversight.Halt(
            scope=other.pop("scope", "all"),
            ground=ground,
            reason="It burns.",
            until=self.now + hours * 3600,
        )
        return self.say(body, by, role, **other)

    # --- a run ------------------------------------------------------------------------------

    def open_run(self, *members, **sections):
        """Adopt and open a run; returns its digest."""
        run = self.put_run(*members, **sections)
        self.adopt(votes.StartRun(document=run))
        opening = rounds.RunOpening(first_base=some("base 0"), record=some("record 0"))
        self.say(opening, role="coordinator", run=run)
        return run

    def plan(self, run, **changes):
        seat = self.state.runs[run]
        document = self.library.run(run)
        bound = [
            m
            for m in document.member_ids
            if m in self.state.bound(self.now) and not self.state.halt_of(m, self.now)
        ]
        fields = {
            "attempt": seat.attempt,
            "term": self.state.term,
            "base": seat.base,
            "roster": tuple(sorted(bound)),
            "inner_steps": 3,
            "codec": document.update.codec,
            "quorum": document.rounds.quorum,
        }
        return rounds.RoundPlan(**{**fields, **changes})

    def call(self, run, *, steps=None, **other):
        """Plan the next round; returns the plan's digest."""
        round_ = self.state.runs[run].rounds
        by = self.state.coordinator.member
        plan = self.plan(run, steps=steps or {})
        return self.say(plan, by, "coordinator", run=run, round_=round_, **other)

    def answer(self, run, plan, *members):
        """Grants and updates of members."""
        round_ = self.state.runs[run].rounds
        for member in members:
            self.say(granted(plan), member, run=run, round_=round_)
            self.say(self.update(run, plan, member), member, run=run, round_=round_)

    def update(self, run, plan, member, **changes):
        fields = {
            "plan": plan,
            "base": self.state.runs[run].base,
            "update": some(f"update of {member}"),
            "bytes": 100,
            "steps": 3,
            "tokens": 300,
            "flops": 1000,
            "train_s": "1.5",
            "mean_loss": "2.25",
        }
        return rounds.UpdateSent(**{**fields, **changes})

    def record(self, run, plan, *members, **changes):
        seat = self.state.runs[run]
        weights = round_weights(self.library.run(run), members, seat.plan.steps)
        fields = {
            "plan": plan,
            "base_before": seat.base,
            "base": some(f"base {seat.rounds + 1}"),
            "step": some("step"),
            "record": some("record"),
            "merged": {
                m: {"update": some(f"update of {m}"), "weight": str(weights[m]), "norm": "1.0"}
                for m in members
            },
            "left_out": {m: "late" for m in seat.plan.roster if m not in members},
        }
        return rounds.RoundCommitted(**{**fields, **changes})

    def round(self, run, *members):
        """A whole round with these members."""
        plan = self.call(run)
        self.answer(run, plan, *members)
        round_ = self.state.runs[run].rounds
        by = self.state.coordinator.member
        self.say(self.record(run, plan, *members), by, "coordinator", run=run, round_=round_)
        return plan
