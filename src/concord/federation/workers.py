"""Entry points of the processes that do load torch.

The command that starts them, and the coordinator in it, load neither networks nor their libraries:
they start at once, and see nothing they could read a text with. One fork server loads everything
once for all members and arms.
"""

from __future__ import annotations

import multiprocessing
import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path

from concord.charter.run import RunDocument
from concord.federation.comparison.outcome import ArmJob, ArmResult
from concord.federation.records import RunFolder

PRELOADED = (
    "concord.federation.member.session",
    "concord.federation.comparison.arms",
    "concord.federation.export",
    "transformers.models.qwen3.modeling_qwen3",
)


def fork_server() -> ForkServerContext:
    """The context of all worker processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def serve_member(stream: socket.socket, folder: Path) -> None:
    """Run one member over its connection."""
    from concord.federation.member.process import main

    main(stream, folder)


def train_arm(job: ArmJob) -> ArmResult:
    """Train and measure one arm of a comparison."""
    from concord.federation.comparison.arms import run_arm

    return run_arm(job)


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
