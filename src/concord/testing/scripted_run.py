"""A run of scripted members on one machine: real engine, coordinator and log, nothing trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from concord.base.clock import SystemClock
from concord.charter.run import RunDocument
from concord.federation.assembly import Assembly, Tokenizer
from concord.federation.chronicle import Chronicle
from concord.federation.coordinator import WITNESS_PATIENCE_S, Coordinator
from concord.federation.engine.hosting import MemberMain
from concord.federation.engine.local import LocalEngine
from concord.federation.folders import FederationFolder
from concord.federation.office import adopt_if_all_keys_are_here
from concord.federation.records import RunFolder
from concord.federation.watcher import Watcher
from concord.ledger.log import open_log
from concord.testing import scripted_member

Kind = TypeVar("Kind", bound=Coordinator)


def scripted_engine(
    root: Path,
    run: RunDocument,
    *,
    main: MemberMain = scripted_member.main,
    max_payload_bytes: int = 1 << 20,
    **options: Any,
) -> LocalEngine:
    """An engine for a run that all members adopt first; nobody is started yet.

    Args:
        root: Folder of a federation that `founded.found` made.
        main: What a member's process does.
        options: As of `LocalEngine`.
    """
    federation, folder = FederationFolder(root), RunFolder(root, run.name)
    adopt_if_all_keys_are_here(federation, run, SystemClock())
    folder.create()
    return LocalEngine(
        {member: federation.member(member).root for member in run.member_ids},
        main,
        spool=folder.root / "incoming",
        max_payload_bytes=max_payload_bytes,
        preload=(scripted_member.__name__,),
        **options,
    )


@contextmanager
def coordinating(
    root: Path,
    run: RunDocument,
    engine: LocalEngine,
    kind: type[Kind],
    *,
    watcher: Watcher | None = None,
    witness_patience_s: float = WITNESS_PATIENCE_S,
) -> Iterator[Kind]:
    """A coordinator of the run, for as long as the members' processes are up.

    Its tokenizer is the one that the log says was learned, or none.
    """
    federation, folder = FederationFolder(root), RunFolder(root, run.name)
    engine.start()
    try:
        with open_log(federation.log) as log:
            chronicle = Chronicle(federation, log, SystemClock())
            learned = chronicle.state.run(run.digest).tokenizer
            path = None if learned is None else folder.objects.path(learned)
            yield kind(
                run,
                folder,
                Assembly(run, engine),
                tokenizer=Tokenizer(learned, path),
                chronicle=chronicle,
                clock=SystemClock(),
                watcher=watcher or Watcher(),
                witness_patience_s=witness_patience_s,
            )
    finally:
        engine.stop()
