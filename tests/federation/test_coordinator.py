"""The coordinator with real processes that die, lie and dawdle: the round goes on without them."""

import os
import signal

import pytest
from scriptedlab import MEMBERS, ROUNDS, Federation, document

from concord.base.clock import SystemClock
from concord.base.digest import digest_file
from concord.base.errors import CheckpointError, CorpusEmpty, QuorumLost
from concord.base.tensors import TensorFile
from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder
from concord.federation.office import Office
from concord.federation.records import RunFolder
from concord.federation.watcher import Watcher
from concord.ledger.inbox import Inbox
from concord.ledger.replay import Replayer, read_run
from concord.ledger.statements.votes import Ballot, Proposal, StartRun
from concord.ledger.verify import Verification
from concord.ledger.verify_terms import Wishes

pytestmark = pytest.mark.processes


@pytest.fixture
def federation(tmp_path):
    return Federation(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return Federation(tmp_path_factory.mktemp("undisturbed")).run()


def test_all_rounds_are_committed_with_everybody(undisturbed, federation):
    records = federation.run()
    assert len(records) == ROUNDS + 1
    assert all(set(record.contributions) == set(MEMBERS) for record in records[1:])
    assert [r.base for r in records] == [r.base for r in undisturbed]


def test_every_member_measured_the_final_base(federation):
    records = federation.run()
    found = list(RunFolder(federation.root, "test").evaluations())
    final = {member for member, e in found if e.base == records[-1].base}
    assert final == set(MEMBERS)


class Proposing(Watcher):
    """Proposes another run by command while this one goes on, and votes for it."""

    def __init__(self, root):
        self.root = root

    def committed(self, record):
        if record.round != 2:
            return
        office = Office(FederationFolder(self.root), SystemClock())
        digest = office.library.put_run(document(count=9))
        change = StartRun(document=digest)
        closes = office.now() + 86_400
        body = Proposal(title="Another", text="", change=change, closes=closes)
        proposal = office.say(body, party="chad").entry.statement.digest
        office.say(Ballot(proposal=proposal, choice="yes"), party="fiji")


def test_members_deliberate_by_command_while_a_run_goes_on(federation):
    records = federation.run(watcher=Proposing(federation.root))
    assert all(set(record.contributions) == set(MEMBERS) for record in records[1:])
    (seat,) = [
        seat
        for seat in Office(
            FederationFolder(federation.root), SystemClock()
        ).logged.proposals.values()
        if isinstance(seat.change, StartRun) and seat.votes.keys() == {"fiji"}
    ]
    assert seat.outcome is None
    assert not Inbox(federation.root / "log" / "inbox").refused()


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("die", "lost"),
        ("send_rubbish", "lost"),
        ("send_unknown_message", "lost"),
        ("refuse", "declined: no grant for this use"),
        ("name_another_base", "refused: wrong-base"),
        ("send_nan", "refused: non-finite"),
        ("truncate", "refused: malformed"),
    ],
)
def test_a_round_goes_on_without_a_member_that_fails(federation, deed, reason):
    federation.script("fiji", **{deed: 1})
    records = federation.run()
    assert set(records[2].contributions) == set(MEMBERS) - {"fiji"}
    assert records[2].left_out["fiji"].startswith(reason)
    assert len(records) == ROUNDS + 1
    assert "fiji" in records[-1].contributions, "it takes part again"


def test_an_update_far_out_of_bounds_is_refused_once_there_is_a_history(federation):
    federation.script("peru", send_huge=3)
    records = federation.run()
    assert records[4].left_out["peru"].startswith("refused: norm-out-of-bounds")


def test_a_second_update_of_one_member_counts_once(federation, undisturbed):
    federation.script("laos", send_twice=1)
    assert [r.base for r in federation.run()] == [r.base for r in undisturbed]


def test_a_slow_member_is_waited_for_within_the_grace(federation, undisturbed):
    federation.script("chad", be_slow=2)
    assert [r.base for r in federation.run()] == [r.base for r in undisturbed]


def test_a_member_that_hangs_does_not_stop_the_round(federation):
    federation.script("chad", hang=1)
    impatient = document(min_grace_s=0.2, grace_share=0.0)
    records = federation.run(impatient, witness_patience_s=3.0)
    assert records[2].left_out["chad"].startswith("late")
    assert len(records) == ROUNDS + 1


def test_an_update_one_round_late_enters_the_next_one_and_is_verified(federation, tmp_path):
    value = document(min_grace_s=0.2, grace_share=0.0).model_dump(mode="json")
    value["update"] |= {"late": "correct", "outer": {"momentum": 0.9, "lr": 0.7}}
    federation.script("chad", send_one_round_late=2)
    records = federation.run(parse_run(value), witness_patience_s=5.0)
    assert records[3].left_out["chad"].startswith("late")
    assert records[4].contributions["chad"].late
    assert "chad" not in records[4].left_out
    assert not any(c.late for r in records[5:] for c in r.contributions.values())
    workdir = tmp_path / "work"
    workdir.mkdir()
    Verification(federation.root, workdir=workdir, clock=SystemClock(), wishes=Wishes()).run()


def test_a_run_that_sends_its_model_in_parts_is_verified(federation, tmp_path):
    value = document(fragments=2, count=4).model_dump(mode="json")
    value["update"] |= {"outer": {"momentum": 0.9, "lr": 0.7}}
    federation.script("chad", send_nan=2)
    federation.script("fiji", refuse=3)
    records = federation.run(parse_run(value))
    sent = [{c.payload_bytes for c in r.contributions.values()} for r in records[1:]]
    assert sent[0] == sent[2] != sent[1] == sent[3]
    workdir = tmp_path / "work"
    workdir.mkdir()
    Verification(federation.root, workdir=workdir, clock=SystemClock(), wishes=Wishes()).run()


