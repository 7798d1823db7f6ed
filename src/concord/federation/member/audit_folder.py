"""What a member keeps of its leak audits: the secret behind its canaries, and what was found.

    private/audit/<run>/canaries-*.json   the secret behind the canaries; made once, before training
    private/audit/<run>/reports.jsonl     what every audit found

Only the names of limits leave, in a signed refusal. What was measured stays here: it is a
statistic of the text, and the member may publish it with a release if it likes.
"""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest
from concord.base.errors import CheckpointError, DocumentError
from concord.base.files import write_atomic
from concord.charter.run import RunDocument
from concord.federation.folders import MemberFolder
from concord.federation.member.privacy_file import AuditSettings
from concord.train.audit.canaries import (
    SECRET_BYTES,
    CanarySet,
    commitment,
    make_canaries,
)
from concord.train.audit.verdict import AuditReport

NAN = float("nan")


class AuditFolder:
    """What a member keeps of its audits in one run."""

    def __init__(self, folder: MemberFolder, run: RunDocument) -> None:
        self._folder = folder.open_private("audit", run.name)
        self._run = run.digest

    def canaries(
        self, settings: AuditSettings, *, text_tokens: int, vocabulary_size: int, end_id: int
    ) -> CanarySet:
        """The canaries of this run, planted or not; none if the settings ask for none."""
        count, length = settings.canaries, settings.canary_tokens
        return make_canaries(
            self._secret(count, length) if count else bytes(SECRET_BYTES),
            run=self._run,
            count=count,
            length=length,
            text_tokens=text_tokens,
            vocabulary_size=vocabulary_size,
            end_id=end_id,
        )

    @property
    def commitment(self) -> Digest | None:
        """What was fixed before training, to be published; None without canaries."""
        path = self._canaries
        return parse_json(path.read_bytes(), where=path)["commitment"] if path.exists() else None

    def disclosure(self) -> bytes:
        """What opens the commitment: secret and numbers, as canonical JSON.

        Raises:
            DocumentError: this run has no canaries.
        """
        if not self._canaries.exists():
            raise DocumentError("this run has no canaries", where=self._canaries.parent)
        return self._canaries.read_bytes()

    def reports(self) -> list[AuditReport]:
        """What every audit found, in order."""
        path = self._reports
        if not path.exists():
            return []
        try:
            lines = path.read_text().splitlines()
            return [AuditReport(**_with_nan(json.loads(line))) for line in lines]
        except (ValueError, TypeError) as error:
            raise CheckpointError("is damaged", where=path, remedy="delete it") from error

    def add(self, report: AuditReport) -> None:
        """Keep what an audit found."""
        path = self._reports
        before = path.read_bytes() if path.exists() else b""
        values = {
            k: None if isinstance(v, float) and math.isnan(v) else v
            for k, v in asdict(report).items()
        }
        write_atomic(path, before + json.dumps(values).encode() + b"\n", mode=0o600)

    @property
    def _canaries(self) -> Path:
        """A run document that was changed makes another run, with canaries of its own."""
        return self._folder / f"canaries-{self._run[7:23]}.json"

    @property
    def _reports(self) -> Path:
        return self._folder / "reports.jsonl"

    def _secret(self, count: int, length: int) -> bytes:
        """Drawn once: other canaries in the middle of a run would be none from its beginning."""
        path = self._canaries
        if not path.exists():
            secret = secrets.token_bytes(SECRET_BYTES)
            named = commitment(secret, run=self._run, count=count, length=length)
            value = {
                "secret": secret.hex(),
                "run": self._run,
                "count": count,
                "length": length,
                "commitment": named,
            }
            write_atomic(path, canonical_json(value), mode=0o600)
        value = parse_json(path.read_bytes(), where=path)
        if (value.get("run"), value.get("count"), value.get("length")) != (
            self._run,
            count,
            length,
        ):
            raise DocumentError(
                "the canaries of a run cannot be changed once it has begun",
                where=path,
                remedy="set audit.canaries and audit.canary_tokens back, or delete the folder"
                " and begin the run anew",
            )
        return bytes.fromhex(value["secret"])


def _with_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: NAN if value is None else value for name, value in values.items()}
