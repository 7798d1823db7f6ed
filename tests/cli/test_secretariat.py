"""Times, scripts and machines on the command line: what expires, what is JSON, what goes round."""

import json
import shutil

import pytest
from clilab import Said

from concord.cli.main import main
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock

MEMBERS = ["chad", "fiji", "laos", "peru"]
HOUR_S = 3600


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def atlas(tmp_path, clock):
    found(tmp_path / "atlas", MEMBERS, overseers=["amina", "bela", "cora"], clock=clock)
    return tmp_path / "atlas"


@pytest.fixture
def told(capsys, clock):
    """Call the command at the time of the clock; it must end as said."""

    def call(*words, status=0):
        capsys.readouterr()
        ended = 0
        try:
            main([str(word) for word in words], clock=clock)
        except SystemExit as done:
            ended = done.code or 0
        captured = capsys.readouterr()
        said = Said(ended, captured.out, captured.err)
        assert said.status == status, said.err
        assert "Traceback" not in said.err
        return said

    return call


def value(said):
    """All of standard output is one JSON value."""
    return json.loads(said.out)


def adopt(told, atlas):
    told("vote", atlas, "yes", "--as", "all")
    told("tally", atlas, "--decide", "--as", "chad")


def halt(told, atlas, *words, hours=48, ground="leak", status=0):
    begin = ["halt", "begin", atlas, "--ground", ground, "--reason", "It leaks."]
    return told(*begin, "--hours", hours, *words, status=status)


# --- time -------------------------------------------------------------------------------------


def test_a_halt_ends_by_itself_and_its_ground_is_used_up(told, atlas, clock):
    halt(told, atlas, "--as", "amina", "--scope", "all")
    clock.now_s += 48 * HOUR_S
    told("halt", "end", atlas, "--as", "amina", "--with", "bela", status=2)
    again = halt(told, atlas, "--as", "bela", "--scope", "all", status=9)
    assert "the charter allows once" in again.err
    halt(told, atlas, "--as", "bela", "--scope", "all", ground="flood")


def test_a_halt_is_no_longer_than_the_charter_allows_unless_the_overseers_extend_it(
    told, atlas, clock
):
    halt(told, atlas, "--as", "amina", "--scope", "all", hours=73, status=9)
    halt(told, atlas, "--as", "amina", "--scope", "all", hours=72)
    extend = ["halt", "extend", atlas, "--as", "amina", "--hours", 240]
    assert "1 more needed" in told(*extend, status=9).err
    told(*extend, "--with", "cora")
    clock.now_s += 100 * HOUR_S
    told("propose", "lift-halt", atlas, "--as", "chad", "--yes")
    adopt(told, atlas)
    told("halt", "end", atlas, "--as", "amina", "--with", "bela")


def test_a_vote_closes_at_its_time_and_can_then_be_decided(told, atlas, clock):
    words = ["propose", "ordinary", atlas, "--as", "chad", "--title", "x", "--days", 2, "--yes"]
    told(*words)
    told("vote", atlas, "yes", "--as", "fiji")
    refused = told("tally", atlas, "--decide", "--as", "chad", status=9)
    assert "it closes 2027-01-17" in refused.err
    clock.now_s += 2 * 24 * HOUR_S + 1
    assert "came after the vote closed" in told("vote", atlas, "yes", "--as", "peru", status=9).err
    assert "no-quorum" in told("tally", atlas, "--decide", "--as", "peru").out


def test_a_suspended_member_votes_again_when_its_time_is_over(told, atlas, clock):
    told("propose", "suspend", atlas, "peru", "--for-days", 3, "--as", "chad", "--yes")
    adopt(told, atlas)
    told("propose", "ordinary", atlas, "--as", "chad", "--title", "x", "--yes")
    told("vote", atlas, "yes", "--as", "peru", status=9)
    clock.now_s += 3 * 24 * HOUR_S
    told("vote", atlas, "yes", "--as", "peru")


def test_an_expelled_member_had_no_vote_on_itself(told, atlas):
    told("propose", "expel", atlas, "peru", "--as", "chad", "--text", "Three audits.", "--yes")
    told("vote", atlas, "no", "--as", "peru")
    told("vote", atlas, "yes", "--as", "chad")
    told("vote", atlas, "yes", "--as", "fiji")
    (standing,) = value(told("tally", atlas, "--json"))
    assert standing["missing"] == ["laos"]
    assert standing["not_counted"][0]["reason"] == "the proposal is about this member"
    told("tally", atlas, "--decide", "--as", "chad")
    told("vote", atlas, "yes", "--as", "peru", status=2)
    assert "peru" not in value(told("keys", "show", atlas, "--json"))["parties"]


# --- what an amendment changes ----------------------------------------------------------------


