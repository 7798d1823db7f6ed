"""FLARE's executor of a segment: seats the member; text and network are in another process."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from pathlib import Path

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

from concord.base.errors import ConcordError, SiteRefused
from concord.federation.engine.flare.cell import SERVER, CellWire
from concord.federation.engine.flare.cradle import Cradle
from concord.federation.engine.flare.seat import Refused, Seat
from concord.federation.engine.hosting import Nursery
from concord.federation.folders import MemberFolder
from concord.federation.sites.leftovers import hold, sweep_aside
from concord.federation.sites.site_files import read_site
from concord.federation.workers import MEMBER_PRELOADED, serve_member

LOG = logging.getLogger("concord.member")
LEAVE_S = 10.0


class RoundExecutor(Executor):  # type: ignore[misc]
    """Serves from the start of a job to its end; tasks of FLARE are not used."""

    def __init__(self) -> None:
        super().__init__()
        self._seat: Seat | None = None
        self._thread: threading.Thread | None = None
        self._held = ExitStack()  # never left: the job's folder is held while the process lives

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Take the seat, and leave it."""
        if event_type == EventType.START_RUN:
            try:
                self._sit(fl_ctx)
            except ConcordError as error:
                LOG.error("takes no part: %s", error)
        elif event_type in (EventType.ABOUT_TO_END_RUN, EventType.END_RUN):
            self._leave()

    def execute(
        self,
        task_name: str,  # noqa: ARG002
        shareable: Shareable,  # noqa: ARG002
        fl_ctx: FLContext,  # noqa: ARG002
        abort_signal: Signal,  # noqa: ARG002
    ) -> Shareable:
        """Refuse: Concord gives no tasks."""
        return make_reply(ReturnCode.TASK_UNKNOWN)

    def _sit(self, fl_ctx: FLContext) -> None:
        engine = fl_ctx.get_engine()
        kit = Path(engine.get_workspace().get_root_dir())
        site = read_site(kit)
        if site.name != fl_ctx.get_identity_name():
            raise SiteRefused("is another member's", where=site.name)
        self._held.enter_context(hold(kit, fl_ctx.get_job_id()))
        sweep_aside(kit)
        member = MemberFolder(Path(site.folder))
        cradle = Cradle(kit, member.id, member.root, Nursery(serve_member, MEMBER_PRELOADED))
        self._seat = Seat(
            CellWire(engine.get_cell().core_cell, fl_ctx.get_job_id()),
            SERVER,
            member.open_private(),
            cradle.start,
            warm=cradle.warm,
            note=LOG.info,
        )
        self._thread = threading.Thread(target=self._serve, name="seat", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        seat = self._seat
        try:
            if seat is not None:
                seat.serve()
        except Refused as error:
            LOG.error("the coordinator gives this member no seat: %s", error)
        except ConcordError as error:
            LOG.error("%s", error)

    def _leave(self) -> None:
        if self._seat is not None and self._thread is not None:
            self._seat.stop()
            self._thread.join(LEAVE_S)
            self._seat = None
