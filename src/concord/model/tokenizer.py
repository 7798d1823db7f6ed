"""The tokenizer of a run, from the text of its files: encode, decode, the end token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

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
        self._tokenizer = _load(text)
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

    @classmethod
    def any(cls, text: str) -> Tokenizer:
        """Any tokenizer, whatever ends its documents: its last token stands for the end."""
        loaded = _load(text)
        end = END_TOKEN if loaded.token_to_id(END_TOKEN) is not None else None
        return cls(text, end_token=end or loaded.id_to_token(loaded.get_vocab_size() - 1) or "")

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of several texts."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in found]


def _load(text: str) -> tokenizers.Tokenizer:
    try:
        loaded = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises bare Exception
        raise TokenizerError(
            "tokenizer.json cannot be loaded", remedy="restore the file, or learn it again"
        ) from error
    # A document that happens to hold the text of a special token must not become that token.
    loaded.encode_special_tokens = True
    return loaded


def read_tokenizer_json(path: Path) -> str:
    """The text of a `tokenizer.json`, given itself or its folder.

    Raises:
        TokenizerError: it cannot be read.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(
            "cannot be read", where=file, remedy="give a model folder or a tokenizer.json"
        ) from error
