"""Files by which a site decides what a job may do there: written with safe defaults, then checked.

FLARE replaces each of these files, where it is absent, by a laxer default. So every one of them is
there, is checked before a process starts, and its hash is told. A member may narrow what stands in
them; wider than written here is refused.

    local/resources.json       which classes a job may name; where jobs are kept; no log streaming
    local/authorization.json   who may ask what: jobs by the driver alone, code and shells by nobody
    local/privacy.json         the filter that every result passes before it leaves
    local/log_config.json      what the processes write down: types of errors, one bounded file
    local/comm_config.json     limits of the connection; nobody connects to a member
    local/concord.json         whose site this is, and where its folder lies
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from concord.base.canonical import parse_json
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError, SiteRefused
from concord.base.files import private_folder, storage_errors, write_atomic
from concord.charter.document import Document, describe
from concord.federation.sites.protocol import PROTOCOL, check_protocol
from concord.federation.sites.rights import AUTHORIZATION, wider

Role = Literal["server", "member"]
CONTROLLER = "concord.federation.engine.flare.controller.RoundController"
EXECUTOR = "concord.federation.engine.flare.executor.RoundExecutor"
DOOR = "concord.federation.engine.flare.door.PolicyGate"
TLS = {"id": "concord_tls", "path": "concord.federation.sites.tls.Tls", "args": {}}
CLASSES = (CONTROLLER, EXECUTOR, DOOR)
"""All that a job may name."""
PRIVACY = {
    "scopes": [{"name": "default", "task_result_filters": [{"path": DOOR, "args": {}}]}],
    "default_scope": "default",
}
COMMUNICATION: Mapping[str, int | bool] = {"allow_adhoc_conns": False}
_COMMUNICATION_KEYS = frozenset(
    {
        "allow_adhoc_conns",
        "max_message_size",
        "heartbeat_interval",
        "subnet_heartbeat_interval",
        "subnet_trouble_threshold",
        "streaming_chunk_size",
        "streaming_max_blob_size",
        "streaming_ack_wait",
        "streaming_window_size",
        "streaming_ack_interval",
        "streaming_read_timeout",
        "streaming_send_timeout",
        "streaming_ack_progress_timeout",
        "sfm_send_stall_timeout",
        "tcp_no_delay",
    }
)
"""Numbers and switches only: another key of this file names a class to load."""
MAX_FILE_BYTES = 1 << 20
_LAUNCH = "nvflare.app_common.job_launcher."
_STORAGE = "nvflare.app_common.storages.filesystem_storage.FilesystemStorage"


class Site(Document):
    """`local/concord.json`: whose site this is."""

    protocol: int
    role: Role
    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The member's id; at the coordinator, its host."""
    federation: str = ""
    """The founding statement's digest: the federation's name for ever."""
    folder: Annotated[str, Field(min_length=1)]
    """The member's own folder, or the federation's: absolute, never told to anybody."""


def write_site_files(
    kit: Path,
    role: Role,
    *,
    name: str,
    folder: Path,
    federation: str = "",
    communication: Mapping[str, int | bool] = COMMUNICATION,
) -> dict[str, Digest]:
    """Write all site files of a kit, and return their hashes.

    Args:
        kit: A start-up kit, with `startup` in it.
        role: Whether it is the coordinator's or a member's.
        name: The member's id, or the coordinator's host.
        folder: The member's own folder (`members/<id>`), or the federation's.
        federation: Digest of the founding statement.
        communication: Limits of the connection, by FLARE's names.

    Raises:
        StorageError: they cannot be written.
    """
    kit = kit.resolve()
    site = Site(
        protocol=PROTOCOL,
        role=role,
        name=name,
        federation=federation,
        folder=str(folder.resolve()),
    )
    files = {
        **_fixed(kit, role),
        "comm_config.json": {**COMMUNICATION, **communication},
        "concord.json": site.model_dump(mode="json"),
    }
    local = private_folder(kit / "local")
    _refuse_strangers(local)
    for file, content in files.items():
        write_atomic(local / file, _pretty(content), mode=0o600)
    for lax in (*local.glob("*.default"), *local.glob("*.sample")):
        with storage_errors(lax):
            lax.unlink()
    if role == "server":
        for store in ("jobs", "snapshots"):
            private_folder(kit / store)
    return check_site_files(kit)


