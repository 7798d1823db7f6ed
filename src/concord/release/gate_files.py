"""The evidence of gates in a release: which files there have to be, and whether each is genuine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError, SignatureRefused, VerificationFailed
from concord.base.objects import ObjectStore
from concord.charter.constitution import Charter
from concord.crypto.keys import PublicKey
from concord.ledger.archive import Archive
from concord.ledger.entries import Entry
from concord.ledger.state.library import Library
from concord.ledger.statements.evidence import GateEvidence
from concord.release.folder import GATES, ReleaseFolder
from concord.release.gates.evidence import TestResult, read_evidence


class Log(Protocol):
    """Entries that were checked."""

    entries: list[Entry]


@dataclass(frozen=True)
class Given:
    """Evidence that the log holds of a declared gate."""

    entry: Entry
    body: GateEvidence

    @property
    def path(self) -> str:
        """Where its file lies in a release."""
        return f"{GATES}/{self.body.gate}/{self.entry.statement.author.party}.dsse.json"


def given_evidence(archive: Log, charter: Charter, model: Digest, *, until: int) -> list[Given]:
    """The last evidence of each runner and declared gate for a model, up to a time."""
    declared = {gate.id for gate in charter.gate}
    found: dict[str, Given] = {}
    for entry in archive.entries:
        body = entry.statement.body
        if not isinstance(body, GateEvidence) or body.model != model:
            continue
        if body.gate in declared and entry.statement.time <= until:
            given = Given(entry, body)
            found[given.path] = given
    return [given for _, given in sorted(found.items())]


def copy_evidence(given: list[Given], objects: ObjectStore, root: Path) -> None:
    """Put evidence into a release that is being built.

    Raises:
        DocumentError: a file of it is not at hand.
    """
    for one in given:
        if one.body.evidence not in objects:
            raise DocumentError(
                f"the evidence {one.body.evidence} is not among the objects",
                where=one.path,
                remedy=f"ask {one.entry.statement.author.party} for it",
            )
        path = root / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(objects.get(one.body.evidence))


def check_evidence_files(
    release: ReleaseFolder, archive: Archive, given: list[Given], listed: Iterable[str]
) -> int:
    """Whether exactly the evidence that the log names is there, each signed by its runner.

    Args:
        listed: Paths of the manifest.

    Raises:
        VerificationFailed: names the first that is missing, forged, or unknown to the log.
    """
    expected = {one.path: one for one in given}
    there = {path for path in listed if path.startswith(f"{GATES}/")}
    if missing := sorted(expected.keys() - there):
        raise VerificationFailed("evidence that the log names is missing", where=missing[0])
    if extra := sorted(there - expected.keys()):
        raise VerificationFailed("the log knows of no such evidence", where=extra[0])
    known = map(PublicKey.parse, _all_keys(archive))
    keys = {key.key_id: key for key in known}
    for path, one in expected.items():
        _check_one((release.root / path).read_bytes(), one, keys, archive.replica.library)
    return len(expected)


def weights_vouched(release: ReleaseFolder, given: list[Given], charter: Charter) -> dict[str, str]:
    """Digest of the weights that each runner of an integrity gate compared with the base.

    Needed where a base holds more than weights, so that its own digest does not show them.
    """
    gates = {gate.id for gate in charter.gate if gate.metric == "integrity"}
    found = {}
    for one in given:
        if one.body.gate in gates and one.body.result == "passed":
            own = read_evidence((release.root / one.path).read_bytes(), where=one.path)[0].own
            if "weights" in own.details:
                found[own.runner] = str(own.details["weights"])
    return found


def _check_one(data: bytes, given: Given, keys: dict[str, PublicKey], library: Library) -> None:
    where, statement = given.path, given.entry.statement
    if digest_bytes(data) != given.body.evidence:
        raise VerificationFailed("is not the evidence that the log names", where=where)
    result, envelope = read_evidence(data, where=where)
    signers = [s.key_id for s in given.entry.envelope.signatures]
    try:
        envelope.verify([keys[one] for one in signers if one in keys], len(signers))
    except SignatureRefused as error:
        raise VerificationFailed(
            f"was not signed by {statement.author.party}", where=where
        ) from error
    _check_words(result, given)
    charter = statement.binding.charter
    gate = library.charter(charter).gate_named(given.body.gate)
    if gate is None or not result.ran_under(gate, charter):
        raise VerificationFailed("is of another declaration of the gate", where=where)


def _check_words(result: TestResult, given: Given) -> None:
    body, own = given.body, result.own
    said = (own.gate, own.runner, result.model, own.measured, own.against, result.passed)
    stands = (
        body.gate,
        given.entry.statement.author.party,
        body.model,
        body.measured,
        body.against,
        body.result == "passed",
    )
    if said != stands:
        raise VerificationFailed("says something else than its statement", where=given.path)


def _all_keys(archive: Archive) -> Iterator[str]:
    """Every key that ever had a say, and those of review boards."""
    yield from archive.state.keys_used
    library = archive.replica.library
    charters = {entry.statement.binding.charter for entry in archive.entries}
    for charter in sorted(charters):
        for gate in library.charter(charter).gate:
            yield from gate.boards.values()
