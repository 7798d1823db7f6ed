"""Who looks on while a run goes: progress bars, log lines, tests. Nothing depends on it."""

from __future__ import annotations

from concord.federation.messages import Progress
from concord.federation.records import Evaluation
from concord.ledger.round_record import RoundRecord


class Watcher:
    """Takes note of nothing; override what you want to see."""

    def stage(self, name: str) -> None:
        """A part of the run begins: text, tokenizer, shards, rounds, evaluation."""

    def tokenizer_progress(self, merges: int, total: int) -> None:
        """So many merges are chosen."""

    def note(self, text: str) -> None:
        """Something was done that the user should know of."""

    def round_called(self, round_: int, members: tuple[str, ...], inner_steps: int) -> None:
        """A plan went out."""

    def progress(self, member: str, progress: Progress) -> None:
        """A member has come so far in the open round."""

    def refused(self, member: str, round_: int, reason: str) -> None:
        """An update was left out."""

    def declined(self, member: str, round_: int, reason: str) -> None:
        """A member does not take part in a round, or does not measure its base."""

    def member_left(self, member: str, reason: str) -> None:
        """A member is gone for now."""

    def abandoned(self, round_: int, reason: str) -> None:
        """A round could not be closed and will be called again."""

    def committed(self, record: RoundRecord) -> None:
        """A round has happened."""

    def evaluated(self, member: str, evaluation: Evaluation) -> None:
        """A member measured a base."""
