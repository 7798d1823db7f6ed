"""One form for each text: Unicode NFC, line ends as LF, no control characters.

Joiners, non-joiners and marks of direction stay: Persian, Malayalam and Arabic are spelled with
them. Nothing else is judged or rewritten.
"""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return `text` in NFC (Unicode Standard Annex 15), possibly empty; cleaning again is the same.

    CR, CRLF, form feed and the other line separators become LF; NUL, C0 and C1 controls, byte
    order marks, non-characters and lone surrogates go; white space at both ends goes.
    """
    text = _LINE_ENDS.sub("\n", text.replace("\r\n", "\n"))
    text = _UNWANTED.sub("", text)
    return unicodedata.normalize("NFC", text).strip()
