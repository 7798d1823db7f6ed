"""FLARE's controller of a segment: our coordinator runs in its control flow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from concord.federation.engine.flare.cell import CellWire
from concord.federation.engine.flare.coordinating import coordinate
from concord.federation.engine.flare.segment import Order
from concord.federation.folders import FederationFolder
from concord.federation.sites.leftovers import hold, sweep_aside
from concord.federation.sites.site_files import read_site


class RoundController(Controller):  # type: ignore[misc]
    """Runs one segment. Tasks, results and timeouts of FLARE are not used.

    Args:
        segment: The segment's name.
        run: The run's name; where its folder is, this site's own file says.
        digest: Of the run document.
        members: Who takes part in this job.
        quorum: How many of them make a round worth calling.
    """

    def __init__(
        self, segment: str, run: str, digest: str, members: Sequence[str], quorum: int
    ) -> None:
        super().__init__()
        self._held = ExitStack()  # never left: the job's folder is held while the process lives
        self._order = Order(
            segment=segment, run=run, digest=digest, members=tuple(members), quorum=quorum
        )

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to prepare: who is early is told to wait."""

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing is left over."""

    def process_result_of_unknown_task(
        self, client: Client, task_name: str, client_task_id: str, result: Shareable, fl_ctx: Any
    ) -> None:
        """There are no tasks, so there are no results."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run the segment; a failure is told by its code alone."""
        engine = fl_ctx.get_engine()
        kit = Path(engine.get_workspace().get_root_dir())
        site = read_site(kit)
        self._held.enter_context(hold(kit, fl_ctx.get_job_id()))
        sweep_aside(kit)
        standing = coordinate(
            CellWire(engine.get_cell().core_cell, fl_ctx.get_job_id()),
            FederationFolder(Path(site.folder)),
            self._order,
            aborted=lambda: bool(abort_signal.triggered),
        )
        if standing.fault is not None:
            self.system_panic(f"the segment ended with {standing.fault.code}", fl_ctx)
