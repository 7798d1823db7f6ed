"""Kits for a federation's members, made where its secretariat is.

    atlas/sites/project.json        host, port and members that kits were made for
    atlas/sites/project/            the root key, and every key that was made; see `provision`
    atlas/sites/server/             the coordinator's kit
    atlas/sites/driver@…/           the kit of whoever submits jobs
    atlas/sites/kits/<member>/      to be handed to the member, and then deleted here

All of it is readable by its owner alone, and none of it is ever published.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import load_pem_x509_certificate
from pydantic import ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest
from concord.base.errors import DocumentError, FederationError
from concord.base.files import private_folder, storage_errors, write_atomic
from concord.base.objects import ObjectStore
from concord.charter.document import Document, describe
from concord.federation.folders import FederationFolder
from concord.federation.sites.certificates import fingerprint, load_certificate
from concord.federation.sites.manifest import new_manifest, root_key, seal_kit
from concord.federation.sites.provision import DRIVER, Kits, ProjectSpec, check_spec, provision
from concord.federation.sites.revocation import write_denied
from concord.federation.sites.site_files import write_site_files
from concord.federation.sites.tls import DENIED
from concord.ledger.archive import Archive
from concord.ledger.publish import copy_log
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State

LOOPBACK = "127.0.0.1"
ANYWHERE = "0.0.0.0"  # noqa: S104 - members dial in from anywhere; certificates decide


class ProjectFile(Document):
    """For whom kits were made."""

    name: str
    host: str
    also_hosts: tuple[str, ...] = ()
    port: int
    listen: str = ANYWHERE
    """Address on which the server listens."""
    members: dict[str, str]


@dataclass(frozen=True)
class Delivery:
    """What was made."""

    kits: dict[str, Path]
    """Kits to hand out, by member."""
    server: Path
    root: Digest
    """Fingerprint of the root key: members compare it with what they are told."""
    federation: str


class Secretariat:
    """A federation's `sites` folder.

    Args:
        federation: The federation's folder; its log says who is a member.
        archive: The log, read.
    """

    def __init__(self, federation: FederationFolder, archive: Archive) -> None:
        self._federation = federation
        self._archive = archive
        self.folder = federation.root / "sites"

    @property
    def server(self) -> Path:
        """The coordinator's kit."""
        return self.folder / "server"

    @property
    def driver(self) -> Path:
        """The kit of whoever submits jobs; FLARE wants the folder to bear its name."""
        return self.folder / DRIVER

    def found(
        self,
        host: str,
        port: int,
        *,
        also_hosts: Iterable[str],
        now_s: int,
        listen: str | None = None,
    ) -> Delivery:
        """Make the project's keys and a kit for every member that the log holds.

        Args:
            host: Name under which members dial the server.
            port: Its one port.
            also_hosts: Further names of it.
            now_s: Unix seconds.
            listen: Address to listen on; all of the machine's if left out, or the loopback alone
                where the host is that.

        Raises:
            DocumentError: there is a project already, or host or port cannot be used.
        """
        if self.folder.exists():
            raise DocumentError(
                "kits were made already, and nothing is overwritten",
                where=self.folder,
                remedy="--add MEMBER makes one for a further member, --renew MEMBER a new one",
            )
        state = self._archive.state
        project = ProjectFile(
            name=state.name,
            host=host,
            also_hosts=tuple(also_hosts),
            port=port,
            listen=listen or (LOOPBACK if host in ("localhost", LOOPBACK) else ANYWHERE),
            members={member: _owner(state, member) for member in state.seated()},
        )
        check_spec(_spec(project))
        try:
            return self._make(project, project.members, now_s=now_s, server=True)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def add(self, members: Iterable[str], *, now_s: int) -> Delivery:
        """Make kits for further members, under the same root.

        Raises:
            DocumentError: there is no project yet, or one has a kit already.
            StatementRefused: one is no member.
        """
        project, state = self.project(), self._archive.state
        wanted = list(members)
        for member in wanted:
            state.member(member)
            if member in project.members:
                raise DocumentError(
                    f"a kit for {member!r} was made already",
                    where=self.folder,
                    remedy=f"--renew {member} makes a new one, with a new key",
                )
        grown = {**project.members, **{member: _owner(state, member) for member in wanted}}
        project = project.model_copy(update={"members": grown})
        return self._make(project, wanted, now_s=now_s)

    def renew(self, members: Iterable[str], *, now_s: int) -> Delivery:
        """Make new keys and certificates for participants, under the same root.

        Args:
            members: Members; `server` and `driver` stand for the coordinator's own.

        Raises:
            DocumentError: no kit was ever made for one of them.
        """
        project, wanted = self.project(), list(members)
        own = {"server", "driver"}
        for name in wanted:
            if name not in project.members and name not in own:
                raise DocumentError(
                    f"no kit was made for {name!r}",
                    where=self.folder,
                    remedy="--add makes one; renewed can be server, driver,"
                    f" {', '.join(sorted(project.members))}",
                )
        self._deny(project, wanted, now_s=now_s)
        self._forget_keys(project, wanted)
        chosen = [name for name in wanted if name not in own]
        return self._make(project, chosen, now_s=now_s, server=bool(own & set(wanted)))

    def revoke(self, members: Iterable[str], *, now_s: int) -> int:
        """Let the certificates that members have now count no more, and make no new ones.

        Returns:
            How many certificates are revoked by now.

        Raises:
            DocumentError: no kit was ever made for one of them.
        """
        project, wanted = self.project(), list(members)
        for name in wanted:
            if name not in project.members:
                raise DocumentError(f"no kit was made for {name!r}", where=self.folder)
        return self._deny(project, wanted, now_s=now_s)

    def project(self) -> ProjectFile:
        """For whom kits were made.

        Raises:
            DocumentError: nothing was made yet, or the file is damaged.
        """
        path = self.folder / "project.json"
        if not path.exists():
            raise DocumentError(
                "no kits were made yet",
                where=self._federation.root,
                remedy="make them: concord federation provision FEDERATION --host H --port P",
            )
        try:
            return ProjectFile.model_validate(parse_json(path.read_bytes(), where=path))
        except ValidationError as error:
            raise DocumentError(describe(error), where=path) from error

    def _make(
        self, project: ProjectFile, members: Iterable[str], *, now_s: int, server: bool = False
    ) -> Delivery:
        private_folder(self.folder)
        made = provision(self.folder / "project", _spec(project))
        if server:
            self._take_server(made, project, now_s)
        key = root_key(made.state)
        kits = {member: self._pack(made, project, member, key, now_s) for member in members}
        write_atomic(
            self.folder / "project.json",
            json.dumps(project.model_dump(mode="json"), indent=1).encode() + b"\n",
            mode=0o600,
        )
        root = load_certificate(made.server / "startup" / "rootCA.pem")
        # What was copied is all that is needed; FLARE makes no more than a hundred such folders.
        shutil.rmtree(made.server.parent, ignore_errors=True)
        return Delivery(kits, self.server, fingerprint(root), self._digest())

    def _take_server(self, made: Kits, project: ProjectFile, now_s: int) -> None:
        denied = self.server / "startup" / DENIED
        before = denied.read_bytes() if denied.exists() else None
        for source, target in ((made.server, self.server), (made.driver, self.driver)):
            _replace(source, target)
        self._listen(project)
        if before is None:
            self._deny(project, (), now_s=now_s)
        else:
            write_atomic(denied, before, mode=0o600)
        write_site_files(
            self.server,
            "server",
            name=project.host,
            folder=self._federation.root,
            federation=self._digest(),
        )

    def _listen(self, project: ProjectFile) -> None:
        """FLARE would bind, and the driver dial, whatever address the host's name has here."""
        path = self.server / "startup" / "fed_server.json"
        value = parse_json(path.read_bytes(), where=path)
        value["servers"][0]["service"]["target"] = f"{project.listen}:{project.port}"
        write_atomic(path, json.dumps(value, indent=1).encode(), mode=0o600)
        path = self.driver / "startup" / "fed_admin.json"
        value = parse_json(path.read_bytes(), where=path)
        value["admin"]["host"] = LOOPBACK if project.listen == ANYWHERE else project.listen
        write_atomic(path, json.dumps(value, indent=1).encode(), mode=0o600)

    def _pack(
        self, made: Kits, project: ProjectFile, member: str, key: RSAPrivateKey, now_s: int
    ) -> Path:
        kit = private_folder(self.folder / "kits") / member
        _replace(made.members[member], kit)
        shutil.rmtree(kit / "transfer", ignore_errors=True)
        self._copy_log(kit / "federation")
        manifest = new_manifest(
            federation=self._digest(),
            name=project.name,
            member=member,
            host=project.host,
            port=project.port,
            now_s=now_s,
        )
        seal_kit(kit, manifest, key)
        return kit

    def _copy_log(self, out: Path) -> None:
        copy_log(self._federation.log, out / "log", self._archive.note)
        library, store = ObjectLibrary(self._federation.objects), ObjectStore(out / "objects")
        for entry in self._archive.entries:
            for digest in library.named_by(entry.statement):
                store.put(self._federation.objects.get(digest))

    def _deny(self, project: ProjectFile, names: Iterable[str], *, now_s: int) -> int:
        state = parse_json(self._state(project).read_bytes(), where=self._state(project))
        # Whose key was forgotten, and no new one made, was denied before that.
        held = [state[who]["cert"] for who in _participants(project, names) if who in state]
        serials = [load_pem_x509_certificate(one.encode()).serial_number for one in held]
        return write_denied(
            self.server / "startup" / DENIED,
            load_certificate(self.server / "startup" / "rootCA.pem"),
            root_key(self._state(project)),
            now_s=now_s,
            also=tuple(serials),
        )

    def _state(self, project: ProjectFile) -> Path:
        return self.folder / "project" / project.name / "state" / "cert.json"

    def _forget_keys(self, project: ProjectFile, names: Iterable[str]) -> None:
        """Let the provisioner make new ones: it keeps what its state holds."""
        path = self._state(project)
        with storage_errors(path):
            state = parse_json(path.read_bytes(), where=path)
        for participant in _participants(project, names):
            state.pop(participant, None)
        write_atomic(path, canonical_json(state), mode=0o600)

    def _digest(self) -> str:
        digest = self._archive.state.federation
        if digest is None:
            raise FederationError("was not founded yet", where=self._federation.root)
        return digest


def _spec(project: ProjectFile) -> ProjectSpec:
    return ProjectSpec(
        project.name, project.host, project.port, project.members, project.also_hosts
    )


def _participants(project: ProjectFile, names: Iterable[str]) -> list[str]:
    """What the provisioner calls them."""
    own = {"server": project.host, "driver": DRIVER}
    return [own.get(name, name) for name in names]


def _owner(state: State, member: str) -> str:
    return state.member(member).entry.owner or member


def _replace(source: Path, target: Path) -> None:
    with storage_errors(target):
        making = target.with_name(f".{target.name}.part")
        shutil.rmtree(making, ignore_errors=True)
        shutil.copytree(source, making)
        making.chmod(0o700)
        shutil.rmtree(target, ignore_errors=True)
        making.rename(target)
