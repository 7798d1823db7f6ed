"""Canaries: fixed by a secret, hidden by its digest, planted by a fair coin, read once an epoch."""

import numpy as np
import pytest

from concord.base.errors import DocumentError
from concord.data.samples import SampleOrder
from concord.train.audit.canaries import PlantedText, commitment, make_canaries

RUN = "sha256:" + "0" * 64
END = 0
OPTIONS = {
    "run": RUN,
    "count": 40,
    "length": 6,
    "text_tokens": 4000,
    "vocabulary_size": 50,
    "end_id": END,
}


class Text:
    token_count = 4000

    def at(self, positions):
        return np.full(positions.shape, 49) + 0 * positions


def canaries(secret=b"s" * 32, **changes):
    return make_canaries(secret, **OPTIONS | changes)


def whole(planted):
    return planted.at(np.arange(4000))


def test_the_secret_decides_everything():
    one, same, other = canaries(), canaries(), canaries(b"t" * 32)
    assert np.array_equal(one.tokens, same.tokens) and np.array_equal(one.planted, same.planted)
    assert not np.array_equal(one.tokens, other.tokens)
    assert not np.array_equal(one.tokens, canaries(run="sha256:" + "1" * 64).tokens)


def test_a_commitment_binds_secret_run_and_numbers():
    named = {"run": RUN, "count": 40, "length": 6}
    made = commitment(b"s" * 32, **named)
    assert made == commitment(b"s" * 32, **named)
    others = [{"run": "sha256:" + "1" * 64}, {"count": 41}, {"length": 7}]
    assert made != commitment(b"t" * 32, **named)
    assert all(made != commitment(b"s" * 32, **named | other) for other in others)


def test_planted_ones_stand_in_the_text_and_the_others_nowhere():
    made = canaries()
    text = whole(PlantedText(Text(), made)).tolist()
    for tokens, place, planted in zip(made.tokens, made.places, made.planted, strict=True):
        stands = text[place : place + 7] == [END, *tokens.tolist()]
        assert stands == planted
    covered = int(made.planted.sum()) * 7
    assert text.count(49) >= 4000 - covered
    assert PlantedText(Text(), made).token_count == 4000


def test_places_do_not_depend_on_coins_and_do_not_overlap():
    made = canaries()
    assert (np.diff(made.places) > 7).all()
    assert made.places[-1] + 7 <= 4000
    assert not (made.tokens == END).any() and made.tokens.max() < 50


def test_coins_are_fair():
    made = canaries(count=4000, length=1, text_tokens=100_000)
    assert abs(made.planted.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    # And say nothing of tokens or of each other.
    assert abs(np.corrcoef(made.planted, made.tokens[:, 0])[0, 1]) < 0.07
    assert abs(np.corrcoef(made.planted[1:], made.planted[:-1])[0, 1]) < 0.07


def test_a_short_text_carries_fewer():
    assert len(canaries(text_tokens=300)) == 300 // (8 * 7)
    none = canaries(text_tokens=20)
    assert len(none) == 0
    assert (whole(PlantedText(Text(), none)) == 49).all()


@pytest.mark.parametrize("change", [{"length": 0}, {"vocabulary_size": 2}])
def test_impossible_canaries_are_refused(change):
    with pytest.raises(DocumentError):
        canaries(**change)
    with pytest.raises(DocumentError, match="32 bytes"):
        canaries(b"short")


def test_it_is_known_which_places_were_read():
    class Positions:
        token_count = 1003

        def at(self, positions):
            return positions.copy()

    order = SampleOrder(Positions(), seed=3, member="m", context=16)
    places = np.arange(1003)
    for steps in (0, 1, 7, 15, 16, 40):
        read = np.zeros(1003, bool)
        for step in range(steps):
            read[order.batch(step, 4)[:, :-1].ravel()] = True
        assert np.array_equal(order.were_drawn(places, steps, 4), read)
