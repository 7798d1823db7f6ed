"""Frames and messages: only what is agreed comes through."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import MessageRefused
from concord.federation.frames import MAGIC, PREFIX, ConnectionLost, receive_frame, send_frame
from concord.federation.messages import (
    FROM_MEMBER,
    TO_MEMBER,
    CallRound,
    Cosigned,
    Encoder,
    Finish,
    SendBase,
    decode_message,
    encode_message,
)

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_a_frame_arrives_whole_with_its_payload(pair, tmp_path):
    payload = bytes(range(256)) * 20_000
    sender = threading.Thread(target=send_frame, args=(pair[0], b"{}", payload))
    sender.start()
    frame = receive_frame(pair[1], tmp_path, max_payload_bytes=10**7)
    sender.join()
    assert frame.message == b"{}"
    assert frame.read_payload() == payload
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_sent_as_a_payload(pair, tmp_path):
    (tmp_path / "base").write_bytes(b"weights")
    send_frame(pair[0], b"m", tmp_path / "base")
    spool = tmp_path / "spool"
    spool.mkdir()
    assert receive_frame(pair[1], spool, max_payload_bytes=100).read_payload() == b"weights"


def test_a_payload_larger_than_agreed_is_refused_before_it_is_read(pair, tmp_path):
    pair[0].sendall(PREFIX.pack(MAGIC, 2, 10**15) + b"{}")
    with pytest.raises(MessageRefused, match="larger than agreed"):
        receive_frame(pair[1], tmp_path, max_payload_bytes=100)


def test_another_protocol_is_refused(pair, tmp_path):
    pair[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(MessageRefused, match="not a frame"):
        receive_frame(pair[1], tmp_path, max_payload_bytes=100)


def test_a_connection_that_ends_within_a_payload_leaves_no_file(pair, tmp_path):
    pair[0].sendall(PREFIX.pack(MAGIC, 2, 50) + b"{}" + b"half")
    pair[0].close()
    with pytest.raises(ConnectionLost):
        receive_frame(pair[1], tmp_path, max_payload_bytes=100)
    assert list(tmp_path.iterdir()) == []


def test_messages_survive_the_wire():
    call = CallRound(plan=DIGEST, note="concord.test/log\n3\n")
    assert decode_message(TO_MEMBER, encode_message(call), sender="c") == call


@pytest.mark.parametrize(
    "message",
    [
        b'{"kind":"progress","round":1,"steps":1,"tokens":1,"text":"a secret"}',
        b'{"kind":"progress","round":-1,"steps":1,"tokens":1}',
        b'{"kind":"progress","round":1.5,"steps":1,"tokens":1}',
        b'{"kind":"progress","round":1,"round":2,"steps":1,"tokens":1}',
        b'{"kind":"run_this","code":"print(1)"}',
        b'{"kind":"first_base","digest":"x"}',
        b'{"kind":"progress","round":NaN}',
        b'["progress"]',
        b"\xff\xfe",
        b"[" * 100_000,
        b"",
    ],
)
def test_a_message_outside_the_schema_is_refused(message):
    with pytest.raises(MessageRefused):
        decode_message(FROM_MEMBER, message, sender="m")


LINE = Cosigned(size=3, line="— concord.test/witness/chad AAAAAAAA")


def test_a_message_for_members_is_not_one_for_the_coordinator():
    with pytest.raises(MessageRefused):
        decode_message(TO_MEMBER, encode_message(LINE), sender="m")


@given(st.binary(max_size=200))
def test_rubbish_never_crashes_the_reader(data):
    with pytest.raises(MessageRefused):
        decode_message(FROM_MEMBER, data, sender="m")


@given(st.integers(0, 400), st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_still_of_the_schema(position, bit):
    data = bytearray(encode_message(LINE))
    data[position % len(data)] ^= 1 << bit
    try:
        decoded = decode_message(FROM_MEMBER, bytes(data), sender="m")
    except MessageRefused:
        return
    assert isinstance(decoded, Cosigned)


def test_a_message_to_many_is_written_out_once_and_the_next_one_anew():
    encode, first, second = Encoder(), SendBase(), Finish()
    assert encode(first) is encode(first)
    assert encode(first) == encode_message(first)
    assert encode(second) == encode_message(second) != encode(first)
