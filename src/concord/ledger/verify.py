"""What a stranger can find out from a log and its objects alone, trusting nobody in it.

    1. files        the log's files make the tree of its checkpoint
    2. statements   every entry is in its one form, signed as required, and allowed by charter and
                    rules at its place; the votes that decide are counted again
    3. checkpoint   signed by the coordinator in office, and cosigned by a quorum of the witnesses
    4. objects      everything that is named and needed is there, unaltered
    5. bases        every base is computed again from the updates, by the arithmetic of the run
    6. agreement    records, measurements and sums say what the statements say
    7. others       the log is the one that other readers saw

The caller owes one thing: to know which federation it wants to hear of. The log names its own
founders; only who knows the federation's digest, or its witnesses' keys, from elsewhere has checked
that these are the ones.

No torch, no network, no private key, no folder of a run. Numbers of steps never change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from concord.base.clock import Clock
from concord.base.digest import Digest, digest_file
from concord.base.errors import ConcordError, LogError, StorageError, VerificationFailed
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorFile
from concord.crypto.notes import Note
from concord.ledger.account import Account, CommittedRound, RunAccount, Sent
from concord.ledger.crosscheck import check_compute, check_run
from concord.ledger.entries import Entry
from concord.ledger.layouts import parameter_count
from concord.ledger.needed import Need, droppable, needs
from concord.ledger.reader import LogReader
from concord.ledger.replay import ReplayedRound, Replayer
from concord.ledger.replica import Replica
from concord.ledger.sealed.book import SealBook
from concord.ledger.sealed.learned import check_learned
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.statements.evidence import DatasetRecord
from concord.ledger.tiles import CHECKPOINT
from concord.ledger.verify_heads import check_pinned, check_times, compare_with
from concord.ledger.verify_terms import MEANING, STEPS, Silent, Step, Watcher, Wishes

_ROUND = re.compile(r"^round [0-9]+(, )?")


class Verification:
    """One reader's verification of one folder.

    Args:
        folder: A federation's folder or a published copy: `log/` and `objects/` in it are read.
        workdir: An empty folder, for about two bases.
        clock: Time, handed in.
        wishes: What is to be checked.
        watcher: Looks on.

    Attributes:
        steps: What was done, the failed step included.
        replayed: Rounds that were computed again, by run document and number.
        needed: Objects that were found to be needed, in the order of the log.

    Raises:
        LogError: no log is published there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workdir: Path,
        clock: Clock,
        wishes: Wishes | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        if not (folder / "log" / CHECKPOINT).exists():
            raise LogError(
                "no log is published there",
                where=folder,
                remedy="name the folder that holds log/ and objects/",
            )
        self.folder = folder
        self.wishes = Wishes() if wishes is None else wishes
        self.steps: list[Step] = []
        self.needed: list[Need] = []
        self.offered: list[Need] = []
        """Dataset records that are there: they are checked and published, and need not be."""
        self.account = Account()
        self.objects = ObjectStore(folder / "objects")
        self.work = 0
        """Parameters times updates, over all rounds that were computed again."""
        self._workdir = workdir
        self._clock = clock
        self._watcher = Silent() if watcher is None else watcher
        self._library = ObjectLibrary(self.objects)
        self._replica = Replica(self._library)
        self.account.seals = SealBook(self._library)
        self._documents: list[Need] = []
        self._records: dict[Digest, Need] = {}
        self._log_keys: list[tuple[int, str]] = []
        self.replayed: dict[Digest, dict[int, ReplayedRound]] = {}
        self._reader: LogReader | None = None

    @property
    def state(self) -> State:
        """What is true after all entries; worth nothing before step 3."""
        return self._replica.state

    @property
    def library(self) -> ObjectLibrary:
        """Charters and run documents among the objects."""
        return self._library

    @property
    def note(self) -> Note:
        return self.reader.note

    @property
    def reader(self) -> LogReader:
        if self._reader is None:
            raise VerificationFailed("the log was not read yet")
        return self._reader

    def run(self) -> None:
        """Take all steps that are wished for, in order, up to the first that fails.

        Raises:
            VerificationFailed: names the first thing that is wrong, where, and what it means.
            StorageError: the work folder is full or cannot be written.
        """
        self._files()
        self._statements()
        self._checkpoint()
        self._named_objects()
        if self.wishes.replay:
            self._bases()
        self._agreement()
        if self.wishes.checkpoints:
            self._others()

    # --- the steps --------------------------------------------------------------------------

    def _files(self) -> None:
        with self._step(1, 1) as done:
            self._reader = LogReader(self.folder / "log")
            self.reader.check()
            done(f"{self.reader.size:,} entries make the tree of the checkpoint")

    def _statements(self) -> None:
        with self._step(2, self.reader.size) as done:
            for index, data in enumerate(self.reader.entries()):
                entry = Entry.parse(data, where=f"entry {index}")
                self._replica.take(entry)
                self._take_note(index, entry)
                self._watcher.advanced(1, entry.statement.kind)
            self._replica.require_founded()
            self._check_federation()
            kinds = self.account.kinds
            done(
                f"{self.reader.size:,} statements, {self.account.signatures:,} signatures,"
                f" votes recounted: {kinds.get('decision', 0):,}"
            )

    def _take_note(self, index: int, entry: Entry) -> None:
        statement = entry.statement
        self.account.add(index, entry)
        place = statement.place(index)
        for digest in self._library.named_by(statement):
            self._documents.append(Need(digest, f"document named by {statement.kind}", place))
        if isinstance(statement.body, DatasetRecord):
            record = statement.body.record
            self._records.setdefault(record, Need(record, "dataset record", place))
        log_key = self.state.coordinator.log_key
        if not self._log_keys or self._log_keys[-1][1] != log_key:
            self._log_keys.append((index + 1, log_key))

    def _check_federation(self) -> None:
        wanted = self.wishes.federation
        if wanted is not None and wanted != self.state.federation:
            raise VerificationFailed(
                f"is the federation {self.state.federation}, not {wanted}", where="entry 0"
            )

    def _checkpoint(self) -> None:
        with self._step(3, 1) as done:
            self._replica.check(self.note)
            witnessed_s = self._replica.require_quorum(self.note)
            share = self._library.charter(self.state.charter).log.witness_quorum
            check_pinned(self.note, self.state, self.wishes.witness_keys, share)
            check_times(self.state, self.cosigned, witnessed_s, now_s=self._clock.unix_s())
            have, needed = len(self.cosigned), self._replica.quorum_needed()
            done(f"cosigned by {have} of {len(self.state.seated())} members, {needed} needed")

    @property
    def cosigned(self) -> dict[str, int]:
        """Members that cosigned the checkpoint, with the time of each, in Unix seconds."""
        return self._replica.witnesses(self.note)

    def _named_objects(self) -> None:
        runs = self._runs()
        wanted = needs(self._documents, runs)
        spare = {d: n for d, n in droppable(runs).items() if d not in wanted}
        there = {d: n for d, n in spare.items() if d in self.objects}
        self.needed = list(wanted.values())
        self.offered = [n for d, n in self._records.items() if d in self.objects]
        looked_at = [*self.needed, *self.offered, *there.values()]
        with self._step(4, sum(self._size(need) for need in looked_at)) as done:
            for need in looked_at:
                self._check_object(need)
                self._watcher.advanced(self._size(need), need.what)
            gone = len(spare) - len(there)
            done(
                f"{len(wanted):,} needed, {sum(map(self._size, self.needed)) / 1e6:,.1f} MB;"
                f" {gone:,} others can be made again"
            )

    def _size(self, need: Need) -> int:
        path = self.objects.path(need.digest)
        return path.stat().st_size if path.is_file() else 0

    def _check_object(self, need: Need) -> None:
        where = f"{need.place}: {need.what} {need.digest}"
        path = self.objects.path(need.digest)
        if not path.is_file():
            raise VerificationFailed("is missing from the objects", where=where)
        if digest_file(path) != need.digest:
            raise VerificationFailed("was altered: its bytes have another digest", where=where)

    def _bases(self) -> None:
        runs = self._runs()
        total = sum(sent.bytes for run in runs for one in run.rounds for sent in _merged(one))
        with self._step(5, total) as done:
            for run in runs:
                self.work += self._replay(run)
            rounds = sum(len(run.rounds) for run in runs)
            wrong = self._tokenizers(runs)
            updates = sum(len(one.body.merged) for run in runs for one in run.rounds)
            wrong += [f for by in self.replayed.values() for one in by.values() for f in one.faults]
            note = f"; shares that do not hold: {'; '.join(wrong)}" if wrong else ""
            learned = sum(run.learned is not None for run in runs)
            also = f", {learned:,} tokenizers from sealed counts" if learned else ""
            done(f"{rounds:,} bases computed again from {updates:,} updates{also}{note}")

    def _tokenizers(self, runs: list[RunAccount]) -> list[str]:
        """Compute tokenizers again that were learned from sealed counts; finds wrong shares."""
        found: list[str] = []
        for run in runs:
            if run.learned is not None:
                document = self._library.run(run.document)
                found += check_learned(document, run.learned, self.objects)
        return found

    def _replay(self, run: RunAccount) -> int:
        """Compute a run's bases again; returns parameters times updates."""
        document = self._library.run(run.document)
        folder = self._workdir / run.document.removeprefix("sha256:")
        folder.mkdir()
        replayer = Replayer(document, self.objects, folder)
        with _at(run.place):
            replayer.start(run.opening.first_base)
        parameters, found = parameter_count(TensorFile(replayer.base).specs), {}
        for one in run.rounds:
            merged = one.body.merged
            with _at(one.place):
                found[one.number] = replayer.round(
                    {member: part.update for member, part in merged.items()},
                    {member: part.weight for member, part in merged.items()},
                    base=one.body.base,
                    step=one.body.step,
                    outer_state=one.body.outer_state,
                    steps=one.plan.steps,
                    late=[member for member, part in merged.items() if part.late],
                    sealed=one.sealed,
                )
            for sent in _merged(one):
                self._watcher.advanced(sent.bytes, f"{document.name}, round {one.number}")
        self.replayed[run.document] = found
        return parameters * sum(len(one.body.merged) for one in run.rounds)

    def _agreement(self) -> None:
        runs = self._runs()
        with self._step(6, len(runs)) as done:
            records = measurements = 0
            for run in runs:
                found = check_run(run, self.objects, self.replayed.get(run.document, {}))
                records += found.records
                measurements += found.measurements
                self._watcher.advanced(1, "records")
            check_compute(self.account.runs.values(), self.state)
            done(f"{records:,} records, {measurements:,} measurements, the sum of FLOPs")

    def _others(self) -> None:
        notes = self.wishes.checkpoints
        with self._step(7, len(notes)) as done:
            for note in notes:
                compare_with(note, self.note, self.reader, self._log_keys)
                self._watcher.advanced(1, f"checkpoint of size {note.checkpoint.size}")
            sizes = ", ".join(f"{note.checkpoint.size:,}" for note in notes)
            done(f"one history with the checkpoints of {sizes} entries")

    # --- how a step is taken ----------------------------------------------------------------

    def _runs(self) -> list[RunAccount]:
        """Runs whose bases and objects are looked at."""
        runs, name = self.account.runs, self.wishes.run
        if name is None:
            return list(runs.values())
        found = [run for digest, run in runs.items() if self.state.runs[digest].name == name]
        if not found:
            known = ", ".join(sorted(self.state.runs[digest].name for digest in runs))
            raise LogError(f"holds no run {name!r}", where=self.folder, remedy=f"runs: {known}")
        return found

    @contextmanager
    def _step(self, number: int, total: int) -> Iterator[_Done]:
        name, title = STEPS[number - 1]
        began_s, done = self._clock.monotonic_s(), _Done()
        self._watcher.begins(number, title, total)
        try:
            yield done
        except StorageError:
            raise
        except ConcordError as error:
            own = error.remedy if isinstance(error, VerificationFailed) else None
            self._ended(Step(number, name, title, self._since(began_s), error.message, False))
            raise VerificationFailed(
                error.message, where=error.where, remedy=own or MEANING[name]
            ) from error
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            self._ended(Step(number, name, title, self._since(began_s), message, False))
            raise VerificationFailed(message, where=error.filename, remedy=MEANING[name]) from error
        self._ended(Step(number, name, title, self._since(began_s), done.found))

    def _since(self, began_s: float) -> float:
        return self._clock.monotonic_s() - began_s

    def _ended(self, step: Step) -> None:
        self.steps.append(step)
        self._watcher.ended(step)


class _Done:
    """Takes what a step found, in words."""

    found = ""

    def __call__(self, found: str) -> None:
        self.found = found


def _merged(one: CommittedRound) -> list[Sent]:
    return [one.announced(member) for member in one.body.merged]


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Name the entry of the log at which a recomputation failed."""
    try:
        yield
    except VerificationFailed as error:
        inner = _ROUND.sub("", error.where or "")  # the place says it
        where = f"{place}: {inner}" if inner else place
        raise VerificationFailed(error.message, where=where, remedy=error.remedy) from error
