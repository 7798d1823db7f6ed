"""A whole run on one machine: members as processes, the tokenizer session, the rounds.

This is the embedded default. Between sites the same coordinator and the same members run over
another engine; what is here is only what starts and ends them.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.clock import SystemClock
from concord.base.digest import digest_json
from concord.base.errors import CheckpointError, DocumentError, FederationError
from concord.base.files import remove_torn, storage_errors, write_atomic
from concord.charter.run import RunDocument, describe
from concord.data.bpe.wire import MAX_ANSWER_BYTES
from concord.federation.assembly import Assembly, Tokenizer
from concord.federation.chronicle import Chronicle
from concord.federation.coordinator import Coordinator
from concord.federation.disk import planned_parameters
from concord.federation.engine.local import LocalEngine
from concord.federation.folders import FederationFolder
from concord.federation.gating import Gate, probe_set
from concord.federation.harm import harm_note
from concord.federation.member.sealing import covered_rows
from concord.federation.messages import TextCounts
from concord.federation.office import adopt_if_all_keys_are_here
from concord.federation.parallel import Lines
from concord.federation.preflight import check_run, check_start, parallel_set
from concord.federation.records import RunFolder
from concord.federation.report import ParallelCount, TokenizerPart
from concord.federation.sealed.coordinator import SealedCoordinator
from concord.federation.sealed.words import coverage_words, sealed_words
from concord.federation.vocabulary import learn_tokenizer, wait_until_prepared
from concord.federation.watcher import Watcher
from concord.federation.workers import PRELOADED, ProbeWorker, serve_member
from concord.ledger.log import open_log
from concord.model.tokenizer import Tokenizer as NetworkTokenizer

BASE_SLACK_BYTES = 64 << 20
"""A base file's header, and what inner state it shares beside twice its weights."""


@dataclass
class RunNotes:
    """What a run tells besides its records: for the report."""

    text: dict[str, TextCounts] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    tokenizer: TokenizerPart | None = None
    phases: dict[str, float] = field(default_factory=dict)


def run_locally(
    federation: FederationFolder, run: RunDocument, *, resume: bool, watcher: Watcher
) -> RunNotes:
    """Run all rounds that are left, with one process per member on this machine.

    Raises:
        DocumentError: the run was started before and `resume` is False, or its document was
            changed since.
        ConcordError: whatever ends the run; the last committed round stays intact.
    """
    folder = RunFolder(federation.root, run.name)
    check_start(folder, run, resume=resume)
    check_run(federation, run)
    clock = SystemClock()
    adopted = adopt_if_all_keys_are_here(federation, run, clock)
    if adopted:
        watcher.note(adopted)
    if (harm := harm_note(run)) is not None:
        watcher.note(harm)
    with open_log(federation.log) as log:
        chronicle = Chronicle(federation, log, clock)
        with _assembled(federation, folder, run) as assembly:
            return _run(federation, folder, run, assembly, chronicle, watcher)


def learn_locally(
    federation: FederationFolder, run: RunDocument, *, watcher: Watcher
) -> TokenizerPart:
    """Learn the run's tokenizer and nothing else; a later run takes it up.

    Raises:
        DocumentError: the run keeps the tokenizer of the model folder it continues from.
    """
    if run.model.continue_from is not None:
        raise DocumentError(
            "keeps the tokenizer of model.continue_from",
            where=federation.run_path(run.name),
            remedy="look at that one with `concord tokenizer show`",
        )
    check_run(federation, run)
    folder = RunFolder(federation.root, run.name)
    with _assembled(federation, folder, run) as assembly:
        watcher.stage("text")
        wait_until_prepared(assembly)
        watcher.stage("tokenizer")
        _tokenizer(federation, folder, run, assembly, watcher)
    return _load_part(tokenizer_part(folder, run))


@contextmanager
def _assembled(
    federation: FederationFolder, folder: RunFolder, run: RunDocument
) -> Iterator[Assembly]:
    folder.create()
    with only_one(folder.root):
        remove_torn(folder.root)
        engine = LocalEngine(
            {member: federation.member(member).root for member in run.member_ids},
            serve_member,
            spool=folder.root / "incoming",
            max_payload_bytes=_most_before_rounds(federation, run),
            preload=PRELOADED,
        )
        engine.start()
        try:
            yield Assembly(run, engine)
        finally:
            engine.stop()


def _run(
    federation: FederationFolder,
    folder: RunFolder,
    run: RunDocument,
    assembly: Assembly,
    chronicle: Chronicle,
    watcher: Watcher,
) -> RunNotes:
    notes = RunNotes()
    with _phase(notes, watcher, "text"):
        wait_until_prepared(assembly)
    with _phase(notes, watcher, "tokenizer"):
        tokenizer = _tokenizer(federation, folder, run, assembly, watcher)
    with _phase(notes, watcher, "rounds"), _gate(federation, folder, run) as gate:
        kind = Coordinator if run.mode == "open" else SealedCoordinator
        coordinator = kind(
            run,
            folder,
            assembly,
            tokenizer=tokenizer,
            chronicle=chronicle,
            clock=SystemClock(),
            watcher=watcher,
            gate=gate,
        )
        if isinstance(coordinator, SealedCoordinator):
            assert tokenizer.path is not None  # noqa: S101 - a sealed run learns one
            lines = _declared_lines(federation, run)
            vocabulary = NetworkTokenizer.from_json(tokenizer.path.read_text(encoding="utf-8"))
            coverage = covered_rows(run, vocabulary, lines)
            coordinator.cover(coverage, lines)
            for words in (*sealed_words(run), coverage_words(coverage)):
                if words:
                    watcher.note(words)
        coordinator.run()
    for member, place in assembly.places.items():
        if place.text is not None:
            notes.text[member] = place.text
        if place.ready is not None:
            notes.tokens[member] = place.ready.tokens
    learned = tokenizer_part(folder, run)
    notes.tokenizer = _load_part(learned) if learned.exists() else None
    return notes


