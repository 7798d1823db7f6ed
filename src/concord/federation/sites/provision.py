"""A project's certificates and one start-up kit per participant, made by FLARE's provisioner.

    root/<name>/state/cert.json     the root key, and every key that was made; mode 0600
    root/<name>/prod_00/<who>/      kits; the next provisioning writes prod_01 and keeps the root

Everything below `root` is readable by its owner alone. Leaf certificates last 360 days.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from concord.base.errors import DocumentError, FederationError
from concord.base.files import private_folder, storage_errors

DRIVER = "driver@concord.local"
"""Who submits jobs: the only role that may, and the only one that a kit is made for."""
RESERVED = frozenset({"server", "admin", "driver"})
_BUILDERS = "nvflare.lighter.impl."
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
"""At most 63 characters: the host is the server certificate's common name."""
ROOT_VALID_DAYS = 3650


@dataclass(frozen=True)
class ProjectSpec:
    """What kits are made for.

    Args:
        name: The federation's name; names the root certificate.
        host: Host name under which members dial the coordinator.
        port: Its one port, for members and for jobs.
        members: Organisation of each member, by its id.
        also_hosts: Further names under which the server may be dialled.
    """

    name: str
    host: str
    port: int
    members: Mapping[str, str] = field(default_factory=dict)
    also_hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kits:
    """Start-up kits, each a folder with `startup` and `local`.

    `state` is the file that holds the root key.
    """

    server: Path
    driver: Path
    members: dict[str, Path]
    state: Path


def provision(root: Path, spec: ProjectSpec) -> Kits:
    """Make kits for all participants; an existing project keeps its root and its certificates.

    Raises:
        DocumentError: the host, the port or a member cannot be in a project.
        FederationError: the provisioner failed.
        StorageError: the folder cannot be written.
    """
    check_spec(spec)
    private_folder(root)
    with storage_errors(root), _owner_only():
        made = _provisioned(root, _project(spec))
    state = root / spec.name / "state" / "cert.json"
    with storage_errors(state):
        state.chmod(0o600)
    members = {member: made / member for member in spec.members}
    kits = Kits(server=made / spec.host, driver=made / DRIVER, members=members, state=state)
    for kit in (kits.server, kits.driver, *members.values()):
        if not (kit / "startup").is_dir():
            raise FederationError("the provisioner left out a kit", where=kit)
        _drop_scripts(kit)
    return kits


def _drop_scripts(kit: Path) -> None:
    """FLARE's own scripts would start a site without any of our checks."""
    with storage_errors(kit):
        for path in kit.rglob("*"):
            if path.suffix in (".sh", ".ipynb") or path.name == "readme.txt":
                path.unlink()


def check_spec(spec: ProjectSpec) -> None:
    """Refuse what the provisioner would stumble over, in words.

    Raises:
        DocumentError: the host, the port or a member cannot be in a project.
    """
    for host in (spec.host, *spec.also_hosts):
        if not _HOST.fullmatch(host):
            raise DocumentError(
                f"{host[:80]!r} is not a host name of at most 63 characters",
                where="--host",
                remedy="give the name that members can resolve, such as coordinator.example.org",
            )
    if not 1 <= spec.port <= 65_535:
        raise DocumentError(f"{spec.port} is not a port", where="--port")
    if not spec.members:
        raise DocumentError("there is no member to make a kit for", where=spec.name)
    for member in spec.members:
        if member in RESERVED or member == spec.host:
            raise DocumentError(
                f"a member cannot be called {member!r}: the name stands for another participant",
                where=member,
                remedy="give the host another name, or admit the member under another id",
            )


def _project(spec: ProjectSpec) -> dict[str, Any]:
    server: dict[str, Any] = {
        "name": spec.host,
        "type": "server",
        "org": "coordinator",
        "fed_learn_port": spec.port,
    }
    if spec.also_hosts:
        server["host_names"] = list(spec.also_hosts)
    members = [
        {"name": member, "type": "client", "org": _organisation(owner)}
        for member, owner in sorted(spec.members.items())
    ]
    driver = {"name": DRIVER, "type": "admin", "org": "coordinator", "role": "lead"}
    return {
        "api_version": 3,
        "name": spec.name,
        "description": "",
        "participants": [server, *members, driver],
        "builders": [
            _builder("workspace.WorkspaceBuilder", template_file=["master_template.yml"]),
            _builder(
                "static_file.StaticFileBuilder",
                config_folder="config",
                scheme="tcp",
                require_signed_jobs=True,
            ),
            _builder("cert.CertBuilder", root_valid_days=ROOT_VALID_DAYS),
            _builder("signature.SignatureBuilder"),
        ],
    }


def _builder(path: str, **args: object) -> dict[str, Any]:
    return {"path": _BUILDERS + path, "args": args}


def _organisation(owner: str) -> str:
    """Letters, digits and `_`: FLARE takes nothing else."""
    return re.sub(r"[^A-Za-z0-9]", "_", owner)


def _provisioned(root: Path, project: dict[str, Any]) -> Path:
    from nvflare.lighter.constants import CtxKey
    from nvflare.lighter.prov_utils import prepare_builders
    from nvflare.lighter.provision import prepare_project
    from nvflare.lighter.provisioner import Provisioner

    said = io.StringIO()  # the provisioner prints, errors too
    try:
        with redirect_stdout(said), redirect_stderr(said):
            context = Provisioner(str(root), prepare_builders(project)).provision(
                prepare_project(project)
            )
    except OSError:
        raise
    except Exception as error:
        raise FederationError(f"kits could not be made: {error}", where=root) from error
    if context.get(CtxKey.BUILD_ERROR):
        reasons = [line for line in said.getvalue().splitlines() if "Exception" in line]
        reason = reasons[0] if reasons else "the provisioner does not say why"
        raise FederationError(f"kits could not be made: {reason[:300]}", where=root)
    return Path(context.get_result_location())


@contextmanager
def _owner_only() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
