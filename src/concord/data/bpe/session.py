"""The coordinating side of a tokenizer session: asks, decides, and ends with a tokenizer.

    session = MergeSession(merges=8000, parallel=sentences, member_languages=languages)
    answers = {}
    while (request := session.next_request(answers)) is not None:
        answers = {member: <send the request, receive the answer> for member in roster}
    session.tokenizer_files()

Requests are the same for all members; who carries them does not matter. The session sees pair
counts and the public parallel sentences, no text of a member. A lying member can spoil the
tokenizer as it could by lying in its text; it cannot crash the session or make it unsound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from concord.base.errors import DocumentError, MessageRefused
from concord.data.bpe.alphabet import FIRST_MERGE_ID
from concord.data.bpe.chains import Change, Pair
from concord.data.bpe.choice import Choice, OrdinaryChoice
from concord.data.bpe.fairness import Fairness, measure_fairness
from concord.data.bpe.files import tokenizer_config_json, tokenizer_json
from concord.data.bpe.pairs import MAX_SYMBOLS, younger
from concord.data.bpe.parallel import ParallelText
from concord.data.bpe.parity import MIN_PARALLEL_COUNT, ParityChoice
from concord.data.bpe.vocabulary import Vocabulary
from concord.data.bpe.wire import Request, decode_answer, encode_request

Mode = Literal["parity", "ordinary"]
MAX_MERGES = MAX_SYMBOLS - FIRST_MERGE_ID


@dataclass(frozen=True)
class SessionReport:
    """How a session went."""

    mode: str
    merges: int
    exchanges: int
    bytes_sent: dict[str, int]
    """By each member: its answers."""
    bytes_received: dict[str, int]
    """By each member: the requests."""
    fairness: Fairness | None
    """On the session's own parallel sentences; None without any."""


