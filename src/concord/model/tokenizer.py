"""The tokenizer of a run, from the text of its files: encode, decode, the end token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import tokenizers

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import TokenizerError

END_TOKEN = "<|end|>"  # noqa: S105 - not a secret


class Tokenizer:
    """A `tokenizers` tokenizer and the token that ends a document.

    Args:
        text: Content of `tokenizer.json`.
        end_token: The token between documents.

    Raises:
        TokenizerError: the content is not a tokenizer, or lacks the end token.
    """

    def __init__(self, text: str, *, end_token: str) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # tokenizers raises bare Exception
            raise TokenizerError("tokenizer.json cannot be loaded") from error
        end_id = self._tokenizer.token_to_id(end_token)
        if end_id is None:
            raise TokenizerError(f"tokenizer.json has no token {end_token[:40]!r}")
        self.end_id: int = end_id
        self.digest: Digest = digest_bytes(text.encode())
        self.size: int = self._tokenizer.get_vocab_size()

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """The tokenizer that a run learned."""
        return cls(text, end_token=END_TOKEN)

    @classmethod
    def from_files(cls, files: Mapping[str, str]) -> Tokenizer:
        """The tokenizer of a model folder; its end-of-sequence token ends documents.

        Raises:
            TokenizerError: it names no end token.
        """
        config = json.loads(files.get("tokenizer_config.json", "{}"))
        token = config.get("eos_token") or config.get("bos_token")
        token = token.get("content") if isinstance(token, dict) else token
        if not token:
            raise TokenizerError(
                "names no eos_token",
                where="tokenizer_config.json",
                remedy="set eos_token to the token that ends a document",
            )
        return cls(files["tokenizer.json"], end_token=token)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of several texts."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in found]
