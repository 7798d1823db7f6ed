"""What whoever downloads a build can find out with its certificate: no torch, no network, no key.

    1. base       the release that it was made from holds by itself, and was not withdrawn
    2. signature  the member that the certificate names signed it, by the key that the log has of it
    3. names      the certificate is of that very release: federation, manifest, weights, tokenizer
    4. model      the files are those that were checked, all of them, and no other
    5. gates      each gate of the charter is answered, and each answer follows from its numbers

What it cannot find out: whether the maker measured what it says. Weights and base are here, so that
whoever doubts can run the gates again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from concord.base.clock import Clock
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, SignatureRefused, VerificationFailed
from concord.charter.gates import OF_THE_RUN, Gate
from concord.crypto.dsse import Envelope
from concord.crypto.keys import PublicKey
from concord.ledger.archive import Archive
from concord.ledger.state.votes import with_charters_in_force
from concord.release.manifest import Manifest
from concord.release.sovereign.certificate import (
    Certificate,
    GateResult,
    files_of,
    read_certificate,
)
from concord.release.sovereign.record import RECORD, read_record
from concord.release.verify import ReleaseFindings, verify_release
from concord.release.weights import weights_digest

TOKENIZER = "tokenizer.json"
CLOCKS_APART_S = 86_400
"""How far the maker's clock may be ahead of ours."""


@dataclass
class BuildFindings:
    """What was found so far; whole after `verify_build` returned."""

    certificate: Certificate | None = None
    steps: list[tuple[str, str]] = field(default_factory=list)
    """Name of each step that was taken and passed, and what it found."""
    notices: tuple[str, ...] = ()
    """About the base: advisories, withdrawal, late answers."""


def verify_build(
    build: Path,
    base: Path,
    certificate: Path,
    *,
    clock: Clock,
    key: PublicKey | None = None,
    newer: Archive | None = None,
    withdrawn_too: bool = False,
    findings: BuildFindings | None = None,
) -> BuildFindings:
    """Take all steps, up to the first that fails.

    Args:
        base: The release that it was made from; its papers and its log will do.
        key: Of the maker, as the caller has it from elsewhere; needed where it is no member.
        newer: A younger copy of the log: keys may have changed, a withdrawal may stand there.
        withdrawn_too: Accept a build of a release that was withdrawn, and only say so.

    Raises:
        VerificationFailed: names the first thing that is wrong, and where.
    """
    found = findings if findings is not None else BuildFindings()
    released = verify_release(
        base, clock=clock, partial=True, newer=newer, withdrawn_too=withdrawn_too
    )
    manifest, archive = _whole(released)
    archive = archive if newer is None else newer
    found.notices = released.notices
    found.steps.append(("base", f"version {manifest.version} of {manifest.name}, as published"))
    said, envelope = read_certificate(certificate)
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("signature", lambda: _signed(said, envelope, archive, key, certificate)),
        ("names", lambda: _names(said, manifest, certificate)),
        ("model", lambda: _model(said, build, certificate)),
        ("gates", lambda: _gates(said, manifest, archive, int(clock.unix_s()), certificate)),
    )
    for name, step in steps:
        found.steps.append((name, step()))
    found.certificate = said
    return found


def _whole(released: ReleaseFindings) -> tuple[Manifest, Archive]:
    if released.manifest is None or released.archive is None:
        raise VerificationFailed("was not read whole", where=released.folder.root)
    return released.manifest, released.archive


def _signed(
    said: Certificate, envelope: Envelope, archive: Archive, key: PublicKey | None, where: Path
) -> str:
    """Step 2. Only the key that a member has now counts: nothing proves when it was signed."""
    wanted = key
    if said.issuer is not None:
        try:
            wanted = PublicKey.parse(archive.state.member(said.issuer).entry.key)
        except ConcordError as error:
            raise VerificationFailed(
                error.message, where=where, remedy="a newer copy of the log may know it: --log"
            ) from error
        if key is not None and key != wanted:
            raise VerificationFailed(
                f"is by {said.issuer}, whose key in the log is {wanted.text}", where=where
            )
    if wanted is None:
        raise VerificationFailed(
            "names no member as its maker",
            where=where,
            remedy="give the maker's public key, as you have it from elsewhere: --key",
        )
    by = said.issuer or "the key that you named"
    try:
        envelope.verify([wanted], 1)
    except SignatureRefused as error:
        raise VerificationFailed(
            f"was not signed by {by}: {error.message}",
            where=where,
            remedy="where a member changed its key, a newer copy of the log has it: --log",
        ) from error
    return f"by {by}"


