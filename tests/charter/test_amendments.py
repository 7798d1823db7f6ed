"""What an amendment changes, which rule decides on it, and what it would have decided before."""

from fractions import Fraction
from random import Random

import pytest
from charterlab import nations

from concord.charter.amend import choose_rule, difference, touches_entrenched
from concord.charter.bundle import bundle_from
from concord.charter.compliance import RoundFacts, round_faults, run_faults
from concord.charter.constitution import Kind
from concord.charter.decided import PastDecision, recheck_rounds, redecide
from concord.charter.rules import Elector
from concord.charter.run import parse_run
from concord.charter.tally import Choice, Result
from concord.charter.template import default_charter

ATLAS = default_charter("Atlas", members=5)
CHARTER = ATLAS.charter


def amended(*edits):
    text = ATLAS.files["charter.toml"].decode()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return with_files(**{"charter.toml": text.encode()})


def with_files(**files):
    return bundle_from(dict(ATLAS.files) | files)


def test_changed_fields_are_listed_with_both_values():
    new = amended(('owner_cap = "1/2"', 'owner_cap = "2/5"'), ('delay = "30d"', 'delay = "60d"'))
    change = difference(ATLAS, new)
    assert [(c.path, c.old, c.new) for c in change.fields] == [
        ("influence.owner_cap", "1/2", "2/5"),
        ("rule.amend.delay", "2592000", "5184000"),
    ]
    assert change.paths == ("charter.toml", "influence.owner_cap", "rule.amend.delay")
    assert '-owner_cap = "1/2"\n+owner_cap = "2/5"\n' in change.files[0].diff


def test_the_same_value_written_otherwise_changes_the_text_and_no_field():
    change = difference(ATLAS, amended(('halt_max_s = "72h"', "halt_max_s = 259_200")))
    assert change.fields == ()
    assert [file.path for file in change.files] == ["charter.toml"]


def test_a_field_that_is_added_or_left_out_is_listed():
    new = amended(
        ('excludes = "subject"\n\n[rule.suspend]', 'until = "2040-01-01"\n\n[rule.suspend]')
    )
    assert [(c.path, c.old, c.new) for c in difference(ATLAS, new).fields] == [
        ("rule.expel.excludes", "subject", "nobody"),
        ("rule.expel.until", None, "2040-01-01"),
    ]


def test_a_new_law_and_a_removed_one_are_shown_whole():
    law = b'@id("x") forbid (principal, action == Concord::Action::"release", resource);\n'
    new = with_files(**{"law/ke.cedar": law})
    added, removed = difference(ATLAS, new).files[0], difference(new, ATLAS).files[0]
    assert (added.path, removed.path) == ("law/ke.cedar", "law/ke.cedar")
    assert added.diff == f"--- /dev/null\n+++ b/law/ke.cedar\n@@ -0,0 +1 @@\n+{law.decode()}"
    assert "+++ /dev/null" in removed.diff


def apply_diff(old, diff):
    """The new text, by reading a unified diff: an implementation apart from the one under test."""
    lines, result, position = old.splitlines(keepends=True), [], 0
    body = diff.splitlines(keepends=True)[2:]
    for number, line in enumerate(body):
        text = line[1:]
        if number + 1 < len(body) and body[number + 1].startswith("\\"):
            text = text.removesuffix("\n")
        if line.startswith("@@"):
            start, _, count = line.split()[1].removeprefix("-").partition(",")
            begin = int(start) - (0 if count == "0" else 1)
            result += lines[position:begin]
            position = begin
        elif line.startswith("+"):
            result.append(text)
        elif line[0] in " -":
            assert lines[position] == text
            position += 1
            if line[0] == " ":
                result.append(text)
    return "".join(result + lines[position:])


def test_applying_the_diff_gives_the_new_file_byte_for_byte():
    random, old = Random(11), ATLAS.files["charter.cedar"].decode()
    for _ in range(60):
        lines = old.splitlines(keepends=True)
        for _ in range(random.randrange(1, 5)):
            lines.insert(random.randrange(len(lines) + 1), f"// note {random.randrange(9)}\n")
        text = "".join(lines)
        if random.random() < 0.5:
            text += "// without a line end"
        new = with_files(**{"charter.cedar": text.encode()})
        diff = difference(ATLAS, new).files[0].diff
        assert apply_diff(old, diff) == text
        assert apply_diff(text, difference(new, ATLAS).files[0].diff) == old


