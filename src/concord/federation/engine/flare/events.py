"""What happens in a segment, written down by its process and told again where somebody looks on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from concord.base.canonical import parse_json
from concord.base.errors import ConcordError
from concord.base.files import storage_errors
from concord.federation.messages import Progress
from concord.federation.records import Evaluation, RunFolder
from concord.federation.watcher import Watcher
from concord.ledger.round_record import RoundRecord

MAX_LINE_BYTES = 1 << 16


class EventWriter(Watcher):
    """Writes a line for each thing that happens.

    Args:
        path: Where to.
    """

    def __init__(self, path: Path) -> None:
        with storage_errors(path):
            self._stream = path.open("ab", buffering=0)

    def close(self) -> None:
        self._stream.close()

    def stage(self, name: str) -> None:
        self._write("stage", name=name)

    def tokenizer_progress(self, merges: int, total: int) -> None:
        self._write("tokenizer_progress", merges=merges, total=total)

    def note(self, text: str) -> None:
        self._write("note", text=text)

    def round_called(self, round_: int, members: tuple[str, ...], inner_steps: int) -> None:
        self._write("round_called", round_=round_, members=list(members), inner_steps=inner_steps)

    def progress(self, member: str, progress: Progress) -> None:
        self._write("progress", member=member, progress=progress.model_dump(mode="json"))

    def refused(self, member: str, round_: int, reason: str) -> None:
        self._write("refused", member=member, round_=round_, reason=reason)

    def declined(self, member: str, round_: int, reason: str) -> None:
        self._write("declined", member=member, round_=round_, reason=reason)

    def member_left(self, member: str, reason: str) -> None:
        self._write("member_left", member=member, reason=reason)

    def abandoned(self, round_: int, reason: str) -> None:
        self._write("abandoned", round_=round_, reason=reason)

    def committed(self, record: RoundRecord) -> None:
        self._write("committed", round_=record.round)

    def evaluated(self, member: str, evaluation: Evaluation) -> None:
        self._write("evaluated", member=member, evaluation=evaluation.model_dump(mode="json"))

    def _write(self, event: str, **fields: Any) -> None:
        # Nothing depends on it: a full disk is noticed where something does.
        line = json.dumps({"event": event, **fields}, ensure_ascii=False).encode()
        try:
            self._stream.write(line[:MAX_LINE_BYTES] + b"\n")
        except OSError:
            return


class EventReader:
    """Tells a watcher what a segment wrote, from where it stopped the last time.

    Args:
        path: What an `EventWriter` writes, now or later.
        run: Where the records lie.
        watcher: Is told.
    """

    def __init__(self, path: Path, run: RunFolder, watcher: Watcher) -> None:
        self._path = path
        self._run = run
        self._watcher = watcher
        self._position = 0

    def tell(self) -> None:
        """Tell what is new."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._position)
                data = stream.read()
        except OSError:
            return
        whole, newline, _ = data.rpartition(b"\n")
        self._position += len(whole) + len(newline)
        for line in whole.splitlines():
            try:
                self._one(parse_json(line))
            except (ConcordError, ValidationError, TypeError, KeyError, AttributeError):
                continue  # torn, or of another version: it was for people only

    def _one(self, fields: dict[str, Any]) -> None:
        event, watcher = fields.pop("event"), self._watcher
        match event:
            case "committed":
                watcher.committed(self._record(fields["round_"]))
            case "progress":
                progress = Progress.model_validate(fields["progress"])
                watcher.progress(fields["member"], progress)
            case "evaluated":
                evaluation = Evaluation.model_validate(fields["evaluation"])
                watcher.evaluated(fields["member"], evaluation)
            case "round_called":
                members = tuple(fields["members"])
                watcher.round_called(fields["round_"], members, fields["inner_steps"])
            case "stage" | "tokenizer_progress" | "note" | "refused" | "declined":
                getattr(watcher, event)(**fields)
            case "member_left" | "abandoned":
                getattr(watcher, event)(**fields)

    def _record(self, round_: int) -> RoundRecord:
        path = self._run.root / "records" / f"{round_:06d}.json"
        return RoundRecord.parse(path.read_bytes(), where=path)[1]
