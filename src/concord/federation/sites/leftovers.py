"""Folders that FLARE leaves in a kit, one for each job: removed once another segment has begun.

    <kit>/<job>/            made by FLARE for each job: its two settings, and types of errors
    <kit>/<job>/running     held by the job's process for as long as it lives

A kit's process may be killed at any time, so that nobody tells what is finished: the lock does. A
folder is removed after it was found finished twice, with a pause between, in which FLARE's server
may put away what a job has left. It never touches a running job's folder, or anything else.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from concord.base.errors import FederationError, StorageError
from concord.base.locks import Held, locked

PAUSE_S = 60.0
STARTED_S = 3600.0
"""A folder without a lock is of a job that starts, or never did; after so long, the latter."""
LOCK = "running"
_JOB = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@contextmanager
def hold(kit: Path, job: str) -> Iterator[None]:
    """Keep the folder of a job that runs; entered once, by its process.

    Raises:
        FederationError: another process runs this job in this kit.
        StorageError: the folder is not there, or cannot be written.
    """
    try:
        with locked(kit / job / LOCK, wait=False):
            yield
    except Held as error:
        raise FederationError("another process runs this job", where=kit / job) from error


def finished(kit: Path, *, now_s: float) -> set[Path]:
    """Folders of jobs that have no process any more.

    Args:
        kit: A site's kit, or the server's.
        now_s: Unix seconds.
    """
    found = set()
    with suppress(OSError):
        for folder in kit.iterdir():
            if _JOB.fullmatch(folder.name) and not folder.is_symlink() and folder.is_dir():
                with suppress(OSError, StorageError):
                    if _is_over(folder, now_s):
                        found.add(folder)
    return found


def _is_over(folder: Path, now_s: float) -> bool:
    if not (folder / LOCK).is_file():
        return now_s - folder.stat().st_mtime > STARTED_S
    try:
        with locked(folder / LOCK, wait=False):
            return True
    except Held:
        return False


def sweep(
    kit: Path,
    *,
    now_s: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Remove what finished jobs left in a kit; returns how many folders went.

    What cannot be removed stays for the next segment: a full or broken disk ends no job.

    Args:
        now_s: Unix seconds.
        pause: Waits for so many seconds.
    """
    before = finished(kit, now_s=now_s())
    if not before:
        return 0
    pause(PAUSE_S)
    over = before & finished(kit, now_s=now_s())
    for folder in over:
        shutil.rmtree(folder, ignore_errors=True)
    return sum(not folder.exists() for folder in over)


def sweep_aside(kit: Path) -> None:
    """Sweep on a thread that ends with the process, at the latest."""
    threading.Thread(target=sweep, args=(kit,), name="leftovers", daemon=True).start()
