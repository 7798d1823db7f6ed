"""Kits made once; a test that changes one takes a copy."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from concord.federation.sites.provision import Kits, ProjectSpec, provision
from concord.federation.sites.site_files import write_site_files

PORT = 8399


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Kits:
    root = tmp_path_factory.mktemp("project")
    return provision(
        root, ProjectSpec("atlas", "localhost", PORT, {"kenya": "kenya", "new-peru": "peru"})
    )


@pytest.fixture
def kit(made, tmp_path) -> Callable[[str], Path]:
    """A fresh copy of a member's kit, or the server's, with its site files written."""

    def copy(name: str) -> Path:
        source = made.server if name == "server" else made.members[name]
        target = tmp_path / name
        shutil.copytree(source, target)
        role = "server" if name == "server" else "member"
        write_site_files(target, role, name=name, folder=tmp_path)
        return target

    return copy
