"""Start-up kits: whole, signed, of one federation and one member, and valid now; or refused."""

import datetime
import json
import shutil
import stat
import time

import pytest
from sitelab import (
    DAY,
    NOW,
    certificate,
    edit,
    new_key,
    put_certificate,
    reseal,
    root_of,
    secretariat,
)

from concord.base.errors import DocumentError, KitRefused, MessageRefused, StatementRefused
from concord.federation.sites.certificates import VALID_DAYS, load_certificate
from concord.federation.sites.manifest import open_kit

HOUR_S = 3600
CERTIFICATE = "startup/client.crt"


def test_a_kit_as_it_was_made_is_accepted(handed):
    manifest = open_kit(handed("fiji"), now_s=NOW)
    assert (manifest.member, manifest.host, manifest.port) == ("fiji", "localhost", 8399)


@pytest.mark.parametrize(
    "file",
    [
        "startup/client.key",
        "startup/fed_client.json",
        "startup/rootCA.pem",
        CERTIFICATE,
        "federation/log/checkpoint",
    ],
)
def test_one_changed_byte_of_any_file_is_refused_with_its_name(handed, file):
    kit = handed()
    path = kit / file
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    with pytest.raises(KitRefused) as refused:
        open_kit(kit, now_s=NOW)
    assert refused.value.where.endswith(file)


def test_a_file_that_is_missing_or_too_many_is_refused(handed):
    kit = handed()
    (kit / "startup" / "sitecustomize.py").write_text("import os")
    with pytest.raises(KitRefused, match="does not belong"):
        open_kit(kit, now_s=NOW)
    (kit / "startup" / "sitecustomize.py").unlink()
    (kit / "startup" / "fed_client.json").unlink()
    with pytest.raises(KitRefused, match="is missing"):
        open_kit(kit, now_s=NOW)


def test_a_link_in_a_kit_is_refused(handed, tmp_path):
    kit = handed()
    (kit / CERTIFICATE).rename(tmp_path / "elsewhere")
    (kit / CERTIFICATE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KitRefused, match="not a plain file"):
        open_kit(kit, now_s=NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["manifest"].update(port=1),
        lambda found: found["manifest"].update(host="evil.example"),
        lambda found: found["manifest"]["files"].clear(),
        lambda found: found.update(signature=""),
        lambda found: found.update(signature="AAAA"),
        lambda found: found.update(signature="not base64!"),
    ],
)
def test_a_changed_word_of_a_kit_is_refused(handed, change):
    kit = handed()
    edit(kit / "kit.json", change)
    with pytest.raises(KitRefused):
        open_kit(kit, now_s=NOW)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"manifest": {}}', b"\xff", b"{" * 5000])
def test_a_damaged_manifest_is_refused(handed, data):
    kit = handed()
    (kit / "kit.json").write_bytes(data)
    with pytest.raises(KitRefused):
        open_kit(kit, now_s=NOW)


def test_a_folder_that_is_no_kit_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(KitRefused, match="no start-up kit") as refused:
        open_kit(tmp_path, now_s=NOW)
    assert "concord federation provision" in refused.value.remedy


@pytest.mark.parametrize(("theirs", "older"), [(0, "the kit is older"), (2, "this side is older")])
def test_a_kit_of_another_version_of_the_protocol_is_refused(handed, state, theirs, older):
    kit = handed()
    reseal(kit, state, protocol=theirs)
    with pytest.raises(MessageRefused) as refused:
        open_kit(kit, now_s=NOW)
    assert older in refused.value.remedy


def test_a_kit_that_leads_to_another_server_than_it_says_is_refused(handed, state):
    kit = handed()
    edit(
        kit / "startup" / "fed_client.json",
        lambda found: found["servers"][0]["service"].update(target="evil.example:8399"),
    )
    reseal(kit, state)
    with pytest.raises(KitRefused, match="does not name the server"):
        open_kit(kit, now_s=NOW)


def test_the_certificate_of_another_member_is_refused(handed, state):
    kit, other = handed("fiji"), handed("peru", "other")
    for file in ("client.crt", "client.key"):
        shutil.copy(other / "startup" / file, kit / "startup" / file)
    reseal(kit, state)
    with pytest.raises(KitRefused, match="'peru', not of 'fiji'"):
        open_kit(kit, now_s=NOW)


