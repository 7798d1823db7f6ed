"""What a member trains with in sealed rounds: its network, and the rows that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from concord.base.canonical import parse_json
from concord.base.errors import MessageRefused
from concord.charter.run import RunDocument
from concord.data.bpe.alphabet import BYTE_LETTERS
from concord.federation.member.text import MemberText
from concord.federation.member.training import MemberTraining
from concord.federation.sealed.part import Seal, Tell
from concord.federation.sealed.pen import Masked
from concord.federation.work import Train, UpdateHeader, Withheld
from concord.ledger.sealed.coverage import Coverage, coverage_of
from concord.model.tokenizer import Tokenizer

MAX_PARALLEL_BYTES = 256 << 20
ASCII = 128


class NetworkTrainer:
    """A member's own training, as `concord.federation.sealed.part` asks for it."""

    def __init__(self, text: MemberText, training: MemberTraining) -> None:
        self._text, self._training = text, training

    @property
    def base_path(self) -> Path:
        return self._training.state.base_path

    def coverage(self, parallel: bytes) -> Coverage:
        """Vocabulary rows to be left out.

        Raises:
            DocumentError, MessageRefused: what came is no parallel set.
        """
        lines = parse_json(parallel, where="parallel set", max_bytes=MAX_PARALLEL_BYTES)
        if not isinstance(lines, dict):
            raise MessageRefused("the parallel set is no table of languages")
        return covered_rows(self._training.run, self._text.tokenizer, lines)

    def train_sealed(
        self, plan: Train, seal: Seal, *, interrupted: Callable[[], bool], on_progress: Tell
    ) -> tuple[UpdateHeader, Masked] | Withheld | None:
        return self._training.train_sealed(
            plan, seal, interrupted=interrupted, on_progress=on_progress
        )


def covered_rows(
    run: RunDocument, tokenizer: Tokenizer, lines: Mapping[str, list[str]]
) -> Coverage:
    """The vocabulary rows that too few members declare, by the lines of the parallel set.

    The token that ends documents is everyone's, and so are single ASCII bytes but letters: line
    ends, digits and signs are no language's, and line ends are in no line. A token that occurs in
    no line could be of each language whose lines hold all its bytes.
    """
    plain = {BYTE_LETTERS[byte] for byte in range(ASCII) if not chr(byte).isalpha()}
    everyones = [i for i in range(tokenizer.size) if tokenizer.spelling(i) in plain]
    everyones += [tokenizer.start_id, tokenizer.end_id]
    occurring = {
        language: np.unique(
            [*everyones, *(i for ids in tokenizer.encode_batch(found) for i in ids)]
        )
        for language, found in lines.items()
    }
    seen = set(np.concatenate(list(occurring.values())).tolist())
    unseen = {i: set(tokenizer.spelling(i)) for i in range(tokenizer.size) if i not in seen}
    letters = {
        language: {letter for i in ids.tolist() for letter in tokenizer.spelling(i)}
        for language, ids in occurring.items()
    }
    possible = {
        language: np.array([i for i, own in unseen.items() if own <= known], np.int64)
        for language, known in letters.items()
    }
    return coverage_of(run, tokenizer.size, occurring, possible)
