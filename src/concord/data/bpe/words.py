"""Cut text into words, the pieces that no merge crosses, and count each different one.

A word is one of, tried in this order:

    [one mark or space] + a run of letters      " nation", "'aka", "ประเทศ"
    [space] + one to three digits               " 202", "6"
    [space] + a run of other marks              " …", "。」"
    white space, less the blank that the next word takes

Combining marks, the joiners U+200C and U+200D, and the Tibetan tsheg U+0F0B count as letters:
an Indic, Persian or Tibetan word stays whole. Runs are cut after `MAX_RUN` characters, since
scripts without spaces would otherwise give words as long as sentences.

The cut is made by `tokenizers` itself, with the very expression that `tokenizer.json` carries.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from concord.base.errors import DocumentError, TokenizerError

MAX_RUN = 24
"""Longest run of letters, of other marks or of spaces in one word. In characters; measured."""
MAX_WORD_BYTES = 4 * (MAX_RUN + 1)
"""No word is longer, and so no symbol: four bytes of UTF-8 for each character at most."""
_LETTER = r"\p{L}\p{M}\u200C\u200D\u0F0B"
WORD_PATTERN = (
    rf"[^\r\n\p{{N}}{_LETTER}]?[{_LETTER}]{{1,{MAX_RUN}}}"
    r"| ?\p{N}{1,3}"
    rf"| ?[^\s\p{{N}}{_LETTER}]{{1,{MAX_RUN}}}"
    rf"|\s{{1,{MAX_RUN}}}(?!\S)|\s{{1,{MAX_RUN}}}"
)
"""Oniguruma expression for one word; every character of a text falls into exactly one word."""

# No word goes from something that is not a space into a space. Text can therefore be cut there
# first, by the fast `re`, and each different stretch be cut into words once. `re` also takes
# U+001C to U+001F for spaces, Oniguruma does not.
_STRETCH = re.compile(r"[^\S\x1c-\x1f]*[\S\x1c-\x1f]+|[^\S\x1c-\x1f]+")


def count_words(texts: Iterable[str], *, max_bytes: int) -> dict[bytes, int]:
    """Count the different words of the first `max_bytes` of UTF-8 of `texts`.

    Whole texts are taken until the next one would go over the limit; the first is always taken.

    Returns:
        Word as UTF-8, and how often it occurs, in order of first occurrence.

    Raises:
        DocumentError: `max_bytes` is not above 0.
        TokenizerError: a text holds a lone surrogate, which no UTF-8 can express.
    """
    from tokenizers import Regex, pre_tokenizers  # a verifier counts no words

    if max_bytes <= 0:
        raise DocumentError(f"sample of {max_bytes} bytes", remedy="ask for more than 0 bytes")
    stretches: Counter[str] = Counter()
    taken_bytes = 0
    for text in texts:
        taken_bytes += _utf8_bytes(text)
        if taken_bytes > max_bytes and stretches:
            break
        stretches.update(_STRETCH.findall(text))
    words: Counter[str] = Counter()
    cut = pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated").pre_tokenize_str
    for stretch, times in stretches.items():
        for word, _ in cut(stretch):
            words[word] += times
    return {word.encode(): times for word, times in words.items()}


def _utf8_bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise TokenizerError(
            "a text holds a lone surrogate and is no valid Unicode",
            remedy="read the text as UTF-8",
        ) from None
