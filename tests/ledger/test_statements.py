"""What is no statement: unknown kinds and keys, another form of the same, wrong bindings."""

import json

import pytest
from foldlab import NOON, public, some
from samples import SAMPLES, statement_of

from concord.base.canonical import canonical_json
from concord.base.errors import DocumentError, StatementRefused
from concord.crypto.dsse import sign_envelope
from concord.crypto.keys import PrivateKey
from concord.ledger.entries import Entry
from concord.ledger.sentences import author_words, change_words, cut, listed, moment, sentence
from concord.ledger.statements import votes
from concord.ledger.statements.kinds import BODIES
from concord.ledger.statements.statement import Author, Statement

ALL = pytest.mark.parametrize("body", SAMPLES, ids=lambda body: type(body).__name__)


def test_there_is_a_sample_of_every_kind_and_change():
    assert {type(body) for body in SAMPLES} == set(BODIES)
    changes = {body.change.kind for body in SAMPLES if isinstance(body, votes.Proposal)}
    assert len(changes) == 8


@ALL
def test_every_kind_is_read_as_it_was_written(body):
    statement = statement_of(body)
    again = Statement.parse(statement.payload())
    assert again == statement
    assert again.digest == statement.digest


@ALL
def test_every_kind_names_what_it_speaks_of(body):
    value = json.loads(statement_of(body).payload())
    subjects = {one["name"]: f"sha256:{one['digest']['sha256']}" for one in value["subject"]}
    assert subjects
    for name, digest in body.subjects().items():
        assert subjects[name] == digest


@ALL
def test_every_kind_has_a_sentence_of_its_own(body):
    told = sentence(statement_of(body))
    assert 10 < len(told) < 400
    assert "says something" not in told
    assert "\n" not in told
    assert "sha256:" not in told
    assert told[0].islower()


def test_sentences_say_what_happens():
    told = [sentence(statement_of(body)) for body in SAMPLES]
    for part in (
        "votes yes on proposal",
        'because "It is sound."',
        "found federation atlas of chad, fiji",
        "hands the coordinator's role to fiji, term 1",
        "takes the coordinator's role over for fiji, term 2",
        "halts all members until 2027-01-15 09:00 UTC on ground fire",
        "merged chad, fiji, without togo into base",
        "expel togo",
        "2.164 bits per byte",
    ):
        assert any(part in one for one in told), part


def test_a_long_or_many_lined_text_is_cut_in_a_sentence():
    assert cut("a\nb   c") == "a b c"
    assert len(cut("x" * 1000)) == 160
    assert listed(f"m{n}" for n in range(10)).endswith("m7 and 2 more")
    assert listed(["a", "b"]) == "a, b"


def test_times_that_no_calendar_has_are_told_as_numbers():
    assert moment(NOON) == "2027-01-15 08:00 UTC"
    assert moment(2**53 - 1) == f"{2**53 - 1} s after 1970"


def test_roles_are_named_where_they_are_not_a_members():
    assert author_words(Author(role="member", party="chad")) == "chad"
    assert author_words(Author(role="overseer", party="ada")) == "ada (overseer)"


def test_what_a_proposal_would_do_is_told():
    told = {change_words(b.change) for b in SAMPLES if isinstance(b, votes.Proposal)}
    assert len(told) == 8


# --- what is refused --------------------------------------------------------------------------


def ballot():
    return statement_of(votes.Ballot(proposal=some("p"), choice="yes"))


def refused(value, match):
    data = value if isinstance(value, bytes) else canonical_json(value)
    with pytest.raises(StatementRefused, match=match):
        Statement.parse(data, where="here")


