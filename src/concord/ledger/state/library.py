"""Documents that statements name by digest: charters and run documents, read once.

The state is a fold over the log; what a statement names by digest is looked up here, and checked
against that digest, so that the fold stays a function of the log alone.
"""

from __future__ import annotations

from typing import Protocol

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, StatementRefused
from concord.base.objects import ObjectStore
from concord.charter.bundle import CharterBundle, bundle_of
from concord.charter.constitution import Charter
from concord.charter.run import RunDocument, parse_run
from concord.ledger.statements.membership import Founding
from concord.ledger.statements.statement import Statement
from concord.ledger.statements.votes import Amend, Proposal, StartRun


class Library(Protocol):
    """Where charters and run documents are looked up."""

    def bundle(self, digest: Digest) -> CharterBundle:
        """A charter with its policy and law files.

        Raises:
            StatementRefused: it is not at hand, or not a charter.
        """

    def charter(self, digest: Digest) -> Charter:
        """The charter of a bundle.

        Raises:
            StatementRefused: it is not at hand, or not a charter.
        """

    def run(self, digest: Digest) -> RunDocument:
        """A run document.

        Raises:
            StatementRefused: it is not at hand, or not a run document.
        """


class ObjectLibrary:
    """Looks documents up among the objects."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self._charters: dict[Digest, CharterBundle] = {}
        self._runs: dict[Digest, RunDocument] = {}

    def bundle(self, digest: Digest) -> CharterBundle:
        """A charter with its policy and law files."""
        if digest not in self._charters:
            try:
                self._charters[digest] = bundle_of(self.objects, digest)
            except ConcordError as error:
                raise _missing("charter", digest, error) from error
        return self._charters[digest]

    def charter(self, digest: Digest) -> Charter:
        return self.bundle(digest).charter

    def run(self, digest: Digest) -> RunDocument:
        if digest not in self._runs:
            try:
                run = parse_run(parse_json(self.objects.get(digest), where=digest))
            except ConcordError as error:
                raise _missing("run document", digest, error) from error
            if run.digest != digest:
                raise StatementRefused("is not in its one form", where=f"run document {digest}")
            self._runs[digest] = run
        return self._runs[digest]

    def named_by(self, statement: Statement) -> tuple[Digest, ...]:
        """Digests of the documents, whole, that a reader needs to follow a statement."""
        match statement.body:
            case Founding(charter=charter):
                return self.parts(charter)
            case Proposal(change=Amend(charter=charter)):
                return self.parts(charter)
            case Proposal(change=StartRun(document=document)):
                return (document,)
        return ()

    def parts(self, charter: Digest) -> tuple[Digest, ...]:
        """A charter's manifest and files."""
        return (charter, *(digest_bytes(data) for data in self.bundle(charter).files.values()))

    def put_run(self, run: RunDocument) -> Digest:
        """Store a run document among the objects."""
        return self.objects.put(canonical_json(run.model_dump(mode="json")))


def _missing(what: str, digest: Digest, error: ConcordError) -> StatementRefused:
    return StatementRefused(
        f"the {what} cannot be read: {error.message}",
        where=digest,
        remedy="fetch the object of that digest, and try again",
    )
