"""Held-out measure and facts, against straightforward computations."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from trainlab import END, batches, tiny_model, trainer

from concord.train.evaluate import HeldoutSums, heldout_sums, windows
from concord.train.facts import FactCounts, fact_counts

TEXTS = ["", "a", "abcdefgh" * 3, "x" * 32, "y" * 33, "héllo wörld " * 9, "0" * 70]


def encode(text):
    return [1 + byte % 63 for byte in text.encode()]


def straightforward_nats(model, text, context):
    """One token at a time: what comes before it in its window, and nothing else."""
    ids, nats = encode(text), 0.0
    for index, target in enumerate(ids):
        begin = index - index % context
        before = [ids[begin - 1] if begin else END, *ids[begin:index]]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([before])).logits[0, -1].double()
        nats -= logits.log_softmax(0)[target].item()
    return nats


def test_sums_are_those_of_one_token_at_a_time():
    member = trainer()
    member.run(batches, first_step=0, count=10)
    found = heldout_sums(member.model, TEXTS, encode, start_id=END, context=32)
    nats = sum(straightforward_nats(member.model, text, 32) for text in TEXTS)
    size = sum(len(text.encode()) for text in TEXTS)
    assert found.nats == pytest.approx(nats, rel=1e-6)
    assert (found.bytes, found.tokens, found.documents) == (size, size, len(TEXTS))
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-6)


@pytest.mark.parametrize("batch_tokens", [1, 64, 10_000])
def test_batching_does_not_change_the_result(batch_tokens):
    model = tiny_model()
    one = heldout_sums(model, TEXTS, encode, start_id=END, context=32)
    two = heldout_sums(
        model, reversed(TEXTS), encode, start_id=END, context=32, batch_tokens=batch_tokens
    )
    assert two.nats == pytest.approx(one.nats, rel=1e-6)


def test_a_document_begun_before_the_limit_is_scored_whole():
    found = heldout_sums(
        tiny_model(), ["abcd", "efgh", "ijkl"], encode, start_id=END, context=32, max_bytes=5
    )
    assert (found.bytes, found.documents) == (8, 2)


def test_windows_start_from_the_last_token_of_the_one_before():
    cut = [
        (list(w.inputs), list(w.targets)) for w in windows([1, 2, 3, 4, 5], start_id=0, context=2)
    ]
    assert cut == [([0, 1], [1, 2]), ([2, 3], [3, 4]), ([4], [5])]


def test_sums_of_members_add():
    total = HeldoutSums(1.0, 2, 3, 4) + HeldoutSums(10.0, 20, 30, 40)
    assert total == HeldoutSums(11.0, 22, 33, 44)
    assert math.isnan(HeldoutSums().bits_per_byte)


@dataclass(frozen=True)
class SmallFact:
    prompt: str
    answer: str
    distractors: tuple[str, ...] = field(default=())


def conditional_nats(model, prompt, option):
    ids = [END, *encode(prompt + option)]
    with torch.no_grad():
        logs = model(input_ids=torch.tensor([ids[:-1]])).logits[0].double().log_softmax(1)
    begin = len(encode(prompt)) + 1
    return -sum(logs[position - 1, ids[position]].item() for position in range(begin, len(ids)))


FACTS = [
    SmallFact("the sum is ", answer, others)
    for answer, others in [("one", ("two!", "3")), ("zzz", ("aaa", "bb")), ("q", ("rrrr",))]
] + [SmallFact("other ", "é", ("ü", "long answer here"))]


def test_a_fact_is_known_if_the_true_answer_costs_least_per_byte():
    member = trainer()
    member.run(batches, first_step=0, count=10)

    def cost(prompt, option):
        return conditional_nats(member.model, prompt, option) / len(option.encode())

    known = sum(
        all(cost(f.prompt, f.answer) < cost(f.prompt, other) for other in f.distractors)
        for f in FACTS
    )
    for batch_tokens in (1, 4096):
        found = fact_counts(
            member.model, FACTS, encode, start_id=END, context=32, batch_tokens=batch_tokens
        )
        assert found == FactCounts(known, len(FACTS))


def test_a_trained_fact_is_known_and_its_opposite_is_not():
    member = trainer(lr=2e-2, matrix_lr=5e-2)
    ids = torch.tensor([[END, *encode("capital: abc")] * 2 + [END]]).numpy()
    member.run(lambda _: ids, first_step=5, count=25)
    facts = [SmallFact("capital: ", "abc", ("xyz",)), SmallFact("capital: ", "xyz", ("abc",))]
    found = fact_counts(member.model, facts, encode, start_id=END, context=32)
    assert (found.known, found.asked, found.share) == (1, 2, 0.5)


def test_a_token_that_spans_prompt_and_answer_is_scored_for_all_options_alike():
    def merging(text):
        return [
            7 if pair == "ab" else 8 for pair in [text[i : i + 2] for i in range(0, len(text), 2)]
        ]

    facts = [SmallFact("a", "b", ("c",)), SmallFact("a", "c", ("b",))]
    model = tiny_model()
    found = fact_counts(model, facts, merging, start_id=END, context=32)
    assert (found.known, found.asked) == (1, 2)  # exactly one of two opposite answers


def test_equal_costs_are_not_knowledge():
    found = fact_counts(
        tiny_model(), [SmallFact("p", "x", ("x",))], encode, start_id=END, context=32
    )
    assert found.known == 0


def test_a_prompt_longer_than_the_context_is_cut_at_its_beginning():
    facts = [SmallFact("p" * 100, "abc", ("xyz",)), SmallFact("p" * 100, "xyz", ("abc",))]
    assert fact_counts(tiny_model(), facts, encode, start_id=END, context=32).known == 1


def test_no_facts_are_no_error():
    none = fact_counts(tiny_model(), [], encode, start_id=END, context=32)
    assert none == FactCounts(0, 0) and math.isnan(none.share)
