"""The engine between sites over a wire that loses, doubles and breaks: what only it can do."""

import os
import time

import pytest
from enginelab import (
    COORDINATOR,
    RANGES,
    FlareRig,
    Joined,
    Lost,
    Received,
    all_joined,
    ask,
    wait,
)

from concord.federation.engine.flare.fetching import Fetcher
from concord.federation.engine.flare.seat import Refused, Seat
from concord.federation.engine.flare.wire import Unreachable
from concord.federation.engine.flare.words import (
    Beat,
    Fetch,
    Heard,
    Hello,
    Offer,
    Say,
    Welcome,
    pack,
    unpack,
)
from concord.federation.frames import Pace
from concord.federation.messages import FROM_MEMBER, SendBase, decode_message, encode_message

SESSION = "0123456789abcdef"


@pytest.fixture
def rig(tmp_path):
    rig = FlareRig(tmp_path)
    yield rig
    rig.stop()


def fault_on(topic, kind, *numbers):
    return lambda asker, peer, what, number: kind if what == topic and number in numbers else ""


@pytest.mark.parametrize("kind", ["lost", "deaf", "twice"])
@pytest.mark.parametrize("topic", ["say", "fetch", "took", "hello"])
def test_what_the_wire_loses_or_doubles_arrives_once(rig, topic, kind):
    rig.board.fault = fault_on(topic, kind, 1, 2)
    rig.start()
    assert all_joined(rig.engine)
    payload = os.urandom(1_300_000)
    rig.engine.send("chad", ask(), payload)
    rig.engine.send("chad", ask(2))
    assert wait(rig.engine, Received, "chad").frame.read_payload() == payload
    steps = [
        decode_message(FROM_MEMBER, wait(rig.engine, Received).frame.message, sender="").steps
        for _ in range(3)
    ]
    assert steps == [0, 1, 2]


def test_an_interrupted_download_goes_on_where_it_stopped(rig, tmp_path):
    """The member's line breaks after 20 of 46 ranges; the rest alone is sent again."""
    payload = os.urandom(3_000_000)
    (tmp_path / "base").write_bytes(payload)
    broken = []

    def fault(asker, peer, topic, number):
        if topic == "fetch" and asker == "chad" and number >= 20 and not broken:
            broken.append(number)
            rig.engine.disconnect("chad", "pulled the plug")
        return ""

    rig.board.fault = fault
    rig.start()
    assert all_joined(rig.engine)
    rig.engine.send("chad", ask(), tmp_path / "base")
    wait(rig.engine, Lost, "chad")
    wait(rig.engine, Joined, "chad")
    rig.engine.send("chad", ask(), tmp_path / "base")
    assert wait(rig.engine, Received, "chad").frame.read_payload() == payload
    sent = rig.board.bytes_answered["fetch", "chad"]
    assert sent < 3_000_000 + 6 * RANGES.bytes


def test_an_interrupted_upload_goes_on_even_with_another_coordinator(rig, tmp_path):
    """As when the coordinator is killed: what had come lies in its spool."""
    rig.start()
    assert all_joined(rig.engine)
    stopped = []

    def fault(asker, peer, topic, number):
        if topic == "fetch" and asker == COORDINATOR and number >= 20:
            stopped.append(number)
            return "lost"
        return ""

    rig.board.fault = fault
    rig.engine.send("chad", ask(3_000_000))
    while not stopped:
        time.sleep(0.01)
    rig.engine.disconnect("chad", "killed")
    (part,) = (tmp_path / "spool").glob("*.part")
    before = part.stat().st_size
    assert before >= 16 * RANGES.bytes
    rig.board.fault = lambda *_: ""
    fetched = rig.board.bytes_answered["fetch", COORDINATOR]
    rig.engine.stop()
    rig.engine = rig.make_engine()
    rig.engine.start()
    wait(rig.engine, Joined, "chad")
    rig.engine.send("chad", ask(3_000_000))
    assert wait(rig.engine, Received, "chad").frame.read_payload() == b"\7" * 3_000_000
    again = rig.board.bytes_answered["fetch", COORDINATOR] - fetched
    assert again < 3_000_000 - before + 50 * 100


