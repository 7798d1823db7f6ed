"""Kits: who can read them, who is in them, and what stays when one member is added."""

import shutil
import stat
import subprocess

import pytest

from concord.base.errors import DocumentError
from concord.federation.sites.certificates import load_certificate, subject
from concord.federation.sites.provision import ProjectSpec, check_spec, provision

ROOT = "startup/rootCA.pem"


def test_nobody_else_can_read_anything_that_was_made_and_flares_scripts_are_gone(atlas):
    made = [path for path in (atlas / "sites").rglob("*") if "federation" not in path.parts]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in made}
    assert len(modes) > 20
    assert not [path for path in modes if path.suffix == ".sh"]
    assert not {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077}


def test_each_kit_names_its_owner_and_openssl_accepts_it_under_the_root(atlas):
    root = atlas / "sites" / "server" / ROOT
    for kit in (atlas / "sites" / "kits").iterdir():
        certificate = kit / "startup" / "client.crt"
        assert subject(load_certificate(certificate)).name == kit.name
        command = ["openssl", "verify", "-CAfile", root, certificate]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_later_member_comes_under_the_same_root_and_the_others_keep_their_certificates(
    atlas, state, tmp_path
):
    name = state.parents[1].name
    shutil.copytree(atlas / "sites" / "project", tmp_path / "project")
    members = {"fiji": "fiji", "nepal": "nepal"}
    made = provision(tmp_path / "project", ProjectSpec(name, "localhost", 8002, members))
    first = atlas / "sites"
    assert (first / "server" / ROOT).read_bytes() == (made.members["nepal"] / ROOT).read_bytes()
    kept = first / "kits" / "fiji" / "startup" / "client.crt"
    assert kept.read_bytes() == (made.members["fiji"] / "startup" / "client.crt").read_bytes()
    new = load_certificate(made.members["nepal"] / "startup" / "client.crt")
    assert subject(new).name == "nepal"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": "bad host"}, "host name"),
        ({"host": "a" * 64}, "host name"),
        ({"host": "-x"}, "host name"),
        ({"also_hosts": ("ok", "not ok")}, "host name"),
        ({"port": 0}, "not a port"),
        ({"port": 70_000}, "not a port"),
        ({"members": {}}, "no member"),
        ({"members": {"server": "x"}}, "'server'"),
        ({"host": "kenya"}, "'kenya'"),
    ],
)
def test_a_project_that_cannot_be_is_refused_before_anything_is_made(change, words):
    spec = {"name": "atlas", "host": "localhost", "port": 8002, "members": {"kenya": "kenya"}}
    with pytest.raises(DocumentError, match=words):
        check_spec(ProjectSpec(**{**spec, **change}))
