"""The frame of every statement: who says what, when, and what it is bound to.

A statement is an in-toto Statement v1 in RFC 8785 form. Its predicate binds the body to the
federation, the charter in force, and where it belongs to one, the run and the round, so that it
means nothing anywhere else. The digest of the payload, without signatures, is its name.

Source: in-toto attestation framework v1; DSSE for the signatures around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, is_form_of, parse_canonical
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, StatementRefused
from concord.charter.document import Document, Identifier, describe
from concord.ledger.statements.fields import Body, Count, DigestText
from concord.ledger.statements.kinds import KINDS

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_STATEMENT_BYTES = 48_000
"""Base64 and signatures around it still fit into a log entry of 65,535 bytes."""
MAX_DEPTH = 16

Role = Literal["member", "coordinator", "overseer", "applicant", "founders"]


class Author(Document):
    """In which role a party speaks."""

    role: Role
    party: Identifier


class Binding(Document):
    """What a statement is bound to; it counts nowhere else."""

    federation: DigestText | None
    """Digest of the founding statement; None in that statement itself."""
    charter: DigestText
    run: DigestText | None = None
    """Digest of the run document."""
    round: Count | None = None
    """Rounds committed before the one that is spoken of."""


class _Predicate(Document):
    author: Author
    binding: Binding
    body: dict[str, Any]
    seq: Count
    time: Count


class _Sha256(Document):
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Subject(Document):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    digest: _Sha256


class _Frame(Document):
    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate: _Predicate
    predicate_type: str = Field(alias="predicateType", max_length=80)
    subject: Annotated[tuple[_Subject, ...], Field(min_length=1, max_length=1024)]


@dataclass(frozen=True)
class Statement:
    """One statement, unsigned.

    Args:
        seq: Higher than in any earlier statement of the same author and role in a run, if this one
            is bound to a run, or outside of runs.
        time: Unix seconds, by the author's clock.
    """

    body: Body
    binding: Binding
    author: Author
    seq: int
    time: int

    @property
    def kind(self) -> str:
        return self.body.KIND

    @cached_property
    def digest(self) -> Digest:
        return digest_bytes(self.payload())

    @property
    def federation(self) -> Digest:
        """The federation it belongs to; a founding statement names it by its own digest."""
        return self.binding.federation or self.digest

    def place(self, index: int) -> str:
        """Where it stands as entry `index` of a log, in words; rounds counted from 1."""
        round_ = self.binding.round
        if round_ is None:
            return f"entry {index} ({self.kind} by {self.author.party})"
        number = round_ if self.kind == "evaluation" else round_ + 1
        return f"entry {index} ({self.kind} by {self.author.party}, round {number})"

    def subjects(self) -> dict[str, Digest]:
        return dict(self.body.subjects()) or {"federation": self._named()}

    def _named(self) -> Digest:
        return self.binding.federation or self.binding.charter

    def payload(self) -> bytes:
        """The bytes that are signed.

        Raises:
            StatementRefused: it is longer than a log entry can hold.
        """
        return self._payload

    @cached_property
    def _payload(self) -> bytes:
        found = canonical_json(self._document())
        if len(found) > MAX_STATEMENT_BYTES:
            raise StatementRefused(
                f"is {len(found):,} bytes long, over the limit of {MAX_STATEMENT_BYTES:,}",
                where=self.kind,
                remedy="put the long part among the objects and name its digest",
            )
        return found

    def _document(self) -> dict[str, Any]:
        return {
            "_type": STATEMENT_TYPE,
            "predicateType": predicate_type(type(self.body)),
            "subject": [
                {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
                for name, digest in sorted(self.subjects().items())
            ],
            "predicate": {
                "author": self.author.model_dump(mode="json"),
                "binding": self.binding.model_dump(mode="json"),
                "body": self.body.model_dump(mode="json"),
                "seq": self.seq,
                "time": self.time,
            },
        }

    @classmethod
    def parse(cls, payload: bytes, *, where: object = None) -> Self:
        """Read a payload; strict about every byte.

        Raises:
            StatementRefused: it is malformed, of an unknown kind or with an unknown key, not in
                canonical form, or does not name the subjects that its body speaks of.
        """
        try:
            value = parse_canonical(
                payload, where=where, max_bytes=MAX_STATEMENT_BYTES, max_depth=MAX_DEPTH
            )
            frame = _Frame.model_validate(value)
            body_type = KINDS.get(frame.predicate_type)
            if body_type is None:
                raise StatementRefused(
                    f"{frame.predicate_type!r} is no known kind of statement", where=where
                )
            body = body_type.model_validate(frame.predicate.body)
        except ValidationError as error:
            raise StatementRefused(describe(error), where=where) from error
        except StatementRefused:
            raise
        except ConcordError as error:
            raise StatementRefused(error.message, where=where) from error
        predicate = frame.predicate
        statement = cls(body, predicate.binding, predicate.author, predicate.seq, predicate.time)
        _check_binding(statement, where)
        if not is_form_of(payload, statement._document()):
            raise StatementRefused("subjects or fields are not in their one form", where=where)
        statement.__dict__["_payload"] = payload  # it was just found to be the same
        return statement


def predicate_type(body: type[Body]) -> str:
    """The name of a kind on the wire."""
    return f"urn:concord:{body.KIND}:{body.VERSION}"


def _check_binding(statement: Statement, where: object) -> None:
    body, binding = statement.body, statement.binding
    if (binding.run is not None) != body.NEEDS_RUN:
        raise StatementRefused(
            f"{statement.kind} must {'' if body.NEEDS_RUN else 'not '}name a run", where=where
        )
    if (binding.round is not None) != body.NEEDS_ROUND:
        raise StatementRefused(
            f"{statement.kind} must {'' if body.NEEDS_ROUND else 'not '}name a round", where=where
        )
    if (binding.federation is None) != (statement.kind == "founding"):
        raise StatementRefused("only the founding statement names no federation", where=where)