class MergeSession:
    """Learns one tokenizer from the members' pair counts.

    Args:
        mode: "parity" gives each merge to the language that is compressed worst on `parallel`;
            "ordinary" makes exactly the merges that training on the pooled text would make.
        merges: How many; fewer where no pair is frequent enough.
        min_pair_count: Rarer pairs are not merged. In parity mode, members do not even tell of
            pairs that are rarer with them.
        parallel: The same sentences in each language, NFC-normalised. Needed in parity mode.
        member_languages: All members, with the languages of `parallel` that each owns.
        min_parallel_count: See `parity`.
        global_merges: See `parity`.

    Raises:
        DocumentError: an impossible option, or parity mode without a usable parallel set.
    """

    def __init__(
        self,
        *,
        mode: Mode = "parity",
        merges: int,
        min_pair_count: int = 2,
        parallel: Mapping[str, Sequence[str]] | None = None,
        member_languages: Mapping[str, tuple[str, ...]],
        min_parallel_count: int = MIN_PARALLEL_COUNT,
        global_merges: int = 0,
    ) -> None:
        if mode not in get_args(Mode):
            raise DocumentError("is neither 'parity' nor 'ordinary'", where="mode")
        if not 0 <= merges <= MAX_MERGES:
            raise DocumentError(f"{merges:,} merges; 0 to {MAX_MERGES:,} can be", where="merges")
        if min_pair_count < 1:
            raise DocumentError("must be at least 1", where="min_pair_count")
        if not member_languages:
            raise DocumentError("no members to learn a tokenizer from", where="members")
        self.mode = mode
        self.members = tuple(sorted(member_languages))
        self.vocabulary = Vocabulary()
        self.bytes_sent = dict.fromkeys(self.members, 0)
        self.bytes_received = dict.fromkeys(self.members, 0)
        self.exchanges = 0
        self._merges = merges
        self._parallel = _checked_parallel(parallel or {}, member_languages)
        self._choice: Choice
        if mode == "ordinary":
            self._floor = 1
            self._choice = OrdinaryChoice(self.members, min_count=min_pair_count)
        elif not parallel:
            raise DocumentError(
                "parity needs the same sentences in each language, and there are none",
                where="parallel",
                remedy="give a folder of parallel sentences, or choose mode 'ordinary'",
            )
        else:
            self._floor = min_pair_count
            self._choice = ParityChoice(
                ParallelText.cut(self._parallel),
                member_languages,
                min_count=min_pair_count,
                min_parallel_count=min_parallel_count,
                global_merges=global_merges,
            )
        self._asked: list[Pair] = []
        self._finished = merges == 0

    @property
    def chosen(self) -> int:
        """Merges chosen so far."""
        return len(self.vocabulary.merges)

    def next_request(self, answers: Mapping[str, bytes]) -> bytes | None:
        """Take the answers to the last request, and say what to ask all members next.

        Args:
            answers: One answer of each member; none at the first call.

        Returns:
            The next request, or None when the tokenizer is ready.

        Raises:
            MessageRefused: an answer is missing, malformed, or impossible in this state.
            TokenizerError: counts that contradict earlier ones. After either error the session
                cannot go on.
        """
        if self._finished:
            return None
        if self.exchanges:
            self._take(answers)
            if not self._asked or self.chosen == self._merges:
                self._finished = True
                return None
        request = encode_request(Request(self.exchanges, self._floor, tuple(self._asked)))
        self.exchanges += 1
        for member in self.members:
            self.bytes_received[member] += len(request)
        return request

    def tokenizer_json(self) -> str:
        """The content of `tokenizer.json` with the merges chosen so far."""
        return tokenizer_json(self.vocabulary)

    def tokenizer_files(self) -> dict[str, str]:
        """Name and content of the files that `transformers` loads a tokenizer from."""
        return {
            "tokenizer.json": self.tokenizer_json(),
            "tokenizer_config.json": tokenizer_config_json(),
        }

    def report(self) -> SessionReport:
        """How the session went, and what each owned language pays on its parallel sentences."""
        return SessionReport(
            mode=self.mode,
            merges=self.chosen,
            exchanges=self.exchanges,
            bytes_sent=dict(self.bytes_sent),
            bytes_received=dict(self.bytes_received),
            fairness=measure_fairness(self.tokenizer_json(), self._parallel)
            if self._parallel
            else None,
        )

    def _take(self, answers: Mapping[str, bytes]) -> None:
        if set(answers) != set(self.members):
            odd = sorted(set(answers) ^ set(self.members))
            raise MessageRefused(
                "answers are missing, or come from elsewhere",
                where=", ".join(odd),
                remedy="learn the tokenizer again with the members that are there",
            )
        changes = {member: self._checked(member, answers[member]) for member in self.members}
        self._choice.learn(self._asked, changes)
        self._asked = self._choice.choose(self.vocabulary, self._merges - self.chosen)

    def _checked(self, member: str, data: bytes) -> Change:
        self.bytes_sent[member] += len(data)
        try:
            answer = decode_answer(data)
        except MessageRefused as error:
            raise MessageRefused(error.message, where=member, remedy=error.remedy) from error
        if answer.exchange != self.exchanges - 1:
            raise MessageRefused(
                f"answers exchange {answer.exchange} where {self.exchanges - 1} was asked",
                where=member,
            )
        born, lost = answer.change.born, answer.change.lost
        new = len(self.vocabulary) - len(self._asked) if self._asked else 0
        possible = (
            self.vocabulary.can_be_words(born.keys)
            and self.vocabulary.can_be_words(lost.keys)
            and bool((younger(born.keys) >= new).all())
            and bool((younger(lost.keys) < new).all())
            and bool((born.amounts >= self._floor).all())
        )
        if not possible:
            raise MessageRefused("counts pairs that this exchange cannot bring about", where=member)
        return answer.change


def _checked_parallel(
    parallel: Mapping[str, Sequence[str]], member_languages: Mapping[str, tuple[str, ...]]
) -> dict[str, Sequence[str]]:
    """The sentences of languages that members own."""
    owned = {language for own in member_languages.values() for language in own}
    kept = {language: parallel[language] for language in sorted(owned & set(parallel))}
    for language, sentences in kept.items():
        if not any(sentences):
            raise DocumentError("no sentence in the parallel set", where=language)
    if len({len(sentences) for sentences in kept.values()}) > 1:
        raise DocumentError(
            "the parallel set has more sentences in one language than in another",
            where="parallel",
            remedy="line n of each file must be the same sentence",
        )
    return kept
