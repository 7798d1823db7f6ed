"""A federation between sites, on one machine: a process tree per site, mutual TLS, one command.

    <federation>/sites-here/     kits of the coordinator, the driver and every member; mode 0700

They are not those that `concord federation provision` makes for members elsewhere, and stand in
nobody's way: the folder may be deleted when no run goes on.

For trying out, and for tests: every process, message, certificate and right is as between data
centres; only the machine is one.
"""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from concord.base.clock import SystemClock
from concord.base.errors import SiteUnreachable
from concord.base.files import private_folder
from concord.base.locks import Held, locked
from concord.charter.run import RunDocument
from concord.federation.engine.flare.driver import Driver
from concord.federation.folders import FederationFolder
from concord.federation.preflight import check_run, check_start
from concord.federation.records import RunFolder
from concord.federation.sites.certificates import load_certificate
from concord.federation.sites.manifest import root_key
from concord.federation.sites.processes import SiteProcess
from concord.federation.sites.provision import Kits, ProjectSpec, provision
from concord.federation.sites.revocation import write_denied
from concord.federation.sites.site_files import write_site_files
from concord.federation.sites.supervisor import Supervisor
from concord.federation.sites.tls import DENIED
from concord.federation.watcher import Watcher

HOST = "localhost"
PROJECT = "sites"
HERE = "sites-here"
IN_USE = "in-use"
"""Held beside the kits of a run for as long as it goes on."""


def run_sited(
    federation: FederationFolder, run: RunDocument, *, resume: bool, watcher: Watcher
) -> None:
    """Run all rounds that are left, every member in a site of its own on this machine.

    Raises:
        ConcordError: whatever ends the run; the last committed round stays intact.
    """
    folder = RunFolder(federation.root, run.name)
    check_start(folder, run, resume=resume)
    check_run(federation, run)
    with kits_here(federation, run) as kits, sites_up(kits) as sites:
        drive(run, folder, kits.driver, watcher=watcher, stopped=_kept_up(sites, watcher))


def _kept_up(sites: Mapping[str, SiteProcess], watcher: Watcher) -> Callable[[], bool]:
    """Starts again what ended, whenever it is asked whether to stop; it never is."""
    supervisors = [
        Supervisor(site, tell=partial(_note, watcher, name)) for name, site in sites.items()
    ]

    def look() -> bool:
        for supervisor in supervisors:
            supervisor.look()
        return False

    return look


def _note(watcher: Watcher, site: str, text: str) -> None:
    watcher.note(f"{site}: {text}")


@contextmanager
def kits_here(federation: FederationFolder, run: RunDocument) -> Iterator[Kits]:
    """Kits for one run; those of runs that are over are removed first."""
    here = private_folder(federation.root / HERE)
    with ExitStack() as held:
        with locked(here / "lock", wait=True):
            for old in (here / PROJECT).glob("prod_*"):
                with suppress(Held), locked(old / IN_USE, wait=False):
                    shutil.rmtree(old, ignore_errors=True)
            kits = make_kits(federation, run)
            held.enter_context(locked(kits.server.parent / IN_USE, wait=False))
        yield kits


def make_kits(federation: FederationFolder, run: RunDocument) -> Kits:
    """Kits and site files for the coordinator, the driver and every member of a run.

    The server refuses revoked certificates here too; its list is empty.
    """
    spec = ProjectSpec(
        name=PROJECT,
        host=HOST,
        port=free_port(),
        members={member: member for member in run.member_ids},
    )
    kits = provision(federation.root / HERE, spec)
    startup = kits.server / "startup"
    write_denied(
        startup / DENIED,
        load_certificate(startup / "rootCA.pem"),
        root_key(kits.state),
        now_s=int(SystemClock().unix_s()),
    )
    write_site_files(kits.server, "server", name=HOST, folder=federation.root)
    for member, kit in kits.members.items():
        write_site_files(kit, "member", name=member, folder=federation.member(member).root)
    return kits


@contextmanager
def sites_up(kits: Kits) -> Iterator[dict[str, SiteProcess]]:
    """Start every site's processes; all of them end with the block."""
    sites = {"server": SiteProcess(kits.server)}
    sites |= {member: SiteProcess(kit) for member, kit in kits.members.items()}
    with ExitStack() as stack, _ended_in_order():
        for site in sites.values():
            stack.enter_context(site)
        yield sites


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Who is asked to end leaves no site behind; in a thread nobody can be asked."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def drive(
    run: RunDocument,
    folder: RunFolder,
    driver_kit: Path,
    *,
    watcher: Watcher,
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Drive a run over the coordinator's server until it is over.

    Args:
        driver_kit: The driver's start-up kit.
        stopped: Whether to leave the rest to a later driver.

    Returns:
        False if it was stopped before.

    Raises:
        ConcordError: what ended the run.
    """
    from concord.federation.engine.flare.admin import FlareAdmin

    admin = FlareAdmin(driver_kit)
    try:
        return Driver(run, folder, admin, watcher=watcher, stopped=stopped).drive()
    finally:
        admin.close()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return int(listener.getsockname()[1])
    except OSError as error:
        raise SiteUnreachable("no port is free on this machine") from error
