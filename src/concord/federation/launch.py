"""A whole run, over whatever engine: text, the tokenizer session, the rounds.

The embedded default has all members as processes of this machine. Between sites the same
coordinator runs over another engine, and may pause at the border of a round so that another
process goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.clock import SystemClock
from concord.base.digest import digest_json
from concord.base.errors import CheckpointError, DocumentError, FederationError
from concord.base.files import remove_torn, write_atomic
from concord.base.locks import Held, locked
from concord.charter.document import describe
from concord.charter.run import RunDocument
from concord.data.bpe.alphabet import FIRST_MERGE_ID
from concord.data.bpe.listed import MergeList
from concord.data.bpe.parallel import cut_words
from concord.data.bpe.wire import MAX_ANSWER_BYTES
from concord.federation.assembly import Assembly, Tokenizer
from concord.federation.chronicle import Chronicle
from concord.federation.coordinator import Coordinator
from concord.federation.disk import planned_parameters
from concord.federation.engine import EngineName
from concord.federation.engine.interface import Engine
from concord.federation.engine.local import LocalEngine
from concord.federation.evidence import RunFacts
from concord.federation.facts import member_facts
from concord.federation.folders import FederationFolder
from concord.federation.gating import Gate, probe_set
from concord.federation.harm import harm_note
from concord.federation.messages import TextCounts
from concord.federation.office import adopt_if_all_keys_are_here
from concord.federation.parallel import Lines
from concord.federation.preflight import check_run, check_start, parallel_set
from concord.federation.records import RunFolder
from concord.federation.report import ParallelCount, TokenizerPart
from concord.federation.sealed.coordinator import SealedCoordinator
from concord.federation.sealed.counting import CountingCoordinator
from concord.federation.sealed.words import coverage_words, learned_words, sealed_words
from concord.federation.vocabulary import learn_tokenizer, wait_until_prepared
from concord.federation.watcher import Watcher
from concord.federation.workers import PRELOADED, ProbeWorker, serve_member
from concord.ledger.log import open_log
from concord.ledger.state.counting import seals_counts
from concord.model.tokenizer import Tokenizer as NetworkTokenizer

BASE_SLACK_BYTES = 64 << 20
"""A base file's header, and what inner state it shares beside twice its weights."""
LOOK_S = 0.05


@dataclass
class RunNotes:
    """What a run tells besides its records: for the report."""

    text: dict[str, TextCounts] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    tokenizer: TokenizerPart | None = None
    phases: dict[str, float] = field(default_factory=dict)
    finished: bool = True
    """False if it was paused before its last round."""


Connect = Callable[[RunFolder, int], AbstractContextManager[Engine]]
"""Gives a started engine for a run, with the largest payload that a member may send."""
Ask = Callable[[], bool]


def never() -> bool:
    """Nobody wants it."""
    return False


def run_locally(
    federation: FederationFolder, run: RunDocument, *, resume: bool, watcher: Watcher
) -> RunNotes:
    """Run all rounds that are left, with one process per member on this machine.

    Raises:
        DocumentError: the run was started before and `resume` is False, or its document was
            changed since.
        ConcordError: whatever ends the run; the last committed round stays intact.
    """
    return run_over(federation, run, _here(federation, run), resume=resume, watcher=watcher)


