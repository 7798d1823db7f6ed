"""The run document: one training run, as data. Frozen, unknown keys refused, addressed by digest.

Written by people as TOML (`runs/<name>.toml`), digested as canonical JSON. Its sections stand in
`run_sections`, what does not go together across them in `run_rules`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from concord.base.canonical import canonical_json
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError
from concord.charter.document import Document, Identifier, describe
from concord.charter.run_rules import (
    check_fragments,
    check_links,
    check_mode,
    check_robust,
    check_sparse,
)
from concord.charter.run_sections import (
    ComparisonSpec,
    EvaluationSpec,
    GateSpec,
    InnerSpec,
    Mode,
    ModelSpec,
    RosterMember,
    RoundsSpec,
    SealSpec,
    TokenizerSpec,
    UpdateSpec,
    UseSpec,
)


class RunDocument(Document):
    """One training run."""

    name: Identifier
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    roster: Annotated[tuple[RosterMember, ...], Field(min_length=1)]
    use: UseSpec = UseSpec()
    model: ModelSpec = ModelSpec()
    tokenizer: TokenizerSpec = TokenizerSpec()
    inner: InnerSpec = InnerSpec()
    rounds: RoundsSpec = RoundsSpec()
    update: UpdateSpec = UpdateSpec()
    gate: GateSpec = GateSpec()
    seal: SealSpec | None = None
    """Sealed mode, if the section is there; open mode without it."""
    evaluation: EvaluationSpec = EvaluationSpec()
    comparison: ComparisonSpec = ComparisonSpec()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        ids = [member.id for member in self.roster]
        if len(set(ids)) != len(ids):
            raise ValueError("roster names a member twice")
        if self.inner.batch_tokens % self.model.context:
            raise ValueError(
                f"inner.batch_tokens ({self.inner.batch_tokens}) must be a multiple of"
                f" model.context ({self.model.context})"
            )
        check_sparse(self)
        check_robust(self)
        check_links(self)
        check_fragments(self)
        check_mode(self)
        return self

    @property
    def mode(self) -> Mode:
        """Whether single updates are public. It follows from the document, so it never changes."""
        return "open" if self.seal is None else "sealed"

    @property
    def digest(self) -> Digest:
        return digest_bytes(self.canonical)

    @property
    def canonical(self) -> bytes:
        """Canonical JSON, every default written out: the bytes whose digest addresses the run."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def member_ids(self) -> tuple[str, ...]:
        """Ids of the roster, sorted: the order of every sum."""
        return tuple(sorted(member.id for member in self.roster))


def parse_run(value: dict[str, Any], *, where: object = None) -> RunDocument:
    """Check a run document.

    Raises:
        DocumentError: an unknown key or an impossible value, naming the field.
    """
    try:
        return RunDocument.model_validate(value)
    except ValidationError as error:
        raise DocumentError(describe(error), where=where, remedy="correct the field") from error


def load_run(path: Path) -> RunDocument:
    """Read a run document from TOML.

    Raises:
        DocumentError: the file cannot be read, is not TOML, or fails its checks.
    """
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DocumentError(
            f"cannot be read: {error.strerror}", where=path, remedy="`concord init` writes one"
        ) from error
    except ValueError as error:
        raise DocumentError(f"is not TOML: {error}", where=path) from error
    return parse_run(value, where=path)
