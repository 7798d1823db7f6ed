"""What a run can be refused for before any process is started: files, cap, disk, saved rounds.

A run costs hours. Whatever can be seen from the run document and from names, sizes and digests of
files is looked at here; what only a member can see, its text, is looked at by its own process
before training begins.
"""

from __future__ import annotations

from concord.base.canonical import parse_json
from concord.base.errors import CheckpointError, ConcordError, DocumentError, ModelError
from concord.charter.run import RunDocument
from concord.data.sources import find_sources
from concord.federation.disk import check_disk, planned_parameters
from concord.federation.facts import member_facts
from concord.federation.folders import FederationFolder
from concord.federation.gating import probe_set
from concord.federation.merging import RunState
from concord.federation.parallel import ParallelSet, read_parallel
from concord.federation.records import RunFolder
from concord.ledger.arithmetic import round_weights

CONTEXT_KEYS = ("max_position_embeddings", "n_positions")


def check_run(federation: FederationFolder, run: RunDocument, *, elsewhere: bool = False) -> None:
    """See that a run can begin.

    Args:
        elsewhere: Members may be at other sites.

    1. The influence cap can hold with everybody present.
    2. Every member of the roster whose folder is here has a readable `member.toml`, and what it
       names is there; a member at another site looks itself.
    3. The parallel set has every language, unless the tokenizer is a model folder's.
    4. The model folder to continue from, if any, is a causal model with a tokenizer.

    Raises:
        ConcordError: it cannot; the error names the file and what to do.
    """
    _check_cap(federation, run)
    for member in run.member_ids:
        folder = federation.member(member)
        if elsewhere and not folder.file.exists():
            continue
        file = folder.load()
        find_sources([*folder.paths(file.text), *folder.paths(file.heldout)])
        member_facts(folder)
    if run.gate.enabled:
        found = parallel_set(federation, run)
        probe_set({} if found is None else found.measure, run)
    if run.model.continue_from is None:
        parallel_set(federation, run)
    else:
        _check_continued(federation, run, run.model.continue_from)


def check_start(folder: RunFolder, run: RunDocument, *, resume: bool) -> None:
    """See that what an earlier start left is intact and of the same run document.

    A run without a committed record begins anew, whether it is to be resumed or not.

    Raises:
        DocumentError: there are committed rounds and `resume` is False, or the document changed.
        CheckpointError: records, the current base or the outer state were altered.
        StorageError: what is left of the run cannot fit on the disk.
    """
    if not folder.started():
        _check_whole(folder)
        _check_disk(folder, run, committed=0)
        return
    chain = folder.records()
    if chain[0][1].run != run.digest:
        raise DocumentError(
            "was changed since the run began",
            where=folder.federation / "runs" / f"{run.name}.toml",
            remedy="restore it, or give the changed run a new name",
        )
    if not resume:
        raise DocumentError(
            f"has {len(chain) - 1} committed rounds already",
            where=folder.root,
            remedy="go on with --resume, or remove the folder to begin again",
        )
    RunState.resume(run, folder)
    if chain[0][1].tokenizer is not None:
        folder.objects.verified_path(chain[0][1].tokenizer)
    _check_disk(folder, run, committed=len(chain) - 1)


def parallel_set(federation: FederationFolder, run: RunDocument) -> ParallelSet | None:
    """The parallel set of a run's languages, where it names one.

    Raises:
        DocumentError: parity mode without a parallel set or without languages.
        CorpusNotFound, CorpusUnreadable: its files cannot be used.
    """
    named = sorted({language for member in run.roster for language in member.languages})
    if run.tokenizer.parallel is not None and named:
        return read_parallel((federation.root / run.tokenizer.parallel).resolve(), named)
    if run.tokenizer.mode == "parity":
        raise DocumentError(
            "parity mode needs tokenizer.parallel, and languages of the roster's members",
            where=federation.run_path(run.name),
            remedy="name them, or set tokenizer.mode to 'ordinary'",
        )
    return None


def _check_disk(folder: RunFolder, run: RunDocument, *, committed: int) -> None:
    check_disk(
        folder.federation,
        run,
        parameters=planned_parameters(run, folder.federation),
        rounds_left=max(0, run.rounds.count - committed),
    )


def _check_cap(federation: FederationFolder, run: RunDocument) -> None:
    try:
        round_weights(run, run.member_ids)
    except DocumentError as error:
        raise DocumentError(
            f"update.owner_cap: {error.message}",
            where=federation.run_path(run.name),
            remedy=error.remedy or "raise update.owner_cap, or add owners to the roster",
        ) from error


def _check_continued(federation: FederationFolder, run: RunDocument, named: str) -> None:
    # Imported here: all other checks do without torch, and `concord init` is quick.
    from concord.model.folder import check_architecture, read_tokenizer_files
    from concord.model.tokenizer import Tokenizer

    folder = (federation.root / named).resolve()
    try:
        check_architecture(folder)
        files = read_tokenizer_files(folder)
    except ModelError as error:
        raise ModelError(
            f"{error.message}; model.continue_from of run {run.name!r} names it",
            where=error.where,
            remedy=error.remedy,
        ) from error
    try:
        tokenizer = Tokenizer.from_files(files)
    except ConcordError as error:
        raise type(error)(
            error.message, where=folder / "tokenizer.json", remedy=error.remedy
        ) from error
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            "has no weights in safetensors",
            where=folder,
            remedy="save the model again with save_pretrained",
        )
    config = parse_json((folder / "config.json").read_bytes(), where=folder / "config.json")
    most = next((config[key] for key in CONTEXT_KEYS if isinstance(config.get(key), int)), None)
    if most is not None and run.model.context > most:
        raise DocumentError(
            f"model.context: {run.model.context} tokens are more than the {most} that the model"
            " in model.continue_from can read",
            where=federation.run_path(run.name),
            remedy=f"set model.context to {most} or less",
        )
    rows = config.get("vocab_size")
    if isinstance(rows, int) and tokenizer.size > rows:
        raise ModelError(
            f"tokenizer has {tokenizer.size:,} tokens, the network {rows:,}",
            where=folder,
            remedy="take tokenizer and weights from one source",
        )


def _check_whole(folder: RunFolder) -> None:
    # A crash never leaves later records without the first.
    found = sorted((folder.root / "records").glob("[0-9]*.json"))
    if found and not folder.started():
        raise CheckpointError(
            "record of the first base is missing",
            where=found[0].with_name("000000.json"),
            remedy="restore the records from a copy, or remove the folder to begin again",
        )
