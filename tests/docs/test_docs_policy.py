"""Every example of the policy page can be used, refuses what it says, and refuses nothing else."""

import re

import pytest
from doclab import read_page

from concord.charter.policy import Policy, instant
from concord.charter.spoken import spoken_rules
from concord.charter.template import default_policy
from concord.testing.questions import ATLAS, CONTEXT, DATASET, ask, member, world

PAGE = read_page("docs/policy.md")
EXAMPLES = {block.split('"')[1]: block for block in PAGE.blocks("cedar")}
SEALED = {"secure_aggregation": True}
ZEROS = "sha256:" + "0" * 64
CASES = [
    ("public-interest-only", {"purpose": "advertising"}, {}, {"purpose": "education"}, {}),
    ("no-private-company", {"private_owners": True}, {}, {}, {}),
    ("sealed-only", {}, {"sensitivity": "internal"}, SEALED, {"sensitivity": "internal"}),
    ("sealed-only", {}, {"sensitivity": "internal"}, {}, {"sensitivity": "public"}),
    ("apache-only", {"model_licence": "MIT"}, {}, {}, {}),
    (
        "until-2028",
        {"now": instant("2028-01-01T00:00:00Z")},
        {},
        {"now": instant("2027-12-31T23:59:59Z")},
        {},
    ),
    ("this-charter-only", {}, {}, {"charter_hash": ZEROS}, {}),
]


def verdict(name, context, dataset, action="train"):
    """The example behind the charter, beside a rule that permits everything."""
    text = '@id("open") permit (principal, action, resource);\n' + EXAMPLES[name]
    return ask(member(text), world(**dataset), action, **context)


@pytest.mark.parametrize(("name", "refused", "about", "allowed", "about_then"), CASES)
def test_an_example_refuses_what_it_says_and_nothing_else(
    name, refused, about, allowed, about_then
):
    found = verdict(name, refused, about)
    assert (found.allowed, found.rule_ids) == (False, (name,))
    found = verdict(name, allowed, about_then)
    assert (found.allowed, found.rule_ids) == (True, ("open",))


def test_the_example_about_one_dataset_leaves_others_alone():
    text = EXAMPLES["archive-later"]
    assert Policy(text, ATLAS.schema).rules.keys() == {"archive-later"}
    about_news = text.replace("kenya/archive", "news")
    for round_, allowed in ((99, False), (100, True)):
        permits = '@id("open") permit (principal, action, resource);\n'
        assert ask(member(permits + about_news), round=round_).allowed == allowed
        assert ask(member(permits + text), round=round_).allowed


def test_every_example_is_tried_and_can_stand_beside_the_default_file():
    assert set(EXAMPLES) == {case[0] for case in CASES} | {"archive-later"}
    together = member("\n".join([default_policy(), *EXAMPLES.values()]))
    assert EXAMPLES.keys() <= together.rules.keys()
    sentences = spoken_rules(together.text)
    assert all(sentences[name].endswith(".") for name in EXAMPLES)


def test_the_page_names_all_that_rules_can_ask_about_and_nothing_else():
    named: dict[str, set[str]] = {}
    for row in PAGE.section("What rules can ask about").splitlines():
        if about := re.match(r"\| .*\(`([a-z.]+)`\) \| (.*)", row):
            named.setdefault(about[1], set()).update(re.findall(r"`([a-z_]+)`", about[2]))
    assert named == {
        "resource": set(DATASET),
        "resource.owner": {"jurisdiction", "owner", "kind"},
        "context": set(CONTEXT),
    }


def test_the_rules_that_the_default_file_suggests_can_be_used_as_they_stand():
    text = default_policy()
    suggested = text[text.index("// @id(") :].replace("// ", "")
    rules = member(text[: text.index("// @id(")] + suggested).rules
    assert {"no-private-company", "sealed-only", "until-2030"} <= rules.keys()
