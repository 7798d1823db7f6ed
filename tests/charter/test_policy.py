"""Cedar must fail closed. The first tests are the table of cases in which it would not."""

import subprocess
import sys
from functools import cache

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concord.base.errors import PolicyRefused
from concord.charter.bundle import member_policy
from concord.charter.cedar_text import MAX_WORDS_PER_RULE
from concord.charter.policy import (
    CONSORTIUM,
    Policy,
    check_forbids_only,
    decimal,
    entity,
    instant,
)
from concord.testing.questions import (
    ATLAS,
    CONTEXT,
    CORE,
    DATASET,
    NEWS,
    OPEN,
    ask,
    world,
)

PERMIT = """
@id("permit-pretraining")
permit (principal == Concord::Consortium::"main", action == Concord::Action::"train", resource)
when { resource.purposes.contains(context.purpose) && context.now < resource.expires };
"""


GUARDED = Policy(OPEN + '@id("revoked") forbid (principal, action, resource) when '
                 '{ (resource is Concord::Dataset && resource.revoked) || context.halted };',
                 ATLAS.schema)  # fmt: skip


def test_the_engine_alone_would_skip_a_forbid_that_errs():
    """The reason for the guards: without a schema a missing attribute opens what it protects."""
    text = OPEN + '@id("f") forbid (principal, action, resource) when { resource.revoked };'
    question = {
        "principal": CONSORTIUM.cedar,
        "action": {"type": "Concord::Action", "id": "train"},
        "resource": NEWS.cedar,
        "context": {},
    }
    answer = cedarpy.is_authorized(question, text, [entity(NEWS)])
    assert answer.allowed
    assert answer.diagnostics.errors


def test_a_missing_attribute_of_the_dataset_denies():
    verdict = ask(GUARDED, world(revoked=None))
    assert not verdict.allowed
    assert verdict.faults


@pytest.mark.parametrize("missing", ["halted", "now", "purpose"])
def test_a_missing_field_of_the_context_denies(missing):
    verdict = ask(GUARDED, **{missing: None})
    assert not verdict.allowed
    assert verdict.faults


@pytest.mark.parametrize("name", sorted(DATASET))
@pytest.mark.parametrize("value", [None, {"a": 1}])
def test_each_attribute_missing_or_of_the_wrong_type_denies(name, value):
    """The whole table: not one attribute can be left out or twisted to open what a rule closes."""
    verdict = ask(Policy(OPEN, ATLAS.schema), world(**{name: value}))
    assert not verdict.allowed
    assert verdict.faults


@pytest.mark.parametrize("name", sorted(CONTEXT))
@pytest.mark.parametrize("value", [None, {"a": 1}])
def test_each_field_of_the_context_missing_or_of_the_wrong_type_denies(name, value):
    verdict = ask(Policy(OPEN, ATLAS.schema), **{name: value})
    assert not verdict.allowed
    assert verdict.faults


@pytest.mark.parametrize("name", ["vip", "Revoked", "revoked ", ""])
def test_an_attribute_that_the_schema_lacks_denies(name):
    assert not ask(Policy(OPEN, ATLAS.schema), world(**{name: False})).allowed


@pytest.mark.parametrize(
    "changes", [{"halted": "no"}, {"round": "7"}, {"now": 5}, {"round": 2**63}]
)
def test_a_field_of_the_wrong_type_denies(changes):
    assert not ask(GUARDED, **changes).allowed


@pytest.mark.parametrize("changes", [{"vip": True}, {"round": float("nan")}, {"round": object()}])
def test_a_field_that_is_extra_or_no_json_denies(changes):
    assert not ask(GUARDED, **changes).allowed


def test_a_misspelt_attribute_in_a_forbid_is_refused_when_loaded():
    with pytest.raises(PolicyRefused, match=r"rule f: .*revokd"):
        Policy(OPEN + '@id("f") forbid (principal, action == Concord::Action::"train", resource)'
               " when { resource.revokd };", ATLAS.schema)  # fmt: skip


@pytest.mark.parametrize("text", ["", "// nothing\n", "permit (", '@id("a") permit (principal);'])
def test_no_rule_and_a_syntax_error_are_refused_when_loaded(text):
    with pytest.raises(PolicyRefused):
        Policy(text, ATLAS.schema)


