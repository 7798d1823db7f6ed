"""What of a dataset's privacy budget is spent: written down before it is spent, never after.

    private/privacy/<dataset>.json      steps taken of each mechanism, over all runs

A round's steps are charged, and the file is on the disk, before the first document is drawn. A
member that is killed at any instant, that trains in vain, or whose update is left out has paid all
the same: what was computed under one noise must never be computed again for less. Whoever puts an
older file back is found out by the log, which has the steps of every update that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.errors import CheckpointError, DocumentError
from concord.base.files import private_folder, write_atomic
from concord.charter.document import Document, describe
from concord.ledger.statements.privacy import PrivacySpent, StepsTaken
from concord.train.private.accounting import SampledNoise, Spent, after, epsilon

Positive = Annotated[float, Field(gt=0)]


class _Record(Document):
    dataset: str
    steps: tuple[tuple[Positive, Positive, Annotated[int, Field(gt=0)]], ...]


class Budget:
    """The budget of one dataset.

    Args:
        folder: The member's private folder of budgets.
        dataset: Its name.
        max_epsilon: What may be spent in all.
        delta: For which ε is meant.
    """

    def __init__(self, folder: Path, dataset: str, *, max_epsilon: float, delta: float) -> None:
        self.dataset = dataset
        self.max_epsilon = max_epsilon
        self.delta = delta
        self._path = private_folder(folder) / f"{dataset}.json"
        self._spent = self._load()
        self._known: tuple[Spent, float] | None = None

    @property
    def spent(self) -> Spent:
        return self._spent

    @property
    def steps(self) -> int:
        """Steps of all mechanisms together."""
        return sum(self._spent.values())

    @property
    def epsilon(self) -> float:
        """Spent so far."""
        if self._known is None or self._known[0] != self._spent:
            self._known = (self._spent, epsilon(self._spent, self.delta))
        return self._known[1]

    def objection(self, how: SampledNoise, steps: int) -> str | None:
        """Why these steps may not be taken, in words that may be published; None if they may."""
        spent = f"budget: the privacy budget of dataset {self.dataset} is spent:"
        if self.max_epsilon == 0:  # under enough noise ε is 0 too
            return f"{spent} it is 0"
        needed = epsilon(after(self._spent, how, steps), self.delta)
        if needed <= self.max_epsilon:
            return None
        return (
            f"{spent} epsilon {self.epsilon:.4g} of {self.max_epsilon:g},"
            f" and {steps} steps more would make it {needed:.4g}"
        )

    def charge(self, how: SampledNoise, steps: int) -> None:
        """Count steps as taken. When this returns, no crash can undo it.

        Raises:
            DocumentError: the budget does not hold them; nothing was charged.
            StorageError: the file cannot be written; nothing may be trained.
        """
        if (why := self.objection(how, steps)) is not None:
            raise DocumentError(why, where="max_epsilon")
        charged = after(self._spent, how, steps)
        record = _Record(dataset=self.dataset, steps=_rows(charged))
        write_atomic(self._path, canonical_json(record.model_dump(mode="json")), mode=0o600)
        self._spent = charged

    def statement(self, clip_norm: float) -> PrivacySpent:
        """What the log is told."""
        return PrivacySpent(
            dataset=self.dataset,
            epsilon=self.epsilon,
            max_epsilon=float(self.max_epsilon),
            delta=self.delta,
            clip_norm=float(clip_norm),
            taken=tuple(
                StepsTaken(noise_multiplier=noise, sampling_rate=rate, steps=steps)
                for noise, rate, steps in _rows(self._spent)
            ),
        )

    def _load(self) -> dict[SampledNoise, int]:
        if not self._path.exists():
            return {}
        remedy = "restore it from a copy; what was spent cannot be spent again"
        try:
            value = parse_json(self._path.read_bytes(), where=self._path)
            record = _Record.model_validate(value)
        except ValidationError as error:
            raise CheckpointError(describe(error), where=self._path, remedy=remedy) from error
        except (DocumentError, OSError) as error:
            raise CheckpointError("is damaged", where=self._path, remedy=remedy) from error
        if record.dataset != self.dataset:
            raise CheckpointError("is of another dataset", where=self._path, remedy=remedy)
        return {SampledNoise(noise, rate): steps for noise, rate, steps in record.steps}


def _rows(spent: Mapping[SampledNoise, int]) -> tuple[tuple[float, float, int], ...]:
    return tuple(
        (how.noise_multiplier, how.sampling_rate, steps) for how, steps in sorted(spent.items())
    )