def write_run(atlas, quorum, name="first"):
    roster = "".join(f'[[roster]]\nid = "{member}"\n' for member in MEMBERS)
    text = f'name = "{name}"\n{roster}[rounds]\ncount = 2\nquorum = "{quorum}"\n'
    (atlas / "runs").mkdir(exist_ok=True)
    (atlas / "runs" / f"{name}.toml").write_text(text)


def amend(told, atlas, old, new):
    path = atlas / "charter" / "charter.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    told("propose", "amend", atlas, "--as", "fiji", "--yes")
    adopt(told, atlas)


def test_after_an_amendment_a_run_that_was_allowed_is_refused(told, atlas, clock):
    write_run(atlas, "1/4")
    told("propose", "run", atlas, "--as", "chad", "--dry-run")
    amend(told, atlas, 'quorum = "1/4"', 'quorum = "1/2"')
    clock.now_s += 1
    refused = told("propose", "run", atlas, "--as", "chad", "--yes", status=9)
    assert "is 1/4; the charter asks for 1/2" in refused.err
    write_run(atlas, "1/2")
    told("propose", "run", atlas, "--as", "chad", "--yes")


def test_a_new_rule_is_tried_on_the_votes_of_the_past(told, atlas):
    told("propose", "ordinary", atlas, "--as", "chad", "--title", "x", "--yes")
    told("vote", atlas, "no", "--as", "peru")
    for member in MEMBERS[:3]:
        told("vote", atlas, "yes", "--as", member)
    told("tally", atlas, "--decide", "--as", "chad")
    path = atlas / "charter" / "charter.toml"
    text = path.read_text()
    path.write_text(text.replace("[rule.ordinary]", "[rule.ordinary]\nveto = 1", 1))
    shown = told("propose", "amend", atlas, "--as", "fiji", "--dry-run", status=9)
    assert "of 1 vote and 0 rounds so far, 1 otherwise" in shown.out
    assert "adopted then, vetoed now" in shown.out
    assert "refused, for the 4 members that then vote" in shown.out, "each could block alone"


# --- for scripts ------------------------------------------------------------------------------


def test_with_json_standard_output_holds_json_alone(told, atlas):
    made = value(
        told("propose", "ordinary", atlas, "--as", "chad", "--title", "x", "--yes", "--json")
    )
    assert made["kind"] == "proposal"
    assert made["index"] == 1
    told("discuss", atlas, "Why?", "--as", "laos", "--json")
    assert value(told("discuss", atlas, "--json"))[0]["text"] == "Why?"
    assert len(value(told("vote", atlas, "yes", "--as", "all", "--json"))) == 4
    (standing,) = value(told("tally", atlas, "--json"))
    assert standing["as_it_stands"]["result"] == "adopted"
    assert value(told("tally", atlas, "--decide", "--as", "chad", "--json"))["outcome"] == "adopted"
    power = value(told("charter", "lint", atlas, "--json"))["power"]["ordinary"]["banzhaf"]
    assert power == dict.fromkeys(MEMBERS, "1/4")
    for words in (
        ["charter", "show", atlas],
        ["charter", "diff", atlas],
        ["charter", "check", atlas],
        ["coordinator", "show", atlas],
        ["keys", "show", atlas],
        ["keys", "show", atlas, "--party", "chad"],
        ["log", "checkpoint", atlas],
        ["log", "inbox", atlas],
        ["log", "show", atlas],
        ["halt", "show", atlas],
        ["ratify", atlas, "--as", "all"],
        ["prove", atlas, made["digest"]],
    ):
        value(told(*words, "--json"))


def test_nobody_is_asked_where_nobody_can_answer(told, atlas):
    before = (atlas / "log" / "checkpoint").read_bytes()
    refused = told("propose", "ordinary", atlas, "--as", "chad", "--title", "x", status=2)
    assert "--yes" in refused.err
    assert (atlas / "log" / "checkpoint").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["vote", "atlas", "yes", "--as", "chad"], 2, "C100"),
        (["vote", "atlas", "maybe", "--as", "chad"], 2, "C100"),
        (["tally", "atlas", "abc"], 2, "C100"),
        (["discuss", "atlas", "hello", "--as", "chad"], 2, "C100"),
        (["discuss", "atlas", "--as", "chad"], 2, "C100"),
        (["propose", "admit", "atlas", "nepal", "--as", "chad", "--yes"], 2, "C100"),
        (["propose", "expel", "atlas", "nepal", "--as", "chad", "--yes"], 9, "C820"),
        (["propose", "amend", "atlas", "--as", "chad", "--yes"], 2, "C100"),
        (["propose", "ordinary", "atlas", "--as", "mars", "--title", "x", "--yes"], 9, "C820"),
        (["propose", "ordinary", "atlas", "--as", "amina", "--title", "x", "--yes"], 9, "C820"),
        (["ratify", "atlas", "--as", "mars"], 9, "C820"),
        (["keys", "rotate", "atlas", "--as", "chad", "--purpose", "tax"], 2, "Invalid"),
        (["keys", "rotate", "atlas", "--as", "fiji", "--purpose", "log"], 9, "C820"),
        (["keys", "rotate", "atlas", "--as", "amina", "--purpose", "witness"], 2, "C100"),
        (["keys", "show", "nowhere"], 9, "C810"),
        (["log", "show", "nowhere"], 9, "C810"),
        (["join", "atlas", "--as", "chad"], 9, "C820"),
        (["join", "atlas", "--as", "No Name"], 2, "C100"),
        (["sign", "atlas", "nothing.json", "--as", "chad"], 2, "C100"),
        (["coordinator", "take", "atlas", "--as", "mars"], 9, "C820"),
        (["charter", "lint", "atlas", "--without", "mars"], 2, "C100"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else str(value),
)
def test_what_cannot_be_is_refused_with_its_code_and_the_log_is_as_it_was(
    told, atlas, monkeypatch, words, status, code
):
    monkeypatch.chdir(atlas.parent)
    before = (atlas / "log" / "checkpoint").read_bytes()
    assert code in told(*words, status=status).err
    assert (atlas / "log" / "checkpoint").read_bytes() == before


