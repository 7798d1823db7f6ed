"""Histories to verify, and the verification of a folder, for the tests beside it."""

import tempfile
from fractions import Fraction
from pathlib import Path

from concord.base.clock import SystemClock
from concord.ledger.statements.membership import (
    CoordinatorEntry,
    Handover,
    Join,
    KeyRevocation,
    KeyRotation,
)
from concord.ledger.statements.oversight import Halt
from concord.ledger.statements.votes import Admit, Amend, Expel, Ratification
from concord.ledger.verify import Verification
from concord.ledger.verify_terms import Wishes
from concord.testing.history import History, key, member_entry

MEMBERS = ("chad", "fiji", "iran", "laos", "peru")
OVERSEERS = ("odin", "vera")
CAP = {"owner_cap": "1/2", "quorum": "1/2", "min_members": 2}
RUN = {"update": {"owner_cap": "1/2", "outer": {"lr": 0.7, "momentum": 0.9}}}


def verified(folder, **wishes):
    """The verification of a folder, after it passed; raises what it raises."""
    with tempfile.TemporaryDirectory() as workdir:
        found = Verification(
            Path(folder), workdir=Path(workdir), clock=SystemClock(), wishes=Wishes(**wishes)
        )
        found.run()
        return found


def eventful(root):
    """Five members, two overseers: a run with absentees, new keys, a halt, a new charter, an
    expulsion, and a plan that is open."""
    history = History(root, MEMBERS, overseers=OVERSEERS, **CAP)
    run = history.adopt(rounds={"count": 8}, **RUN)
    run.round_of(measured=True)
    second_round(run)
    rotate(history, "fiji")
    history.say(KeyRevocation(party="laos", key=key("laos").public.text,
                replacement=key("laos", "identity", 1).public.text, reason="stolen"), "peru",
                also=[key(m) for m in ("chad", "iran")])  # fmt: skip
    history.keys["laos", "identity"] = key("laos", "identity", 1)
    halt(history, "fire", 3600)
    history.now += 3600
    for _ in range(3):
        run.round_of()
    charter = history.store_charter("# amended\n", **CAP)
    history.vote(Amend(before=history.state.charter, charter=charter), fiji="no")
    for member in MEMBERS:
        history.say(Ratification(ratified=charter), member)
    application = history.say(Join(member=member_entry("togo")), "togo", "applicant")
    history.vote(Admit(application=application.statement.digest, member="togo"))
    history.vote(Expel(member="iran"))
    run.call()
    for member in ("chad", "fiji", "laos"):
        run.answer(member)
    return history, run


def second_round(run):
    """A round that one member declines and another misses."""
    run.call()
    run.refuse("peru")
    updates = {member: run.answer(member) for member in ("chad", "fiji", "iran")}
    left_out = {"peru": "declined: no grant for this use", "laos": "late: no update in time"}
    return run.commit(updates, left_out=left_out)


def rotate(history, member):
    """The member exchanges its identity key."""
    new = key(member, "identity", 1)
    body = KeyRotation(purpose="identity", old=key(member).public.text, new=new.public.text)
    history.say(body, member, also=[new])
    history.keys[member, "identity"] = new


def halt(history, ground, seconds, party="odin"):
    body = Halt(scope="all", ground=ground, reason="A test.", until=history.now + seconds)
    return history.say(body, party, "overseer")


def hand_over(history, member):
    """The coordinator gives its role to another member, with a log key of its own."""
    body = Handover(
        manner="handover",
        term=history.state.term + 1,
        coordinator=CoordinatorEntry(member=member, log_key=key(member, "log").public.text),
    )
    coordinator = history.state.coordinator.member
    history.say(body, coordinator, also=[history.key(member)])


def halved(weights):
    """Other weights that add up to 1: half of the first goes to the last."""
    first, last = min(weights), max(weights)
    half = weights[first] / 2
    return {**weights, first: half, last: weights[last] + Fraction(half)}
