"""What crosses between a member and a session, and what either refuses."""

import numpy as np
import pytest
from bpe_reference import learn
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import MessageRefused, TokenizerError
from concord.data.bpe import CountingMember, MergeSession, varints
from concord.data.bpe.alphabet import ID_OF_BYTE
from concord.data.bpe.chains import Change, WordChains
from concord.data.bpe.pairs import NO_COUNTS, Counts, keys_of, pair_keys, pair_symbols
from concord.data.bpe.wire import (
    MAX_REQUEST_BYTES,
    Answer,
    Request,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)

NUMBERS = st.lists(st.integers(0, varints.MAX_VALUE), max_size=20)
A, B, C = (int(ID_OF_BYTE[ord(letter)]) for letter in "bcd")


def test_numbers_are_spelled_as_in_leb128():
    assert varints.encode(np.array([0, 127, 128, 624_485])) == b"\x00\x7f\x80\x01\xe5\x8e\x26"


@given(NUMBERS)
def test_numbers_come_back(numbers):
    values = np.array(numbers, np.int64)
    assert varints.decode(varints.encode(values)).tolist() == numbers


@pytest.mark.parametrize("data", [b"\x80", b"\x01\xff", b"\x80\x00", b"\xff" * 8 + b"\x01"])
def test_a_number_cut_off_padded_or_too_long_is_refused(data):
    with pytest.raises(MessageRefused):
        varints.decode(data)


@given(st.lists(st.tuples(st.integers(1, 2**21 - 1), st.integers(1, 2**21 - 1)), min_size=1))
def test_keys_are_one_to_one_and_ordered_by_the_younger_symbol(pairs):
    keys = keys_of(pairs)
    assert list(zip(*map(np.ndarray.tolist, pair_symbols(keys)), strict=True)) == pairs
    younger = [max(pair) for pair in pairs]
    assert [younger[i] for i in np.argsort(keys)] == sorted(younger)


def test_messages_come_back():
    request = Request(3, 2, ((A, B), (B + 1, C)))
    assert decode_request(encode_request(request)) == request
    born = Counts(keys_of([(A, B), (257, C)]), np.array([7, 1 << 40]))
    answer = decode_answer(encode_answer(Answer(5, Change(born, NO_COUNTS))))
    assert answer.exchange == 5
    assert answer.change.born.keys.tolist() == born.keys.tolist()
    assert answer.change.born.amounts.tolist() == born.amounts.tolist()
    assert not len(answer.change.lost.keys)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda b: b"CBA1" + b)))
def test_rubbish_is_refused_or_read_as_counts_but_never_crashes(data):
    for decode in (decode_answer, decode_request):
        try:
            decode(data)
        except MessageRefused:
            continue


@pytest.mark.parametrize(
    "numbers",
    [
        [0, 1],
        [0, 1, 0, 5],
        [0, 1, 0, 0, 1],
        [0, 1, 0, 5, 0],
        [0, 1, 0, 5, 1 << 53],
        [0, 2, 0, 5, 0, 1, 1],
        [0, 1, 0, 1 << 55, 1],
        [0, 1 << 55, 1 << 55],
        [0, 1 << 10, 0, *[1 << 54] * (1 << 10), *[1] * (1 << 10)],
    ],
    ids=[
        "cut off",
        "a count missing",
        "key 0",
        "count 0",
        "count too large",
        "a pair twice",
        "no such symbols",
        "sizes beyond the message",
        "keys that wrap around",
    ],
)
def test_an_answer_of_wrong_form_is_refused(numbers):
    with pytest.raises(MessageRefused):
        decode_answer(b"CBA1" + varints.encode(np.array(numbers, np.int64)))


def test_an_oversized_request_is_refused_before_it_is_read():
    with pytest.raises(MessageRefused, match="at most"):
        decode_request(b"CBQ1" + b"\x01" * MAX_REQUEST_BYTES)


# The member: refuses, and then still answers what is right.