def test_a_corpus_fault_is_reported_before_any_training(federation):
    federation.script("laos", fail_to_prepare=0)
    with pytest.raises(CorpusEmpty, match="member laos"):
        federation.run()
    assert not RunFolder(federation.root, "test").started()


def test_without_a_quorum_the_run_stops_and_keeps_what_was_committed(federation):
    for member in MEMBERS[:3]:
        federation.script(member, die=2)
    with pytest.raises(QuorumLost):
        federation.run(max_restarts=0)
    assert len(RunFolder(federation.root, "test").records()) == 3


class _StopAfter(Watcher):
    def __init__(self, rounds):
        self.rounds = rounds

    def committed(self, record):
        if record.round == self.rounds:
            raise KeyboardInterrupt


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_run_stopped_and_started_again_ends_with_the_same_base(federation, undisturbed, rounds):
    with pytest.raises(KeyboardInterrupt):
        federation.run(watcher=_StopAfter(rounds))
    assert [r.base for r in federation.run()] == [r.base for r in undisturbed]


class _KillMembers(Watcher):
    def __init__(self, federation):
        self.federation = federation

    def committed(self, record):
        if record.round == 2:
            for process in self.federation.engines[-1].process_ids().values():
                os.kill(process, signal.SIGKILL)


def test_all_members_killed_at_once_come_back_and_the_run_ends_the_same(federation, undisturbed):
    records = federation.run(watcher=_KillMembers(federation))
    assert len(records) == ROUNDS + 1
    assert all(record.contributions for record in records[1:])


def test_an_altered_base_is_found_when_a_run_is_resumed(federation):
    with pytest.raises(KeyboardInterrupt):
        federation.run(watcher=_StopAfter(2))
    folder = RunFolder(federation.root, "test")
    path = folder.objects.path(folder.records()[-1][1].base)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="altered"):
        federation.run()


def test_an_altered_record_breaks_the_chain(federation):
    federation.run()
    path = federation.root / "runs" / "test" / "records" / "000002.json"
    path.write_bytes(path.read_bytes().replace(b'"round":2', b'"round":2 '))
    with pytest.raises(CheckpointError, match="does not follow"):
        RunFolder(federation.root, "test").records()


def test_what_a_verifier_needs_is_kept_and_little_else(federation):
    federation.script("fiji", send_nan=1)
    run = document()
    records = federation.run(run)
    folder = RunFolder(federation.root, "test")
    updates = [c.update for record in records for c in record.contributions.values()]
    needed = {run.digest, records[0].base, *updates, *(digest for digest, _ in folder.records())}
    assert len(needed) == 1 + 1 + 4 * ROUNDS - 1 + ROUNDS + 1
    needed |= set(federation.office.library.parts(federation.office.state.charter))
    for digest in needed:
        assert folder.objects.get(digest)
    kept = [p for p in (federation.root / "objects").rglob("*") if p.is_file()]
    assert len(kept) == len(needed) + 3, "the last two bases and the last step"
    assert TensorFile(folder.objects.path(records[0].base))["layer.weight"].min() == 1.0


def test_a_stranger_computes_every_base_again_from_the_objects(federation, tmp_path):
    federation.script("fiji", send_nan=1, refuse=3)
    run = document()
    records = federation.run(run)
    objects = RunFolder(federation.root, "test").objects
    replayer = Replayer(read_run(objects, run.digest), objects, tmp_path)
    replayer.start(records[0].base)
    for record in records[1:]:
        replayer.round(
            {member: c.update for member, c in record.contributions.items()},
            {member: c.weight for member, c in record.contributions.items()},
            base=record.base,
            step=record.step,
            outer_state=record.outer_state,
        )
    assert digest_file(replayer.base) == records[-1].base


def test_kept_updates_can_be_read_by_whoever_serves_them(federation):
    records = federation.run()
    objects = RunFolder(federation.root, "test").objects
    kept = [objects.path(c.update) for record in records for c in record.contributions.values()]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o644}


def test_the_folder_is_mended_from_the_log_after_a_crash_between_the_two(federation, undisturbed):
    records = federation.run()
    last = federation.root / "runs" / "test" / "records" / f"{ROUNDS:06d}.json"
    last.unlink()
    again = federation.run()
    assert [r.base for r in again] == [r.base for r in records] == [r.base for r in undisturbed]


def test_a_folder_with_a_round_that_the_log_does_not_hold_is_refused(federation):
    with pytest.raises(KeyboardInterrupt):
        federation.run(watcher=_StopAfter(2))
    folder = federation.root / "runs" / "test" / "records"
    (folder / "000003.json").write_bytes((folder / "000002.json").read_bytes())
    with pytest.raises(CheckpointError):
        federation.run()


def test_a_round_in_which_the_owner_cap_cannot_hold_is_called_again(federation):
    class Noted(Watcher):
        reasons = ()

        def abandoned(self, round_, reason):
            self.reasons += ((round_, reason),)

    federation.script("fiji", die=2)
    value = document(quorum="1/2").model_dump(mode="json")
    run = parse_run({**value, "update": {"owner_cap": "1/4"}})
    watcher = Noted()
    records = federation.run(run, watcher=watcher)
    assert len(records) == ROUNDS + 1
    assert all(set(record.contributions) == set(MEMBERS) for record in records[1:])
    assert watcher.reasons[0][0] == 2
    assert "cannot be merged" in watcher.reasons[0][1]
    assert "3 owner(s) with at most 1/4 each" in watcher.reasons[0][1]
