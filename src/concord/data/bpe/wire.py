"""The two messages of a tokenizer session, as bytes.

    request = "CBQ1" | numbers: exchange, floor, number of merges, then left and right of each
    answer  = "CBA1" | numbers: exchange, number born, number lost, then
              born: differences of keys, counts | lost: differences of keys, counts

Numbers are LEB128 (`varints`); keys are those of `pairs`, written as differences from the one
before. An answer holds nothing but counts of adjacent symbols; it cannot hold text.

Who reads a message learns here that its form is right. That it is possible in the state of the
session is checked by its receiver.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from concord.base.errors import MessageRefused
from concord.data.bpe import varints
from concord.data.bpe.batch import MAX_BATCH
from concord.data.bpe.chains import Change, Pair
from concord.data.bpe.pairs import MAX_COUNT, MAX_KEY, MAX_SYMBOLS, NO_COUNTS, Counts, Ints

REQUEST_MAGIC = b"CBQ1"
ANSWER_MAGIC = b"CBA1"
MAX_REQUEST_BYTES = 4 + 8 * (3 + 2 * MAX_BATCH)
MAX_ANSWER_BYTES = 64 << 20
_HEAD = 3


@dataclass(frozen=True)
class Request:
    """Make `merges`, then tell what changed; leave out pairs born with a count below `floor`."""

    exchange: int
    floor: int
    merges: tuple[Pair, ...]


@dataclass(frozen=True)
class Answer:
    """Counts of pairs that came to be, and by how much others fell."""

    exchange: int
    change: Change


def encode_request(request: Request) -> bytes:
    """Write a request."""
    head = [request.exchange, request.floor, len(request.merges)]
    sides = [symbol for pair in request.merges for symbol in pair]
    return REQUEST_MAGIC + varints.encode(np.array(head + sides, np.int64))


def decode_request(data: bytes) -> Request:
    """Read a request.

    Raises:
        MessageRefused: it is too long, of another kind, or not as long as it says.
    """
    numbers = _numbers(data, REQUEST_MAGIC, MAX_REQUEST_BYTES)
    exchange, floor, size = numbers[:_HEAD].tolist()
    sides = numbers[_HEAD:]
    if len(sides) != 2 * size or size > MAX_BATCH:
        raise MessageRefused("another number of merges than it says")
    if floor < 1 or floor > MAX_COUNT or (sides >= MAX_SYMBOLS).any():
        raise MessageRefused("a number is out of bounds")
    pairs = sides.reshape(-1, 2).tolist()
    return Request(exchange, floor, tuple((left, right) for left, right in pairs))


def encode_answer(answer: Answer) -> bytes:
    """Write an answer."""
    born, lost = answer.change.born, answer.change.lost
    head = np.array([answer.exchange, len(born.keys), len(lost.keys)], np.int64)
    parts = [head]
    for counts in (born, lost):
        parts += [np.diff(counts.keys, prepend=0), counts.amounts]
    return ANSWER_MAGIC + varints.encode(np.concatenate(parts))


def decode_answer(data: bytes) -> Answer:
    """Read an answer.

    Raises:
        MessageRefused: it is too long, of another kind, not as long as it says, names a pair
            twice, or holds a count of 0 or beyond `MAX_COUNT`.
    """
    numbers = _numbers(data, ANSWER_MAGIC, MAX_ANSWER_BYTES)
    exchange, born, lost = numbers[:_HEAD].tolist()
    body = numbers[_HEAD:]
    if len(body) != 2 * (born + lost):
        raise MessageRefused("another number of counts than it says")
    born_part, lost_part = body[: 2 * born], body[2 * born :]
    return Answer(exchange, Change(_counts(born_part), _counts(lost_part)))


def _numbers(data: bytes, magic: bytes, max_bytes: int) -> Ints:
    if len(data) > max_bytes:
        raise MessageRefused(f"{len(data):,} bytes where at most {max_bytes:,} are read")
    if not data.startswith(magic):
        raise MessageRefused("not a message of a tokenizer session")
    numbers = varints.decode(data[len(magic) :])
    if len(numbers) < _HEAD:
        raise MessageRefused("cut off")
    return numbers


def _counts(numbers: Ints) -> Counts:
    steps, amounts = np.split(numbers, 2)
    if not len(steps):
        return NO_COUNTS
    if steps.min() < 1 or steps.max() > MAX_KEY:
        raise MessageRefused("pairs are out of order or out of bounds")
    # No step jumps over the bound, so that a sum which wraps around has been seen above it.
    keys = np.cumsum(steps)
    if keys.max() > MAX_KEY:
        raise MessageRefused("pairs are out of order or out of bounds")
    if amounts.min() < 1 or amounts.max() > MAX_COUNT:
        raise MessageRefused("a count is out of bounds")
    return Counts(keys, amounts)