def run_over(
    federation: FederationFolder,
    run: RunDocument,
    connect: Connect,
    *,
    resume: bool,
    watcher: Watcher,
    pause: Ask = never,
    wait: Ask = never,
    elsewhere: bool = False,
) -> RunNotes:
    """Run all rounds that are left, over the engine that `connect` gives.

    Args:
        pause: Asked at every border of a round: whether another process is to go on from here.
        wait: Whether to wait while another process runs this run.
        elsewhere: Members are at other sites.

    Raises:
        DocumentError: the run was started before and `resume` is False, or its document was
            changed since.
        ConcordError: whatever ends the run; the last committed round stays intact.
    """
    folder = RunFolder(federation.root, run.name)
    if wait is never:
        check_start(folder, run, resume=resume)
    check_run(federation, run, elsewhere=elsewhere)
    with _alone(folder, wait):
        if wait is not never:  # what lay there before belonged to another process
            check_start(folder, run, resume=resume)
        clock = SystemClock()
        adopted = adopt_if_all_keys_are_here(federation, run, clock)
        if adopted:
            watcher.note(adopted)
        if (harm := harm_note(run)) is not None:
            watcher.note(harm)
        with open_log(federation.log) as log:
            chronicle = Chronicle(federation, log, clock)
            with connect(folder, _most_before_rounds(federation, run)) as engine:
                assembly = Assembly(run, engine)
                assembly.patient = elsewhere and folder.started()
                return _run(federation, folder, run, assembly, chronicle, watcher, pause)


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
    connect = _here(federation, run)
    with ExitStack() as stack:
        stack.enter_context(_alone(folder, never))
        chronicle = None
        if seals_counts(run):
            adopt_if_all_keys_are_here(federation, run, SystemClock())
            log = stack.enter_context(open_log(federation.log))
            chronicle = Chronicle(federation, log, SystemClock())
        most = _most_before_rounds(federation, run)
        assembly = Assembly(run, stack.enter_context(connect(folder, most)))
        watcher.stage("text")
        wait_until_prepared(assembly)
        watcher.stage("tokenizer")
        _tokenizer(federation, folder, run, assembly, chronicle, watcher)
    return _load_part(tokenizer_part(folder, run))


@contextmanager
def _alone(folder: RunFolder, wait: Ask) -> Iterator[None]:
    folder.create()
    with only_one(folder.root, wait):
        remove_torn(folder.root)
        yield


def _here(federation: FederationFolder, run: RunDocument) -> Connect:
    """Members as processes of this machine."""

    @contextmanager
    def connect(folder: RunFolder, max_payload_bytes: int) -> Iterator[Engine]:
        engine = LocalEngine(
            {member: federation.member(member).root for member in run.member_ids},
            serve_member,
            spool=folder.root / "incoming",
            max_payload_bytes=max_payload_bytes,
            preload=PRELOADED,
        )
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()

    return connect


def _run(
    federation: FederationFolder,
    folder: RunFolder,
    run: RunDocument,
    assembly: Assembly,
    chronicle: Chronicle,
    watcher: Watcher,
    pause: Ask,
) -> RunNotes:
    notes = RunNotes()
    if not assembly.patient:
        with _phase(notes, watcher, "text"):
            wait_until_prepared(assembly)
    with _phase(notes, watcher, "tokenizer"):
        tokenizer = _tokenizer(federation, folder, run, assembly, chronicle, watcher)
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
            pause=pause,
        )
        if isinstance(coordinator, SealedCoordinator):
            # Loads the network's libraries, which an open run's coordinator does without.
            from concord.federation.member.sealing import covered_rows

            assert tokenizer.path is not None  # noqa: S101 - a sealed run learns one
            lines = _declared_lines(federation, run)
            vocabulary = NetworkTokenizer.from_json(tokenizer.path.read_text(encoding="utf-8"))
            coverage = covered_rows(run, vocabulary, lines)
            coordinator.cover(coverage, lines)
            for words in (*sealed_words(run), coverage_words(coverage)):
                if words:
                    watcher.note(words)
        notes.finished = coordinator.run()
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


def run_facts(
    federation: FederationFolder,
    run: RunDocument,
    notes: RunNotes,
    wall_s: float,
    *,
    engine: EngineName = "local",
) -> RunFacts:
    """What a run tells for its report; of members at other sites, what their messages told."""
    folders = [federation.member(member) for member in run.member_ids]
    here = [folder for folder in folders if folder.file.exists()]
    facts = [fact for folder in here for fact in member_facts(folder)]
    names = {folder.id: folder.load().name for folder in here}
    return RunFacts(
        text=notes.text,
        tokens=notes.tokens,
        labels={member: names.get(member, member) for member in run.member_ids},
        phases=notes.phases,
        wall_s=wall_s,
        toml=federation.run_path(run.name).read_text(encoding="utf-8"),
        fact_choices=min((1 + len(fact.distractors) for fact in facts), default=None),
        tokenizer=notes.tokenizer,
        engines=(engine,),
    )


