"""A member as a service: a systemd unit, or a container file, filled in for one home."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from concord.base.errors import DocumentError

Kind = Literal["systemd", "container"]
_FILES = {"systemd": "member.service", "container": "Containerfile"}
_PLAIN = re.compile(r"[A-Za-z0-9/._+@=:,-]+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def unit(kind: Kind, *, home: Path, member: str, python: Path, user: str) -> str:
    """The file's text.

    Args:
        kind: Which file.
        home: The member's home.
        member: Its id.
        python: The interpreter in which Concord is installed.
        user: Who runs it.

    Raises:
        DocumentError: a path holds characters that would have to be quoted, or `user` is no name.
    """
    for path in (home, python):
        if not _PLAIN.fullmatch(str(path)):
            raise DocumentError(
                "holds characters that a service manager would read otherwise",
                where=path,
                remedy="use a path of letters, digits and /._+@=:,-",
            )
    if not _USER.fullmatch(user):
        raise DocumentError(f"{user[:80]!r} is no user's name", where="--user")
    text = files("concord.federation.sites.templates").joinpath(_FILES[kind]).read_text("utf-8")
    values = {
        "home": str(home),
        "member": member,
        "python": str(python),
        "user": user,
        "name": f"concord-{member}",
    }
    if kind == "container":
        values = {key: json.dumps(value)[1:-1] for key, value in values.items()}
    return Template(text).substitute(values)
