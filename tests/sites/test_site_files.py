"""What a site lets a job do: present, no laxer than written, narrower where the member wants."""

import json
import os

import pytest

from concord.base.errors import MessageRefused, SiteRefused
from concord.federation.sites.site_files import CLASSES, check_site_files, write_site_files

FILES = (
    "resources.json",
    "authorization.json",
    "privacy.json",
    "log_config.json",
    "comm_config.json",
    "concord.json",
)


def edit(kit, file, change):
    path = kit / file
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize("name", ["fiji", "server"])
def test_what_is_written_is_accepted_and_every_file_has_a_hash(kit, name):
    assert set(check_site_files(kit(name))) == set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_refused_since_flare_would_take_a_laxer_one(kit, file):
    found = kit("fiji")
    (found / "local" / file).unlink()
    with pytest.raises(SiteRefused, match="missing") as refused:
        check_site_files(found)
    assert refused.value.where.endswith(file)


@pytest.mark.parametrize("file", FILES)
def test_a_link_in_the_place_of_a_file_is_refused(kit, file, tmp_path):
    found = kit("fiji")
    path = found / "local" / file
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SiteRefused):
        check_site_files(found)


def set_key(*keys, value):
    def change(found):
        for key in keys[:-1]:
            found = found[key]
        found[keys[-1]] = value

    return change


def drop(*keys):
    def change(found):
        for key in keys[:-1]:
            found = found[key]
        del found[keys[-1]]

    return change


LAXER = {
    "any class": ("resources.json", set_key("class_allow_list", value=["*"])),
    "a package": ("resources.json", set_key("class_allow_list", value=[*CLASSES, "nvflare."])),
    "flare's own list": ("resources.json", drop("class_allow_list")),
    "warn": ("resources.json", set_key("class_list_enforcement_mode", value="warn")),
    "log streaming": ("resources.json", set_key("allow_log_streaming", value=True)),
    "a component": (
        "resources.json",
        lambda found: found["components"].append({"id": "x", "path": "nvflare.x.Y", "args": {}}),
    ),
    "a bare word": ("authorization.json", set_key("permissions", "project_admin", value="any")),
    "code": ("authorization.json", set_key("permissions", "lead", "byoc", value="any")),
    "own code": ("authorization.json", set_key("permissions", "lead", "byoc", value="o:site")),
    "shells": ("authorization.json", set_key("permissions", "lead", "shell_commands", value="any")),
    "cloning": ("authorization.json", set_key("permissions", "lead", "clone_job", value="any")),
    "a list": ("authorization.json", set_key("permissions", "lead", "byoc", value=["none", "any"])),
    "an unnamed right": ("authorization.json", drop("permissions", "lead", "byoc")),
    "another role": ("authorization.json", set_key("permissions", "guest", value={})),
    "a missing role": ("authorization.json", drop("permissions", "member")),
    "not others": (
        "authorization.json",
        set_key("permissions", "lead", "submit_job", value="not n:driver"),
    ),
    "no door": ("privacy.json", set_key("scopes", 0, "task_result_filters", value=[])),
    "another scope": (
        "privacy.json",
        lambda found: found["scopes"].append({"name": "open", "task_result_filters": []}),
    ),
    "errors in full": ("log_config.json", set_key("loggers", "root", "level", value="DEBUG")),
    "connections": ("comm_config.json", set_key("allow_adhoc_conns", value=True)),
    "a driver class": ("comm_config.json", set_key("comm_driver_path", value="/tmp")),
    "words": ("comm_config.json", set_key("max_message_size", value="big")),
    "an unknown key": ("concord.json", set_key("more", value=1)),
}


@pytest.mark.parametrize("case", LAXER)
def test_a_file_that_allows_more_than_it_may_is_refused(kit, case):
    file, change = LAXER[case]
    found = kit("fiji")
    edit(found, f"local/{file}", change)
    with pytest.raises(SiteRefused) as refused:
        check_site_files(found)
    assert file in refused.value.where


def test_a_member_may_narrow_what_a_job_may_do(kit):
    found = kit("fiji")
    edit(found, "local/resources.json", set_key("class_allow_list", value=[CLASSES[1]]))
    one = set_key("permissions", "lead", "submit_job", value="n:driver@concord.local")
    edit(found, "local/authorization.json", one)
    edit(found, "local/authorization.json", set_key("permissions", "member", "view", value="none"))
    edit(found, "local/comm_config.json", set_key("max_message_size", value=1 << 20))
    check_site_files(found)


@pytest.mark.parametrize("value", [False, 1, "true", None])
def test_a_kit_that_does_not_ask_for_signed_jobs_is_refused(kit, value):
    found = kit("fiji")
    edit(found, "startup/fed_client.json", set_key("require_signed_jobs", value=value))
    with pytest.raises(SiteRefused, match="signed jobs"):
        check_site_files(found)


@pytest.mark.parametrize("value", ["tls", "clear", None])
@pytest.mark.parametrize("name", ["fiji", "server"])
def test_a_kit_without_mutual_tls_is_refused(kit, name, value):
    found = kit(name)
    file, place = {
        "fiji": ("startup/fed_client.json", ("client",)),
        "server": ("startup/fed_server.json", ("servers", 0)),
    }[name]
    edit(found, file, set_key(*place, "connection_security", value=value))
    with pytest.raises(SiteRefused, match="mutual TLS"):
        check_site_files(found)


@pytest.mark.parametrize(
    "name", ["more__resources.json", "x__p_resources.json", "custom", "comm_config.yml"]
)
def test_a_file_that_flare_would_read_too_is_refused(kit, name):
    found = kit("fiji")
    (found / "local" / name).write_text("{}")
    with pytest.raises(SiteRefused, match="does not belong"):
        check_site_files(found)
    with pytest.raises(SiteRefused, match="does not belong"):
        write_site_files(found, "member", name="fiji", folder=found)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"a": 1, "a": 2}', b"\xff\xfe"])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_refused_with_its_name(kit, file, data):
    found = kit("fiji")
    (found / "local" / file).write_bytes(data)
    with pytest.raises(SiteRefused) as refused:
        check_site_files(found)
    assert file in refused.value.where


@pytest.mark.parametrize(("theirs", "words"), [(0, "the kit is older"), (2, "this side is older")])
def test_another_version_of_the_protocol_is_refused_and_says_which_side_is_older(
    kit, theirs, words
):
    found = kit("fiji")
    edit(found, "local/concord.json", set_key("protocol", value=theirs))
    with pytest.raises(MessageRefused, match="version") as refused:
        check_site_files(found)
    assert words in refused.value.remedy


def test_stores_of_the_server_lie_in_the_kit_and_not_in_the_shared_temporary_folder(kit):
    found = kit("server")
    text = (found / "local" / "resources.json").read_text()
    assert str(found / "jobs") in text
    assert str(found / "snapshots") in text
    assert "/tmp/nvflare" not in text
    assert os.stat(found / "jobs").st_mode & 0o077 == 0