@pytest.mark.parametrize(
    ("edit", "touched"),
    [
        (('licences = ["Apache-2.0"]', 'licences = ["ours"]'), ["rights.licences"]),
        (('paths = ["rights", "charter.cedar"]', "paths = []"), ["entrenched.paths"]),
        (('rule = "entrenched"', 'rule = "ordinary"'), ["entrenched.rule"]),
        (('{by = "one", min = "1"}', '{by = "one", min = "2/3"}'), ["rule.entrenched.all.0.min"]),
        (('owner_cap = "1/2"', 'owner_cap = "1"'), []),
        (("# The charter of a federation.", "# Our charter."), []),
    ],
)
def test_what_is_entrenched_cannot_be_reached_by_an_ordinary_amendment(edit, touched):
    new = amended(edit)
    assert touches_entrenched(ATLAS, new) == touched
    changed = difference(ATLAS, new).paths
    assert choose_rule(CHARTER, Kind.AMEND, changed=changed) == (
        "entrenched" if touched else "amend"
    )


def test_files_can_be_entrenched_and_law_files_are_free_unless_listed():
    data = ATLAS.files["charter.cedar"] + b"// more\n"
    law = b'@id("x") forbid (principal, action == Concord::Action::"release", resource);\n'
    assert touches_entrenched(ATLAS, with_files(**{"charter.cedar": data})) == ["charter.cedar"]
    assert touches_entrenched(ATLAS, with_files(**{"law/ke.cedar": law})) == []
    strict = amended(('"charter.cedar"]', '"charter.cedar", "law/"]'))
    both = bundle_from(dict(strict.files) | {"law/ke.cedar": law})
    assert touches_entrenched(strict, both) == ["law/ke.cedar"]


def test_more_compute_asks_for_the_stronger_rule():
    assert choose_rule(CHARTER, Kind.RELEASE, flop=10**22) == "release"
    assert choose_rule(CHARTER, Kind.RELEASE, flop=10**23) == "strong"
    assert choose_rule(CHARTER, Kind.RUN, flop=10**25) == "strong"
    assert choose_rule(CHARTER, Kind.EXPEL, flop=10**25) == "expel"


def vote(yes, no=(), **fields):
    ballots = dict.fromkeys(yes, Choice.YES) | dict.fromkeys(no, Choice.NO)
    members = tuple(nations(5))
    return PastDecision(electors=members, ballots=ballots, **fields)


ADMITTED = vote(
    ["india", "kenya", "brazil", "estonia"],
    ["switzerland"],
    title="admit chad (entry 12)",
    kind=Kind.ADMIT,
    result=Result.ADOPTED,
)


def test_the_same_charter_would_have_decided_the_same():
    assert redecide(CHARTER, [ADMITTED]) == ()


def test_a_stricter_rule_shows_what_it_would_have_refused():
    strict = amended(('[rule.admit]\nall = [{by = "one", min = "2/3"}]',
                      '[rule.admit]\nall = [{by = "one", min = "1"}]')).charter  # fmt: skip
    (change,) = redecide(strict, [ADMITTED])
    assert (change.before, change.after) == ("adopted", "rejected")
    assert change.words.startswith("admit chad (entry 12): adopted then, rejected now (rule admit;")
    assert "4/5 in favour, missed" in change.words


def test_an_old_vote_that_a_new_key_cannot_count_is_said_to_be_so():
    heads, people = (
        'all = [{by = "one", min = "2/3"}]',
        'all = [{by = "population", over = "1/2"}]',
    )
    by_people = amended((f"[rule.admit]\n{heads}", f"[rule.admit]\n{people}")).charter
    without = PastDecision("admit peru", Kind.ADMIT, (), {}, Result.ADOPTED)
    assert redecide(by_people, [without])[0].after == "no-quorum"
    unknown = PastDecision("admit peru", Kind.ADMIT, (Elector("laos", 5),), {}, Result.ADOPTED)
    assert redecide(by_people, [unknown])[0].after == "not countable"