def read_site(kit: Path) -> Site:
    """Whose site a kit is.

    Raises:
        SiteRefused: `local/concord.json` is missing or faulty.
        MessageRefused: it was written by another version of the protocol.
    """
    path = kit / "local" / "concord.json"
    value = _read(path)
    if isinstance(value, dict) and type(value.get("protocol")) is int:
        check_protocol(value["protocol"], who="the kit")
    try:
        return Site.model_validate(value)
    except ValidationError as error:
        raise SiteRefused(describe(error), where=path, remedy=_REWRITE) from error


def check_site_files(kit: Path) -> dict[str, Digest]:
    """Check that every site file is there and allows no more than it may; return their hashes.

    Raises:
        SiteRefused: one is missing, damaged, or laxer than allowed; or a file lies there that
            would be read too.
        MessageRefused: the kit was written by another version of the protocol.
    """
    kit = kit.resolve()
    site, local = read_site(kit), kit / "local"
    _refuse_strangers(local)
    for file, expected in _fixed(kit, site.role).items():
        found, path = _read(local / file), local / file
        if file == "resources.json":
            found = _narrowed(found, expected, path)
        if file == "authorization.json":
            if reason := wider(found):
                raise SiteRefused(reason, where=path, remedy=_REWRITE)
        elif found != expected:
            place = _difference(found, expected)
            raise SiteRefused(f"is not as Concord wrote it: {place}", where=path, remedy=_REWRITE)
    _check_communication(_read(local / "comm_config.json"), local / "comm_config.json")
    _check_start(kit, site.role)
    names = (*_fixed(kit, site.role), "comm_config.json", "concord.json")
    return {file: digest_bytes((local / file).read_bytes()) for file in sorted(names)}


_REWRITE = "write it anew: `concord member join`, or `concord federation provision --renew`"


def _fixed(kit: Path, role: Role) -> dict[str, Any]:
    return {
        "resources.json": _server(kit) if role == "server" else _member(),
        "authorization.json": AUTHORIZATION,
        "privacy.json": PRIVACY,
        "log_config.json": _logging(),
    }


def _resources() -> dict[str, Any]:
    return {
        "format_version": 2,
        "class_allow_list": list(CLASSES),
        "class_list_enforcement_mode": "enforce",
        "allow_log_streaming": False,
    }


def _member() -> dict[str, Any]:
    managers = "nvflare.app_common.resource_managers.gpu_resource_manager.GPUResourceManager"
    return {
        **_resources(),
        "client": {"retry_timeout": 30, "compression": "Gzip"},
        "components": [
            TLS,
            {
                "id": "resource_manager",
                "path": managers,
                "args": {"num_of_gpus": 0, "mem_per_gpu_in_GiB": 0, "expiration_period": 300},
            },
            {
                "id": "resource_consumer",
                "path": "nvflare.app_common.resource_consumers"
                ".gpu_resource_consumer.GPUResourceConsumer",
                "args": {},
            },
            {
                "id": "process_launcher",
                "path": f"{_LAUNCH}client_process_launcher.ClientProcessJobLauncher",
                "args": {},
            },
        ],
    }


def _server(kit: Path) -> dict[str, Any]:
    snapshots = {"root_dir": str(kit / "snapshots"), "uri_root": "/"}
    return {
        **_resources(),
        "servers": [
            {
                "admin_storage": "transfer",
                "max_num_clients": 1000,
                "heart_beat_timeout": 600,
                "download_job_url": "",
                "admin_timeout": 60.0,
            }
        ],
        "snapshot_persistor": {
            "path": "nvflare.app_common.state_persistors"
            ".storage_state_persistor.StorageStatePersistor",
            "args": {"uri_root": "/", "storage": {"path": _STORAGE, "args": snapshots}},
        },
        "components": [
            TLS,
            {
                "id": "job_scheduler",
                "path": "nvflare.app_common.job_schedulers.job_scheduler.DefaultJobScheduler",
                "args": {"max_jobs": 2},
            },
            {
                "id": "job_manager",
                "path": "nvflare.apis.impl.job_def_manager.SimpleJobDefManager",
                "args": {"uri_root": str(kit / "jobs"), "job_store_id": "job_store"},
            },
            {"id": "job_store", "path": _STORAGE},
            {
                "id": "process_launcher",
                "path": f"{_LAUNCH}server_process_launcher.ServerProcessJobLauncher",
                "args": {},
            },
        ],
    }


