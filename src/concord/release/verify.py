"""What a stranger can find out from a release's folder alone: no torch, no network, no key.

    1. files      exactly what the manifest lists is there, no link, no odd path, every byte
    2. log        the log that came with it makes its tree, every entry is allowed where it stands,
                  the checkpoint is signed and cosigned by a quorum of witnesses
    3. decision   the members decided to publish this base as this version, by the charter's rule,
                  and the coordinator published this very manifest
    4. weights    the weights are those of the base that the log names
    5. gates      all evidence that the log names is there, each signed by its runner, and enough
    6. signature  the release key signed these files, where the release names one
    7. standing   the release was not withdrawn; advisories are shown

The caller owes what `concord verify` asks for too: to know which federation it wants to hear of.
Numbers of steps never change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from concord.base.clock import Clock
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, VerificationFailed
from concord.ledger.archive import Archive
from concord.ledger.state.release_gates import GateVerdict, judge
from concord.ledger.statements.evidence import Release
from concord.ledger.statements.rounds import RoundCommitted
from concord.release.build import decision_about, proofs_of
from concord.release.folder import LEDGER, MANIFEST, SIGNATURE, SUMS, ReleaseFolder
from concord.release.gate_files import check_evidence_files, given_evidence, weights_vouched
from concord.release.ledger import check_proofs, ledger_files, open_ledger
from concord.release.manifest import Manifest, hash_files, read_manifest
from concord.release.notices import notices_about
from concord.release.signature import check_signature
from concord.release.walk import plain_files
from concord.release.weights import weights_digest

_WEIGHTS = re.compile(r"model[^/]*\.safetensors")
STEPS = ("files", "log", "decision", "weights", "gates", "signature", "standing")
MEANING = {
    "files": "This is not what was published. Fetch the file again, or the whole release.",
    "log": "The log that came with the release cannot be believed. Fetch another copy.",
    "decision": "Nobody shows that the members decided to publish this. Do not call it theirs.",
    "weights": "These weights are not the model that the members trained. Do not use them.",
    "gates": "Nobody shows that the model passed what the members agreed on. Do not use it.",
    "signature": "The release key did not sign this. Fetch the release again.",
    "standing": "The members withdrew this release. Use the one that they name instead.",
}


@dataclass(frozen=True)
class Step:
    """A step that was taken."""

    number: int
    name: str
    seconds: float
    found: str
    passed: bool = True


@dataclass
class ReleaseFindings:
    """What was found so far; whole after `verify_release` returned."""

    folder: ReleaseFolder
    steps: list[Step] = field(default_factory=list)
    manifest: Manifest | None = None
    archive: Archive | None = None
    published: bool = False
    """False: a candidate, which was asked for as one."""
    gates: tuple[GateVerdict, ...] = ()
    """As they stand by all that is in the log; later evidence may have changed them."""
    notices: tuple[str, ...] = ()
    """Withdrawal, advisories and late answers, in words."""


def verify_release(
    folder: Path,
    *,
    clock: Clock,
    federation: Digest | None = None,
    candidate: bool = False,
    partial: bool = False,
    newer: Archive | None = None,
    withdrawn_too: bool = False,
    told: Callable[[int], object] = lambda _: None,
    findings: ReleaseFindings | None = None,
) -> ReleaseFindings:
    """Take all steps, up to the first that fails.

    Args:
        folder: The release.
        clock: Time, handed in; for durations.
        federation: The federation that it must be of, as the caller has it from elsewhere.
        candidate: Accept what was built and not published yet.
        partial: Accept that files are missing, as after fetching a part; what is there is checked.
        newer: A younger copy of the log, in which a withdrawal may stand.
        withdrawn_too: Accept a release that was withdrawn, and only say so.
        told: Is told of bytes that were read, from several threads.
        findings: Filled in as steps are taken, so that a caller sees them if one fails.

    Raises:
        VerificationFailed: names the first thing that is wrong, where, and what it means.
    """
    found = findings if findings is not None else ReleaseFindings(ReleaseFolder(folder))
    check = _Check(found, clock, told, partial=partial)
    check.files()
    check.log(federation)
    check.decision(candidate=candidate)
    check.weights()
    check.gates()
    check.signature()
    check.standing(newer, withdrawn_too=withdrawn_too)
    return found


class _Check:
    def __init__(
        self,
        found: ReleaseFindings,
        clock: Clock,
        told: Callable[[int], object],
        *,
        partial: bool,
    ) -> None:
        self.found = found
        self.release = found.folder
        self._clock = clock
        self._told = told
        self._partial = partial
        self._there: dict[str, int] = {}

    @property
    def manifest(self) -> Manifest:
        if self.found.manifest is None:
            raise VerificationFailed("was not read yet", where=MANIFEST)
        return self.found.manifest

    @property
    def archive(self) -> Archive:
        if self.found.archive is None:
            raise VerificationFailed("was not read yet", where="log")
        return self.found.archive

    def files(self) -> None:
        with self._step(1) as done:
            self._there = dict(plain_files(self.release.root))
            manifest = self.found.manifest = read_manifest(self.release.manifest)
            _compare(self._there, manifest, partial=self._partial)
            here = manifest.files.keys() & self._there.keys()
            digests = hash_files(self.release.root, here, self._told)
            for path, digest in sorted(digests.items()):
                if digest != f"sha256:{manifest.files[path].sha256}":
                    raise VerificationFailed("was altered", where=path)
            if self.release.sums.read_bytes() != manifest.sums():
                raise VerificationFailed("does not say what the manifest says", where=SUMS)
            total = sum(manifest.files[path].bytes for path in here)
            of = f" of {len(manifest.files):,}" if len(here) < len(manifest.files) else ""
            done(f"{len(here):,}{of} files, {total / 1e6:,.1f} MB")

    def log(self, federation: Digest | None) -> None:
        with self._step(2) as done:
            archive = self.found.archive = open_ledger(self.release)
            state, manifest = archive.state, self.manifest
            if state.federation != manifest.federation:
                raise VerificationFailed("is of another federation", where="ledger/log")
            if federation is not None and state.federation != federation:
                raise VerificationFailed(
                    f"is the federation {state.federation}, not {federation}", where="ledger/log"
                )
            archive.replica.require_quorum(archive.note)
            self._check_ledger(ledger_files(archive), apart="proofs")
            witnesses = len(archive.replica.witnesses(archive.note))
            done(
                f"{len(archive.entries):,} entries of {state.name}, cosigned by {witnesses} members"
            )

    def _check_ledger(self, expected: Iterable[str], *, apart: str = "", below: str = "") -> None:
        """Exactly these files below a folder of the ledger, whatever lies in the folder apart."""
        there = {
            path
            for path in self._there
            if path.startswith(f"{LEDGER}/{below}")
            and not (apart and path.startswith(f"{LEDGER}/{apart}/"))
        }
        wanted = {f"{LEDGER}/{path}" for path in expected}
        if missing := sorted(wanted - there):
            raise VerificationFailed("is missing", where=missing[0])
        if extra := sorted(there - wanted):
            raise VerificationFailed("is no file of the log", where=extra[0])

    def decision(self, *, candidate: bool) -> None:
        with self._step(3) as done:
            manifest, state = self.manifest, self.archive.state
            if not _was_committed(self.archive, manifest):
                raise VerificationFailed(
                    f"{manifest.model} is no base of run {manifest.run_name}", where="model"
                )
            released = [
                entry.statement.body
                for entry in self.archive.entries
                if isinstance(entry.statement.body, Release)
                and entry.statement.body.version == manifest.version
            ]
            if not released:
                if not candidate:
                    raise VerificationFailed(
                        f"version {manifest.version} was not published: this is a candidate",
                        where="ledger/log",
                        remedy="to look at it as one: --candidate",
                    )
                done(f"a candidate: not published; {self._proofs()}")
                return
            (statement,) = released
            _check_statement(statement, manifest)
            if decision_about(state, manifest.version, manifest.model) != manifest.decision:
                raise VerificationFailed("no adopted decision says so", where="decision")
            self.found.published = True
            rule = next(s.rule for s in state.proposals.values() if s.decision == manifest.decision)
            done(
                f"published as {manifest.version} by a decision under rule {rule}; {self._proofs()}"
            )

    def _proofs(self) -> str:
        proofs = proofs_of(self.manifest, published=self.found.published)
        self._check_ledger((f"proofs/{name}" for name in proofs), below="proofs/")
        shown = check_proofs(self.release, self.archive, proofs)
        return f"{shown} statements proved apart"

    def weights(self) -> None:
        with self._step(4) as done:
            files = {path for path in self.manifest.files if _WEIGHTS.fullmatch(path)}
            if self._partial and not files <= self._there.keys():
                done("are not here")
                return
            found, manifest = weights_digest(self.release.weights()), self.manifest
            if found != manifest.weights:
                raise VerificationFailed(
                    f"holds weights {found}, not {manifest.weights}", where="model.safetensors"
                )
            run = self.archive.replica.library.run(manifest.run)
            if found == manifest.model:
                done("the base that the log names, bit for bit")
            elif run.inner.state.mode == "local":
                raise VerificationFailed(
                    f"holds weights {found}, not base {manifest.model}", where="model.safetensors"
                )
            else:
                done("as published; that they are those of the base, runners say: step 5")

    def gates(self) -> None:
        with self._step(5) as done:
            manifest, archive = self.manifest, self.archive
            library = archive.replica.library
            charter = library.charter(manifest.charter)
            given = given_evidence(archive, charter, manifest.model, until=manifest.built)
            listed = set(manifest.files)
            if self._partial:
                listed &= self._there.keys()
                given = [one for one in given if one.path in listed]
            count = check_evidence_files(self.release, archive, given, listed)
            vouched = self._vouched(weights_vouched(self.release, given, charter))
            now = manifest.built if not self.found.published else archive.state.time
            self.found.gates = judge(archive.state, library, manifest.model, now)
            blocking = [one.gate.id for one in self.found.gates if one.blocks]
            if blocking and self.found.published:
                self.found.notices += (f"by later evidence in the way: {', '.join(blocking)}",)
            passed = sum(one.status == "passed" for one in self.found.gates)
            missing = f"; in the way: {', '.join(blocking)}" if blocking else ""
            done(
                f"{passed} of {len(self.found.gates)} passed, {count} pieces of evidence"
                f"{missing}{vouched}"
            )

    def _vouched(self, said: dict[str, str]) -> str:
        """Who says that the weights are those of the base, where its digest alone cannot."""
        manifest = self.manifest
        if manifest.weights == manifest.model:
            return ""
        for runner, weights in sorted(said.items()):
            if weights != manifest.weights:
                raise VerificationFailed(
                    f"{runner} found weights {weights} in the base, not these",
                    where="model.safetensors",
                )
        if said:
            return f"; weights compared with the base by {', '.join(sorted(said))}"
        return "; nobody says that the weights are those of the base"

    def signature(self) -> None:
        with self._step(6) as done:
            manifest = self.manifest
            if manifest.release_key is None:
                if self.release.signature.exists():
                    raise VerificationFailed("is by a key that the manifest lacks", where=SIGNATURE)
                done("none: the release names no key")
                return
            if self._partial and not self.release.signature.exists():
                done("not fetched")
                return
            count = check_signature(self.release, manifest.release_key, manifest)
            done(f"by the release key, over {count} files")

    def standing(self, newer: Archive | None, *, withdrawn_too: bool) -> None:
        with self._step(7) as done:
            archive = self.archive
            if newer is not None:
                _check_newer(archive, newer)
                archive = newer
            now = max(archive.state.time, int(self._clock.unix_s()))
            notices = notices_about(archive.state, self.manifest.version, now)
            self.found.notices += notices
            recall = archive.state.recalls.get(self.manifest.version)
            if recall is not None and self.found.published and not withdrawn_too:
                instead = f"; use {recall.replaced_by}" if recall.replaced_by else ""
                raise VerificationFailed(
                    f"was withdrawn by {', '.join(recall.by)} on ground {recall.ground}:"
                    f" {recall.reason}{instead}",
                    where=f"version {self.manifest.version}",
                )
            done("; ".join(notices) or "not withdrawn, by the log that came with it")

    @contextmanager
    def _step(self, number: int) -> Iterator[_Done]:
        name = STEPS[number - 1]
        began_s, done = self._clock.monotonic_s(), _Done()
        try:
            yield done
        except (ConcordError, OSError) as error:
            failure = _failure(error, name)
            self._ended(number, began_s, str(failure.message), passed=False)
            raise failure from error
        self._ended(number, began_s, done.found, passed=True)

    def _ended(self, number: int, began_s: float, found: str, *, passed: bool) -> None:
        seconds = self._clock.monotonic_s() - began_s
        self.found.steps.append(Step(number, STEPS[number - 1], seconds, found, passed))


class _Done:
    """Takes what a step found, in words."""

    found = ""

    def __call__(self, found: str) -> None:
        self.found = found


def _failure(error: ConcordError | OSError, step: str) -> VerificationFailed:
    if isinstance(error, OSError):
        message, where = f"cannot be read: {error.strerror}", error.filename
        return VerificationFailed(message, where=where, remedy=MEANING[step])
    own = error.remedy if isinstance(error, VerificationFailed) else None
    return VerificationFailed(error.message, where=error.where, remedy=own or MEANING[step])


def _was_committed(archive: Archive, manifest: Manifest) -> bool:
    return any(
        isinstance(entry.statement.body, RoundCommitted)
        and entry.statement.binding.run == manifest.run
        and entry.statement.body.base == manifest.model
        for entry in archive.entries
    )


def _check_newer(known: Archive, newer: Archive) -> None:
    """Whether a log goes on where the one of the release ends."""
    before = [entry.data for entry in known.entries]
    if [entry.data for entry in newer.entries[: len(before)]] != before:
        raise VerificationFailed(
            "is not the log of this release, or is older", where="--log", remedy="name a newer copy"
        )


def _check_statement(statement: Release, manifest: Manifest) -> None:
    if statement.model != manifest.model:
        raise VerificationFailed("was published with another model", where=MANIFEST)
    if statement.manifest != digest_bytes(manifest.data):
        raise VerificationFailed(
            f"is not the manifest that was published, {statement.manifest}", where=MANIFEST
        )
    if statement.decision != manifest.decision:
        raise VerificationFailed("was published by another decision", where="decision")


def _compare(there: dict[str, int], manifest: Manifest, *, partial: bool) -> None:
    """Exactly the files of the manifest, in their sizes; what proves itself apart.

    Args:
        partial: Some of them will do.
    """
    own = {path: size for path, size in there.items() if not path.startswith(f"{LEDGER}/")}
    for path in (MANIFEST, SUMS):
        if own.pop(path, None) is None:
            raise VerificationFailed("is missing", where=path)
    own.pop(SIGNATURE, None)
    missing = sorted(manifest.files.keys() - own.keys())
    if missing and not partial:
        raise VerificationFailed("is missing", where=missing[0])
    if extra := sorted(own.keys() - manifest.files.keys()):
        raise VerificationFailed("is no file of this release", where=extra[0])
    for path, size in sorted(own.items()):
        if size != manifest.files[path].bytes:
            raise VerificationFailed(
                f"has {size:,} bytes, not {manifest.files[path].bytes:,}", where=path
            )
