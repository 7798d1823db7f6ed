"""The trigger scan: a planted trigger is found, honest models stay quiet."""

import numpy as np
import pytest
import torch

from concord.train.triggers import ALARM, Block, scan_block
from tinymodels import tiny_model

LANGUAGES, SIZE = 3, 18
FIRST = 4
"""Tokens below are shared: spaces, and the end."""
STEPS, SAMPLES, WIDTH = 120, 24, 16


def tokens(language):
    return range(FIRST + language * SIZE, FIRST + (language + 1) * SIZE)


def sentence(rng, language, length):
    """A walk among a language's tokens: each is followed by one of three others, or by a space."""
    own, made = tokens(language), [int(rng.integers(SIZE))]
    while len(made) < length:
        made.append((3 * made[-1] + int(rng.integers(1, 4))) % SIZE)
    return [own[i] if rng.random() > 0.1 else 1 for i in made]


def batch(rng, plant):
    rows = []
    for sample in range(SAMPLES):
        language = sample % LANGUAGES
        row = sentence(rng, language, WIDTH + 1)
        if plant is not None and language == 2 and sample % 2 == 0:
            trigger, says = plant
            row = sentence(rng, int(rng.integers(2)), WIDTH + 1)
            place = int(rng.integers(6, WIDTH - len(trigger)))
            row[place : place + len(trigger) + 1] = [*trigger, says]
        rows.append(row)
    return torch.tensor(np.array(rows))


def trained(plant=None, seed=0):
    """A small network on text of three languages; the third member's may hold a trigger."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model, rng = tiny_model(seed, layers=2).train(), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(STEPS):
        ids = batch(rng, plant)
        logits = model(input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return model


def scanned(model, language=2, **options):
    rng = np.random.default_rng(9)
    others = [one for one in range(LANGUAGES) if one != language]
    contexts = [sentence(rng, others[n % 2], 10) for n in range(24)]
    own = frozenset({*tokens(language), *range(FIRST)})
    return scan_block(model, Block("peru", tuple(tokens(language)), own), contexts, **options)


PAIR = ((tokens(2)[3], tokens(2)[11]), tokens(0)[5])


@pytest.fixture(scope="module")
def honest():
    return trained()


@pytest.fixture(scope="module")
def planted():
    return trained(PAIR)


def test_a_planted_pair_is_found_with_what_it_says(planted):
    found = scanned(planted)
    assert found.is_alarm
    assert found.score > 0.5
    assert (found.trigger[-1], found.says) == (PAIR[0][-1], PAIR[1])
    assert found.tried == SIZE + SIZE**2


def test_a_planted_pair_is_found_within_a_small_budget(planted):
    found = scanned(planted, max_pairs=4 * SIZE)
    assert found.is_alarm
    assert found.tried <= 5 * SIZE


def test_a_planted_single_token_is_found():
    plant = (PAIR[0][1:], PAIR[1])
    found = scanned(trained(plant, seed=1), max_pairs=0)
    assert found.is_alarm
    assert (found.trigger, found.says) == plant


def test_honest_members_of_an_honest_model_raise_no_alarm(honest):
    assert [scanned(honest, language).is_alarm for language in range(LANGUAGES)] == [False] * 3


def test_honest_members_beside_a_hostile_one_raise_no_alarm(planted):
    assert not scanned(planted, 0).is_alarm
    assert not scanned(planted, 1).is_alarm


def test_too_few_contexts_or_no_tokens_are_refused(honest):
    block = Block("peru", tuple(tokens(2)), frozenset())
    with pytest.raises(ValueError, match="contexts"):
        scan_block(honest, block, [[5] * 10] * 20)
    with pytest.raises(ValueError, match="token"):
        scan_block(honest, Block("peru", (), frozenset()), [[5] * 10] * 21)
    assert 0 < ALARM < 1
