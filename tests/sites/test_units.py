"""Service files: what systemd and a container would be told, checked without either."""

import shutil
import subprocess

import pytest

HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "read-only",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "RestrictSUIDSGID": "yes",
    "RestrictNamespaces": "yes",
    "LockPersonality": "yes",
    "SystemCallFilter": "@system-service",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectControlGroups": "yes",
    "SocketBindDeny": "any",
    "DevicePolicy": "closed",
    "UMask": "0077",
    "KillMode": "mixed",
}
SECTIONS = ["Unit", "Service", "Install"]
DOCKERFILE = {"FROM", "RUN", "COPY", "ENV", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


@pytest.fixture
def home(kit):
    return kit("fiji").parents[2]


def parse(text):
    """Sections and keys of a unit; anything else is an error."""
    found, section = {}, None
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        assert key.isalnum(), line
        assert "$" not in value, line
        section.setdefault(key, []).append(value)
    return found


def test_a_unit_has_few_rights_and_writes_only_into_the_home(told, home):
    found = parse(told("member", "unit", home, "--user", "fiji").out)
    assert list(found) == SECTIONS
    service = found["Service"]
    assert {key: service[key] for key in HARDENED} == {k: [v] for k, v in HARDENED.items()}
    assert service["ReadWritePaths"] == [str(home)]
    assert service["User"] == ["fiji"]
    (command,) = service["ExecStart"]
    assert command.endswith(f" -m concord.cli.main member up {home} --as fiji")
    assert "ListenStream" not in service


def test_systemd_finds_no_fault_in_the_unit(told, home, tmp_path):
    path = tmp_path / "concord-fiji.service"
    path.write_text(told("member", "unit", home, "--user", "daemon").out)
    if shutil.which("systemd-analyze") is None:  # then the strict reading above has to do
        parse(path.read_text())
        return
    done = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def instructions(text):
    joined = text.replace("\\\n", " ").splitlines()
    return [line.split(None, 1) for line in joined if line and not line.startswith("#")]


def test_a_container_runs_as_nobody_in_particular_and_opens_no_port(told, home):
    text = told("member", "unit", home, "--container").out
    found = instructions(text)
    assert {name for name, _ in found} <= DOCKERFILE
    assert found[0][0] == "FROM"
    words = dict(found)
    assert words["USER"] == "10001:10001"
    assert words["ENTRYPOINT"] == '["concord", "member", "up"]'
    assert words["CMD"] == f'["{home}", "--as", "fiji"]'
    assert "EXPOSE" not in words
    assert "--cap-drop ALL" in text
    assert "$" not in text.replace("$(id -u):$(id -g)", "")


@pytest.mark.parametrize("name", ["with space", "per%cent", "new\nline", 'quo"te'])
def test_a_path_that_would_be_read_otherwise_is_refused(told, handed, tmp_path, name):
    home = tmp_path / name
    told("member", "join", handed(), "--home", home)
    assert "would read otherwise" in told("member", "unit", home, status=2).err


def test_a_user_that_cannot_be_is_refused(told, home):
    said = told("member", "unit", home, "--user", "root\nExecStartPre=/bin/sh", status=2)
    assert "is no user's name" in said.err
