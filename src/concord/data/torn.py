"""What a killed process left behind in a private folder."""

from __future__ import annotations

from pathlib import Path

from concord.base.files import storage_errors


def remove_torn(folder: Path) -> None:
    """Delete temporary files that were never moved into place; one process works in a folder.

    Raises:
        StorageError: they cannot be deleted.
    """
    with storage_errors(folder):
        for path in folder.glob(".*.part"):
            path.unlink()
