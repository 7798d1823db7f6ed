"""The tokenizer as files that `tokenizers` and `transformers` load.

`tokenizer.json` has no normaliser: text is brought to NFC where it is read, and here every string
comes back exactly as it went in. The end token is marked as special; `tokenizer_config.json` asks
that text which merely looks like it be cut like any other, so that no document can end itself.
With `tokenizers` alone, `concord.base.tokenizer_file` does the same.
"""

from __future__ import annotations

import json

from concord.base.canonical import canonical_json
from concord.base.tokenizer_file import END_TOKEN
from concord.data.bpe.alphabet import END_ID, as_letters
from concord.data.bpe.vocabulary import Vocabulary
from concord.data.bpe.words import WORD_PATTERN


def tokenizer_json(vocabulary: Vocabulary) -> str:
    """The content of `tokenizer.json`: 1 + 256 + merges symbols."""
    letters = [END_TOKEN, *(as_letters(text) for text in vocabulary.spellings()[1:])]
    byte_level = {"add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": END_ID,
                "content": END_TOKEN,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": WORD_PATTERN},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "ByteLevel", **byte_level},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", **byte_level},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text: symbol for symbol, text in enumerate(letters)},
            "merges": [[letters[left], letters[right]] for left, right in vocabulary.merges],
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def tokenizer_config_json() -> str:
    """The content of `tokenizer_config.json`."""
    document = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_TOKEN,
        "eos_token": END_TOKEN,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
    }
    return canonical_json(document).decode() + "\n"