def _logging() -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "formatter": "line",
                "filename": "log.txt",
                "maxBytes": 4 << 20,
                "backupCount": 2,
            }
        },
        "loggers": {
            "root": {"level": "WARNING", "handlers": ["file"]},
            "concord": {"level": "INFO"},
            REGISTRATION: {"level": "INFO"},
        },
    }


REGISTRATION = "nvflare.private.fed.client.fed_client"
"""Logger that says when a member was admitted; nothing of a member's text goes through it."""


def _narrowed(found: Any, expected: Any, path: Path) -> Any:
    """The same with the whole list of classes, where what is listed is a part of it."""
    classes = found.get("class_allow_list") if isinstance(found, dict) else None
    if not isinstance(classes, list) or not set(classes) <= set(CLASSES):
        raise SiteRefused(
            "allows a job to name classes other than Concord's",
            where=f"{path}: class_allow_list",
            remedy=_REWRITE,
        )
    return {**found, "class_allow_list": expected["class_allow_list"]}


def _check_communication(found: Any, path: Path) -> None:
    if not isinstance(found, dict) or found.get("allow_adhoc_conns") is not False:
        raise SiteRefused("lets others connect to this site", where=path, remedy=_REWRITE)
    for key, value in found.items():
        if key not in _COMMUNICATION_KEYS or type(value) not in (int, float, bool):
            raise SiteRefused(f"may not set {key[:80]!r}", where=path, remedy=_REWRITE)


def _check_start(kit: Path, role: Role) -> None:
    path = kit / "startup" / ("fed_server.json" if role == "server" else "fed_client.json")
    value = _read(path)
    if not isinstance(value, dict) or value.get("require_signed_jobs") is not True:
        raise SiteRefused("does not ask for signed jobs", where=path, remedy="take the kit anew")
    part = value.get("client") if role == "member" else (value.get("servers") or [None])[0]
    if not isinstance(part, dict) or part.get("connection_security") != "mtls":
        raise SiteRefused("does not ask for mutual TLS", where=path, remedy="take the kit anew")


KNOWN = frozenset(
    {
        "resources.json",
        "authorization.json",
        "privacy.json",
        "log_config.json",
        "comm_config.json",
        "concord.json",
        "resources.json.default",
        "authorization.json.default",
        "log_config.json.default",
        "privacy.json.sample",
    }
)


def _refuse_strangers(local: Path) -> None:
    for path in sorted(local.iterdir()) if local.is_dir() else ():
        if path.name not in KNOWN:
            raise SiteRefused(
                "does not belong there: FLARE might read it, or load code from it",
                where=path,
                remedy="move it away",
            )


def _read(path: Path) -> Any:
    if path.is_symlink() or not path.is_file():
        raise SiteRefused(
            "is missing, and FLARE would take a laxer file in its place",
            where=path,
            remedy=_REWRITE,
        )
    with storage_errors(path), path.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    try:
        return parse_json(data, where=path)
    except DocumentError as error:
        raise SiteRefused(error.message, where=path, remedy=_REWRITE) from error


def _difference(found: Any, expected: Any, place: str = "") -> str:
    """The first place where two JSON values differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted({*found, *expected}):
            if found.get(key) != expected.get(key) or (key in found) != (key in expected):
                return _difference(found.get(key), expected.get(key), f"{place}.{key}".lstrip("."))
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            if one != other:
                return _difference(one, other, f"{place}[{number}]")
    return place or "the whole file"


def _pretty(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