def test_an_overflow_that_the_validator_accepts_denies():
    text = f'{OPEN}@id("f") forbid (principal, action, resource) when {{ {2**63 - 1} + 1 > 0 }};'
    verdict = ask(Policy(text, ATLAS.schema))
    assert verdict.rule_ids == ("open",)
    assert not verdict.allowed
    assert "overflow" in verdict.faults[0]


def test_a_resource_that_is_not_described_denies_though_no_rule_asks_about_it():
    policy = Policy(OPEN, ATLAS.schema)
    assert ask(policy).allowed
    assert not ask(policy, world()[:2]).allowed
    assert not ask(policy, world()[1:]).allowed
    assert not ask(policy, []).allowed


def test_an_entity_described_twice_denies():
    assert not ask(GUARDED, [*world(), entity(NEWS, DATASET | {"revoked": True})]).allowed


@pytest.mark.parametrize("action", ["", "trian", 'train"', "release"])
def test_an_action_that_does_not_exist_or_fit_denies(action):
    assert not ask(Policy(OPEN, ATLAS.schema), action=action).allowed


def test_a_plain_denial_names_no_rule():
    verdict = ask(Policy(PERMIT, ATLAS.schema), purpose="advertising")
    assert (verdict.allowed, verdict.rule_ids, verdict.faults) == (False, (), ())


def test_all_forbids_that_hold_are_named_at_once():
    policy = member_policy(ATLAS, PERMIT)
    verdict = ask(policy, world(revoked=True, sensitivity="personal"), halted=True)
    assert verdict.rule_ids == ("charter-halt", "charter-privacy-floor", "charter-revoked")


def test_a_permit_is_named():
    assert ask(member_policy(ATLAS, PERMIT)).rule_ids == ("permit-pretraining",)
    assert ask(member_policy(ATLAS, PERMIT)).allowed


def test_faults_repeat_entities_and_so_stay_out_of_what_is_printed():
    verdict = ask(GUARDED, world(sensitivity=["SECRET-CANARY"]))
    assert any("SECRET-CANARY" in fault for fault in verdict.faults)
    assert "SECRET-CANARY" not in repr(verdict)


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        ({"halted": True}, "charter-halt"),
        ({"now": instant("2030-01-01")}, "charter-expired"),
        ({"residency": "US"}, "charter-residency"),
        ({"dp": True, "epsilon_spent": decimal("8.0001")}, "charter-privacy-budget"),
    ],
)
def test_a_member_laxer_than_the_charter_stays_forbidden(case, rule):
    verdict = ask(member_policy(ATLAS, OPEN), **case)
    assert not verdict.allowed
    assert rule in verdict.rule_ids


def test_a_stale_log_head_halts_every_action():
    for action in ("train", "evaluate", "describe"):
        assert not ask(member_policy(ATLAS, OPEN), action=action, halted=True).allowed


def test_a_member_may_refuse_rounds_under_a_charter_it_has_not_ratified():
    own = OPEN + (
        '@id("ratified") forbid (principal, action == Concord::Action::"train", resource)'
        f' when {{ context.charter_hash != "{ATLAS.digest}" }};'
    )
    assert ask(member_policy(ATLAS, own)).allowed
    verdict = ask(member_policy(ATLAS, own), charter_hash="sha256:" + "0" * 64)
    assert verdict.rule_ids == ("ratified",)


def test_a_member_cannot_take_the_id_of_a_rule_of_the_charter():
    with pytest.raises(PolicyRefused, match="charter-halt"):
        member_policy(ATLAS, '@id("charter-halt") permit (principal, action, resource);')


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("forbid (principal, action, resource);", "no @id"),
        ("@id forbid (principal, action, resource);", "no @id"),
        ('@id("a b") forbid (principal, action, resource);', "no @id"),
        ('@id("a") forbid (principal, action, resource);' * 2, "no @id"),
        ('@id("a") forbid (principal == ?principal, action, resource);', "template"),
        ('@id("a") permit (principal, action, resource);', "permits: a"),
    ],
)
def test_a_charter_file_holds_named_forbids_only(text, fault):
    with pytest.raises(PolicyRefused, match=fault):
        check_forbids_only(text, where="law/eu.cedar")


def chained(count):
    return f'@id("a") forbid (principal, action, resource) when {{ context{".x" * count} == 1 }};'


def summed(count):
    conditions = " && ".join(["context.round > 1"] * count)
    return f'@id("a") forbid (principal, action, resource) when {{ {conditions} }};'


def nested(count):
    inside = "(" * count + "true" + ")" * count
    return f'@id("a") forbid (principal, action, resource) when {{ {inside} }};'