def tokenizer_part(folder: RunFolder, run: RunDocument) -> Path:
    """Where a run keeps what learning its tokenizer gave, under a name that its choices make.

    So a tokenizer learned before the run document was changed is not taken for the new one.
    """
    choices = run.model_dump(mode="json", include={"tokenizer": True, "roster": True})
    if seals_counts(run):
        choices["run"] = run.digest  # in whose log it was learned
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
    chronicle: Chronicle | None,
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
    if chronicle is not None and seals_counts(run):
        text, exchanges = _learn_sealed(federation, folder, run, assembly, chronicle, watcher), 1
    else:
        session = learn_tokenizer(
            run,
            assembly,
            parallel=parallel.learn if parallel is not None else None,
            member_languages={member.id: member.languages for member in run.roster},
            watcher=watcher,
        )
        text, exchanges = session.tokenizer_json(), session.exchanges
    digest = folder.objects.put(text.encode())
    traffic = {member: assembly.engine.traffic(member) for member in run.member_ids}
    size = NetworkTokenizer.from_json(text).size
    part = TokenizerPart(
        mode=run.tokenizer.mode,
        vocabulary=size,
        merges=size - FIRST_MERGE_ID,
        digest=digest,
        parallel=parallel_counts(text, parallel.measure) if parallel is not None else {},
        exchanges=exchanges,
        bytes_up={member: t.up_bytes for member, t in traffic.items()},
        bytes_down={member: t.down_bytes for member, t in traffic.items()},
        seconds=time.monotonic() - began_s,
    )
    write_atomic(summary, canonical_json(part.model_dump(mode="json")))
    return Tokenizer(digest, folder.objects.path(digest))


def _learn_sealed(
    federation: FederationFolder,
    folder: RunFolder,
    run: RunDocument,
    assembly: Assembly,
    chronicle: Chronicle,
    watcher: Watcher,
) -> str:
    """The tokenizer that the log holds, or that one sealed sum of counts gives now."""
    seat = chronicle.state.runs.get(run.digest)
    if seat is not None and seat.tokenizer is not None:
        return folder.objects.get(seat.tokenizer).decode()
    words = cut_words(_learning_lines(federation, run))
    spec = run.tokenizer
    coordinator = CountingCoordinator(
        run,
        folder,
        assembly,
        tokenizer=Tokenizer(None, None),
        chronicle=chronicle,
        clock=SystemClock(),
        watcher=watcher,
    )
    learned = coordinator.learn(MergeList.of(words, mode=spec.mode, merges=spec.merges))
    watcher.note(learned_words(learned))
    return learned.tokenizer


def _learning_lines(federation: FederationFolder, run: RunDocument) -> Lines:
    """Lines of the parallel set that tokenizers are learned on.

    Raises:
        DocumentError: no member of the roster declares a language.
    """
    _declared_lines(federation, run)
    parallel = parallel_set(federation, run)
    assert parallel is not None  # noqa: S101 - just found
    return parallel.learn


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
def only_one(root: Path, wait: Ask = never) -> Iterator[None]:
    """Hold the run's lock: two coordinators of one run on one machine would fight.

    Args:
        wait: Asked while another holds it: whether to go on waiting.
    """
    while True:
        try:
            with locked(root / "lock", wait=False):
                yield
                return
        except Held as error:
            if not wait():
                raise FederationError(
                    "another process runs this run", where=root, remedy="wait for it, or end it"
                ) from error
        time.sleep(LOOK_S)


@contextmanager
def _phase(notes: RunNotes, watcher: Watcher, name: str) -> Iterator[None]:
    watcher.stage(name)
    began_s = time.monotonic()
    yield
    notes.phases[name] = time.monotonic() - began_s