@contextmanager
def _gate(
    federation: FederationFolder, folder: RunFolder, run: RunDocument
) -> Iterator[Gate | None]:
    """The run's probe gate, with a process that measures; None if it has none."""
    parallel = parallel_set(federation, run) if run.gate.enabled else None
    if parallel is None:
        yield None
        return
    probes = folder.objects.put(probe_set(parallel.measure, run))
    worker = ProbeWorker()
    try:
        yield Gate(probes, folder.objects.path(probes), worker, continued_from(federation, run))
    finally:
        worker.close()


def continued_from(federation: FederationFolder, run: RunDocument) -> Path | None:
    """The model folder that a run continues from."""
    path = run.model.continue_from
    return None if path is None else (federation.root / path).resolve()


def _declared_lines(federation: FederationFolder, run: RunDocument) -> Lines:
    """Lines of the parallel set by which members tell whose language a token is of.

    Raises:
        DocumentError: no member of the roster declares a language.
    """
    parallel = parallel_set(federation, run)
    if parallel is None:
        raise DocumentError(
            "sealed mode has to know whose language a token is of: no member declares a language",
            where=federation.run_path(run.name),
            remedy="name the languages of the roster's members, and tokenizer.parallel",
        )
    return {name: [*parallel.learn[name], *parallel.measure[name]] for name in parallel.learn}


def tokenizer_part(folder: RunFolder, run: RunDocument) -> Path:
    """Where a run keeps what learning its tokenizer gave, under a name that its choices make.

    So a tokenizer learned before the run document was changed is not taken for the new one.
    """
    choices = run.model_dump(mode="json", include={"tokenizer": True, "roster": True})
    return folder.root / f"tokenizer-{digest_json(choices)[7:19]}.json"


def _load_part(path: Path) -> TokenizerPart:
    try:
        return TokenizerPart.model_validate(parse_json(path.read_bytes(), where=path))
    except (ValidationError, DocumentError) as error:
        fault = describe(error) if isinstance(error, ValidationError) else error.message
        raise CheckpointError(
            f"is damaged: {fault}", where=path, remedy="delete it; the tokenizer is learned again"
        ) from error


def _tokenizer(
    federation: FederationFolder,
    folder: RunFolder,
    run: RunDocument,
    assembly: Assembly,
    watcher: Watcher,
) -> Tokenizer:
    """The tokenizer in force: kept from the base, found by an earlier start, or learned now."""
    if run.model.continue_from is not None:
        return Tokenizer(None, None)
    summary = tokenizer_part(folder, run)
    if summary.exists():
        digest = _load_part(summary).digest
        assert digest is not None  # noqa: S101 - a learned tokenizer has one
        return Tokenizer(digest, folder.objects.verified_path(digest))
    parallel = parallel_set(federation, run)
    began_s = time.monotonic()
    session = learn_tokenizer(
        run,
        assembly,
        parallel=parallel.learn if parallel is not None else None,
        member_languages={member.id: member.languages for member in run.roster},
        watcher=watcher,
    )
    text = session.tokenizer_json()
    digest = folder.objects.put(text.encode())
    traffic = {member: assembly.engine.traffic(member) for member in run.member_ids}
    part = TokenizerPart(
        mode=run.tokenizer.mode,
        vocabulary=NetworkTokenizer.from_json(text).size,
        merges=session.chosen,
        digest=digest,
        parallel=parallel_counts(text, parallel.measure) if parallel is not None else {},
        exchanges=session.exchanges,
        bytes_up={member: t.up_bytes for member, t in traffic.items()},
        bytes_down={member: t.down_bytes for member, t in traffic.items()},
        seconds=time.monotonic() - began_s,
    )
    write_atomic(summary, canonical_json(part.model_dump(mode="json")))
    return Tokenizer(digest, folder.objects.path(digest))


def parallel_counts(tokenizer: str, lines: Mapping[str, Sequence[str]]) -> dict[str, ParallelCount]:
    """What each language's lines take under a tokenizer, given as the text of its file."""
    encode = NetworkTokenizer.from_json(tokenizer).encode_batch
    return {
        language: ParallelCount(
            sentences=len(found),
            bytes=sum(len(line.encode()) for line in found),
            tokens=sum(len(ids) for ids in encode(list(found))),
        )
        for language, found in lines.items()
    }


def _most_before_rounds(federation: FederationFolder, run: RunDocument) -> int:
    """No answer of a tokenizer session, and no first base with all inner state, is larger."""
    weights = 4 * planned_parameters(run, federation.root)
    return max(MAX_ANSWER_BYTES, 4 * weights + BASE_SLACK_BYTES)


@contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Hold the run's lock: two coordinators of one run on one machine would fight."""
    path = root / "lock"
    with storage_errors(path), path.open("wb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FederationError(
                "another process runs this run", where=root, remedy="wait for it, or end it"
            ) from error
        yield


@contextmanager
def _phase(notes: RunNotes, watcher: Watcher, name: str) -> Iterator[None]:
    watcher.stage(name)
    began_s = time.monotonic()
    yield
    notes.phases[name] = time.monotonic() - began_s
