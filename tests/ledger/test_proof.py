"""A proof in one file: it holds with the right keys alone, and with nothing altered."""

import json
from dataclasses import dataclass

import pytest

from concord.base.canonical import canonical_json
from concord.base.errors import DocumentError, VerificationFailed
from concord.ledger.archive import Archive
from concord.ledger.proof import (
    Proof,
    TrustedKeys,
    check_proof,
    prove,
    read_document,
    speaking_of,
    trusted_keys,
)
from concord.ledger.statements.evidence import DatasetRecord
from concord.ledger.statements.votes import Ballot, Ordinary, Proposal
from concord.testing.founded import found

MEMBERS = ("chad", "fiji", "peru", "togo")


@dataclass
class Case:
    proof: Proof
    keys: TrustedKeys
    archive: Archive
    proposal: str


def archive_of(office):
    return Archive(office.federation.log, office.library)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    office = found(tmp_path_factory.mktemp("founded"), MEMBERS, overseers=("ada",))
    body = Proposal(title="x", change=Ordinary(), closes=office.now() + 9000)
    proposal = office.say(body, party="chad").entry.statement.digest
    for member in MEMBERS:
        office.say(Ballot(proposal=proposal, choice="yes"), party=member)
    office.decide(proposal, party="chad")
    office.say(DatasetRecord(dataset="news", record=proposal), party="peru")
    archive = archive_of(office)
    return Case(prove(archive, proposal), trusted_keys(archive), archive, proposal)


def test_it_shows_all_that_the_log_says_of_a_digest(case):
    assert speaking_of(case.archive, case.proposal) == [1, 2, 3, 4, 5, 6, 7]
    checked = check_proof(case.proof, case.keys)
    assert [one.index for one in checked.statements] == [1, 2, 3, 4, 5, 6, 7]
    assert checked.size == 8
    assert checked.witnesses == MEMBERS
    assert [one.signed_by for one in checked.statements][1:5] == [(m,) for m in MEMBERS]


def test_what_nobody_spoke_of_has_no_proof(case):
    assert prove(case.archive, "sha256:" + "0" * 64) is None


def test_files_are_read_as_they_were_written(case):
    for one in (case.proof, case.keys):
        data = canonical_json(one.model_dump(mode="json"))
        assert read_document(data, type(one), where="file") == one


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"format":"concord-proof/2"}'])
def test_what_is_no_proof_is_refused(data):
    with pytest.raises(DocumentError):
        read_document(data, Proof, where="proof.json")


def test_keys_know_the_quorum_and_every_party(case):
    assert case.keys.witness_quorum == 3
    assert set(case.keys.parties) == {*MEMBERS, "ada"}


def altered(case, change):
    value = json.loads(canonical_json(case.proof.model_dump(mode="json")))
    change(value)
    return Proof.model_validate(value)


def swap_entries(value):
    first, second = value["statements"][:2]
    first["entry"], second["entry"] = second["entry"], first["entry"]


def drop_witnesses(value):
    lines = value["checkpoint"].split("\n")
    value["checkpoint"] = "\n".join([*lines[:5], ""])


def alter_witness(value):
    head, line, end = value["checkpoint"].rpartition("A")
    value["checkpoint"] = head + ("B" if line == "A" else "A") + end


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (swap_entries, "does not lead to the root"),
        (lambda v: v["statements"][0].update(index=2), "does not lead to the root"),
        (lambda v: v["statements"][0].update(index=99), "there is no entry 99"),
        (lambda v: v["statements"][0]["path"].pop(), "does not lead to the root"),
        (lambda v: v["statements"][0]["path"].append("00" * 32), "too long|does not lead"),
        (lambda v: v["statements"][0].update(path=["00" * 32]), "does not lead to the root"),
        (lambda v: v.update(digest="sha256:" + "0" * 64), "does not speak of"),
        (drop_witnesses, "0 trusted witnesses cosigned it; 3 are needed"),
        (alter_witness, "does not match|base64|wrong"),
        (lambda v: v.update(checkpoint="x"), "no signature lines"),
        (lambda v: v.update(checkpoint=v["checkpoint"].replace("\n8\n", "\n9\n")), "not match"),
        (lambda v: v["statements"][0].update(entry="{}"), "does not lead to the root"),
    ],
)
def test_a_proof_that_was_altered_does_not_hold(case, change, match):
    with pytest.raises(VerificationFailed, match=match):
        check_proof(altered(case, change), case.keys)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return trusted_keys(archive_of(found(tmp_path_factory.mktemp("other"), MEMBERS)))


@pytest.mark.parametrize(
    ("field", "match"),
    [
        ("log_key", "the log's key did not sign it"),
        ("witnesses", "0 trusted witnesses"),
        ("federation", "is of another federation"),
    ],
)
def test_with_keys_of_another_federation_it_does_not_hold(case, other, field, match):
    keys = case.keys.model_copy(update={field: getattr(other, field)})
    with pytest.raises(VerificationFailed, match=match):
        check_proof(case.proof, keys)


def test_who_changed_its_key_since_is_not_named_as_a_signer(case, other):
    parties = {**case.keys.parties, "chad": other.parties["chad"]}
    keys = case.keys.model_copy(update={"parties": parties})
    assert check_proof(case.proof, keys).statements[0].signed_by == ()


def test_a_quorum_of_trusted_witnesses_is_enough_and_one_less_is_not(case):
    some = {m: case.keys.witnesses[m] for m in MEMBERS[:3]}
    assert check_proof(case.proof, case.keys.model_copy(update={"witnesses": some}))
    del some["chad"]
    with pytest.raises(VerificationFailed, match="2 trusted witnesses cosigned it; 3 are needed"):
        check_proof(case.proof, case.keys.model_copy(update={"witnesses": some}))
