"""A sealed round's arithmetic from what is public: open each cohort's sum, merge, take the step.

    set-ups, W, U, shares -> masks that are left     (`open_cohort`)
    masked files          -> exact sum of integers   (`cohort_sum`)
    sums                  -> mean -> outer step -> next base, and the scales of the next round

The coordinator goes this way once and a verifier again; both get the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from concord.base.digest import Digest
from concord.base.tensors import TensorFile
from concord.charter.run_sections import RINGS
from concord.charter.schedule import outer_rate
from concord.crypto.seal import Cohort, Opening, Ring, open_instance
from concord.crypto.seal.ring import SignedArray
from concord.ledger.arithmetic import RoundInputs
from concord.ledger.sealed.book import RoundBook, SumBook
from concord.ledger.sealed.coverage import Coverage
from concord.ledger.sealed.instance import indices, raw, sealed_instance
from concord.ledger.sealed.tables import Clips, clips_of, next_clips, scale_table
from concord.ledger.sealed.values import SealedMean, weighing
from concord.update.combine import CombinedRound, RoundPaths, combine_merged
from concord.update.integer.flu import FluHeader, Mode, open_file
from concord.update.integer.scales import ScaleTable
from concord.update.layout import Role
from concord.update.outer import OuterRule


@dataclass(frozen=True)
class SealedInputs:
    """What a sealed round starts from.

    Args:
        inputs: As of every round; its history of norms stays empty.
        table: Scales of this round.
        coverage: Vocabulary rows that are left out.
    """

    inputs: RoundInputs
    table: ScaleTable
    coverage: Coverage

    @property
    def run_digest(self) -> Digest:
        return self.inputs.expectation.run


def sealed_inputs(
    inputs: RoundInputs, clips: Clips, largest: int, coverage: Coverage
) -> SealedInputs:
    """The inputs of a round whose largest cohort has `largest` members."""
    specs = inputs.base_file.specs
    table = scale_table(inputs.run, specs, inputs.round, clips, largest)
    return SealedInputs(inputs, table, coverage)


def ring_of(sealed: SealedInputs) -> Ring:
    """The ring of all vectors of a round."""
    return Ring(RINGS[sealed.inputs.run.update.codec], sealed.table.members)


def expected_header(
    sealed: SealedInputs, book: RoundBook, cohort: Cohort, member: str
) -> FluHeader:
    """What the masked file of a member has to say of itself."""
    instance = sealed_instance(sealed.run_digest, book, cohort)
    return FluHeader(
        mode=Mode.MASKED,
        ring=ring_of(sealed),
        run=raw(sealed.run_digest)[:16],
        round=instance.round,
        fragment=instance.fragment,
        attempt=instance.attempt,
        member=cohort.index(member),
        count=sealed.table.count,
        scales=sealed.table.hash16,
    )


def check_masked_file(
    sealed: SealedInputs, book: RoundBook, cohort: Cohort, member: str, path: Path
) -> None:
    """Refuse a masked file that is not of this round, this member and this exact length.

    Raises:
        UpdateRefused: with the reason.
    """
    open_file(path, expected_header(sealed, book, cohort, member))


def open_cohort(run: Digest, book: SumBook[Any], number: int) -> Opening:
    """What unmasks the sum of a cohort, from the statements of its round.

    Raises:
        SealRefused: sets or answers do not fit the instance.
        SealVoid: tags differ, or a seed cannot be had.
    """
    cohort = book.epoch.cohorts[number]
    survivors = book.survivors[number]
    return open_instance(
        sealed_instance(run, book, cohort),
        cohort,
        {cohort.index(m): book.setups[m] for m in book.masking[number]},
        indices(cohort, book.masking[number]),
        indices(cohort, survivors),
        [book.answers[m] for m in survivors if m in book.answers],
    )


def cohort_sum(
    sealed: SealedInputs, book: RoundBook, number: int, opening: Opening, files: Mapping[str, Path]
) -> SignedArray:
    """The exact sum of a cohort's integers, check elements left out.

    Args:
        files: Masked file of each survivor.

    Raises:
        UpdateRefused: a file is not of this round.
        SealVoid: the sum cannot be right.
    """
    cohort = book.epoch.cohorts[number]
    vectors = {
        cohort.index(member): open_file(
            files[member], expected_header(sealed, book, cohort, member)
        )
        for member in book.survivors[number]
    }
    return opening.sum(vectors, ring_of(sealed))


def merge_sealed(
    sealed: SealedInputs,
    sums: Sequence[SignedArray],
    weights: Mapping[str, Fraction],
    paths: RoundPaths,
) -> tuple[CombinedRound, dict[str, float]]:
    """Merge sums, take the outer step, and write step, base and outer state.

    Args:
        sums: Of the cohorts that are in, in order.
        weights: As `sealed_weights` gave them for all their survivors.

    Returns:
        What was written, and c_T of each weight for the next round.

    Raises:
        UpdateError, CheckpointError, StorageError: as of `merge_round`.
    """
    inputs, run = sealed.inputs, sealed.inputs.run
    all_weights = weighing(run)
    mean = SealedMean(
        sums,
        inputs.update_layout,
        sealed.table,
        sealed.coverage,
        largest=all_weights.largest,
        divisor=all_weights.divisor(weights),
        base=inputs.base_file,
    )
    made = combine_merged(
        base=inputs.base_file,
        outer_state=None if inputs.outer_state is None else TensorFile(inputs.outer_state),
        merge=mean,
        outer=OuterRule(run.update.outer.optimizer, run.update.outer.momentum),
        rate=lambda entry: outer_rate(run, inputs.round, embedding=entry.role is Role.EMBEDDING),
        step_layout=inputs.step_layout,
        identity=inputs.step_identity,
        paths=paths,
    )
    clips = clips_of(sealed.table, inputs.update_layout.entries)
    return made, next_clips(inputs.update_layout, clips, mean.rms, len(weights))
