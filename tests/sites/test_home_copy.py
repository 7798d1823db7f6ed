"""The copy of the log at a member's home: kept fresh by what the member checked, and a way up."""

import pytest
from sitelab import MEMBERS, NOW

from concord.base.errors import ForkDetected
from concord.federation.folders import FederationFolder
from concord.federation.joined import join
from concord.federation.member.voice import MemberVoice
from concord.federation.messages import ExtendLog
from concord.federation.office import Office
from concord.federation.sites.home import member_of, take_kit
from concord.ledger.archive import Archive
from concord.ledger.inbox import Inbox
from concord.ledger.log import open_log
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.statements.oversight import Halt
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock

CLOCK = HandClock(NOW)


HALT = Halt(scope="self", ground="audit", reason="We look.", until=NOW + 3600)


def archive(root):
    federation = FederationFolder(root)
    return Archive(federation.log, ObjectLibrary(federation.objects))


@pytest.fixture
def home(own_atlas, tmp_path):
    kit, own = own_atlas / "sites" / "kits" / "fiji", own_atlas / "members" / "fiji"
    return take_kit(kit, tmp_path / "home", now_s=NOW, own=own).home


def tell(voice, source):
    """What a coordinator tells a member whose process is new."""
    read = archive(source)
    library = read.replica.library
    named = {d for entry in read.entries for d in library.named_by(entry.statement)}
    store = FederationFolder(source).objects
    voice.take_documents(join([store.get(digest) for digest in sorted(named)]))
    entries = join([entry.data for entry in read.entries])
    return voice.extend(ExtendLog(start=0, note=read.note.encode().decode()), entries)


def test_what_a_member_has_checked_stands_in_its_home(own_atlas, home):
    Office(FederationFolder(own_atlas), CLOCK).say(HALT, party="peru")
    tell(MemberVoice(member_of(home), CLOCK), own_atlas)
    ours, theirs = archive(home), archive(own_atlas)
    assert ours.note.checkpoint == theirs.note.checkpoint
    assert ours.state == theirs.state
    assert "fiji" in ours.replica.witnesses(ours.note)


def test_telling_the_same_again_changes_nothing(own_atlas, home):
    voice = MemberVoice(member_of(home), CLOCK)
    tell(voice, own_atlas)
    before = (home / "log" / "checkpoint").read_bytes()
    tell(MemberVoice(member_of(home), CLOCK), own_atlas)
    assert (home / "log" / "checkpoint").read_bytes() == before


def test_a_statement_made_at_home_is_carried_up_once_and_leaves_the_inbox_when_it_is_logged(
    own_atlas, home
):
    Office(FederationFolder(home), CLOCK).say(HALT, party="fiji")
    box = Inbox(home / "log" / "inbox")
    assert len(box.waiting()) == 1
    voice = MemberVoice(member_of(home), CLOCK)
    tell(voice, own_atlas)
    (entry,) = voice.waiting()
    assert voice.waiting() == []
    Office(FederationFolder(own_atlas), CLOCK).file(entry)
    tell(MemberVoice(member_of(home), CLOCK), own_atlas)
    assert box.waiting() == []
    assert archive(home).state.halt_of("fiji", NOW) is not None


def test_what_may_not_enter_is_put_aside_with_its_reason(own_atlas, home):
    Inbox(home / "log" / "inbox").hand_in(b"no statement")
    voice = MemberVoice(member_of(home), CLOCK)
    tell(voice, own_atlas)
    assert voice.waiting() == []
    (refused,) = Inbox(home / "log" / "inbox").refused()
    assert refused[1]


def test_where_another_process_writes_the_log_nothing_is_written_or_carried(own_atlas, home):
    Office(FederationFolder(home), CLOCK).say(HALT, party="fiji")
    Office(FederationFolder(own_atlas), CLOCK).say(HALT, party="peru")
    before = (home / "log" / "checkpoint").read_bytes()
    voice = MemberVoice(member_of(home), CLOCK)
    with open_log(home / "log"):
        tell(voice, own_atlas)
        assert voice.waiting() == []
    assert (home / "log" / "checkpoint").read_bytes() == before


def test_another_history_is_a_fork_and_the_copy_stays(own_atlas, home, tmp_path):
    other = tmp_path / "other"
    found(other, MEMBERS, clock=CLOCK)
    before = (home / "log" / "checkpoint").read_bytes()
    voice = MemberVoice(member_of(home), CLOCK)
    with pytest.raises(ForkDetected):
        tell(voice, other)
    assert (home / "log" / "checkpoint").read_bytes() == before
