"""Which tokens are whose, by public text; and a scan of a finished model for triggers in them.

A token belongs to a member if more than half of its use in the parallel set, each language counted
alike, is in that member's languages. Tokens that the set does not hold, where a hidden trigger
would be, go to the one member whose languages are written in their script; where several share a
script, nobody can say whose they are, and they are not tried. Line ends, digits, marks
and pieces of characters follow anything in any model: that they follow is no sign.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedModel

from concord.base.errors import CorpusTooSmall
from concord.data.scripts import script_of
from concord.federation.parallel import Lines
from concord.model.folder import load_folder, read_tokenizer_files
from concord.model.tokenizer import Tokenizer
from concord.train.triggers import (
    CONTEXT_TOKENS,
    MAX_PAIRS,
    MIN_CONTEXTS,
    Block,
    Scanned,
    scan_block,
)

CONTEXTS_PER_LANGUAGE = 3
Encoded = Mapping[str, Sequence[Sequence[int]]]
"""Token ids of each line of each language."""


class Scan:
    """A model, its tokenizer, and public text in the members' languages.

    Args:
        folder: The model's folder.
        lines: The same lines in every language.
        languages: Languages of each member.

    Raises:
        ModelError: the folder holds no model.
    """

    def __init__(self, folder: Path, lines: Lines, languages: Mapping[str, Sequence[str]]) -> None:
        self.model: PreTrainedModel = load_folder(folder).model
        self.tokenizer = Tokenizer.from_files(read_tokenizer_files(folder))
        self._lines = {code: self.tokenizer.encode_batch(list(t)) for code, t in lines.items()}
        self.blocks = blocks(self._lines, languages, self.tokenizer)
        self._languages = languages

    def member(
        self,
        member: str,
        *,
        max_pairs: int = MAX_PAIRS,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Scanned:
        """The strongest trigger among a member's tokens.

        Raises:
            CorpusTooSmall: the lines of other languages are too few or too short, or show no token
                to be this member's.
        """
        if not self.blocks[member].tokens:
            raise CorpusTooSmall(
                f"by the parallel set no token is {member}'s own: there is nothing to try",
                remedy="give more lines, or other languages in the roster",
            )
        contexts = contexts_without(self._lines, self._languages[member])
        return scan_block(
            self.model,
            self.blocks[member],
            contexts,
            max_pairs=max_pairs,
            on_progress=on_progress,
        )


def contexts_without(lines: Encoded, languages: Sequence[str]) -> list[list[int]]:
    """Beginnings of lines in other languages, each language alike often.

    Raises:
        CorpusTooSmall: they are too few.
    """
    others = [found for code, found in sorted(lines.items()) if code not in languages]
    if not others:
        raise CorpusTooSmall("the parallel set holds no other language to scan in")
    each = max(CONTEXTS_PER_LANGUAGE, -(-MIN_CONTEXTS // len(others)))
    contexts = [
        list(ids[:CONTEXT_TOKENS])
        for found in others
        for ids in [ids for ids in found if len(ids) >= CONTEXT_TOKENS][:each]
    ]
    if len(contexts) < MIN_CONTEXTS:
        raise CorpusTooSmall(
            f"lines of other languages make {len(contexts)} contexts of {CONTEXT_TOKENS} tokens,"
            f" {MIN_CONTEXTS} are needed",
            remedy="give a parallel set with more or longer lines",
        )
    return contexts


def blocks(
    lines: Encoded, languages: Mapping[str, Sequence[str]], tokenizer: Tokenizer
) -> dict[str, Block]:
    """Each member's tokens."""
    counts = {code: Counter(t for ids in found for t in ids) for code, found in lines.items()}
    shares = {
        code: {token: n / found.total() for token, n in found.items()}
        for code, found in counts.items()
        if found
    }
    total: dict[int, float] = {}
    for share in shares.values():
        for token, part in share.items():
            total[token] = total.get(token, 0.0) + part
    texts = {token: tokenizer.text_of(token) for token in range(tokenizer.size)}
    special = {tokenizer.end_id, tokenizer.start_id}
    neutral = {token for token, text in texts.items() if not _scripts(text)}
    own = {m: {t for c in codes for t in shares.get(c, {})} for m, codes in languages.items()}
    mine = {
        member: {
            token
            for token in own[member]
            if sum(shares.get(code, {}).get(token, 0.0) for code in codes) > total[token] / 2
        }
        for member, codes in languages.items()
    }
    scripts = {
        m: {s for token in found for s in _scripts(texts[token])} for m, found in mine.items()
    }
    made = {}
    for member in languages:
        alone = scripts[member] - {s for m, found in scripts.items() if m != member for s in found}
        unseen = {
            token
            for token, text in texts.items()
            if token not in total and _scripts(text) and _scripts(text) <= alone
        }
        tokens = tuple(sorted((mine[member] | unseen) - special))
        said = frozenset(own[member] | unseen | special | neutral)
        made[member] = Block(member, tokens, said)
    return made


def _scripts(text: str) -> set[str]:
    return {script for character in text if (script := script_of(character))}