# --- roles and machines -----------------------------------------------------------------------


def test_the_role_goes_round_and_comes_back_under_a_new_log_key(told, atlas):
    first = value(told("coordinator", "show", atlas, "--json"))
    told("coordinator", "hand-over", atlas, "--to", "fiji")
    told("coordinator", "hand-over", atlas, "--to", "chad")
    again = value(told("coordinator", "show", atlas, "--json"))
    assert (again["member"], again["term"]) == ("chad", 2)
    assert again["log_key"] != first["log_key"]
    told("keys", "rotate", atlas, "--as", "chad", "--purpose", "log")
    told("propose", "ordinary", atlas, "--as", "peru", "--title", "Go on", "--yes")
    found_ = value(told("log", "checkpoint", atlas, "--json"))
    assert set(found_["witnesses"]) == set(MEMBERS)


def test_a_stolen_key_is_revoked_and_replaced_by_a_majority(told, atlas):
    revoke = ["keys", "revoke", atlas, "--as", "chad", "--of", "peru", "--replace", "--yes"]
    told(*revoke, status=9)
    told(*revoke, "--with", "fiji", "--with", "laos")
    told("propose", "ordinary", atlas, "--as", "peru", "--title", "Still here", "--yes")
    old = next((atlas / "members/peru/private/keys").glob("identity.before-*.pem"))
    shutil.copy(old, atlas / "members/peru/private/keys/identity.pem")
    assert "no say here" in told("vote", atlas, "yes", "--as", "peru", status=9).err


def test_a_member_on_another_machine_hands_its_ballot_in(told, atlas, tmp_path):
    told("propose", "ordinary", atlas, "--as", "chad", "--title", "x", "--yes")
    other = tmp_path / "other"
    shutil.copytree(atlas, other)
    for name in ("journal", "lock"):
        (other / "log" / name).unlink()
    for member in ("chad", "laos", "peru"):
        shutil.rmtree(other / "members" / member / "private")
    filed = value(told("vote", other, "yes", "--as", "fiji", "--json"))
    assert filed[0]["index"] is None
    assert "fiji votes yes" in told("log", "inbox", other).out
    (other / "log" / "inbox" / "rubbish.json").write_bytes(b"rubbish")
    assert "no statement" in told("log", "inbox", other).out
    told("file", atlas, filed[0]["waits_at"])
    (standing,) = value(told("tally", atlas, "--json"))
    assert standing["votes"] == {"fiji": "yes"}
    refused = told("log", "inbox", other, "--take", status=9)
    assert "the log's key is at 'chad'" in refused.err


def test_a_newcomers_witness_cosigns_from_its_admission_on(told, atlas):
    told("join", atlas, "--as", "nepal", "--speakers", 30_000_000)
    told("propose", "admit", atlas, "nepal", "--as", "chad", "--yes")
    adopt(told, atlas)
    told("log", "checkpoint", atlas, "--cosign", "all")
    assert "nepal" in value(told("log", "checkpoint", atlas, "--json"))["witnesses"]
    assert told("log", "checkpoint", atlas, "--note").out.startswith("concord.test/log\n")


def test_a_file_of_the_charter_leads_to_what_was_said_of_the_charter(told, atlas):
    said = told("prove", atlas, atlas / "charter" / "charter.toml")
    assert "it is charter.toml of charter sha256:" in said.err
    assert "entry 0" in said.out
    path = atlas / "charter" / "charter.toml"
    path.write_text(path.read_text() + "\n# a word more\n")
    assert "no statement of this log speaks of it" in told("prove", atlas, path, status=10).err
