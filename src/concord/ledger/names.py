"""Names that stand in the notes of a log: the log's own, and one per witness."""

from __future__ import annotations


def log_origin(federation: str) -> str:
    """Name of a federation's log, first line of its checkpoints."""
    return f"concord.{federation}/log"


def witness_name(federation: str, member: str) -> str:
    """Name under which a member cosigns checkpoints."""
    return f"concord.{federation}/witness/{member}"