def test_one_reading_gives_the_digest_for_all_members(rig, tmp_path):
    (tmp_path / "base").write_bytes(os.urandom(2_000_000))
    rig.start()
    assert all_joined(rig.engine)
    for member in ("chad", "fiji"):
        rig.engine.send(member, ask(), tmp_path / "base")
    got = [wait(rig.engine, Received).frame.payload_digest() for _ in range(2)]
    assert got[0] == got[1]


def test_a_silent_member_is_lost(tmp_path):
    rig = FlareRig(tmp_path, silence_s=0.5, beat_s=0.2)
    rig.start()
    try:
        assert all_joined(rig.engine)
        rig.board.cut("chad")
        assert "any more" in wait(rig.engine, Lost, "chad").reason
        rig.board.mend("chad")
        wait(rig.engine, Joined, "chad")
    finally:
        rig.stop()


def test_a_member_that_is_gone_is_missed_after_two_beats(tmp_path):
    rig = FlareRig(tmp_path, quiet_s=0.4, beat_s=0.2)
    rig.start()
    try:
        assert all_joined(rig.engine)
        rig.board.kill("chad")
        assert "reached" in wait(rig.engine, Lost, "chad", within_s=5.0).reason
        assert rig.engine.waiting(0.0) == {"fiji"}
    finally:
        rig.stop()


def test_a_member_that_says_nothing_and_answers_stays(tmp_path):
    rig = FlareRig(tmp_path, quiet_s=0.2, beat_s=60.0)
    rig.start()
    try:
        assert all_joined(rig.engine)
        before = rig.board.asked.get((COORDINATOR, "chad", "beat"), 0)
        while rig.board.asked.get((COORDINATOR, "chad", "beat"), 0) < before + 3:
            time.sleep(0.01)
        assert {"chad", "fiji"} <= rig.engine.waiting(0.0)
    finally:
        rig.stop()


def test_members_wait_until_the_coordinator_is_in_charge(rig):
    for member in ("chad", "fiji"):
        rig.sit(member)
    while rig.engine.waiting(1.0) != {"chad", "fiji"}:
        time.sleep(0.01)
    assert rig.engine.next_event(0.0) is None
    rig.engine.start()
    assert all_joined(rig.engine)


def test_two_seats_of_one_member_do_not_share_its_folder(rig):
    """As at the end of a segment: the next one's process starts when the last one's ended."""
    rig.beat_s = 60.0  # by a beat the first one would learn that its line was given up
    rig.start()
    assert all_joined(rig.engine)
    while not rig.board.asked.get(("chad", COORDINATOR, "beat")):
        time.sleep(0.01)
    rig.engine.send("chad", ask(), b"for the first")
    wait(rig.engine, Received, "chad")
    first = rig.seats["chad"]
    rig.sit("chad")  # says hello under a new session, and takes the first one's place on the wire
    wait(rig.engine, Lost, "chad")
    wait(rig.engine, Joined, "chad")
    rig.engine.send("chad", ask(), b"for the second")
    assert rig.engine.next_event(0.3) is None
    first.stop()
    assert wait(rig.engine, Received, "chad").frame.read_payload() == b"for the second"


def test_a_member_outside_the_roster_gets_no_seat(rig, tmp_path):
    rig.start()
    (tmp_path / "peru").mkdir()
    stranger = Seat(rig.board.wire("peru"), COORDINATOR, tmp_path / "peru", lambda: None)
    with pytest.raises(Refused, match="not in the roster"):
        stranger.serve()


def test_another_version_of_the_protocol_is_refused_by_name(rig):
    rig.start()
    peer = rig.board.wire("chad")
    answer = peer.ask(COORDINATOR, "hello", pack(Hello(protocol=99, session=SESSION)), 1.0)
    welcome, _ = unpack(Welcome, answer, sender="")
    assert welcome.state == "refused"
    assert "version 99" in welcome.reason and "this side is older" in welcome.reason


