"""`concord coordinator up`: the server of a federation between sites, and the driver of its run."""

from __future__ import annotations

import logging
from pathlib import Path

from rich.console import Console

from concord.cli import desk
from concord.cli.member import Ending
from concord.cli.say import say, warn
from concord.cli.watch import TerminalWatcher
from concord.federation.folders import FederationFolder


def drive_between_sites(folder: Path, name: str | None, *, report: bool) -> None:
    """Serve members at other sites until a run is over, or until this process is asked to end.

    Raises:
        ConcordError: the server may not be started, or what ended the run.
    """
    from concord.federation.records import RunFolder
    from concord.federation.sited import drive
    from concord.federation.sites.certificates import days_left, load_certificate
    from concord.federation.sites.secretariat import Secretariat
    from concord.federation.sites.serving import DAYS_OF_WARNING, check_server, served
    from concord.federation.sites.tls import Tls

    logging.captureWarnings(True)
    logging.getLogger("nvflare").setLevel(logging.CRITICAL)  # what matters is told in words
    federation = FederationFolder(folder.resolve())
    archive = desk.open_archive(folder)
    office = Secretariat(federation, archive)
    project = office.project()
    check_server(office, archive, now_s=desk.now())
    run = federation.load_run(name)
    certificate = load_certificate(office.server / "startup" / "server.crt")
    left = days_left(certificate, now_s=desk.now())
    if left < DAYS_OF_WARNING:
        warn(f"the server's certificate counts for {left} more days: provision --renew server")
    Tls()  # the driver dials too
    ending = Ending()
    say(f"members dial {project.host}:{project.port}; listening on {project.listen}")
    with (
        TerminalWatcher(Console(stderr=True), rounds=run.rounds.count) as watcher,
        served(office.server, tell=lambda text: watcher.note(f"server: {text}")),
    ):
        over = drive(
            run,
            RunFolder(federation.root, run.name),
            office.driver,
            watcher=watcher,
            stopped=ending.asked,
        )
    if not over:
        say("ended; the run goes on from its last committed round: concord coordinator up")
        return
    say("the run is over")
    if report:
        _report(federation, name)


def _report(federation: FederationFolder, name: str | None) -> None:
    from concord.cli.pipeline import report_run
    from concord.federation.records import RunFolder
    from concord.federation.workers import export_in_worker

    run = federation.load_run(name)
    run_folder = RunFolder(federation.root, run.name)
    export_in_worker(run_folder, run, run_folder.root / "model")
    made = report_run(federation, run)
    say(f"model   {made.model}\nreport  {made.html}")
