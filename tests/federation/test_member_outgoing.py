"""What a member sends from a thread of its own."""

import socket
import threading

import pytest

from concord.federation.frames import receive_frame
from concord.federation.member.process import Outgoing
from concord.federation.messages import Finish, encode_message


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_frames_go_out_in_their_order_before_the_end(pair, tmp_path):
    lost = threading.Event()
    outgoing = Outgoing(pair[0], lost=lost.set)
    for payload in (b"one", b"two"):
        outgoing.put(Finish(), payload)
    outgoing.drain()
    frames = [receive_frame(pair[1], tmp_path, max_payload_bytes=10) for _ in range(2)]
    assert [frame.message for frame in frames] == [encode_message(Finish())] * 2
    assert [frame.read_payload() for frame in frames] == [b"one", b"two"]
    assert not lost.is_set()


def test_a_payload_that_is_gone_ends_the_member_and_does_not_silence_it(pair, tmp_path):
    lost = threading.Event()
    outgoing = Outgoing(pair[0], lost=lost.set)
    outgoing.put(Finish(), tmp_path / "gone")
    outgoing.drain()
    assert lost.is_set()


def test_a_coordinator_that_is_gone_is_noticed_at_sending(pair):
    lost = threading.Event()
    outgoing = Outgoing(pair[0], lost=lost.set)
    pair[1].close()
    outgoing.put(Finish())
    outgoing.drain()
    assert lost.is_set()
