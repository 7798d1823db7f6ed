"""What the pages are made from: a checked log, its objects, reports of runs, folders of releases.

Everything is read here, once, and nothing is written. Reports are not in the log; pages that show
them say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from concord.base.digest import Digest
from concord.base.errors import ConcordError, LogError
from concord.base.objects import ObjectStore
from concord.charter.bundle import CharterBundle
from concord.charter.dataset import DatasetDocument, parse_record
from concord.charter.dataset.croissant import MAX_RECORD_BYTES
from concord.charter.run import RunDocument
from concord.federation.records import RunFolder
from concord.federation.report import RunReport, load_report
from concord.ledger.archive import Archive, Watch
from concord.ledger.entries import Entry
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.state.model import State
from concord.ledger.state.votes import with_charters_in_force
from concord.observatory.pages.book import Book, read_book
from concord.observatory.words import inert


@dataclass(frozen=True)
class Source:
    """All that is known at one time.

    Attributes:
        made: When, Unix seconds.
        state: After all entries, with charters that are in force by then.
        verdict: What `concord verify` found, if it was asked.
        reports: Of each run by its name, where one lies in the folder.
        live: Whether a run is still going on.
    """

    root: Path
    made: int
    archive: Archive
    state: State
    book: Book
    bundle: CharterBundle
    runs: Mapping[Digest, RunDocument]
    reports: Mapping[str, RunReport]
    records: Mapping[Digest, DatasetDocument]
    verdict: Mapping[str, Any] | None = None
    live: bool = False
    faults: tuple[str, ...] = field(default=())
    """What could not be read and is left out, in words."""

    @property
    def entries(self) -> Sequence[Entry]:
        return self.archive.entries

    @property
    def objects(self) -> ObjectStore:
        return ObjectStore(self.root / "objects")

    def name_of(self, party: str) -> str:
        """How people call a member; its id where it gave no name."""
        seat = self.state.members.get(party)
        return seat.entry.name if seat is not None and seat.entry.name else party

    def run_name(self, run: Digest) -> str:
        """A run's name."""
        seat = self.state.runs.get(run)
        return run if seat is None else seat.name

    def languages_of(self, party: str) -> tuple[str, ...]:
        """Languages of a member: of its dataset records, else of the runs' rosters."""
        standing = self.state.datasets.get(party, {})
        told = [
            tag
            for record in standing.values()
            if record in self.records
            for tag in self.records[record].terms.languages
        ]
        told = told or [
            tag
            for run in self.runs.values()
            for one in run.roster
            if one.id == party
            for tag in one.languages
        ]
        return tuple(dict.fromkeys(told))

    def report(self) -> RunReport | None:
        """The report of the last run that has one."""
        named = [seat.name for seat in self.state.runs.values()]
        found = [self.reports[name] for name in named if name in self.reports]
        return found[-1] if found else None


def read_source(
    root: Path,
    *,
    made: int,
    verdict: Mapping[str, Any] | None = None,
    live: bool = False,
    watch: Watch | None = None,
) -> Source:
    """Read and check a federation's folder, or a published copy of it.

    Raises:
        LogError: it holds no log.
        LogCorrupt, StatementRefused, SignatureRefused, ForkDetected: the log cannot be believed.
    """
    if not (root / "log" / "checkpoint").is_file():
        raise LogError(
            "holds no log", where=root, remedy="name the folder that holds log/ and objects/"
        )
    objects = ObjectStore(root / "objects")
    archive = Archive(root / "log", ObjectLibrary(objects), watch)
    archive.replica.require_founded()
    library = archive.replica.library
    state = with_charters_in_force(archive.state, made, library)
    faults: list[str] = []
    return Source(
        root=root,
        made=made,
        archive=archive,
        state=state,
        book=read_book(archive.entries),
        bundle=library.bundle(state.charter),
        runs={digest: library.run(digest) for digest in state.runs},
        reports=_reports(root, state, faults),
        records=_records(objects, state, faults),
        verdict=verdict,
        live=live,
        faults=tuple(faults),
    )


def _reports(root: Path, state: State, faults: list[str]) -> dict[str, RunReport]:
    found = {}
    for name in dict.fromkeys(seat.name for seat in state.runs.values()):
        path = RunFolder(root, name).root / "report.json"
        if path.is_file():
            try:
                found[name] = load_report(path)
            except ConcordError as error:
                faults.append(f"runs/{name}/report.json: {inert(error.message)}")
    return found


def _records(
    objects: ObjectStore, state: State, faults: list[str]
) -> dict[Digest, DatasetDocument]:
    """Dataset records that are at hand; one that is missing or unreadable is named."""
    found = {}
    for named in (state.datasets, state.revoked_datasets):
        for member, datasets in named.items():
            for dataset, digest in datasets.items():
                try:
                    data = objects.get(digest, max_bytes=MAX_RECORD_BYTES)
                    found[digest] = parse_record(data, where=dataset)
                except ConcordError as error:
                    faults.append(f"record of {member}/{dataset}: {inert(error.message)}")
    return found