@pytest.fixture
def member():
    counting = CountingMember(["abcd abcd aaaa"], max_bytes=1_000, min_floor=2)
    counting.answer(encode_request(Request(0, 2, ())))
    return counting


@pytest.mark.parametrize(
    "request_",
    [
        Request(0, 2, ()),
        Request(2, 2, ((A, B),)),
        Request(1, 1, ((A, B),)),
        Request(1, 3, ((A, B),)),
        Request(1, 2, ()),
        Request(1, 2, ((A, B), (B, C))),
        Request(1, 2, ((A, B), (A, B))),
        Request(1, 2, ((A, A), (B, C))),
        Request(1, 2, ((A, 257),)),
        Request(1, 2, ((0, A),)),
    ],
    ids=[
        "again",
        "ahead",
        "below the member's floor",
        "another floor",
        "no merges",
        "overlapping",
        "one twice",
        "a symbol twice, not last",
        "unborn symbol",
        "end token",
    ],
)
def test_a_member_refuses_what_is_out_of_turn_or_impossible(member, request_):
    with pytest.raises(MessageRefused):
        member.answer(encode_request(request_))
    assert decode_answer(member.answer(encode_request(Request(1, 2, ((A, B),))))).exchange == 1


def test_a_member_without_text_is_told_before_the_session():
    with pytest.raises(TokenizerError, match="no text"):
        CountingMember(["", ""], max_bytes=10)


def test_pairs_below_the_floor_never_leave_a_member():
    texts = ["rare word"] + ["frequent words are here"] * 3
    counting = CountingMember(texts, max_bytes=1_000)
    session = MergeSession(merges=9, min_pair_count=3, parallel={"x": ["words"]},
                           member_languages={"m": ("x",)})  # fmt: skip
    answers = {}
    while (request := session.next_request(answers)) is not None:
        answers = {"m": counting.answer(request)}
        born = decode_answer(answers["m"]).change.born
        assert (born.amounts >= 3).all()


# The session: refuses an answer that cannot be, and names who sent it.


def started(**options):
    session = MergeSession(
        mode="ordinary", merges=9, member_languages={"m": (), "n": ()}, **options
    )
    session.next_request({})
    good = encode_answer(Answer(0, Change(Counts(keys_of([(A, B)]), np.array([5])), NO_COUNTS)))
    return session, good


def answer(exchange, born=(), lost=()):
    parts = []
    for pairs in (born, lost):
        keys = keys_of([pair for pair, _ in pairs])
        order = np.argsort(keys)
        amounts = np.array([amount for _, amount in pairs], np.int64)
        parts.append(Counts(keys[order], amounts[order]))
    return encode_answer(Answer(exchange, Change(*parts)))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        answer(1, born=[((A, B), 5)]),
        answer(0, born=[((A, 257), 5)]),
        answer(0, born=[((A, 0), 5)]),
        answer(0, lost=[((A, B), 5)]),
    ],
    ids=["empty", "another exchange", "unborn symbol", "end token", "losses at the start"],
)
def test_an_impossible_answer_is_refused_by_name(bad):
    session, good = started()
    with pytest.raises(MessageRefused) as caught:
        session.next_request({"m": good, "n": bad})
    assert caught.value.where == "n"


@pytest.mark.parametrize("members", [["m"], ["m", "n", "stranger"], []])
def test_an_answer_too_few_or_too_many_is_refused(members):
    session, good = started()
    with pytest.raises(MessageRefused):
        session.next_request(dict.fromkeys(members, good))


def test_more_occurrences_lost_than_counted_are_refused():
    session, good = started()
    first = answer(0, born=[((A, B), 5), ((C, A), 4)])
    assert session.next_request({"m": first, "n": good}) is not None
    lost = answer(1, born=[((C, 257), 4)], lost=[((C, A), 9)])
    with pytest.raises(TokenizerError, match="never counted"):
        session.next_request({"m": lost, "n": answer(1)})


