"""Names of members, runs and tensors: short, plain, safe in a path and on a screen."""

from __future__ import annotations

import re

from concord.base.errors import DocumentError

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def check_identifier(text: str, *, where: object = None) -> str:
    """Return `text` if it can name a member or a run.

    Raises:
        DocumentError: it holds anything but a-z, 0-9, `_`, `-`, or is over 32 characters.
    """
    if not _IDENTIFIER.fullmatch(text):
        raise DocumentError(
            f"{text[:40]!r} is not a name",
            where=where,
            remedy="use a letter, then up to 31 of a-z, 0-9, '_' and '-'",
        )
    return text
