"""A byte-level BPE tokenizer as GGUF carries it: tokens, their kinds, merges, and how text is cut.

GGUF has no place for the expression that cuts text into words: it names one of those that llama.cpp
contains. None of them is Concord's (`concord.data.bpe.words`). `poro-chat` cuts at white space and
common marks, keeps combining marks in their words and digits with the space before them, and so
comes nearest; the differences are measured in `docs/benchmarks/gguf.md`. Who needs the very tokens
encodes with `tokenizer.json` and hands over ids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gguf import TokenType

from concord.base.errors import TokenizerError
from concord.data.bpe.words import WORD_PATTERN
from concord.model.tokenizer import Tokenizer
from concord.release.plain_chat import chat_template

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Of the published Qwen2 and Qwen3 models, from which a run may continue."""
PRE_BY_PATTERN = {WORD_PATTERN: "poro-chat", QWEN2_PATTERN: "qwen2"}
BYTE_LEVEL_ALONE = "gpt-2"


@dataclass(frozen=True)
class Vocabulary:
    """What GGUF's `tokenizer.ggml` keys say."""

    tokens: tuple[str, ...]
    types: tuple[TokenType, ...]
    merges: tuple[str, ...]
    pre: str
    begin_id: int
    end_id: int
    chat_template: str | None


def read_vocabulary(files: Mapping[str, str], *, rows: int) -> Vocabulary:
    """The tokenizer of a model folder, padded to the rows of its embedding.

    Args:
        files: Content of the tokenizer's files by name.
        rows: Rows of the embedding.

    Raises:
        TokenizerError: it is no byte-level BPE, cuts text in a way that llama.cpp does not know, or
            has more tokens than the embedding has rows.
    """
    tokenizer = Tokenizer.from_files(files)
    document = json.loads(files["tokenizer.json"])
    model = document["model"]
    if model.get("type") != "BPE" or document.get("normalizer") not in (None, {"type": "NFC"}):
        raise TokenizerError(
            "is no byte-level BPE, which is all that can be exported",
            where="tokenizer.json",
            remedy="convert this model with llama.cpp's own script",
        )
    pre = _pre(document.get("pre_tokenizer") or {})
    texts = {number: text for text, number in model["vocab"].items()}
    kinds = dict.fromkeys(texts, TokenType.NORMAL)
    for added in document.get("added_tokens", []):
        texts[added["id"]] = added["content"]
        kinds[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    if max(texts) >= rows:
        raise TokenizerError(f"has token {max(texts)}, and the network {rows} rows")
    return Vocabulary(
        tokens=tuple(texts.get(number, f"[PAD{number}]") for number in range(rows)),
        types=tuple(kinds.get(number, TokenType.UNUSED) for number in range(rows)),
        merges=tuple(pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]),
        pre=pre,
        begin_id=tokenizer.start_id,
        end_id=tokenizer.end_id,
        chat_template=chat_template(files),
    )


def _pre(pre_tokenizer: Mapping[str, Any]) -> str:
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    patterns = [part["pattern"].get("Regex") for part in parts if part.get("type") == "Split"]
    levels = [part for part in parts if part.get("type") == "ByteLevel"]
    known = len(levels) == 1 and len(patterns) + len(levels) == len(parts)
    if known and not patterns and levels[0].get("use_regex", True):
        return BYTE_LEVEL_ALONE
    if known and len(patterns) == 1 and patterns[0] in PRE_BY_PATTERN:
        return PRE_BY_PATTERN[patterns[0]]
    raise TokenizerError(
        "cuts text into words in a way that llama.cpp has no name for",
        where="tokenizer.json",
        remedy="convert this model with llama.cpp's own script",
    )
