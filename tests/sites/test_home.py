"""A member's home: made from a kit, of one federation for ever, its keys its own."""

import stat

import pytest
from sitelab import NOW

from concord.base.errors import DocumentError, KitRefused
from concord.federation.folders import MemberFile, MemberFolder
from concord.federation.sites.home import member_of, take_kit
from concord.federation.sites.site_files import check_site_files, read_site


@pytest.fixture
def foreign(elsewhere):
    """A kit of another federation, whose member has the same name."""
    return elsewhere / "sites" / "kits" / "fiji"


def test_a_home_has_site_files_for_its_own_folder_that_nobody_else_can_read(handed, tmp_path):
    taken = take_kit(handed(), tmp_path / "home", now_s=NOW)
    member = member_of(taken.home)
    site = member.root / "site"
    check_site_files(site)
    assert read_site(site).folder == str(member.root)
    for path in (taken.home, member.root, site, *site.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077


def test_keys_are_made_here_and_it_is_told_that_the_log_has_others(handed, tmp_path):
    taken = take_kit(handed(), tmp_path / "home", now_s=NOW)
    assert taken.made_keys
    assert set(taken.other_keys) == {"identity", "witness"}
    assert not taken.has_text


def test_keys_that_were_made_elsewhere_come_along_and_text_is_found_again(
    own_atlas, handed, tmp_path
):
    text = tmp_path / "text.txt"
    text.write_text("Words.")
    own = own_atlas / "members" / "fiji"
    (own / "member.toml").write_text('name = "F"\ntext = ["../../../text.txt"]\ndevice = "cpu"\n')
    taken = take_kit(handed(), tmp_path / "home", now_s=NOW, own=own)
    assert not taken.made_keys
    assert not taken.other_keys
    file = member_of(taken.home).load()
    assert file.text == (str(text),)
    assert (file.name, file.device) == ("F", "cpu")


def test_all_that_a_brought_folder_says_is_said_at_home(own_atlas, handed, tmp_path):
    own = MemberFolder(own_atlas / "members" / "fiji")
    said = {
        "name": "Fiji's \\ own",
        "text": ("/texts/a",),
        "heldout": ("/texts/b",),
        "text_key": 'the "text"',
        "residency": "FJ",
        "facts": "/facts.json",
        "device": "cpu",
        "devices": 2,
    }
    assert set(said) == set(MemberFile.model_fields)
    own.save(MemberFile.model_validate(said))
    taken = take_kit(handed(), tmp_path / "home", now_s=NOW, own=own.root)
    assert member_of(taken.home).load().model_dump() == said


def test_a_folder_that_cannot_be_brought_whole_is_not_there_and_can_be_brought_later(
    own_atlas, handed, tmp_path
):
    own, kit = own_atlas / "members" / "fiji", handed()
    (own / "member.toml").write_text("text = 1\n")
    with pytest.raises(DocumentError):
        take_kit(kit, tmp_path / "home", now_s=NOW, own=own)
    assert not (tmp_path / "home" / "members" / "fiji").exists()
    (own / "member.toml").unlink()
    assert not take_kit(kit, tmp_path / "home", now_s=NOW, own=own).made_keys


def test_a_kit_of_another_federation_does_not_go_into_a_home(handed, foreign, tmp_path):
    home = tmp_path / "home"
    take_kit(handed(), home, now_s=NOW)
    before = (home / "members" / "fiji" / "site" / "kit.json").read_bytes()
    with pytest.raises(KitRefused, match="this home is of sha256"):
        take_kit(foreign, home, now_s=NOW)
    assert (home / "members" / "fiji" / "site" / "kit.json").read_bytes() == before


def test_a_kit_of_another_federation_than_the_one_named_leaves_nothing(foreign, tmp_path):
    with pytest.raises(KitRefused, match="not for sha256"):
        take_kit(foreign, tmp_path / "home", now_s=NOW, federation="sha256:" + "0" * 64)
    assert not (tmp_path / "home").exists()


def test_a_folder_of_something_else_is_not_taken_for_a_home(handed, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("Dear")
    with pytest.raises(DocumentError, match="something else"):
        take_kit(handed(), tmp_path / "home", now_s=NOW)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_the_folder_of_another_member_is_not_brought_along(own_atlas, handed, tmp_path):
    with pytest.raises(DocumentError, match="'peru', not of 'fiji'"):
        take_kit(handed(), tmp_path / "home", now_s=NOW, own=own_atlas / "members" / "peru")


def test_a_renewed_kit_replaces_the_old_one_and_keys_and_policy_stay(atlas, renewed, tmp_path):
    home = tmp_path / "home"
    take_kit(atlas / "sites" / "kits" / "fiji", home, now_s=NOW)
    member = member_of(home)
    member.policy.write_text("// mine\n")
    public = member.keys.load("identity").public.text
    old = (member.root / "site" / "startup" / "client.key").read_bytes()
    take_kit(renewed / "sites" / "kits" / "fiji", home, now_s=NOW + 60)
    assert member.keys.load("identity").public.text == public
    assert member.policy.read_text() == "// mine\n"
    assert (member.root / "site" / "startup" / "client.key").read_bytes() != old


def test_a_home_without_a_kit_or_with_several_asks_for_a_name(tmp_path, handed):
    with pytest.raises(DocumentError, match="holds no member's kit"):
        member_of(tmp_path)
    home = tmp_path / "home"
    take_kit(handed("fiji"), home, now_s=NOW)
    take_kit(handed("peru", "second"), home, now_s=NOW)
    with pytest.raises(DocumentError, match="fiji, peru"):
        member_of(home)
    assert member_of(home, "peru").id == "peru"
