"""Between two plans a member reads its text only while its own policy lets it."""

import pytest

from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder
from concord.federation.joined import join
from concord.federation.member.voice import MemberVoice
from concord.federation.messages import ExtendLog
from concord.federation.office import Office, adopt_if_all_keys_are_here
from concord.federation.work import Train
from concord.ledger.archive import Archive
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.statements.oversight import Halt
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock

MEMBERS = ("chad", "fiji", "peru")
CLOCK = HandClock(1_790_000_000)
RUN = parse_run(
    {
        "name": "first",
        "roster": [{"id": member} for member in MEMBERS],
        "rounds": {"overlap_steps": 2},
    }
)
WORK = Train(run=RUN.digest, round=0, base="sha256:" + "0" * 64, inner_steps=20)


@pytest.fixture
def federation(tmp_path):
    found(tmp_path, MEMBERS, clock=CLOCK)
    adopt_if_all_keys_are_here(FederationFolder(tmp_path), RUN, CLOCK)
    return FederationFolder(tmp_path)


def fiji(federation):
    """The member as it stands after it was told the log."""
    voice = MemberVoice(federation.member("fiji"), CLOCK)
    read = Archive(federation.log, ObjectLibrary(federation.objects))
    named = {d for e in read.entries for d in read.replica.library.named_by(e.statement)}
    voice.take_documents(join([federation.objects.get(digest) for digest in sorted(named)]))
    note = read.note.encode().decode()
    voice.extend(ExtendLog(start=0, note=note), join([entry.data for entry in read.entries]))
    return voice


def test_it_goes_on_as_long_as_its_policy_lets_it(federation):
    voice = fiji(federation)
    assert voice.still_allows(WORK)
    policy = federation.member("fiji").policy
    policy.write_text(policy.read_text() + "forbid (principal, action, resource);\n")
    assert not voice.still_allows(WORK)


def test_a_halted_member_does_not_go_on(federation):
    halt = Halt(scope="self", ground="other", reason="we look at our text", until=1_790_000_060)
    Office(federation, CLOCK).say(halt, party="fiji")
    assert not fiji(federation).still_allows(WORK)
