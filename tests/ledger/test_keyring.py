"""Key files follow the log: a crash at any instant of an exchange loses no key."""

import os
import shutil

import pytest
from foldlab import Fold, key, public

from concord.base.errors import KeyRefused
from concord.crypto.keyfiles import save_key
from concord.crypto.keys import PrivateKey
from concord.ledger.keyring import MEMBER_KEYS, KeyRing
from concord.ledger.rotation import keys_of, settle_keys
from concord.ledger.statements import membership


@pytest.fixture
def ring(tmp_path):
    ring = KeyRing(tmp_path / "private")
    ring.create(*MEMBER_KEYS)
    return ring


def test_keys_and_their_folders_are_for_the_owner_alone(ring):
    assert ring.folder.parent.stat().st_mode & 0o777 == 0o700
    assert ring.folder.stat().st_mode & 0o777 == 0o700
    for purpose in MEMBER_KEYS:
        assert ring.path(purpose).stat().st_mode & 0o777 == 0o600


def test_keys_that_are_there_are_not_made_again(ring):
    before = {purpose: ring.load(purpose).public for purpose in MEMBER_KEYS}
    assert ring.create(*MEMBER_KEYS) == before


def test_a_prepared_key_is_the_same_until_it_is_in_its_place(ring):
    first = ring.prepare("identity").public
    assert ring.prepare("identity").public == first
    assert ring.load("identity").public != first


def test_a_prepared_key_takes_its_place_when_the_log_names_it_and_not_before(ring):
    old, new = ring.load("identity").public, ring.prepare("identity").public
    assert not ring.settle("identity", old.text)
    assert not ring.settle("identity", public("somebody"))
    assert ring.load("identity").public == old
    assert ring.settle("identity", new.text)
    assert ring.load("identity").public == new
    assert not ring.settle("identity", new.text)


def test_the_old_key_is_kept_beside_it(ring):
    old, new = ring.load("identity").public, ring.prepare("identity").public
    ring.settle("identity", new.text)
    kept = ring.path(f"identity.before-{new.key_id[:8]}")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert ring.load(f"identity.before-{new.key_id[:8]}").public == old


def test_a_second_exchange_keeps_both_earlier_keys(ring):
    for _ in range(2):
        ring.settle("identity", ring.prepare("identity").public.text)
    assert len(list(ring.folder.glob("identity.before-*.pem"))) == 2


@pytest.mark.parametrize("stopped", ["before", "after the link", "after the exchange"])
def test_stopped_in_between_it_ends_the_same_when_done_again(ring, stopped):
    new = ring.prepare("identity").public
    kept = ring.path(f"identity.before-{new.key_id[:8]}")
    if stopped != "before":
        os.link(ring.path("identity"), kept)
    if stopped == "after the exchange":
        os.replace(ring.path("identity.next"), ring.path("identity"))
    ring.settle("identity", new.text)
    assert ring.load("identity").public == new
    assert kept.exists() == (stopped != "before") or kept.exists()
    assert not ring.path("identity.next").exists()


def test_a_replacement_of_a_lost_file_needs_no_old_one(ring):
    new = ring.prepare("identity").public
    ring.path("identity").unlink()
    assert ring.settle("identity", new.text)
    assert ring.load("identity").public == new


def test_a_prepared_key_that_others_can_read_is_refused(ring):
    new = ring.prepare("identity").public
    ring.path("identity.next").chmod(0o644)
    with pytest.raises(KeyRefused, match="others may read"):
        ring.settle("identity", new.text)


def test_numbers_of_statements_only_grow_also_from_many_processes(ring):
    assert [ring.next_number() for _ in range(3)] == [0, 1, 2]
    assert ring.next_number(10) == 10
    assert KeyRing(ring.folder.parent).next_number() == 11


def test_a_torn_number_begins_above_what_the_log_holds(ring):
    ring.next_number()
    (ring.folder / "sequence").write_bytes(b"\x00\x00")
    assert ring.next_number(7) == 7


# --- beside a state ---------------------------------------------------------------------------


def test_files_of_all_purposes_follow_the_state(tmp_path):
    (tmp_path / "fold").mkdir()
    fold = Fold(tmp_path / "fold")
    ring = KeyRing(tmp_path / "private")
    ring.folder.mkdir(parents=True, mode=0o700)
    for purpose, name in (("identity", "chad"), ("witness", "chad/witness"), ("log", "chad/log")):
        save_key(ring.path(purpose), key(name))
        save_key(ring.path(f"{purpose}.next"), key(f"{name} 2"))
    assert settle_keys(ring, fold.state, "chad") == ()
    new_log = membership.CoordinatorEntry(member="chad", log_key=public("chad/log 2"))
    fold.say(membership.Handover(manner="handover", term=1, coordinator=new_log))
    body = membership.KeyRotation(purpose="identity", old=public("chad"), new=public("chad 2"))
    fold.say(body, signers=["chad", "chad 2"])
    assert settle_keys(ring, fold.state, "chad") == ("identity", "log")
    assert ring.load("identity").public == key("chad 2").public
    assert ring.load("witness").public == key("chad/witness").public


def test_only_who_runs_the_coordinator_has_a_log_key_in_the_log(tmp_path):
    fold = Fold(tmp_path)
    assert set(keys_of(fold.state, "chad")) == {"identity", "witness", "log"}
    assert set(keys_of(fold.state, "fiji")) == {"identity", "witness"}
    assert keys_of(fold.state, "ada") == {"identity": public("ada")}
    assert keys_of(fold.state, "laos") == {}


def test_a_copy_of_a_folder_keeps_working(ring, tmp_path):
    new = ring.prepare("identity").public
    shutil.copytree(ring.folder.parent, tmp_path / "copy")
    copy = KeyRing(tmp_path / "copy")
    assert copy.settle("identity", new.text)
    assert isinstance(copy.load("identity"), PrivateKey)
