"""Which tokenizer a run uses: its base's, one that an earlier start learned, or one learned now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.clock import SystemClock
from concord.base.digest import digest_json
from concord.base.errors import CheckpointError, DocumentError
from concord.base.files import write_atomic
from concord.charter.document import describe
from concord.charter.run import RunDocument
from concord.data.bpe.alphabet import FIRST_MERGE_ID
from concord.data.bpe.listed import MergeList
from concord.data.bpe.parallel import cut_words
from concord.federation.assembly import Assembly, Tokenizer
from concord.federation.chronicle import Chronicle
from concord.federation.folders import FederationFolder
from concord.federation.parallel import Lines
from concord.federation.preflight import parallel_set
from concord.federation.records import RunFolder
from concord.federation.report import ParallelCount, TokenizerPart
from concord.federation.sealed.counting import CountingCoordinator
from concord.federation.sealed.words import learned_words
from concord.federation.vocabulary import learn_tokenizer
from concord.federation.watcher import Watcher
from concord.ledger.state.counting import seals_counts
from concord.model.tokenizer import Tokenizer as NetworkTokenizer


def declared_lines(federation: FederationFolder, run: RunDocument) -> Lines:
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
    if seals_counts(run):
        choices["run"] = run.digest  # in whose log it was learned
    return folder.root / f"tokenizer-{digest_json(choices)[7:19]}.json"


def load_part(path: Path) -> TokenizerPart:
    try:
        return TokenizerPart.model_validate(parse_json(path.read_bytes(), where=path))
    except (ValidationError, DocumentError) as error:
        fault = describe(error) if isinstance(error, ValidationError) else error.message
        raise CheckpointError(
            f"is damaged: {fault}", where=path, remedy="delete it; the tokenizer is learned again"
        ) from error


def tokenizer_in_force(
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
        digest = load_part(summary).digest
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
    declared_lines(federation, run)
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