def test_a_pair_whose_bytes_are_a_symbol_already_is_a_lie_and_refused():
    # "bcd" first from (bc, d), then from (b, cd): merging everywhere never leaves both.
    session, _ = started()
    session.next_request({"m": answer(0, born=[((A, B), 9), ((B, C), 8)]), "n": answer(0)})
    session.next_request({"m": answer(1, born=[((257, C), 7)]), "n": answer(1)})
    with pytest.raises(TokenizerError, match="no text can hold"):
        session.next_request({"m": answer(2, born=[((A, 258), 6)]), "n": answer(2)})


def test_symbols_do_not_grow_beyond_a_word():
    session, _ = started()
    born = [((A, A), 1_000)]
    with pytest.raises(MessageRefused):
        for exchange in range(9):
            quiet = answer(exchange)
            session.next_request({"m": answer(exchange, born=born), "n": quiet})
            newest = 257 + exchange
            born = [((newest, newest), 1_000)]


def test_bytes_and_exchanges_are_counted_as_they_are_sent():
    texts = {"m": ["abcabc abc"], "n": ["xyz xyz"]}
    members = {name: CountingMember(part, max_bytes=99) for name, part in texts.items()}
    session = MergeSession(mode="ordinary", merges=4, member_languages={"m": (), "n": ()})
    sent, received, answers, exchanges = dict.fromkeys(texts, 0), 0, {}, 0
    while (request := session.next_request(answers)) is not None:
        exchanges += 1
        received += len(request)
        answers = {name: member.answer(request) for name, member in members.items()}
        sent = {name: sent[name] + len(answers[name]) for name in texts}
    assert session.bytes_sent == sent
    assert session.bytes_received == dict.fromkeys(texts, received)
    assert session.exchanges == exchanges
    assert session.next_request({}) is None


def test_no_word_of_a_text_is_in_what_leaves():
    canary = "Zyxwvutsrqponmlk"
    session = MergeSession(mode="ordinary", merges=30, member_languages={"m": ()})
    member = CountingMember([f"{canary} " * 3 + "and other words"] * 2, max_bytes=10_000)
    answers, crossed = {}, b""
    while (request := session.next_request(answers)) is not None:
        answers = {"m": member.answer(request)}
        crossed += request + answers["m"]
    assert canary.encode()[:4] not in crossed


@given(st.lists(st.text(alphabet="aabc", min_size=1), min_size=1, max_size=6))
def test_changes_told_are_the_counts_taken_anew(texts):
    words = {text.encode(): weight for weight, text in enumerate(texts, 1)}
    chains = WordChains(words)
    counted = as_dict(chains.pairs())
    tokens = chains.tokens()
    a, b, c = (int(ID_OF_BYTE[ord(letter)]) for letter in "abc")
    for batch in ([(a, b)], [(c, 257), (b, b)], [(a, c), (257, 257)], [(258, 259)], [(a, a)]):
        change = chains.merge(batch)
        for key, amount in as_dict(change.born).items():
            assert key not in counted
            counted[key] = amount
        for key, amount in as_dict(change.lost).items():
            counted[key] -= amount
        for left, right in batch:
            counted.pop(int(pair_keys(np.array([left]), np.array([right]))[0]), None)
        tokens -= change.merged
        now = as_dict(chains.pairs())
        assert {key: amount for key, amount in counted.items() if amount} == now
        assert chains.tokens() == tokens


def as_dict(counts):
    return dict(zip(counts.keys.tolist(), counts.amounts.tolist(), strict=True))


def test_a_session_is_the_same_for_any_order_of_members():
    texts = {"m": ["abab abc"], "n": ["abc bcd"]}
    languages = {"n": (), "m": ()}
    one = learn(MergeSession(mode="ordinary", merges=5, member_languages=languages), texts)
    swapped = dict(reversed(texts.items()))
    two = learn(MergeSession(mode="ordinary", merges=5, member_languages=languages), swapped)
    assert one.tokenizer_json() == two.tokenizer_json()
