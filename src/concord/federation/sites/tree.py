"""The end of a process with all that it started, whatever session those are in."""

from __future__ import annotations

from contextlib import suppress

import psutil


def end_tree(pid: int, *, pause_s: float) -> None:
    """Ask a process and all below it to end; after `pause_s` seconds, kill what is left.

    FLARE starts a job's processes in sessions of their own, so a process group would miss them.
    """
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(tree, timeout=pause_s)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            late = process.children(recursive=True)
            process.kill()
            for child in late:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
    psutil.wait_procs(left, timeout=pause_s)