def _names(said: Certificate, manifest: Manifest, where: Path) -> str:
    """Step 3."""
    named = said.record.plan.base
    tokenizer = manifest.files.get(TOKENIZER)
    pairs = (
        ("federation", said.federation, manifest.federation),
        ("manifest", named.manifest, digest_bytes(manifest.data)),
        ("weights", named.weights, manifest.weights),
        ("tokenizer", named.tokenizer, f"sha256:{tokenizer.sha256 if tokenizer else ''}"),
        ("version", named.version, manifest.version),
    )
    for what, names, has in pairs:
        if names != has:
            raise VerificationFailed(
                f"is of a build from another base: it names {what} {names}, the release has {has}",
                where=where,
            )
    return f"base {manifest.weights}, build {said.record.weights}"


def _model(said: Certificate, build: Path, certificate: Path) -> str:
    """Step 4."""
    try:
        there = files_of(build, [certificate])
    except OSError as error:
        raise VerificationFailed(f"cannot be read: {error.strerror}", where=build) from error
    for path in sorted(said.files.keys() | there.keys()):
        if path not in there:
            raise VerificationFailed("is missing", where=build / path)
        if path not in said.files:
            raise VerificationFailed("is no file that the certificate names", where=build / path)
        if there[path] != said.files[path]:
            raise VerificationFailed("was altered since it was certified", where=build / path)
    if f"sha256:{there.get(TOKENIZER, '')}" != said.record.plan.base.tokenizer:
        raise VerificationFailed("is not the base's tokenizer", where=build / TOKENIZER)
    if weights_digest(sorted(build.glob("*.safetensors"))) != said.record.weights:
        raise VerificationFailed("holds other weights than the certificate names", where=build)
    if read_record(build) != said.record:
        raise VerificationFailed("is not the record that was certified", where=build / RECORD)
    return f"{len(there)} files, as they were certified"


def _gates(said: Certificate, manifest: Manifest, archive: Archive, now: int, where: Path) -> str:
    """Step 5."""
    library = archive.replica.library
    state = with_charters_in_force(archive.state, now, library)
    if said.charter not in (*_charters_since(manifest, archive), state.charter):
        raise VerificationFailed(
            "was made under no charter that has been in force since the release",
            where=where,
            remedy="a newer copy of the log may know it: --log",
        )
    if not manifest.built <= said.at <= now + CLOCKS_APART_S:
        raise VerificationFailed("was made before its base, or is of the future", where=where)
    declared = library.charter(said.charter).gate
    answered = [one.gate for one in said.gates]
    if answered != [gate.id for gate in declared]:
        missing = sorted({gate.id for gate in declared} - set(answered))
        raise VerificationFailed(
            f"is silent about {', '.join(missing)}" if missing else "answers other gates",
            where=where,
        )
    for gate, one in zip(declared, said.gates, strict=True):
        if one.result not in _possible(gate, one) or one.limit != gate.limit_words:
            raise VerificationFailed(
                f"says of gate {gate.id} what does not follow from its numbers", where=where
            )
    passed = sum(one.result == "passed" for one in said.gates)
    since = "" if said.charter == state.charter else ", under a charter that was amended since"
    return f"{passed} of {len(said.gates)} passed{since}"


def _charters_since(manifest: Manifest, archive: Archive) -> list[Digest]:
    """Charters in force since a release was built, by the log."""
    found = list(dict.fromkeys(entry.statement.binding.charter for entry in archive.entries))
    return found[found.index(manifest.charter) :] if manifest.charter in found else []


def _possible(gate: Gate, one: GateResult) -> tuple[str, ...]:
    """What can truly be said of a gate with these numbers."""
    if gate.metric in OF_THE_RUN:
        return () if one.measured else ("not of a build",)
    if not one.measured:
        return ("not run",) if one.why else ()
    return ("passed",) if gate.passes(one.measured) else ("failed",)
