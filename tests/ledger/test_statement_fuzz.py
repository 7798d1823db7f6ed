"""Altered bytes: whatever is changed, nothing crashes and nothing altered enters the log."""

import json

import pytest
from foldlab import MEMBERS, NOON, Fold, key, member_entry, some
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import SAMPLES, statement_of

from concord.base.errors import StatementRefused
from concord.crypto.base64text import from_base64, to_base64
from concord.ledger.entries import Entry
from concord.ledger.state.apply import apply
from concord.ledger.statements import evidence, membership, oversight, votes
from concord.ledger.statements.statement import Statement
from fuzzcases import FUZZ_CASES

CASES = settings(
    max_examples=FUZZ_CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PAYLOADS = [statement_of(body).payload() for body in SAMPLES]
VALUES = st.sampled_from(
    [None, True, False, 0, -1, 2**53, 2**64, 1.5, "", "x", "\u202e", [], {}, [[]], "sha256:", "1/0"]
)


def flipped(data, places):
    out = bytearray(data)
    for place in places:
        out[(place // 8) % len(out)] ^= 1 << place % 8
    return bytes(out)


def cut(data, begin, length):
    begin %= len(data)
    return data[:begin] + data[begin + length :]


@st.composite
def altered_bytes(draw, sources):
    """Bytes of one source with bits flipped, a part cut out, doubled, or taken from another."""
    data = draw(st.sampled_from(sources))
    match draw(st.sampled_from(["flip", "cut", "insert", "splice", "truncate"])):
        case "flip":
            return flipped(data, draw(st.lists(st.integers(0, 2**20), min_size=1, max_size=4)))
        case "cut":
            return cut(data, draw(st.integers(0, 2**16)), draw(st.integers(1, 40)))
        case "insert":
            at = draw(st.integers(0, len(data)))
            return data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at:]
        case "splice":
            other = draw(st.sampled_from(sources))
            at = draw(st.integers(0, min(len(data), len(other))))
            return data[:at] + other[at:]
    return data[: draw(st.integers(0, len(data)))]


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


@st.composite
def altered_values(draw, sources):
    """A JSON value with one place changed, removed, doubled or renamed, in canonical form."""
    value = json.loads(draw(st.sampled_from(sources)))
    path = draw(st.sampled_from([p for p in places(value) if p]))
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    match draw(st.sampled_from(["set", "drop", "double", "rename"])):
        case "set":
            parent[path[-1]] = draw(VALUES)
        case "drop":
            del parent[path[-1]]
        case "double" if isinstance(parent, list):
            parent.append(parent[path[-1]])
        case _ if isinstance(parent, dict):
            parent[f"{path[-1]}x"] = parent.pop(path[-1])
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


@CASES
@given(altered_bytes(PAYLOADS) | altered_values(PAYLOADS))
def test_an_altered_payload_is_refused_or_in_its_one_form(data):
    """What is read is refused, or is exactly what was written."""
    try:
        found = Statement.parse(data, where="fuzz")
    except StatementRefused:
        return
    assert found.payload() == data


@settings(CASES, max_examples=2_000)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data):
    with pytest.raises(StatementRefused):
        Entry.parse(data)


# --- altered entries --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def next_entries(tmp_path_factory):
    """A federation, and entries that could come next: each would be accepted as it is."""
    fold = Fold(tmp_path_factory.mktemp("fold"))
    proposal = fold.propose(votes.Ordinary())
    bodies = [
        (votes.Ballot(proposal=proposal, choice="no"), "fiji", "member", None),
        (votes.Comment(proposal=proposal, text="Why?"), "peru", "member", None),
        (membership.Leave(), "togo", "member", None),
        (membership.Join(member=member_entry("laos")), "laos", "applicant", None),
        (
            oversight.Halt(scope="all", ground="fire", reason="", until=NOON + 60),
            "chad",
            "member",
            MEMBERS,
        ),
        (evidence.DatasetRecord(dataset="news", record=some("n")), "chad", "member", None),
        (
            votes.Proposal(title="x", change=votes.Expel(member="togo"), closes=NOON + 60),
            "chad",
            "member",
            None,
        ),
    ]
    entries = [fold.entry(body, by, role, signers=who) for body, by, role, who in bodies]
    for entry in entries:
        apply(fold.state, Entry.parse(entry.data), fold.library)
    return fold, [entry.data for entry in entries]


def assert_not_accepted(fold, data, originals):
    if data in originals:
        return
    try:
        entry = Entry.parse(data, where="fuzz")
        apply(fold.state, entry, fold.library)
    except StatementRefused:
        return
    same = [Entry.parse(one) for one in originals]
    # One that everybody signed may lose a signature or change their order: it says the same.
    signed = {s for one in same for s in one.envelope.signatures}
    assert entry.envelope.payload in {one.envelope.payload for one in same}
    assert set(entry.envelope.signatures) <= signed


@st.composite
def altered_payloads(draw, sources):
    """A whole envelope around a payload that was altered."""
    envelope = json.loads(draw(st.sampled_from(sources)))
    payload = draw(altered_values([from_base64(envelope["payload"])]))
    envelope["payload"] = to_base64(payload)
    return json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()


@CASES
@given(data=st.data())
def test_an_altered_entry_never_enters_the_log(next_entries, data):
    fold, originals = next_entries
    ways = (altered_bytes, altered_values, altered_payloads)
    altered = data.draw(st.one_of(*(way(originals) for way in ways)))
    assert_not_accepted(fold, altered, originals)


@settings(CASES, max_examples=500)
@given(data=st.data())
def test_an_altered_payload_that_a_stranger_signed_never_enters_the_log(next_entries, data):
    fold, originals = next_entries
    envelope = json.loads(data.draw(st.sampled_from(originals)))
    payload = data.draw(altered_values([from_base64(envelope["payload"])]))
    try:
        statement = Statement.parse(payload)
    except StatementRefused:
        return
    with pytest.raises(StatementRefused):
        apply(fold.state, Entry.sign(statement, [key("stranger")]), fold.library)
