"""What a member may send over its connection: how much, how often, how slowly."""

import queue
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from disklab import full_disk

from concord.base.errors import MessageRefused, StorageError
from concord.federation.engine.allowance import MOST_MESSAGES, Allowance
from concord.federation.engine.interface import Lost, Received, Traffic
from concord.federation.engine.links import Link
from concord.federation.frames import (
    MAGIC,
    PREFIX,
    ConnectionLost,
    Pace,
    receive_frame,
    send_frame,
)

QUICK = Pace(idle_s=0.2, least_bytes_per_s=1e6)


@contextmanager
def link(tmp_path, *, max_payload_bytes=1000, pace=QUICK):
    """A coordinator's end of a connection, and the member's."""
    ours, theirs = socket.socketpair()
    events = queue.SimpleQueue()
    spool = tmp_path / "spool"
    spool.mkdir()
    made = Link(
        "fiji",
        ours,
        spool=spool,
        max_payload_bytes=lambda: max_payload_bytes,
        emit=events.put,
        traffic=Traffic(),
        pace=pace,
    )
    try:
        yield made, theirs, events, spool
    finally:
        made.end("over", announce=False)
        theirs.close()
        made.join(2)


def lost(events):
    """Frames that came through, and why the connection ended."""
    frames = []
    while not isinstance(event := events.get(timeout=5), Lost):
        assert isinstance(event, Received)
        frames.append(event.frame)
    return frames, event.reason


@pytest.mark.parametrize("given", [b"", MAGIC[:2], PREFIX.pack(MAGIC, 10, 0) + b"{}"])
def test_a_frame_that_stops_in_the_middle_ends_the_connection(tmp_path, given):
    with link(tmp_path) as (_, theirs, events, spool):
        theirs.sendall(given or b"C")
        frames, reason = lost(events)
        assert (frames, list(spool.iterdir())) == ([], [])
        assert "too slowly" in reason


def test_a_payload_that_stops_in_the_middle_leaves_no_file(tmp_path):
    with link(tmp_path) as (_, theirs, events, spool):
        theirs.sendall(PREFIX.pack(MAGIC, 2, 500) + b"{}" + bytes(100))
        assert "too slowly" in lost(events)[1]
        assert list(spool.iterdir()) == []


def test_a_byte_now_and_then_is_not_enough(tmp_path):
    pace = Pace(idle_s=0.4, least_bytes_per_s=1e4)
    with link(tmp_path, pace=pace) as (_, theirs, events, _spool):
        theirs.sendall(PREFIX.pack(MAGIC, 2, 500) + b"{}")

        def drip():
            for _ in range(50):
                time.sleep(0.05)
                try:
                    theirs.send(b"\0")
                except OSError:
                    return

        began_s = time.monotonic()
        threading.Thread(target=drip, daemon=True).start()
        assert "too slowly" in lost(events)[1]
        assert time.monotonic() - began_s < 1.5


def test_between_frames_a_member_may_be_silent(tmp_path):
    with link(tmp_path) as (_, theirs, events, _spool):
        time.sleep(0.5)
        send_frame(theirs, b"{}")
        assert isinstance(events.get(timeout=2), Received)


def test_a_payload_over_the_limit_is_refused_before_a_byte_of_it_is_kept(tmp_path):
    with link(tmp_path) as (_, theirs, events, spool):
        theirs.sendall(PREFIX.pack(MAGIC, 2, 1001) + b"{}")
        assert "larger than agreed" in lost(events)[1]
        assert list(spool.iterdir()) == []


def test_a_flood_of_messages_is_cut_off(tmp_path):
    with link(tmp_path) as (_, theirs, events, _spool):
        for _ in range(400):
            try:
                send_frame(theirs, b"{}")
            except ConnectionLost:
                break
        frames, reason = lost(events)
        assert "more messages than it was asked for" in reason
        assert len(frames) < 40


def test_a_flood_of_payloads_is_cut_off_and_the_last_one_is_not_kept(tmp_path):
    with link(tmp_path) as (made, theirs, events, spool):
        made.send(b"{}", None)
        for _ in range(6):
            try:
                send_frame(theirs, b"{}", bytes(10))
            except ConnectionLost:
                break
        frames, reason = lost(events)
        assert "more payloads than it was asked for" in reason
        assert len(frames) == 2
        assert sorted(spool.iterdir()) == sorted(frame.payload for frame in frames)


def test_who_is_asked_may_answer_and_progress_is_earned_by_time():
    allowance = Allowance(0.0)
    for round_ in range(1, 500):
        allowance.asked()
        for second in range(60):
            allowance.spend(payload=False, now_s=60.0 * round_ + second)
            allowance.spend(payload=False, now_s=60.0 * round_ + second + 0.5)
        allowance.spend(payload=True, now_s=60.0 * round_ + 59.9)


def test_nothing_is_saved_up_without_end():
    allowance = Allowance(0.0)
    for _ in range(1000):
        allowance.asked()
    with pytest.raises(MessageRefused, match="messages"):
        for _ in range(int(MOST_MESSAGES) + 2):
            allowance.spend(payload=False, now_s=1e9)


def test_a_full_disk_is_not_the_members_fault_and_leaves_no_file(tmp_path):
    left, right = socket.socketpair()
    with left, right:
        sender = threading.Thread(target=send_frame, args=(left, b"{}", bytes(50_000)))
        sender.start()
        with full_disk(10_000), pytest.raises(StorageError):
            receive_frame(right, tmp_path, max_payload_bytes=10**6)
        right.close()
        sender.join(2)
    assert list(tmp_path.iterdir()) == []
