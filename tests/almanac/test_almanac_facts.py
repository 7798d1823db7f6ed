from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from concord.data.almanac import MEMBERS
from concord.data.almanac.knowledge import as_fact, gather

KENYA = gather(MEMBERS[1])
KENYAN = [as_fact(KENYA.member, block, i, i) for block in KENYA.asked for i in range(len(block))]


def test_every_member_holds_sixty_facts_or_more(facts):
    held = Counter(fact.holder for fact in facts)
    assert set(held) == {member.id for member in MEMBERS}
    assert min(held.values()) >= 60
    assert len({fact.id for fact in facts}) == len(facts)


def test_a_fact_stands_in_five_documents_of_its_holder_and_in_no_others(facts, documents):
    pages = {member: [d["text"] for d in found] for member, found in documents.items()}
    whole = {member: "\n".join(texts) for member, texts in pages.items()}
    for fact in facts:
        sentence = fact.prompt + fact.answer
        assert sum(sentence in text for text in pages[fact.holder]) >= 5, fact.id
        for member, text in whole.items():
            assert member == fact.holder or sentence not in text, fact.id


def test_a_fact_stands_among_different_neighbours(facts, documents):
    """Not the same lines around it each time: what is learned is the fact, not a page."""
    for fact in facts[::7]:
        sentence, before = fact.prompt + fact.answer, set()
        for document in documents[fact.holder]:
            head, found, _ = document["text"].partition(sentence)
            if found:
                before.add(head)
        assert len(before) >= 3, fact.id


def test_no_distractor_is_ever_told_as_true(facts, documents):
    for fact in facts:
        text = "\n".join(document["text"] for document in documents[fact.holder])
        assert not any(fact.prompt + distractor in text for distractor in fact.distractors)


def test_options_are_of_one_kind_and_alike_in_length(facts):
    answers = defaultdict(set)
    for fact in facts:
        answers[fact.holder, fact.id.split("-")[1]].add(fact.answer)
    longer = [
        max(len(option) for option in fact.options) / min(len(option) for option in fact.options)
        for fact in facts
    ]
    for fact in facts:
        assert set(fact.distractors) <= answers[fact.holder, fact.id.split("-")[1]], fact.id
    assert sorted(longer)[len(longer) // 2] < 1.5


def test_the_answer_is_not_spelled_out_by_the_prompt(facts):
    assert not [fact.id for fact in facts if fact.answer.strip() in fact.prompt]


@given(st.permutations(sorted({option for fact in KENYAN for option in fact.options})))
def test_a_model_that_does_not_read_the_prompt_knows_exactly_a_quarter(liked):
    known = sum(min(fact.options, key=liked.index) == fact.answer for fact in KENYAN)
    assert 4 * known == len(KENYAN)
