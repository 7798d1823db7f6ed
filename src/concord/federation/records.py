"""The memory of a run: one record per committed round, chained by digest, and what they point to.

    runs/<name>.toml              the run document
    runs/<name>/records/000000.json   the seeded base; 000001.json … one per committed round
    runs/<name>/evaluations.jsonl     sums that members measured
    objects/sha256/…                  what a verifier needs and stays: run document, first base,
                                      records, accepted updates, tokenizer; and for a while:
                                      the last bases, outer state and step

Everything a record points to is written first. Under a log, a round has happened when the log says
so; what lies here is then put in place, and a crash in between is mended from the objects.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import CheckpointError, DocumentError
from concord.base.files import storage_errors, write_atomic
from concord.base.objects import ObjectStore
from concord.charter.document import Document
from concord.federation.messages import Count, DigestText, Sum
from concord.ledger.round_record import RoundRecord


class Evaluation(Document):
    """Sums over a member's held-out text for one base; what it stated, kept at hand for reports."""

    round: Count
    base: DigestText
    nats: Sum
    bytes: Count
    tokens: Count
    documents: Count


class RunFolder:
    """Where one run keeps its records, below a federation's folder."""

    def __init__(self, federation: Path, name: str) -> None:
        self.federation = federation
        self.root = federation / "runs" / name
        self.objects = ObjectStore(federation / "objects")
        self._records = self.root / "records"
        self._evaluations = self.root / "evaluations.jsonl"

    def create(self) -> None:
        """Make the folders.

        Raises:
            StorageError: they cannot be written.
        """
        with storage_errors(self.root):
            self._records.mkdir(parents=True, exist_ok=True)

    def started(self) -> bool:
        return (self._records / "000000.json").exists()

    def committed(self) -> int:
        """Committed rounds, by the number of their files."""
        return max(0, sum(1 for _ in self._records.glob("[0-9]*.json")) - 1)

    def keep(self, record: RoundRecord) -> Digest:
        """Put a record among the objects, where the log's statement will name it."""
        return self.objects.put(record.data)

    def commit(self, record: RoundRecord) -> Digest:
        """Write a record in its place, and among the objects."""
        data = record.data
        self.objects.put(data)
        write_atomic(self._records / f"{record.round:06d}.json", data)
        return digest_bytes(data)

    def restore(self, round_: int, data: bytes) -> None:
        """Write a record that the log names and a crash kept from its place."""
        write_atomic(self._records / f"{round_:06d}.json", data)

    def records(self) -> list[tuple[Digest, RoundRecord]]:
        """All records in order, checked as a chain.

        Raises:
            CheckpointError: one is altered, missing, or does not follow from the one before.
        """
        chain: list[tuple[Digest, RoundRecord]] = []
        for number, path in enumerate(sorted(self._records.glob("[0-9]*.json"))):
            digest, record = RoundRecord.parse(path.read_bytes(), where=path)
            before = chain[-1][0] if chain else None
            if record.round != number or record.previous != before:
                raise CheckpointError(
                    "does not follow from the record before it",
                    where=path,
                    remedy="restore the records from a copy",
                )
            chain.append((digest, record))
        return chain

    def append_evaluation(self, member: str, evaluation: Evaluation) -> None:
        """Add one member's sums; a line torn by a crash is skipped when reading."""
        line = canonical_json({"member": member, **evaluation.model_dump(mode="json")}) + b"\n"
        path = self._evaluations
        with storage_errors(path), path.open("ab+", buffering=0) as stream:
            if stream.seek(0, os.SEEK_END):
                # A crash may have torn the last line; what follows must not join it.
                stream.seek(-1, os.SEEK_END)
                line = line if stream.read(1) == b"\n" else b"\n" + line
            stream.write(line)

    def evaluations(self) -> Iterator[tuple[str, Evaluation]]:
        """All sums that were measured, in order of arrival."""
        if not self._evaluations.exists():
            return
        for line in self._evaluations.read_bytes().splitlines():
            try:
                value = parse_json(line)
                member = value.pop("member")
                yield member, Evaluation.model_validate(value)
            except (DocumentError, ValidationError, AttributeError, KeyError):
                continue

    def write_summary(self, name: str, value: object) -> Path:
        """Write a JSON file for people and scripts beside the records."""
        path = self.root / name
        write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")
        return path
