"""What would change an answer is found by asking, and is true when it is done."""

import pytest

from concord.charter.counterfactual import possible_changes, question_from, what_would_change
from concord.charter.policy import instant
from concord.charter.spoken import spoken_rules
from concord.charter.template import default_policy
from concord.testing.questions import OPEN, member, request, world

TRAIN = 'principal, action == Concord::Action::"train", resource'
STRICT = default_policy() + (
    f'@id("sealed") forbid ({TRAIN}) unless {{ context.secure_aggregation }};'
    f'@id("until") forbid ({TRAIN}) when {{ context.now >= datetime("2026-06-01") }};'
    f'@id("no-company") forbid ({TRAIN}) when {{ context.private_owners }};'
)


def question(entities=None, **changes):
    return question_from(request(**changes), world() if entities is None else entities)


@pytest.mark.parametrize(
    ("text", "changed", "expected"),
    [
        (OPEN, {"halted": True}, "nobody were halted, and the log's head were young"),
        (default_policy(), {"model_licence": "MIT"}, "the model licence were 'Apache-2.0'"),
        (default_policy(), {"model_licence": "MIT"}, "its terms named 'MIT' among the licences"),
        (OPEN, {"now": instant("2030-01-01")}, "its terms expired later"),
        (OPEN, {"residency": "US"}, "its text were read in 'KE'"),
        (STRICT, {"now": instant("2026-01-01")}, "the round were sealed"),
        (
            STRICT,
            {"now": instant("2026-01-01"), "secure_aggregation": True, "private_owners": True},
            "every member of the round had stated that it is no company",
        ),
    ],
)
def test_one_change_that_is_enough_is_named(text, changed, expected):
    assert (expected,) in what_would_change(member(text), question(**changed))


def test_two_changes_are_named_together_only_where_neither_is_enough():
    policy = member(STRICT)
    found = what_would_change(policy, question(now=instant("2026-07-01")))
    assert found == [("the round were sealed", "it were before 2026-06-01")]


def test_an_answer_that_nothing_would_change_is_said_to_be_one():
    never = '@id("never") forbid (principal, action, resource);'
    assert what_would_change(member(OPEN + never), question()) == []


def test_what_would_turn_a_yes_is_named_too():
    found = what_would_change(member(default_policy()), question())
    assert ("its record were revoked",) in found
    assert ("the purpose were another",) in found


@pytest.mark.parametrize("entities", [world(), world(revoked=True), world(described=False)])
@pytest.mark.parametrize("changed", [{}, {"purpose": "advertising", "halted": True}])
@pytest.mark.parametrize("text", [OPEN, default_policy(), STRICT])
def test_every_change_that_is_named_turns_the_answer_when_it_is_made(text, changed, entities):
    policy, asked = member(text), question(entities, **changed)
    before = asked.ask(policy).allowed
    made = {change.words: change.make for change in possible_changes(policy, asked)}
    found = what_would_change(policy, asked)
    assert found or (text is STRICT and changed), "only there more than three would have to change"
    for chosen in found:
        other = asked
        for words in chosen:
            other = made[words](other)
        verdict = other.ask(policy)
        assert verdict.allowed != before
        assert not verdict.faults


def test_rules_speak_for_themselves_or_show_their_condition():
    told = spoken_rules(
        '@id("a") @says("Only sealed.") forbid (principal, action, resource);'
        '@id("b") forbid (principal, action, resource) when { context.halted };'
    )
    assert told["a"] == "Only sealed."
    assert told["b"] == "forbid(principal, action, resource) when { context.halted }"


def test_every_rule_that_is_shipped_has_a_sentence():
    for text in (default_policy(), member(default_policy()).text):
        assert all(sentence.endswith(".") for sentence in spoken_rules(text).values())
