"""Run the arms of a comparison side by side, one thread each, and keep what is done."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from concord.base.digest import Digest, digest_json
from concord.base.errors import FederationError
from concord.base.files import storage_errors
from concord.charter.run import RunDocument
from concord.federation.comparison.outcome import ArmJob, ArmResult, Kind
from concord.federation.records import RunFolder
from concord.federation.workers import fork_server, train_arm
from concord.ledger.round_record import RoundRecord

OnDone = Callable[[ArmResult, int, int], None]
WEIGHT_OF_KIND = {"pooled": 0, "alone": 1, "sovereign": 2, "shared": 3}
"""Longest first, so that no core waits at the end."""


def compare(
    folder: RunFolder,
    run: RunDocument,
    *,
    first: RoundRecord,
    last: RoundRecord,
    kinds: Iterable[Kind],
    on_done: OnDone,
) -> dict[str, ArmResult]:
    """Train and measure all arms of the kinds, and return the results by name.

    Args:
        first: Record of the seeded first base, from which `pooled` and `alone` start.
        last: Record of the final base, for `shared` and `sovereign`.
        on_done: Told each result, how many are done, and how many there are.

    Raises:
        ConcordError: an arm failed.
    """
    out = folder.root / "comparison"
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    jobs = _jobs(folder, run, first, last, kinds, out)
    workers = max(1, min(len(jobs), os.cpu_count() or 1))
    results: dict[str, ArmResult] = {}
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        workers, mp_context=fork_server(), initializer=_end_with_parent
    ) as pool:
        futures = [pool.submit(train_arm, job) for job in jobs]
        try:
            for future in as_completed(futures):
                result = future.result()
                results[result.arm] = result
                on_done(result, len(results), len(jobs))
        except BrokenProcessPool as error:
            raise FederationError(
                "an arm of the comparison was killed, perhaps for want of memory",
                remedy="`concord run --resume --compare` repeats only what is missing",
            ) from error
        except BaseException:
            # An arm may take hours: neither an interrupt nor another arm's error waits for it.
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
            raise
        finally:
            for future in futures:
                future.cancel()
    return results


def _end_with_parent() -> None:
    """Let no arm outlive the command that asked for it, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this runs in a worker

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _jobs(
    folder: RunFolder,
    run: RunDocument,
    first: RoundRecord,
    last: RoundRecord,
    kinds: Iterable[Kind],
    out: Path,
) -> list[ArmJob]:
    tokenizer = None if first.tokenizer is None else folder.objects.path(first.tokenizer)
    arms = [
        (kind, member)
        for kind in sorted(kinds, key=WEIGHT_OF_KIND.__getitem__)
        for member in (("",) if kind in ("pooled", "shared") else run.member_ids)
    ]
    jobs = []
    for kind, member in arms:
        record = first if kind in ("pooled", "alone") else last
        job = ArmJob(
            federation=folder.federation,
            run=run,
            kind=kind,
            member=member,
            start=folder.objects.verified_path(record.base),
            tokenizer=tokenizer,
            out=out,
            key=arm_key(run, record, kind),
        )
        jobs.append(job)
    return jobs


def arm_key(run: RunDocument, record: RoundRecord, kind: Kind) -> Digest:
    """An arm depends on the run document and its start, and on nothing else of the federation."""
    return digest_json({"run": run.digest, "base": record.base, "kind": kind})
