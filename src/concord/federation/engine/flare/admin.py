"""What a driver asks the coordinator's FLARE server, through FLARE's own session."""

from __future__ import annotations

import io
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from concord.federation.engine.flare.driver import AdminLost
from concord.federation.engine.flare.segment import Order
from concord.federation.sites.site_files import CONTROLLER, EXECUTOR

CONNECT_S = 5.0
FINISHED = "FINISHED:"


class FlareAdmin:
    """A session that is opened anew whenever it broke.

    Args:
        kit: The driver's start-up kit.
    """

    def __init__(self, kit: Path) -> None:
        self._kit = kit
        self._session: Any = None

    def registered(self) -> dict[str, float]:
        """Members that are admitted, and when the server last heard of each."""
        with self._asking() as session:
            found = session.get_system_info().client_info
            return {client.name: float(client.last_connect_time or 0.0) for client in found}

    def runs(self, member: str, job: str) -> bool:
        """Whether a member's site has a process for a job."""
        with self._asking() as session:
            found = session.get_client_job_status([member]) or []
            return any(one.get("job_id") == job for one in found)

    def submit(self, order: Order) -> str:
        """Submit a segment's job: JSON alone, signed with the driver's key."""
        with tempfile.TemporaryDirectory() as scratch, self._asking() as session:
            job = write_job(Path(scratch) / order.segment, order)
            return str(session.submit_job(str(job)))

    def ended(self, job: str) -> str | None:
        """How a job ended; None while it goes on."""
        with self._asking() as session:
            status = str(session.get_job_meta(job).get("status", ""))
        return status.removeprefix(FINISHED) if status.startswith(FINISHED) else None

    def abort(self, job: str) -> None:
        """End a job; nothing happens if it is over."""
        with suppress(AdminLost), self._asking() as session:
            session.abort_job(job)

    def close(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(Exception):
                session.close()

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        # FLARE's session prints, and raises types of its own and plain ones alike.
        try:
            with redirect_stdout(io.StringIO()):
                if self._session is None:
                    self._session = self._connect()
                yield self._session
        except Exception as error:
            self.close()
            raise AdminLost(type(error).__name__) from error

    def _connect(self) -> Any:
        from nvflare.fuel.flare_api.flare_api import new_secure_session

        # It tells of each try of its own; the driver tells what matters.
        log = logging.getLogger("nvflare")
        log.propagate = False
        log.addHandler(logging.NullHandler())
        return new_secure_session(self._kit.name, str(self._kit), timeout=CONNECT_S)


def write_job(folder: Path, order: Order) -> Path:
    """Write a job's folder: which of our classes runs where, and what it is told."""
    config = folder / "app" / "config"
    config.mkdir(parents=True)
    meta = {
        "name": order.segment,
        "resource_spec": {},
        "min_clients": 1,
        "deploy_map": {"app": ["server", *order.members]},
    }
    workflow = {"id": "segment", "path": CONTROLLER, "args": order.model_dump(mode="json")}
    executor = {"tasks": ["none"], "executor": {"path": EXECUTOR, "args": {}}}
    for path, value in (
        (folder / "meta.json", meta),
        (config / "config_fed_server.json", {"format_version": 2, "workflows": [workflow]}),
        (config / "config_fed_client.json", {"format_version": 2, "executors": [executor]}),
    ):
        path.write_text(json.dumps(value), encoding="utf-8")
    return folder
