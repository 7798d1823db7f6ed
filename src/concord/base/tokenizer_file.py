"""Loading a `tokenizer.json`, which needs the `train` extra; its name alone does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concord.base.errors import TokenizerError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_TOKEN = "<|end|>"  # noqa: S105 - a token of text, no secret
"""Ends a document; beginning and end of sequence in one, in tokenizers that a run learned."""


def load_tokenizer(text: str) -> Tokenizer:
    """Load the content of a `tokenizer.json` for encoding documents.

    A document that happens to hold the text of a special token is cut like any other text there:
    it must not become that token.

    Raises:
        TokenizerError: it is no tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises bare Exception
        raise TokenizerError(
            "tokenizer.json cannot be loaded", remedy="restore the file, or learn it again"
        ) from error
    tokenizer.encode_special_tokens = True
    return tokenizer
