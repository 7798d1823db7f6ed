"""A whole run, over whatever engine: text, the tokenizer session, the rounds.

The embedded default has all members as processes of this machine. Between sites the same
coordinator runs over another engine, and may pause at the border of a round so that another
process goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from concord.base.clock import SystemClock
from concord.base.errors import DocumentError, FederationError
from concord.base.files import remove_torn
from concord.base.locks import Held, locked
from concord.charter.run import RunDocument
from concord.data.bpe.wire import MAX_ANSWER_BYTES
from concord.federation.assembly import Assembly
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
from concord.federation.preflight import check_run, check_start, parallel_set
from concord.federation.records import RunFolder
from concord.federation.report import TokenizerPart
from concord.federation.run_tokenizer import (
    declared_lines,
    load_part,
    tokenizer_in_force,
    tokenizer_part,
)
from concord.federation.sealed.coordinator import SealedCoordinator
from concord.federation.sealed.words import coverage_words, sealed_words
from concord.federation.vocabulary import wait_until_prepared
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
    pause: Ask = lambda: False,
    wait: Ask | None = None,
    elsewhere: bool = False,
) -> RunNotes:
    """Run all rounds that are left, over the engine that `connect` gives.

    Args:
        pause: Asked at every border of a round: whether another process is to go on from here.
        wait: Asked while another process runs this run: whether to go on waiting. None: not at all.
        elsewhere: Members are at other sites.

    Raises:
        DocumentError: the run was started before and `resume` is False, or its document was
            changed since.
        ConcordError: whatever ends the run; the last committed round stays intact.
    """
    folder = RunFolder(federation.root, run.name)
    if wait is None:
        check_start(folder, run, resume=resume)
    check_run(federation, run, elsewhere=elsewhere)
    with _alone(folder, wait):
        if wait is not None:  # what lay there before belonged to another process
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
        stack.enter_context(_alone(folder, None))
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
        tokenizer_in_force(federation, folder, run, assembly, chronicle, watcher)
    return load_part(tokenizer_part(folder, run))


@contextmanager
def _alone(folder: RunFolder, wait: Ask | None) -> Iterator[None]:
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
        tokenizer = tokenizer_in_force(federation, folder, run, assembly, chronicle, watcher)
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
            lines = declared_lines(federation, run)
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
    notes.tokenizer = load_part(learned) if learned.exists() else None
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


def _most_before_rounds(federation: FederationFolder, run: RunDocument) -> int:
    """No answer of a tokenizer session, and no first base with all inner state, is larger."""
    weights = 4 * planned_parameters(run, federation.root)
    return max(MAX_ANSWER_BYTES, 4 * weights + BASE_SLACK_BYTES)


@contextmanager
def only_one(root: Path, wait: Ask | None = None) -> Iterator[None]:
    """Hold the run's lock: two coordinators of one run on one machine would fight.

    Args:
        wait: Asked while another holds it: whether to go on waiting. None: not at all.

    Raises:
        FederationError: another process holds it.
    """
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(root / "lock", wait=False))
                break
            except Held as error:
                if wait is None or not wait():
                    raise FederationError(
                        "another process runs this run", where=root, remedy="wait for it, or end it"
                    ) from error
            time.sleep(LOOK_S)
        yield


@contextmanager
def _phase(notes: RunNotes, watcher: Watcher, name: str) -> Iterator[None]:
    watcher.stage(name)
    began_s = time.monotonic()
    yield
    notes.phases[name] = time.monotonic() - began_s
