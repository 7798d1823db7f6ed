"""The tokenizer session: the members' pair counts in, one shared tokenizer out.

Runs before the first round, over the same engine. All members must answer: a tokenizer learned
without one of them would be unfair to it for the whole run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concord.base.errors import FederationError, MessageRefused
from concord.charter.run import RunDocument
from concord.data.bpe import MergeSession
from concord.federation.assembly import Assembly, Departure, Phase
from concord.federation.messages import CountPairs, PairCounts
from concord.federation.watcher import Watcher

TICK_S = 0.5


def wait_until_prepared(assembly: Assembly) -> None:
    """Wait until every member has read its text.

    Raises:
        MemberFailed: a member cannot use its text.
        FederationError: a member left.
    """
    while waiting := assembly.in_phase(Phase.AWAY, Phase.PREPARING, Phase.GONE):
        _no_departure(assembly.next(TICK_S), waiting)


def learn_tokenizer(
    run: RunDocument,
    assembly: Assembly,
    *,
    parallel: Mapping[str, Sequence[str]] | None,
    member_languages: Mapping[str, tuple[str, ...]],
    watcher: Watcher,
) -> MergeSession:
    """Run the session to its end and return it, with the tokenizer and the count of bytes.

    Args:
        parallel: The same sentences in each language; needed in parity mode.
        member_languages: Languages of the parallel set that each member owns.

    Raises:
        MemberFailed, FederationError: a member failed or left; start again with `--resume`.
        TokenizerError: counts that cannot be.
    """
    session = MergeSession(
        mode=run.tokenizer.mode,
        merges=run.tokenizer.merges,
        min_pair_count=run.tokenizer.min_pair_count,
        parallel=parallel,
        member_languages=member_languages,
    )
    answers: dict[str, bytes] = {}
    while (request := session.next_request(answers)) is not None:
        for member in run.member_ids:
            assembly.engine.send(member, CountPairs(), request)
        answers = _collect(run, assembly)
        watcher.tokenizer_progress(session.chosen, run.tokenizer.merges)
    return session


def _collect(run: RunDocument, assembly: Assembly) -> dict[str, bytes]:
    answers: dict[str, bytes] = {}
    while len(answers) < len(run.member_ids):
        arrival = assembly.next(TICK_S)
        _no_departure(arrival, tuple(sorted(set(run.member_ids) - set(answers))))
        if arrival is None or isinstance(arrival, Departure):
            continue
        if not isinstance(arrival.message, PairCounts) or arrival.member in answers:
            raise MessageRefused(
                f"{arrival.message.kind!r} was not asked for", where=arrival.member
            )
        answers[arrival.member] = arrival.frame.read_payload()
    return answers


def _no_departure(arrival: object, waiting: tuple[str, ...]) -> None:
    if isinstance(arrival, Departure):
        raise FederationError(
            f"left before training began: {arrival.reason}; still waited for {', '.join(waiting)}",
            where=arrival.member,
            remedy="see the member's own output, then `concord run --resume`",
        )
