"""Sealed rounds with real processes: who drops out where, and what becomes of the round."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sealedlab import MEMBERS, SealedFederation, sealed_document

from concord.base.clock import SystemClock
from concord.base.digest import digest_file
from concord.base.errors import QuorumLost
from concord.federation.records import RunFolder
from concord.ledger.entries import Entry
from concord.ledger.reader import LogReader
from concord.ledger.verify import Verification

pytestmark = pytest.mark.processes


@pytest.fixture
def federation(tmp_path):
    return SealedFederation(tmp_path / "federation")


def verify(federation, workdir):
    workdir.mkdir(exist_ok=True)
    found = Verification(federation.root, workdir=workdir, clock=SystemClock())
    found.run()
    return found


def said(federation, kind):
    entries = (Entry.parse(data) for data in LogReader(federation.root / "log").entries())
    return [e.statement for e in entries if e.statement.kind == kind]


def test_rounds_go_on_whoever_drops_out_and_wherever(tmp_path):
    members = tuple(f"m{number}" for number in range(8))
    federation = SealedFederation(tmp_path / "f", members)
    deeds = ["die_in_set_up", "die_at_train", "die_before_sending", "die_at_unmask", "refuse"]
    for round_, (member, deed) in enumerate(zip(members, deeds, strict=False)):
        federation.script(member, **{deed: round_})
    records = federation.run(sealed_document(members, rounds=5))
    left_out = [records[n + 1].left_out.get(m, "") for n, m in enumerate(members[:5])]
    assert [why.partition(":")[0] for why in left_out] == ["lost"] * 3 + ["", "declined"]
    assert "m3" in records[4].contributions, "its update came, and the others' shares were enough"
    assert all(len(record.contributions) >= 6 for record in records[1:])
    verify(federation, tmp_path / "work")


def test_a_member_killed_while_it_sends_sends_the_very_same_bytes_again(federation, tmp_path):
    federation.script("fiji", die_at_sending=1)
    federation.script("togo", wait_for_resend=1)
    records = federation.run(sealed_document(rounds=2).model_copy(update={"rounds": patient()}))
    assert (federation.root / "members" / "fiji" / "done-die_at_sending").exists()
    assert set(records[2].contributions) == set(MEMBERS)
    store = federation.root / "members" / "fiji" / "private" / "seal" / "test"
    (vector,) = store.glob(f"{1:020}-*/vector")
    assert digest_file(vector) == records[2].contributions["fiji"].update, "masked once"
    verify(federation, tmp_path / "work")


def patient():
    return sealed_document(rounds=2).rounds.model_copy(update={"min_grace_s": 60.0})


def test_a_member_that_gives_no_secrets_holds_nobody_up(federation, tmp_path):
    federation.script("fiji", die_at_secrets=0)
    records = federation.run(sealed_document(rounds=1))
    assert set(records[1].contributions) >= set(MEMBERS) - {"fiji"}
    assert len(said(federation, "seal-epoch")) > 1, "keys were asked for anew"
    verify(federation, tmp_path / "work")


def test_a_round_that_cannot_be_unmasked_is_called_again_and_trained_anew(federation, tmp_path):
    for member in ("fiji", "iran"):
        federation.script(member, die_at_unmask=0)
    records = federation.run(one_round())
    assert len(said(federation, "survivor-set")) == 2
    first, second = (set(s.body.members) for s in said(federation, "survivor-set"))
    assert first == set(MEMBERS)
    assert said(federation, "round-void")
    sent = [s.body.update for s in said(federation, "update-commit")]
    assert len(set(sent)) == len(sent)
    assert set(records[1].contributions) == second
    verify(federation, tmp_path / "work")


def one_round():
    return sealed_document(rounds=1)


def test_a_round_that_two_attempts_could_not_unmask_ends_the_run(federation):
    for member in ("fiji", "iran"):
        federation.script(member, die_at_unmask=0, always=1)
    with pytest.raises(QuorumLost, match="2 attempts at round 1"):
        federation.run(one_round(), max_restarts=9)
    assert len(RunFolder(federation.root, "test").records()) == 1


def test_two_cohorts_are_drawn_masked_and_opened_apart(tmp_path):
    members = tuple(f"m{number}" for number in range(8))
    federation = SealedFederation(tmp_path / "f", members)
    federation.script("m3", die=0)
    seal = {"min_survivors": 3, "cohort_target": 4}
    records = federation.run(sealed_document(members, rounds=1, seal=seal))
    (drawn,) = said(federation, "seal-cohorts")
    assert sorted(len(cohort) for cohort in drawn.body.cohorts) == [4, 4]
    assert len(said(federation, "survivor-set")) == 2
    assert set(records[1].contributions) == set(members) - {"m3"}
    verify(federation, tmp_path / "work")


COORDINATOR = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from sealedlab import MEMBERS, SealedFederation, sealed_document
from concord.federation.sealed.coordinator import SealedCoordinator

class Dying(SealedCoordinator):
    def {step}(self, *given):
        Path({marker!r}).touch()
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    federation = SealedFederation.again(Path({root!r}))
    once = SealedCoordinator if Path({marker!r}).exists() else Dying
    federation.run(sealed_document(rounds=1), coordinator=once)
"""


def test_a_coordinator_killed_after_a_set_was_named_goes_on_with_a_new_attempt(
    federation, tmp_path
):
    script = tmp_path / "coordinator.py"
    named = {"tests": str(Path(__file__).parent), "root": str(federation.root), "step": "_open"}
    script.write_text(COORDINATOR.format(marker=str(tmp_path / "died"), **named))
    died = subprocess.run([sys.executable, script], check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL
    subprocess.run([sys.executable, script], check=True, timeout=120)
    plans = [s.body.plan for s in said(federation, "survivor-set")]
    assert len(plans) == len(set(plans)) == 2, "one per attempt, for ever"
    assert len(said(federation, "round-void")) == 1
    sent = [s.body.update for s in said(federation, "update-commit")]
    assert len(set(sent)) == len(sent), "what was sent once is not sent again"
    assert len(RunFolder(federation.root, "test").records()) == 2
    verify(federation, tmp_path / "work")
