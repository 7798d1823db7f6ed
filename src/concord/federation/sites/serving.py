"""The coordinator's server, kept up while something else goes on in the same process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from concord.base.errors import ConcordError, FederationError, KitRefused
from concord.federation.sites.certificates import check_certificate, load_certificate
from concord.federation.sites.diagnosis import check_port_free
from concord.federation.sites.processes import SiteProcess
from concord.federation.sites.secretariat import Secretariat
from concord.federation.sites.site_files import check_site_files
from concord.federation.sites.supervisor import Supervisor
from concord.federation.sites.tls import DENIED
from concord.ledger.archive import Archive

DAYS_OF_WARNING = 30


def check_server(office: Secretariat, archive: Archive, *, now_s: int) -> None:
    """See that the coordinator's server may be started here.

    1. Kits were made, and the site files allow no more than they may.
    2. The server's certificate is of the project's root, bears its host, and counts now.
    3. The list of revoked certificates is there.
    4. The key that signs the log lies here.
    5. The port is free.

    Raises:
        DocumentError: no kits were made.
        SiteRefused: a site file is missing or laxer than allowed.
        KitRefused: the certificate does not count, or the list is missing.
        FederationError: another member runs the coordinator.
        SiteUnreachable: the port is in use.
    """
    project = office.project()
    check_site_files(office.server)
    startup = office.server / "startup"
    root = load_certificate(startup / "rootCA.pem")
    path = startup / "server.crt"
    check_certificate(load_certificate(path), root, name=project.host[:63], now_s=now_s, where=path)
    if not (startup / DENIED).is_file():
        raise KitRefused(
            "is missing: revoked certificates would count again",
            where=startup / DENIED,
            remedy="restore it from a copy, or: concord federation provision --renew server",
        )
    _check_role(office, archive)
    check_port_free(project.listen, project.port)


def _check_role(office: Secretariat, archive: Archive) -> None:
    member = archive.state.coordinator.member
    root = office.folder.parent
    if not (root / "members" / member / "private" / "keys" / "log.pem").exists():
        raise FederationError(
            f"member {member!r} runs the coordinator, and its key is not here",
            where=root,
            remedy="run this at that member, or take the role over: `concord coordinator take`",
        )


@contextmanager
def served(kit: Path, *, tell: Callable[[str], None]) -> Iterator[SiteProcess]:
    """Keep the server of a kit up; at the end nothing of its tree is left.

    What ends the server for good is raised where this is left.

    Args:
        kit: The coordinator's kit.
        tell: Takes lines for people, also from another thread.
    """
    process, over = SiteProcess(kit), threading.Event()
    faults: list[ConcordError] = []
    supervisor = Supervisor(process, tell=tell, ended=over.is_set, sleep=lambda s: _wait(over, s))

    def keep() -> None:
        try:
            supervisor.run()
        except ConcordError as error:
            faults.append(error)
            tell(str(error))

    thread = threading.Thread(target=keep, name="server", daemon=True)
    thread.start()
    try:
        yield process
    finally:
        over.set()
        thread.join()
    if faults:
        raise faults[0]


def _wait(over: threading.Event, seconds: float) -> None:
    over.wait(seconds)