def test_an_amendment_is_redecided_by_the_rule_that_its_paths_now_need():
    past = vote(
        ["india", "kenya", "brazil", "estonia"],
        title="lower the cap",
        kind=Kind.AMEND,
        result=Result.ADOPTED,
        changed=("charter.toml", "influence.owner_cap"),
    )
    assert redecide(CHARTER, [past]) == ()
    strict = amended(('paths = ["rights",', 'paths = ["rights", "influence",')).charter
    (change,) = redecide(strict, [past])
    assert change.reasons[0] == "rule entrenched"


def facts(round_, **fields):
    roster = ("chad", "fiji", "laos", "peru")
    weights = dict.fromkeys(roster, Fraction(1, 4))
    return RoundFacts(round_, **({"roster": roster, "weights": weights, "owners": {}} | fields))


def test_a_round_that_keeps_to_the_charter_has_no_fault():
    assert round_faults(CHARTER, facts(1)) == ()


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"weights": {"chad": Fraction(1)}}, "1 of 4 members took part, 2 are needed"),
        ({"weights": {}}, "0 of 4 members took part"),
        ({"weights": {"chad": Fraction(1, 2), "mali": Fraction(1, 2)}}, "not in the roster: mali"),
        ({"weights": {"chad": Fraction(1, 2), "fiji": Fraction(1, 3)}}, "add up to 5/6"),
        ({"weights": {"chad": Fraction(3, 2), "fiji": Fraction(-1, 2)}}, "not above 0"),
        ({"weights": {"chad": Fraction(2, 3), "fiji": Fraction(1, 3)}}, "chad counts 2/3, over"),
        (
            {"owners": dict.fromkeys(["chad", "fiji", "laos"], "mallory")},
            "mallory counts 3/4, over the cap of 1/2",
        ),
    ],
)
def test_a_round_that_breaks_the_charter_is_told_why(fields, fault):
    assert any(fault in found for found in round_faults(CHARTER, facts(1, **fields)))


def test_a_mode_outside_the_floor_is_refused():
    sealed = amended(('modes = ["open", "sealed"]', 'modes = ["sealed"]')).charter
    assert round_faults(sealed, facts(1)) == ("mode open is not allowed",)
    assert round_faults(sealed, facts(1, mode="sealed")) == ()


def test_past_rounds_that_a_lower_cap_would_have_refused_are_listed():
    lower = amended(('owner_cap = "1/2"', 'owner_cap = "1/3"')).charter
    halves = {"chad": Fraction(1, 2), "fiji": Fraction(1, 2)}
    past = [facts(1), facts(2, weights=halves)]
    (change,) = recheck_rounds(lower, past)
    assert change.title == "round 2"
    assert "chad counts 1/2, over the cap of 1/3" in change.reasons
    assert recheck_rounds(CHARTER, past) == ()


ROSTER = [{"id": "chad"}, {"id": "fiji"}, {"id": "laos"}]


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ({}, "update.owner_cap 1 is over the charter's 1/2"),
        ({"rounds": {"quorum": "1/3"}}, "rounds.quorum 1/3 is under the charter's 1/2"),
        ({"use": {"model_licence": "MIT"}}, "use.model_licence MIT is not among"),
        ({"roster": ROSTER[:1]}, "roster of 1 is under the charter's 2"),
        ({"roster": [*ROSTER, {"id": "peru", "weight": "9"}]}, "different weights: 1, 9"),
        (
            {"roster": [*ROSTER, {"id": "new", "weight": "1"}]},
            "new is on probation and may weigh 1/2",
        ),
    ],
)
def test_a_run_document_that_breaks_the_charter_is_told_why(sections, fault):
    run = parse_run({"name": "test", "roster": ROSTER, **sections})
    assert any(fault in found for found in run_faults(CHARTER, run, probation=["new"]))


def test_a_run_document_that_keeps_to_the_charter_has_no_fault():
    roster = [*ROSTER, {"id": "new", "weight": "1/2"}]
    run = parse_run({"name": "test", "roster": roster, "update": {"owner_cap": "1/2"}})
    assert run_faults(CHARTER, run, probation=["new"]) == ()
