"""From a run document to a model folder and a report: what `run` and `demo` share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from concord.base.errors import DocumentError
from concord.base.files import write_atomic
from concord.charter.run import RunDocument
from concord.cli.watch import TerminalWatcher
from concord.federation.comparison.pool import compare as compare_arms
from concord.federation.comparison.results import measured_arms
from concord.federation.engine import EngineName
from concord.federation.evidence import RunFacts, collect_evidence
from concord.federation.folders import FederationFolder
from concord.federation.launch import run_facts, run_locally
from concord.federation.records import RunFolder
from concord.federation.report import RunReport, build_report, write_report
from concord.federation.workers import export_in_worker
from concord.observatory.page import render_html


@dataclass(frozen=True)
class Made:
    """Where a finished run's results are."""

    report: RunReport
    json: Path
    html: Path
    model: Path


def run_and_report(
    federation: FederationFolder,
    run: RunDocument,
    *,
    resume: bool,
    compare: bool,
    watcher: TerminalWatcher,
    engine: EngineName = "local",
) -> Made:
    """Run the rounds that are left, export the model, compare if asked, and write the report."""
    began_s = time.monotonic()
    folder = RunFolder(federation.root, run.name)
    if engine == "flare":
        # Loaded only here: it needs the `sites` extra.
        from concord.federation.sited import run_sited

        run_sited(federation, run, resume=resume, watcher=watcher)
    else:
        notes = run_locally(federation, run, resume=resume, watcher=watcher)
        run_facts(federation, run, notes, time.monotonic() - began_s).save(folder)
    export_in_worker(folder, run, folder.root / "model")
    if compare:
        compare_run(federation, run, watcher)
    return report_run(federation, run)


def compare_run(federation: FederationFolder, run: RunDocument, watcher: TerminalWatcher) -> None:
    """Train and measure all arms that are not measured yet."""
    folder = RunFolder(federation.root, run.name)
    records = [record for _, record in folder.records()]
    watcher.stage("comparison")
    compare_arms(
        folder,
        run,
        first=records[0],
        last=records[-1],
        kinds=("pooled", "alone", "sovereign", "shared"),
        on_done=watcher.arm_done,
    )


def report_run(federation: FederationFolder, run: RunDocument) -> Made:
    """Write `report.json` and `report.html` from what the run left on disk.

    Raises:
        DocumentError: the run has no committed round yet.
    """
    folder = RunFolder(federation.root, run.name)
    if not folder.started():
        raise DocumentError(
            "has no committed round yet", where=folder.root, remedy="start it with `concord run`"
        )
    arms = measured_arms(folder, run)
    report = build_report(collect_evidence(folder, run, RunFacts.load(folder), arms))
    json_path, html_path = folder.root / "report.json", folder.root / "report.html"
    write_report(report, json_path)
    write_atomic(html_path, render_html(report).encode())
    return Made(report=report, json=json_path, html=html_path, model=folder.root / "model")
