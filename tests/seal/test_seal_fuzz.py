"""One bit or one stretch of a public message changed: the exact sum, or none, and never a crash."""

from __future__ import annotations

import numpy as np
import pytest
from seallab import Party, cohort_of, instance_of, plain_sum, random_values

from concord.base.errors import SealRefused, SealVoid
from concord.crypto.seal import IndexSet, Ring, Setup, Unmask, open_instance

SIZE = 5
COHORT, RING = cohort_of(SIZE), Ring(16, SIZE)
INSTANCE = instance_of(COHORT)
MASKED, SURVIVORS = IndexSet((0, 1, 2, 3, 4)), IndexSet((0, 1, 2, 4))
RNG = np.random.default_rng(8)
VALUES = {i: random_values(RING, 30, RNG) for i in range(SIZE)}
SESSION = Party(COHORT).set_up(INSTANCE)
SETUPS = {i: setup.encode() for i, setup in SESSION.setups.items()}
ANSWERS = [answer.encode() for answer in SESSION.answers(MASKED, SURVIVORS)]
VECTORS = {i: SESSION.masked(i, VALUES[i], MASKED, RING) for i in SURVIVORS.indices}
TRUE = plain_sum(VALUES, SURVIVORS)


def outcome(setups: dict[int, bytes], answers: list[bytes]) -> str:
    """What a reader of these bytes gets: the sum, or why there is none."""
    try:
        opening = open_instance(
            INSTANCE,
            COHORT,
            {i: Setup.decode(data, SIZE) for i, data in setups.items()},
            MASKED,
            SURVIVORS,
            [Unmask.decode(data) for data in answers],
        )
        found = opening.sum(VECTORS, RING)
    except (SealRefused, SealVoid) as error:
        return type(error).__name__
    assert (found == TRUE).all(), "a wrong sum was opened"
    return "sum and fault" if opening.faults else "sum"


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data)))
    match int(rng.integers(5)):
        case 0:
            return data[:at]
        case 1:
            return data + bytes(1 + at % 7)
        case 2:
            return data[:at] + rng.bytes(min(32, len(data) - at)) + data[at + 32 :]
        case _:
            bad = bytearray(data)
            bad[at] ^= 1 << int(rng.integers(8))
            return bytes(bad)


def test_undamaged_messages_open() -> None:
    assert outcome(SETUPS, ANSWERS) == "sum"


@pytest.mark.parametrize("target", ["set-up", "answer"])
def test_no_damaged_message_opens_a_wrong_sum(target: str) -> None:
    rng = np.random.default_rng(17)
    seen = set()
    for _ in range(400):
        setups, answers = dict(SETUPS), list(ANSWERS)
        if target == "set-up":
            i = int(rng.integers(SIZE))
            setups[i] = damaged(setups[i], rng)
        else:
            i = int(rng.integers(len(answers)))
            answers[i] = damaged(answers[i], rng)
        seen.add(outcome(setups, answers))
    assert {"SealRefused", "SealVoid"} <= seen


def test_messages_of_one_instance_do_not_open_another() -> None:
    other = SESSION.party.set_up(instance_of(COHORT, round=8))
    for i in range(SIZE):
        setups = SETUPS | {i: other.setups[i].encode()}
        assert outcome(setups, ANSWERS) == "SealVoid"
    answers = [answer.encode() for answer in other.answers(MASKED, SURVIVORS)]
    assert outcome(SETUPS, answers) == "SealVoid"
