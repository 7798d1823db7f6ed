"""What each language pays: tokens for the same sentences, premium over the cheapest, Gini."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concord.base.errors import TokenizerError
from concord.base.fairness import gini, premiums
from concord.base.tokenizer_file import load_tokenizer


@dataclass(frozen=True)
class LanguageCost:
    """What one language pays."""

    tokens: int
    utf8_bytes: int
    premium: float
    """Tokens over those of the cheapest language; 1 is the best."""

    @property
    def bytes_per_token(self) -> float:
        """Compression rate of the language; higher is better."""
        return self.utf8_bytes / self.tokens


@dataclass(frozen=True)
class Fairness:
    """Costs of all languages for the same sentences."""

    languages: dict[str, LanguageCost]
    premium_max_min: float
    gini: float
    """0 where all languages pay the same."""
    total_tokens: int


def measure_fairness(tokenizer_json: str, parallel: Mapping[str, Sequence[str]]) -> Fairness:
    """Encode parallel sentences, one by one, and compare what languages pay.

    Args:
        tokenizer_json: Content of a `tokenizer.json`.
        parallel: The same sentences in each language, NFC-normalised.

    Raises:
        TokenizerError: no tokenizer, or a language without text.
    """
    tokenizer = load_tokenizer(tokenizer_json)
    tokens: dict[str, int] = {}
    for language, sentences in sorted(parallel.items()):
        encodings = tokenizer.encode_batch_fast(list(sentences), add_special_tokens=False)
        tokens[language] = sum(len(encoding) for encoding in encodings)
        if not tokens[language]:
            raise TokenizerError("no text in the parallel set", where=language)
    if not tokens:
        raise TokenizerError("no parallel set to measure on", remedy="give a parallel folder")
    premium = premiums(tokens)
    costs = {
        language: LanguageCost(
            tokens=count,
            utf8_bytes=sum(len(sentence.encode()) for sentence in parallel[language]),
            premium=premium[language],
        )
        for language, count in tokens.items()
    }
    counts = tokens.values()
    return Fairness(costs, max(premium.values()), gini(counts), sum(counts))
