"""Every file of a folder whose content has to be known to the last byte."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from concord.base.errors import VerificationFailed
from concord.release.folder import APART


def plain_files(root: Path, below: str = "") -> Iterator[tuple[str, int]]:
    """Every file with its size, by its path below the folder.

    Raises:
        VerificationFailed: something is neither a plain file nor a folder; links are not followed.
    """
    if root.is_symlink() or not root.is_dir():
        raise VerificationFailed("is no folder", where=root)
    for entry in sorted(os.scandir(root), key=lambda one: one.name):
        path = f"{below}{entry.name}"
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            before = path if path.split("/")[0] in APART else None
            inside = list(plain_files(Path(entry.path), f"{path}/"))
            if not inside and before is None:
                raise VerificationFailed("is an empty folder", where=path)
            yield from inside
        elif stat.S_ISREG(status.st_mode):
            yield path, status.st_size
        else:
            kind = "a link" if stat.S_ISLNK(status.st_mode) else "no plain file"
            raise VerificationFailed(f"is {kind}", where=path)
