"""Three commands for a secretariat, three for a member, as a user gives them."""

import json

import pytest
from sitelab import NOW, edit

from concord.federation.folders import FederationFolder
from concord.ledger.archive import Archive
from concord.ledger.inbox import Inbox
from concord.ledger.state.library import ObjectLibrary


def test_a_secretariat_makes_kits_once_and_tells_what_to_compare(told, own_atlas):
    import shutil

    shutil.rmtree(own_atlas / "sites")
    made = json.loads(
        told("federation", "provision", own_atlas, "--host", "localhost", "--json").out
    )
    assert sorted(made["kits"]) == ["chad", "fiji", "peru"]
    state = Archive(own_atlas / "log", ObjectLibrary(FederationFolder(own_atlas).objects)).state
    assert made["federation"] == state.federation
    again = told("federation", "provision", own_atlas, "--host", "localhost", status=2)
    assert "nothing is overwritten" in again.err
    renewed = told("federation", "provision", own_atlas, "--renew", "peru")
    assert made["root"] in renewed.out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "either --host"),
        (["--host", "x", "--add", "fiji"], "either --host"),
        (["--add", "fiji"], "was made already"),
        (["--renew", "nobody"], "no kit was made for 'nobody'"),
    ],
)
def test_a_secretariat_that_asks_for_too_much_is_told(told, atlas, words, what):
    assert what in told("federation", "provision", atlas, *words, status=2).err


def test_a_member_joins_and_is_told_what_to_compare_and_what_to_do(told, atlas, tmp_path):
    home = tmp_path / "home"
    kit, own = atlas / "sites" / "kits" / "fiji", atlas / "members" / "fiji"
    said = told("member", "join", kit, "--home", home, "--member-folder", own)
    assert "compare both lines" in said.out
    assert f"concord member up {home}" in said.out
    assert "say where your text is" in said.out


def test_a_member_whose_keys_are_not_those_of_the_log_is_told_how_to_replace_them(
    told, atlas, tmp_path
):
    said = told("member", "join", atlas / "sites" / "kits" / "fiji", "--home", tmp_path / "home")
    assert "the log holds another identity key for fiji" in said.err
    assert "concord keys revoke" in said.err


def test_an_altered_kit_leaves_no_home(told, handed, tmp_path):
    kit = handed()
    edit(kit / "startup" / "fed_client.json", lambda found: found.update(require_signed_jobs=0))
    said = told("member", "join", kit, "--home", tmp_path / "home", status=9)
    assert "error C805" in said.err
    assert "fed_client.json" in said.err
    assert not (tmp_path / "home").exists()


def test_a_member_without_a_text_is_told_before_anything_starts(told, kit):
    home = kit("fiji").parents[2]
    said = told("member", "up", home, status=2)
    assert "member.toml" in said.err


def test_checking_a_home_names_the_laxer_site_file(told, kit):
    site = kit("fiji")
    edit(site / "local" / "authorization.json", lambda found: found.update(permissions="any"))
    said = told("member", "check", site.parents[2], status=7)
    assert "error C604" in said.err
    assert "authorization.json" in said.err


def test_checking_a_home_whose_certificate_expired_says_so(told, kit):
    said = told("member", "check", kit("fiji").parents[2], status=9, now=NOW + 361 * 86_400)
    assert "expired on" in said.err
    assert "--renew" in said.err


def test_checking_a_home_whose_coordinator_is_down_says_so(told, kit):
    said = told("member", "check", kit("fiji").parents[2], status=7)
    assert "error C605" in said.err
    assert "nobody listens" in said.err


def test_what_a_member_says_at_home_waits_to_be_carried_to_the_log(told, kit):
    home = kit("fiji").parents[2]
    words = ["--as", "fiji", "--ground", "audit", "--reason", "We check our own data."]
    said = told("halt", "begin", home, *words)
    assert "handed in" in said.out
    assert len(Inbox(home / "log" / "inbox").waiting()) == 1


def test_status_is_read_from_the_log_alone_at_the_coordinator_and_at_home(told, atlas, kit):
    home = kit("fiji").parents[2]
    found = [json.loads(told("status", folder, "--json").out) for folder in (atlas, home)]
    assert found[0] == found[1]
    assert [one["member"] for one in found[0]["members"]] == ["chad", "fiji", "peru"]
    said = told("status", home)
    assert found[0]["federation"] in said.out
    assert "never" in said.out


def test_status_of_a_folder_without_a_log_is_one_clear_error(told, tmp_path):
    assert "holds no log" in told("status", tmp_path, status=9).err
