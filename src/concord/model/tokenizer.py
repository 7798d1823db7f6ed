"""The tokenizer of a run, from the text of its files: encode, decode, the end token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import TokenizerError
from concord.base.tokenizer_file import END_TOKEN, load_tokenizer


class Tokenizer:
    """A `tokenizers` tokenizer and the token that ends a document.

    Args:
        text: Content of `tokenizer.json`.
        end_token: The token that ends a document.
        begin_token: The token that begins one; without it, the end token does.

    Raises:
        TokenizerError: the content is not a tokenizer, or lacks the end token.
    """

    def __init__(self, text: str, *, end_token: str, begin_token: str | None = None) -> None:
        self._tokenizer = load_tokenizer(text)
        self.end_id: int = self._known(end_token)
        self.start_id: int = self.end_id if begin_token is None else self._known(begin_token)
        self.digest: Digest = digest_bytes(text.encode())
        self.size: int = self._tokenizer.get_vocab_size()

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """The tokenizer that a run learned."""
        return cls(text, end_token=END_TOKEN)

    @classmethod
    def from_files(cls, files: Mapping[str, str]) -> Tokenizer:
        """The tokenizer of a model folder: its bos_token begins documents, its eos_token ends them.

        Raises:
            TokenizerError: it names neither, or its configuration is damaged.
        """
        begin, end = (_named_token(files, name) for name in ("bos_token", "eos_token"))
        if begin is None and end is None:
            raise TokenizerError(
                "names no eos_token",
                where="tokenizer_config.json",
                remedy="set eos_token to the token that ends a document",
            )
        return cls(files["tokenizer.json"], end_token=end or begin or "", begin_token=begin)

    @classmethod
    def any(cls, text: str) -> Tokenizer:
        """Any tokenizer, whatever ends its documents: its last token stands for the end."""
        loaded = load_tokenizer(text)
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

    def encode_documents(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of whole documents, without the token that begins each.

        The end token is added only where another one begins the next document.
        """
        tail = [] if self.start_id == self.end_id else [self.end_id]
        return [[*ids, *tail] for ids in self.encode_batch(texts)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def text_of(self, token_id: int) -> str:
        """What one token stands for; a part of a character comes out as U+FFFD."""
        text: str = self._tokenizer.decode([token_id], skip_special_tokens=True)
        return text

    def spelling(self, token_id: int) -> str:
        """A token as `tokenizer.json` writes it: in a byte-level one, a letter per byte."""
        return self._tokenizer.id_to_token(token_id) or ""

    def _known(self, token: str) -> int:
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None:
            raise TokenizerError(
                f"tokenizer.json has no token {token[:40]!r}",
                remedy="restore the tokenizer's files from one source",
            )
        return int(token_id)


def _named_token(files: Mapping[str, str], name: str) -> str | None:
    try:
        token = json.loads(files.get("tokenizer_config.json", "{}")).get(name)
    except (ValueError, AttributeError) as error:
        raise TokenizerError(
            "is damaged", where="tokenizer_config.json", remedy="restore the file"
        ) from error
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) and token else None


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