def test_a_key_that_does_not_fit_the_certificate_is_refused(handed, state):
    kit, other = handed("fiji"), handed("peru", "other")
    shutil.copy(other / "startup" / "client.key", kit / "startup" / "client.key")
    reseal(kit, state)
    with pytest.raises(KitRefused, match="does not fit the kit's key"):
        open_kit(kit, now_s=NOW)


def test_a_forged_certificate_with_the_right_names_is_refused(handed, state):
    kit = handed()
    put_certificate(kit, certificate("fiji", root_of(state)[0], new_key()))
    reseal(kit, state)
    with pytest.raises(KitRefused, match="not issued by this federation's root"):
        open_kit(kit, now_s=NOW)


def test_an_expired_certificate_says_when_and_whom_to_ask(handed, state):
    kit = handed()
    now = datetime.datetime.now(datetime.UTC)
    put_certificate(kit, certificate("fiji", *root_of(state), begin=now - 2 * DAY, end=now - DAY))
    reseal(kit, state)
    with pytest.raises(KitRefused, match="expired on") as refused:
        open_kit(kit, now_s=NOW)
    assert "--renew" in refused.value.remedy


def test_a_clock_an_hour_behind_is_told_as_such(handed):
    with pytest.raises(KitRefused, match=r"valid from .* this machine's clock says") as refused:
        open_kit(handed(), now_s=int(time.time()) - HOUR_S)
    assert "set the clock" in refused.value.remedy


def test_a_clock_an_hour_ahead_does_no_harm_to_a_kit(handed):
    open_kit(handed(), now_s=NOW + HOUR_S)


def test_a_certificate_counts_for_360_days_as_the_pages_say(handed):
    found = load_certificate(handed() / CERTIFICATE)
    assert found.not_valid_after_utc - found.not_valid_before_utc == VALID_DAYS * DAY


# --- the secretariat --------------------------------------------------------------------------


def test_nothing_below_sites_can_be_read_by_others(atlas):
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (atlas / "sites").iterdir()}
    assert not [path.name for path, mode in found.items() if mode & 0o077]
    assert stat.S_IMODE((atlas / "sites").stat().st_mode) == 0o700


def test_a_second_project_is_refused_and_nothing_is_overwritten(own_atlas):
    before = (own_atlas / "sites" / "project.json").read_bytes()
    with pytest.raises(DocumentError, match="nothing is overwritten"):
        secretariat(own_atlas).found("elsewhere", 8002, also_hosts=[], now_s=NOW)
    assert (own_atlas / "sites" / "project.json").read_bytes() == before


def test_a_kit_for_a_member_that_has_one_or_is_none_is_refused(own_atlas):
    with pytest.raises(DocumentError, match="was made already"):
        secretariat(own_atlas).add(["fiji"], now_s=NOW)
    with pytest.raises(StatementRefused, match="no member"):
        secretariat(own_atlas).add(["nobody"], now_s=NOW)


def test_a_renewed_kit_has_another_key_under_the_same_root_and_the_others_stay(atlas, renewed):
    files = ("fiji/startup/client.key", "fiji/startup/rootCA.pem", "peru/startup/client.crt")
    before, after = (
        [(root / "sites" / "kits" / file).read_bytes() for file in files]
        for root in (atlas, renewed)
    )
    assert after[0] != before[0]
    assert after[1:] == before[1:]
    open_kit(renewed / "sites" / "kits" / "fiji", now_s=NOW + 60)


def test_a_renewal_that_ended_half_way_is_made_good_by_the_next(own_atlas):
    state = next(own_atlas.glob("sites/project/*/state/cert.json"))
    edit(state, lambda keys: keys.pop("fiji"))
    made = secretariat(own_atlas).renew(["fiji"], now_s=NOW)
    open_kit(made.kits["fiji"], now_s=NOW + 60)


def test_once_a_kit_is_deleted_its_key_lies_in_the_projects_state_alone(atlas, state):
    key = (atlas / "sites" / "kits" / "fiji" / "startup" / "client.key").read_bytes()
    files = [path for path in (atlas / "sites").rglob("*") if path.is_file()]
    assert [path for path in files if path.read_bytes() == key] == [
        atlas / "sites" / "kits" / "fiji" / "startup" / "client.key"
    ]


def test_a_kit_holds_no_private_key_but_its_own_members(atlas):
    kit = atlas / "sites" / "kits" / "fiji"
    keys = [path for path in kit.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]
    assert keys == [kit / "startup" / "client.key"]
    assert json.loads((kit / "kit.json").read_bytes())["manifest"]["member"] == "fiji"