def changed(change):
    value = json.loads(ballot().payload())
    change(value)
    return value


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda v: v.update(predicateType="urn:concord:coup:1"), "no known kind of statement"),
        (lambda v: v.update(predicateType="urn:concord:ballot:2"), "no known kind of statement"),
        (lambda v: v.update(_type="https://in-toto.io/Statement/v2"), "_type"),
        (lambda v: v.update(extra=1), "extra"),
        (lambda v: v.pop("subject"), "subject"),
        (lambda v: v.update(subject=[]), "subject"),
        (lambda v: v["subject"].append(v["subject"][0]), "not in their one form"),
        (lambda v: v["subject"][0].update(name="other"), "not in their one form"),
        (lambda v: v["subject"][0]["digest"].update(sha256="0" * 64), "not in their one form"),
        (lambda v: v["subject"][0]["digest"].update(sha1="0" * 40), "sha1"),
        (lambda v: v["predicate"].update(seq=-1), "seq"),
        (lambda v: v["predicate"].update(seq=2**53), "beyond|seq|canonical"),
        (lambda v: v["predicate"].update(time=-1), "time"),
        (lambda v: v["predicate"]["author"].update(role="king"), "role"),
        (lambda v: v["predicate"]["author"].update(party="Chad"), "party"),
        (lambda v: v["predicate"]["body"].update(choice="maybe"), "choice"),
        (lambda v: v["predicate"]["body"].update(weight=2), "weight"),
        (lambda v: v["predicate"]["body"].pop("proposal"), "proposal"),
        (lambda v: v["predicate"]["body"].pop("reason"), "not in their one form"),
        (lambda v: v["predicate"]["body"].update(reason="a\u0007b"), "control or invisible"),
        (lambda v: v["predicate"]["body"].update(proposal="sha1:00"), "proposal"),
        (lambda v: v["predicate"]["binding"].update(federation=None), "names no federation"),
        (lambda v: v["predicate"]["binding"].update(run=some("r")), "must not name a run"),
        (lambda v: v["predicate"]["binding"].update(round=1), "must not name a round"),
        (lambda v: v["predicate"]["binding"].pop("run"), "not in their one form"),
    ],
)
def test_a_payload_that_departs_in_one_place_is_refused(change, match):
    try:
        value = canonical_json(changed(change))
    except DocumentError:  # beyond what canonical JSON can write: write it as any other would
        value = json.dumps(changed(change), separators=(",", ":"), sort_keys=True).encode()
    refused(value, match)


def test_a_statement_of_a_run_names_run_and_round():
    grant = next(statement_of(b) for b in SAMPLES if b.KIND == "grant")
    value = json.loads(grant.payload())
    value["predicate"]["binding"]["round"] = None
    refused(value, "must name a round")
    value["predicate"]["binding"]["run"] = None
    refused(value, "must name a run")


def test_a_key_that_stands_twice_is_refused():
    data = ballot().payload().replace(b'"seq":1', b'"seq":1,"seq":1')
    refused(data, "names one key twice")


def test_another_form_of_the_same_statement_is_refused():
    payload = ballot().payload()
    refused(json.dumps(json.loads(payload)).encode(), "not in canonical form")
    refused(payload + b"\n", "not in canonical form")


def test_a_statement_that_is_too_long_is_neither_written_nor_read():
    body = votes.Comment(proposal=some("p"), text="\u20ac" * 16_000)
    with pytest.raises(StatementRefused, match="over the limit of 48,000"):
        statement_of(body).payload()
    refused(b"[" * 50_000, "over the limit")


def test_nesting_is_counted_before_it_is_followed():
    refused(b"[" * 10_000, "nested deeper")


def test_measured_numbers_have_one_form():
    sent = next(b for b in SAMPLES if b.KIND == "update-header")
    value = json.loads(statement_of(sent).payload())
    for wrong in ("1.50", "1e999", "nan", "+1.5", "", "x", 1, None, True):
        value["predicate"]["body"]["mean_loss"] = wrong
        refused(value, "mean_loss")


def test_an_envelope_of_another_type_is_no_entry():
    envelope = sign_envelope(ballot().payload(), "application/json", [PrivateKey.generate()])
    with pytest.raises(StatementRefused, match="envelope of another type"):
        Entry.parse(envelope.encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\xff", b"[]", b'{"payload":1}'])
def test_what_is_no_envelope_is_no_entry(data):
    with pytest.raises(StatementRefused, match="envelope"):
        Entry.parse(data)


def test_a_key_of_small_order_is_no_key():
    weak = "ed25519:" + "00" * 32
    value = json.loads(statement_of(next(b for b in SAMPLES if b.KIND == "join")).payload())
    value["predicate"]["body"]["member"]["key"] = weak
    refused(value, "key")
    assert public("chad") != weak
