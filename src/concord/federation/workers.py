"""Entry points of the processes that do load torch.

The command that starts them, and the coordinator in it, load neither networks nor their libraries:
they start at once, and see nothing they could read a text with. One fork server loads everything
once for all members and arms.
"""

from __future__ import annotations

import multiprocessing
import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

from concord.charter.run import RunDocument
from concord.federation.comparison.outcome import ArmJob, ArmResult
from concord.federation.gating import Benefits, GateCase, Prober
from concord.federation.records import RunFolder

MEMBER_PRELOADED = (
    "concord.federation.member.session",
    "transformers.models.qwen3.modeling_qwen3",
)
PRELOADED = (
    *MEMBER_PRELOADED,
    "concord.federation.comparison.arms",
    "concord.federation.export",
)


def fork_server() -> ForkServerContext:
    """The context of all worker processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def warm_up() -> None:
    """Start the fork server now, and return at once: its libraries load beside other work."""
    fork_server()
    forkserver.ensure_running()


def serve_member(stream: socket.socket, folder: Path) -> None:
    """Run one member over its connection."""
    from concord.federation.member.process import main

    main(stream, folder)


def train_arm(job: ArmJob) -> ArmResult:
    """Train and measure one arm of a comparison."""
    from concord.federation.comparison.arms import run_arm

    return run_arm(job)


class ProbeWorker:
    """A prober in a process of its own, which loads the network so that nobody else has to."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=fork_server())

    def benefits(self, case: GateCase) -> Benefits:
        """See `NetworkProber.benefits`."""
        return self._pool.submit(_benefits, case).result()

    def close(self) -> None:
        self._pool.shutdown()


def _benefits(case: GateCase) -> Benefits:
    from concord.federation.probing import NetworkProber

    if not _PROBERS:
        _PROBERS.append(NetworkProber())
    return _PROBERS[0].benefits(case)


_PROBERS: list[Prober] = []
"""The worker's own, with its network; made when it is first asked."""


def export_in_worker(folder: RunFolder, run: RunDocument, path: Path) -> None:
    """Write the last committed base as a model folder.

    Raises:
        CheckpointError, StorageError: see `export.export_model`.
    """
    with ProcessPoolExecutor(1, mp_context=fork_server()) as pool:
        pool.submit(_export, folder.federation, run, path).result()


def _export(federation: Path, run: RunDocument, path: Path) -> None:
    from concord.federation.export import export_model

    export_model(RunFolder(federation, run.name), run, path)