def test_the_engine_alone_accepts_a_long_chain_of_the_wrong_type():
    """Why chains are limited. If this fails, the engine has improved: see `cedar_text`."""
    assert cedarpy.validate_policies(chained(6_000), ATLAS.schema).validation_passed
    assert not cedarpy.validate_policies(chained(60), ATLAS.schema).validation_passed


@pytest.mark.processes
def test_the_engine_alone_dies_of_deep_brackets():
    """Why depth is limited; in a process of its own, which a signal ends."""
    code = f"import cedarpy; cedarpy.policies_to_json_str({nested(50_000)!r})"
    died = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert died.returncode < 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (chained(9), "path of more than 8"),
        (chained(6_000), "path of more than 8"),
        (summed(MAX_WORDS_PER_RULE // 4), "words and signs"),
        (nested(33), "deep"),
        (")" * 40 + nested(60), "not opened"),
        ('@id("a', "never ends"),
        ("// x\n" * 220_000, "longer than"),
        ("[" * 60_000, "deep"),
    ],
)
def test_text_that_the_engine_would_choke_on_is_refused_before_it(text, fault):
    with pytest.raises(PolicyRefused, match=fault):
        Policy(text, ATLAS.schema)
    with pytest.raises(PolicyRefused, match=fault):
        check_forbids_only(text, where="law/eu.cedar")


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ("entity D = {r: " + "Set<" * 5_000 + "Long" + ">" * 5_000 + "};", "deep"),
        ("type A = {a: Long}; entity D = {r: A};", "declares the type 'A'"),
        (" " * 70_000, "longer than"),
        ("entity", "no Cedar schema"),
        ("", "is empty"),
    ],
)
def test_a_schema_that_is_none_or_too_deep_is_refused(schema, fault):
    with pytest.raises(PolicyRefused, match=fault):
        Policy(OPEN, schema)


def test_a_thousand_faults_are_told_in_a_few_words():
    text = "".join(f'@id("r{i}") {chained(2)[8:]}\n' for i in range(200))
    with pytest.raises(PolicyRefused) as caught:
        Policy(text, ATLAS.schema)
    assert len(str(caught.value)) < 2_000
    assert "rule r0: attribute `x`" in str(caught.value)


def test_brackets_in_texts_and_comments_do_not_count():
    text = '@id("a") forbid (principal, action, resource) when { "((((" like "*" };'
    assert Policy(text + "// " + "(" * 90, ATLAS.schema).rules.keys() == {"a"}


CONDITIONS = [
    "context.halted",
    "context.dp",
    'context.purpose == "public-interest"',
    "context.round > 5",
    'resource.purposes.contains("ads")',
    "resource.revoked",
    "context.epsilon_spent.lessThan(resource.max_epsilon)",
    "context.now < resource.expires",
]


SECOND = ["permit {}", "forbid {} when { context.dp }", "forbid {} when { resource.revoked }"]
SCOPE = '(principal, action == Concord::Action::"train", resource)'


@cache
def policies(effect, condition, second):
    """A member's own rules, alone and behind the charter's."""
    own = f'@id("own-1") {effect} {SCOPE} when {{ {condition} }};'
    if second is not None:
        own += f'\n@id("own-2") {second.replace("{}", SCOPE, 1)};'
    return Policy(own, CORE.schema), member_policy(CORE, own)


@settings(max_examples=300, deadline=None)
@given(
    effect=st.sampled_from(["permit", "forbid"]),
    condition=st.sampled_from(CONDITIONS),
    second=st.none() | st.sampled_from(SECOND),
    halted=st.booleans(),
    dp=st.booleans(),
    round_=st.integers(0, 9),
    revoked=st.booleans(),
    personal=st.booleans(),
    residency=st.sampled_from(["KE", "US"]),
)
def test_the_charter_only_ever_narrows_what_a_member_permits(
    effect, condition, second, halted, dp, round_, revoked, personal, residency
):
    own, behind_charter = policies(effect, condition, second)
    entities = world(revoked=revoked, sensitivity="personal" if personal else "public")
    changes = {"halted": halted, "dp": dp, "round": round_, "residency": residency}
    alone = ask(own, entities, **changes)
    together = ask(behind_charter, entities, **changes)
    forbidden = any(name.startswith("charter-") for name in together.rule_ids)
    assert together.allowed == (alone.allowed and not forbidden)
    assert not (together.faults or alone.faults)
