"""Sealed counts for the tokenizer: exact in the sum, nothing of one member, once in a run."""

import numpy as np
import pytest
from countlab import (
    MEMBERS,
    TEXTS,
    CountedHistory,
    counting_run,
    list_of,
    words_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from verifylab import verified

from concord.base.errors import (
    SealRefused,
    SealVoid,
    StatementRefused,
    UpdateRefused,
    VerificationFailed,
)
from concord.crypto.seal import CHECK_ELEMENTS
from concord.data.bpe.listed_choice import Summed
from concord.ledger.sealed.counts import counted, counts_vector, learned_tokenizer
from concord.ledger.statements.counting import TokenizerLearned
from concord.ledger.statements.rounds import Refused, RunOpening
from concord.ledger.statements.sealing import UpdateCommitted
from concord.testing.run_history import RunHistory

OTHERS = tuple(m for m in MEMBERS if m != "iran")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """iran is masked with the others, and drops out before it sends."""
    found = CountedHistory(tmp_path_factory.mktemp("counted"))
    found.summed = found.whole(dropped=["iran"])
    found.tokenizer = found.learn(found.summed)
    found.opened(found.tokenizer)
    return found


@pytest.fixture
def keyed(tmp_path):
    found = CountedHistory(tmp_path)
    found.keys()
    return found


def refused(match):
    return pytest.raises(StatementRefused, match=match)


def open_counts(listed, members):
    return sum(listed.counts(words_of(TEXTS[m])) for m in members)


# --- exactness ------------------------------------------------------------------------------


def test_the_sum_is_that_of_open_counts_where_enough_members_declare_the_language(whole):
    listed, known = whole.listed, whole.summed.known
    assert known.any(), "three members declare xx"
    assert not known.all(), "one member declares zz"
    plain = open_counts(listed, OTHERS)
    assert whole.summed.sums[known].tolist() == plain[known].tolist()
    assert not whole.summed.sums[~known].any()


def test_the_tokenizer_is_that_of_open_counts(whole):
    known = whole.summed.known
    plain = Summed(np.where(known, open_counts(whole.listed, OTHERS), 0), known)
    text = learned_tokenizer(whole.run, whole.listed, plain)
    assert whole.history.objects.get(whole.tokenizer).decode() == text
    alone = learned_tokenizer(whole.run, whole.listed, Summed.nothing(whole.listed))
    assert text != alone, "the members' counts decided something"


WORD = st.text(alphabet="the catmonr", min_size=1, max_size=30)


@settings(max_examples=4, deadline=None)
@given(texts=st.lists(st.lists(WORD, min_size=1, max_size=4), min_size=4, max_size=4),
       dropped=st.sampled_from([(), ("chad",), ("laos",)]))  # fmt: skip
def test_sealed_sums_are_open_sums(tmp_path_factory, texts, dropped):
    members = MEMBERS[:4]
    found = CountedHistory(tmp_path_factory.mktemp("law"), counting_run(members), members=members)
    found.keys()
    found.plan()
    found.mask(*members)
    left = [m for m in members if m not in dropped]
    plain = 0
    for member, text in zip(members, texts, strict=True):
        if member in left:
            made = found.masked(member, text)
            found.vectors[member] = made
            plain += found.listed.counts(words_of(text))
    for member in left:
        found.say(commitment(found, found.vectors[member]), member)
    found.survive(*left)
    found.unmask(*left)
    summed = found.sums()
    assert summed.sums.tolist() == np.where(summed.known, plain, 0).tolist()


def commitment(found, made):
    return UpdateCommitted(
        plan=found.book.plan_digest, base=found.merges, update=made.update, bytes=made.bytes,
        hidden=made.hidden, steps=0, tokens=0, flops=0, train_s=0.0,
    )  # fmt: skip


# --- nothing of one member ------------------------------------------------------------------


def test_what_one_member_alone_declares_is_left_out_of_its_vector(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    listed = keyed.listed
    lone = listed.public[listed.languages.index("zz")] > 0
    shared = listed.public[listed.languages.index("xx")] > 0
    counts = listed.counts(words_of(TEXTS["peru"]))
    assert counts[lone].any(), "the text has its own script"
    values = counts_vector(keyed.run, keyed.book, listed, 0, counts)
    assert not values[: len(listed)][lone & ~shared].any()
    assert not values[-CHECK_ELEMENTS:].any()


def test_the_vector_has_one_length_whatever_the_text_is(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    sizes = {keyed.masked("chad", ["x"]).bytes, keyed.masked("fiji", TEXTS["fiji"] * 50).bytes}
    assert len(sizes) == 1


def test_a_language_that_is_named_is_counted_for_one_member(tmp_path):
    run = counting_run(lone_languages={"zz": 1})
    listed = list_of()
    mine = listed.public[listed.languages.index("zz")] > 0
    assert counted(run, listed, MEMBERS)[mine].all()
    assert not counted(run, listed, OTHERS[:-1])[mine].any(), "its member is not masked"


def test_who_is_not_masked_makes_no_contributor(tmp_path):
    run, listed = counting_run(), list_of()
    assert counted(run, listed, MEMBERS).any()
    assert not counted(run, listed, ("chad", "iran", "peru")).any()


def test_masked_counts_say_nothing_and_correlate_with_nothing(tmp_path):
    """A long list, so that there is something to look at."""
    draw = np.random.default_rng(3)
    words = ["".join(draw.choice(list("abcdefgh"), 6)) for _ in range(1500)]
    lines = {name: [" ".join(words)] for name in ("xx", "yy", "zz")}
    listed = list_of(merges=600, lines=lines)
    found = CountedHistory(tmp_path, counting_run(), listed)
    found.keys()
    found.plan()
    found.mask(*MEMBERS)
    found.masked("chad", words)
    counts = listed.counts(words_of(words))
    vector = np.frombuffer(found.vectors["chad"][64:], "<u4")[: len(listed)]
    expected = vector.nbytes / 256
    seen = np.bincount(np.frombuffer(vector.tobytes(), np.uint8), minlength=256)
    assert ((seen - expected) ** 2 / expected).sum() < 400
    signed = vector.view("<i4").astype(np.float64)
    assert abs(np.corrcoef(signed, counts)[0, 1]) < 5 / np.sqrt(len(listed))


# --- once in a run's life -------------------------------------------------------------------


def test_restart_differencing_succeeds_if_a_second_sum_is_given():
    """Why there is one survivor set: the difference of two sums is the member that is missing."""
    listed = list_of()
    with_all, without = open_counts(listed, MEMBERS), open_counts(listed, OTHERS)
    assert (with_all - without == listed.counts(words_of(TEXTS["iran"]))).all()


def test_the_log_has_no_second_plan_after_a_survivor_set(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    keyed.send(*MEMBERS)
    keyed.survive(*MEMBERS)
    keyed.void()
    with refused("may be known"):
        keyed.plan()


def test_a_member_masks_and_unmasks_no_second_sum_whatever_the_log_says(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    keyed.send(*MEMBERS)
    keyed.survive(*MEMBERS)
    keyed.unmask("chad")
    pen, book = keyed.pens["chad"], keyed.book
    book.plan = book.plan.model_copy(update={"attempt": 1})
    pen.set_up(book)
    with pytest.raises(SealRefused, match="may be known"):
        pen.mask_counts(book, keyed.listed, keyed.listed.counts(words_of(TEXTS["chad"])))
    with pytest.raises(SealRefused, match="another unmasked"):
        pen.unmask(book)


def test_an_attempt_that_came_to_no_survivor_set_may_be_called_again(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    keyed.send("chad", "fiji")
    first = keyed.vectors["chad"]
    keyed.void()
    keyed.plan()
    keyed.mask(*MEMBERS)
    keyed.send(*MEMBERS)
    assert keyed.vectors["chad"] != first, "masked anew"
    keyed.survive(*MEMBERS)
    keyed.unmask(*MEMBERS)
    assert keyed.sums().known.any()


def test_keys_and_seeds_are_gone_when_the_tokenizer_is_there_and_the_word_is_kept(whole):
    pen = whole.pens["chad"]
    pen.forget()
    left = {path.name for path in pen._folder.iterdir()}
    assert left == {".lock", "position", "spent", "unmasked"}


# --- members and coordinators that lie ------------------------------------------------------


def test_a_vector_of_another_length_is_refused(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    keyed.send(*MEMBERS)
    keyed.survive(*MEMBERS)
    keyed.unmask(*MEMBERS)
    path = keyed.history.objects.path(keyed.sent["laos"])
    for data in (path.read_bytes() + b"\0" * 4, path.read_bytes()[:-4]):
        path.chmod(0o644)
        path.write_bytes(data)
        with pytest.raises(UpdateRefused, match="bytes, not"):
            keyed.sums()


def test_counts_out_of_bounds_void_the_sum(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    keyed.send(*MEMBERS)
    path = keyed.history.objects.path(keyed.book.sent["laos"].update)
    vector = np.frombuffer(path.read_bytes()[64:], "<u4").copy()
    vector[-1] += 1
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:64] + vector.tobytes())
    keyed.survive(*MEMBERS)
    keyed.unmask(*MEMBERS)
    with pytest.raises(SealVoid, match="check elements"):
        keyed.sums()


def test_the_tokenizer_names_whole_sums_and_what_members_sent(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    keyed.send(*MEMBERS)
    keyed.survive(*MEMBERS)
    keyed.unmask(*MEMBERS)
    summed, sent = keyed.sums(), keyed.sent
    with refused("without the whole survivor set"):
        keyed.learn(summed, counts={m: sent[m] for m in OTHERS})
    with refused("did not send these counts"):
        keyed.learn(summed, counts=sent | {"laos": sent["chad"]})
    with refused("not of the plan"):
        keyed.learn(summed, plan=None, counts={})
    epoch = keyed.epoch.digest
    keyed.learn(summed)
    with refused("does not learn a tokenizer"):
        keyed.plan(epoch=epoch)


def test_a_run_opens_with_the_tokenizer_that_it_learned_and_no_other(keyed):
    keyed.plan()
    with pytest.raises(StatementRefused, match="has not come to an end"):
        RunHistory(keyed.history, keyed.run)
    keyed.void()
    opening = RunOpening(first_base=keyed.merges, tokenizer=keyed.merges, record=keyed.merges)
    with refused("not the one that was learned"):
        keyed.coordinator(opening, None)


def test_a_run_whose_counts_are_open_has_no_plan_for_them(tmp_path):
    found = CountedHistory(tmp_path, counting_run(tokenizer=False))
    with refused("not open"):
        found.keys()


# --- a stranger -----------------------------------------------------------------------------


def test_a_stranger_computes_the_tokenizer_again(whole):
    found = verified(whole.history.publish())
    assert "1 tokenizers from sealed counts" in found.steps[4].found


def test_who_refuses_after_the_masking_set_sends_nothing_and_the_others_sum_opens(keyed):
    keyed.plan()
    keyed.mask(*MEMBERS)
    keyed.say(Refused(plan=keyed.book.plan_digest, reason="policy: no rule permits"), "iran")
    with refused("refused this plan before"):
        keyed.send("iran")
    keyed.send(*OTHERS)
    keyed.survive(*OTHERS)
    keyed.unmask(*OTHERS)
    keyed.opened(keyed.learn(keyed.sums()))
    assert "1 tokenizers from sealed counts" in verified(keyed.history.publish()).steps[4].found


def test_a_stranger_finds_another_tokenizer_than_the_sums_make(tmp_path):
    found = CountedHistory(tmp_path)
    summed = found.whole()
    wrong = Summed(summed.sums[::-1].copy(), summed.known)
    found.opened(found.learn(wrong))
    with pytest.raises(VerificationFailed, match="the tokenizer is claimed to be"):
        verified(found.history.publish())


def test_a_stranger_finds_a_list_that_its_public_words_do_not_make(tmp_path):
    listed = list_of(merges=7)  # a shorter one than the run document asks for
    found = CountedHistory(tmp_path, listed=listed)
    found.opened(found.learn(found.whole()))
    with pytest.raises(VerificationFailed, match="not what its public words make"):
        verified(found.history.publish())


def test_public_sentences_alone_decide_where_there_is_no_sum(tmp_path):
    found = CountedHistory(tmp_path)
    found.keys()
    text = learned_tokenizer(found.run, found.listed, Summed.nothing(found.listed))
    digest = found.history.objects.put(text.encode())
    body = TokenizerLearned(
        epoch=found.epoch.digest, plan=None, merges=found.merges, tokenizer=digest, counts={}
    )
    found.coordinator(body)
    found.opened(digest)
    assert verified(found.history.publish()).steps[4].passed
