"""Dataset records as the log names them: found by name or statement, read from the objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from concord.base.digest import Digest
from concord.base.errors import CheckpointError, DocumentError
from concord.base.objects import ObjectStore
from concord.charter.dataset import DatasetDocument, parse_record
from concord.charter.dataset.croissant import MAX_RECORD_BYTES
from concord.cli import desk
from concord.federation.folders import FederationFolder
from concord.ledger.archive import Archive
from concord.ledger.sentences import short
from concord.ledger.statements.evidence import DatasetRecord


@dataclass(frozen=True)
class Seat:
    """What the log says of a dataset last."""

    member: str
    dataset: str
    record: Digest
    index: int
    revoked: bool

    @property
    def key(self) -> str:
        return f"{self.member}/{self.dataset}"

    def to_json(self) -> Mapping[str, Any]:
        return {
            "member": self.member,
            "dataset": self.dataset,
            "record": self.record,
            "entry": self.index,
            "revoked": self.revoked,
        }


def _statements(archive: Archive) -> Iterator[Seat]:
    for index, entry in archive.numbered():
        body, member = entry.statement.body, entry.statement.author.party
        if isinstance(body, DatasetRecord):
            yield Seat(member, body.dataset, body.record, index, body.revoked)


def seats_of(archive: Archive) -> dict[str, Seat]:
    """Datasets by `member/dataset`, each as the log has it last."""
    return dict(sorted({seat.key: seat for seat in _statements(archive)}.items()))


def find_record(folder: Path, which: str) -> tuple[Seat, DatasetDocument]:
    """A dataset of the log, and its record among the objects.

    Raises:
        DocumentError: the log knows no such dataset, or the record is not at hand.
    """
    seats = seats_of(desk.open_archive(folder))
    if which not in seats:
        raise DocumentError(
            f"the log knows no dataset {which[:80]!r}",
            where="MEMBER/DATASET",
            remedy=f"there are: {', '.join(list(seats)[:8]) or 'none'}",
        )
    return seats[which], _record(folder, seats[which])


def find_statement(folder: Path, member: str, record: Digest) -> tuple[Seat, DatasetDocument]:
    """The statement by which a member recorded a dataset, also if another followed it.

    Raises:
        DocumentError: the log holds no such statement, or the record is not at hand.
    """
    for seat in _statements(desk.open_archive(folder)):
        if seat.member == member and seat.record == record and not seat.revoked:
            return seat, _record(folder, seat)
    raise DocumentError(f"the log holds no such record of {member!r}", where=record)


def _record(folder: Path, seat: Seat) -> DatasetDocument:
    document = record_at_hand(FederationFolder(folder.resolve()).objects, seat.record)
    if document is None:
        raise DocumentError(
            "this record is not among the objects",
            where=seat.record,
            remedy="ask its member for it",
        )
    if (document.held.member, document.held.dataset) != (seat.member, seat.dataset):
        raise DocumentError(
            f"{seat.key} names a record of {document.held.member}/{document.held.dataset}",
            where=f"entry {seat.index}",
            remedy="a member records its own datasets only; believe none of it",
        )
    return document


def record_at_hand(objects: ObjectStore, digest: Digest) -> DatasetDocument | None:
    try:
        data = objects.get(digest, max_bytes=MAX_RECORD_BYTES)
    except CheckpointError:
        return None
    return parse_record(data, where=short(digest))