class HandMade:
    """A hostile member that speaks the protocol by hand."""

    def __init__(self, rig):
        self.wire = rig.board.wire("chad")
        self.told = []
        self.ranges = lambda fetch: None
        self.wire.answer("say", lambda peer, data: pack(Heard(state="ok")))
        self.wire.answer("fetch", self.fetch)
        self.ask("hello", Hello(protocol=1, session=SESSION))

    def fetch(self, peer, data):
        data = self.ranges(unpack(Fetch, data, sender="")[0])
        if data is None:
            raise Unreachable
        return pack(Heard(state="ok"), data)

    def ask(self, topic, word, rest=b""):
        return self.wire.ask(COORDINATOR, topic, pack(word, rest), 1.0)

    def say(self, number=0, rest=b"", size=None, **more):
        word = Say(
            session=SESSION,
            number=number,
            message_bytes=len(rest) if size is None else size,
            **more,
        )
        return unpack(Heard, self.ask("say", word, rest), sender="")[0].state


def offer(size, digest="sha256:" + "b" * 64):
    return Offer(digest=digest, bytes=size)


@pytest.fixture
def hostile(rig):
    rig.start = rig.engine.start
    rig.start()
    return HandMade(rig)


def test_bytes_that_are_not_what_their_digest_says_are_dropped(rig, hostile, tmp_path):
    hostile.ranges = lambda fetch: b"x" * fetch.length
    assert hostile.say(offer=offer(200_000)) == "ok"
    assert "not what its digest says" in wait(rig.engine, Lost, "chad").reason
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_range_of_another_length_is_refused(rig, hostile):
    hostile.ranges = lambda fetch: b"x" * (fetch.length + 1)
    hostile.say(offer=offer(200_000))
    assert "as long as was asked" in wait(rig.engine, Lost, "chad").reason


def test_an_offer_larger_than_agreed_is_refused_before_a_byte_is_fetched(rig, hostile):
    asked = []
    hostile.ranges = asked.append
    assert hostile.say(offer=offer(9 << 20)) == "unknown"
    assert "larger than agreed" in wait(rig.engine, Lost, "chad").reason
    assert asked == []


def test_a_payload_that_stops_in_the_middle_ends_the_line(tmp_path):
    rig = FlareRig(tmp_path, pace=Pace(idle_s=0.3))
    rig.engine.start()
    hostile = HandMade(rig)
    hostile.ranges = lambda fetch: b"x" * fetch.length if fetch.start < 100_000 else None
    try:
        hostile.say(offer=offer(1_000_000))
        assert "stopped in the middle" in wait(rig.engine, Lost, "chad").reason
    finally:
        rig.engine.stop()


@pytest.mark.parametrize(
    "words",
    [
        {"number": 1},  # before 0
        {"rest": b"{}", "size": 3},
        {"rest": b"{}", "size": 1, "offer": offer(5)},
    ],
    ids=["out-of-order", "shorter-than-it-says", "payload-twice"],
)
def test_a_malformed_message_ends_the_line(rig, hostile, words):
    assert hostile.say(**words) == "unknown"
    wait(rig.engine, Lost, "chad")


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\xff\xff\xff\xff{}", b"\2\0\0\0{}", b"\5\0\0\0[1,2]"]
)
def test_what_is_not_a_word_of_the_protocol_finds_no_line(rig, hostile, data):
    for topic in ("say", "fetch", "took", "beat", "bye", "hello"):
        answer = hostile.wire.ask(COORDINATOR, topic, data, 1.0)
        assert unpack(Heard, answer, sender="")[0].state == "unknown"


def test_an_earlier_session_is_heard_no_more(rig, hostile):
    hostile.ask("hello", Hello(protocol=1, session="f" * 16))
    answer = hostile.ask("beat", Beat(session=SESSION))
    assert unpack(Heard, answer, sender="")[0].state == "unknown"
    assert hostile.say(rest=encode_message(SendBase())) == "unknown"


def test_what_was_not_offered_cannot_be_fetched(rig, hostile):
    answer = hostile.ask("fetch", Fetch(session=SESSION, number=0, start=0, length=10))
    assert unpack(Heard, answer, sender="")[0].state == "unknown"


def test_a_part_that_was_altered_on_disk_is_fetched_anew(tmp_path):
    data = os.urandom(300_000)
    fetcher = Fetcher(tmp_path, ranges=RANGES)
    import hashlib

    wanted = offer(len(data), "sha256:" + hashlib.sha256(data).hexdigest())
    fetcher.part("chad", wanted.digest).write_bytes(b"\0" * 100_000)
    path = fetcher.fetch(
        "chad", wanted, lambda start, size: memoryview(data)[start : start + size], lambda: False
    )
    assert path.read_bytes() == data
