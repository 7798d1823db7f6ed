"""Dataset records: one document for all readers, and terms that do not contradict themselves."""

import json

import pytest
from datasetlab import FACTS, document
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from concord.base.canonical import canonical_json
from concord.base.errors import DocumentError
from concord.charter.bundle import member_policy
from concord.charter.dataset import dataset_attributes, parse_record, record_bytes
from concord.charter.policy import CONSORTIUM, Request, Uid, decimal, entity, instant
from concord.charter.template import default_charter

ATLAS = default_charter("Atlas", members=5)
GAZETTE, KENYA = Uid("Dataset", "kenya/gazette"), Uid("Member", "kenya")
PERMIT = """@id("permit") permit (principal, action == Concord::Action::"train", resource) when {
  resource.purposes.contains(context.purpose) && resource.licences.contains(context.model_licence)
  && resource.stages.contains(context.stage) && context.now < resource.expires };"""


def test_what_was_written_is_read_again():
    assert parse_record(record_bytes(document())) == document()


@given(
    st.text(min_size=1, max_size=50).filter(lambda text: text.isprintable()),
    st.integers(0, 2**53 - 1),
)
def test_any_title_and_count_are_read_again(title, size):
    made = document({"title": title}, counts={"documents": 3, "bytes": size})
    assert parse_record(record_bytes(made)) == made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("license",), ["https://spdx.org/licenses/CC0-1.0"]),
        (("usageInfo", "odrl:prohibition"), []),
        (("concord:record", "counts", "bytes"), 1),
        (("concord:record", "terms", "expires"), "2099-12-31"),
        (("rai:personalSensitiveInformation",), []),
    ],
)
def test_a_record_edited_in_one_place_is_refused(path, value):
    record = json.loads(record_bytes(document()))
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(DocumentError, match="something else than its facts"):
        parse_record(canonical_json(record), where="record")


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"concord:record":{}}', b'{"a": 1}', b"\xff"])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(DocumentError):
        parse_record(data)


@pytest.mark.parametrize(
    ("terms", "match"),
    [
        ({"licences": []}, "licences"),
        ({"languages": ["swahili!"]}, "language tag"),
        ({"languages": ["sw", "sw"]}, "twice"),
        ({"tier": "Q"}, "tier"),
        ({"expires": "2026-11-26"}, "not after the day of the record"),
        ({"expires": "soon"}, "2031-12-31"),
        ({"tier": "R"}, "cannot be taken out"),
        ({"tier": "L", "stages": ["local"]}, "nothing made"),
        ({"tier": "L", "stages": ["evaluation"], "updates_may_leave": False}, "'local' alone"),
        ({"updates_may_leave": False}, "updates_may_leave is false"),
        ({"not_in": ["KE"]}, "residency and in not_in"),
        ({"collected": ["2025-01-01", "2024-01-01"]}, "after it ends"),
        ({"model_licences": ["CC BY 4.0"]}, "SPDX"),
        ({"residency": ["Kenya"]}, "ISO 3166"),
        ({"max_epsilon": 8.0}, "decimal as text"),
        ({"personal_data": "mask"}, "otherwise than the terms say"),
        ({"path": "/home"}, "Extra inputs"),
    ],
)
def test_terms_that_cannot_hold_are_refused_with_the_field(terms, match):
    with pytest.raises(ValidationError, match=match):
        document(terms)


@pytest.mark.parametrize(
    "facts",
    [
        {"commitment": {"root": "ab" * 32, "size": 4}},
        {"personal_data": FACTS["personal_data"] | {"documents": 4}},
        {"personal_data": FACTS["personal_data"] | {"masked": 1}},
        {"personal_data": FACTS["personal_data"] | {"left_out": 1}},
    ],
)
def test_counts_that_contradict_each_other_are_refused(facts):
    with pytest.raises(ValidationError):
        document(**facts)


def asked(made, *, revoked=False, **context):
    """What a policy that permits says of a record."""
    policy = member_policy(ATLAS, PERMIT)
    told = {
        "purpose": "research",
        "stage": "pretraining",
        "model_licence": "Apache-2.0",
        "round": 1,
        "dp": False,
        "epsilon_spent": decimal("0.0"),
        "secure_aggregation": False,
        "residency": "KE",
        "now": instant("2027-01-01T00:00:00Z"),
        "charter_hash": ATLAS.digest,
        "halted": False,
        "roster_kinds": ["public-institution"],
        "roster_jurisdictions": ["KE"],
        "private_owners": False,
    }
    request = Request(CONSORTIUM, "train", GAZETTE, told | context)
    owner = {"jurisdiction": "KE", "owner": "Kenya", "kind": "unstated"}
    attributes = dataset_attributes(made) | {"revoked": revoked}
    entities = [entity(CONSORTIUM), entity(KENYA, owner), entity(GAZETTE, attributes)]
    return policy.decide(request, entities)


def test_a_record_is_an_entity_of_the_charters_schema():
    verdict = asked(document())
    assert (verdict.allowed, verdict.faults) == (True, ())


def test_the_attributes_are_those_that_the_schema_declares():
    declared = ATLAS.schema.split("entity Dataset = {")[1].split("}")[0]
    names = {
        line.split(":")[0].strip()
        for line in declared.splitlines()
        if line.rstrip(",").count(":") and "//" not in line
    }
    assert set(dataset_attributes(document())) == names


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"revoked": True}, "charter-revoked"),
        ({"now": instant("2031-12-31T00:00:00Z")}, "charter-expired"),
        ({"residency": "US"}, "charter-residency"),
    ],
)
def test_the_charter_forbids_by_what_the_record_says(change, rule):
    verdict = asked(document(), **change)
    assert not verdict.allowed
    assert rule in verdict.rule_ids


@pytest.mark.parametrize(
    "change", [{"purpose": "advertising"}, {"model_licence": "MIT"}, {"stage": "expert"}]
)
def test_no_rule_permits_what_the_record_does_not_name(change):
    assert not asked(document(), **change).allowed


def test_personal_text_needs_privacy_whatever_the_member_permits():
    assert "charter-privacy-floor" in asked(document({"sensitivity": "personal"})).rule_ids
