"""Limits on Cedar text, checked before the Cedar engine sees it.

Measured with cedarpy 4.12.2: some 1,000 nested brackets end the process with a segmentation
fault, and some 5,000 chained operators make the validator *accept* a rule of the wrong type. A
charter comes from others, so both are refused here, by a scan that recurses nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from concord.base.errors import PolicyRefused

MAX_TEXT_BYTES = 64 << 10
MAX_DEPTH = 32
MAX_WORDS_PER_RULE = 1_000
MAX_PATH = 8
"""Dots in a row, as in `a.b.c`: the engine writes `has a.b.c` out once for each of them."""
_WORD = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)|"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[^\s"]""", re.DOTALL
)
_OPENS, _CLOSES = "([{", ")]}"


def check_rules_text(text: str, *, where: object, max_bytes: int = MAX_TEXT_BYTES) -> None:
    """Refuse rules that are too long, too deep or too chained for the engine.

    Raises:
        PolicyRefused: a limit is exceeded, or a text never ends; names the line.
    """
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise PolicyRefused(f"is longer than {max_bytes:,} bytes", where=where)
    _scan(text, _OPENS, _CLOSES, where=where)


def check_schema_text(text: str, *, where: object) -> None:
    """The same for a schema. `type` is refused: types of types grow exponentially when printed.

    Raises:
        PolicyRefused: a limit is exceeded.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise PolicyRefused(f"is longer than {MAX_TEXT_BYTES:,} bytes", where=where)
    _scan(text, _OPENS + "<", _CLOSES + ">", where=where)
    words = [word for word, _ in _words(text, where)]
    for first, second, third in zip(words, words[1:], words[2:], strict=False):
        if first == "type" and third == "=":
            raise PolicyRefused(
                f"declares the type {second[:40]!r}",
                where=where,
                remedy="write the record where it is used",
            )


def _scan(text: str, opens: str, closes: str, *, where: object) -> None:
    depth = length = path = 0
    for word, line in _words(text, where):
        length += 1
        path = path + 1 if word == "." else path if word[0].isidentifier() else 0
        if path > MAX_PATH:
            raise PolicyRefused(f"line {line}: a path of more than {MAX_PATH} names", where=where)
        depth += (word in opens) - (word in closes)
        if not 0 <= depth <= MAX_DEPTH:
            fault = f"more than {MAX_DEPTH} deep" if depth > 0 else "closed that were not opened"
            raise PolicyRefused(
                f"line {line}: brackets are {fault}", where=where, remedy="write a simpler rule"
            )
        if length > MAX_WORDS_PER_RULE:
            raise PolicyRefused(
                f"line {line}: a rule of more than {MAX_WORDS_PER_RULE:,} words and signs",
                where=where,
                remedy="split the rule",
            )
        if word == ";" and depth == 0:
            length = 0


def _words(text: str, where: object) -> Iterator[tuple[str, int]]:
    position, line = 0, 1
    while position < len(text):
        found = _WORD.match(text, position)
        if found is None:
            raise PolicyRefused(f"line {line}: a text in quotes never ends", where=where)
        if found["skip"] is None:
            yield found[0], line
        line += found[0].count("\n")
        position = found.end()
