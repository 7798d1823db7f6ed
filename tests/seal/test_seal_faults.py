"""Members and coordinators that lie, send damaged messages, or stop in the middle."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seallab import Party, cohort_of, digest, instance_of, plain_sum, random_values

from concord.base.errors import SealRefused, SealVoid
from concord.crypto.seal import (
    IndexSet,
    Revealed,
    Ring,
    Setup,
    SharePair,
    Unmask,
    check_setups,
    make_setup,
    masking_set,
    receive_shares,
    survivor_set,
)
from concord.crypto.seal.masks import MaskStreams
from concord.crypto.seal.setup import Share, encrypt_pair, open_share_pair
from concord.crypto.seal.shamir import combine, split

SIZE = 8
COHORT = cohort_of(SIZE)
RING = Ring(16, SIZE)
ALL = IndexSet(tuple(range(SIZE)))
SURVIVORS = IndexSet((0, 1, 2, 3, 4, 6, 7))
OUT = 5
VALUES = {i: random_values(RING, 50, np.random.default_rng(i)) for i in range(SIZE)}


@pytest.fixture
def session():
    return Party(COHORT).set_up(instance_of(COHORT))


def opened_sum(session, answers, survivors=SURVIVORS):
    opening = session.open(ALL, survivors, answers)
    vectors = {i: session.masked(i, VALUES[i], ALL, RING) for i in survivors.indices}
    return opening, opening.sum(vectors, RING)


def tampered(answer: Unmask, dealer: int, **changed) -> Unmask:
    return replace(
        answer,
        revealed=tuple(
            replace(one, **changed) if one.dealer == dealer else one for one in answer.revealed
        ),
    )


def flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


class TestWrongShares:
    def test_sender_is_named_and_the_sum_comes_out(self, session) -> None:
        answers = session.answers(ALL, SURVIVORS)
        bad = Share(answers[2].revealed[4].share.salt, flip(answers[2].revealed[4].share.share))
        answers[2] = tampered(answers[2], 4, share=bad)
        opening, found = opened_sum(session, answers)
        assert [(fault.member, fault.reason) for fault in opening.faults] == [
            (2, "revealed a wrong share of member 4")
        ]
        assert (found == plain_sum(VALUES, SURVIVORS)).all()

    def test_another_members_share_is_a_wrong_one(self, session) -> None:
        """A7: an index twice."""
        answers = session.answers(ALL, SURVIVORS)
        answers[2] = replace(answers[2], revealed=answers[3].revealed)
        opening, found = opened_sum(session, answers)
        assert {fault.member for fault in opening.faults} == {2}
        assert (found == plain_sum(VALUES, SURVIVORS)).all()

    def test_a_share_of_the_other_kind_is_not_used(self, session) -> None:
        """A member that tells rho of a survivor, as an attacker would like."""
        held = receive_shares(session.own[2], session.party.keys[2], session.setups)
        answers = session.answers(ALL, SURVIVORS)
        answers[2] = tampered(answers[2], 4, kind="r", share=held[4].r)
        opening, _ = opened_sum(session, answers)
        assert "nobody asked for" in opening.faults[0].reason
        assert OUT in opening.secrets and 4 not in opening.secrets

    def test_too_few_good_ones_void_the_instance_and_name_the_senders(self, session) -> None:
        answers = session.answers(ALL, SURVIVORS)
        for liar in (1, 3):
            bad = Share(bytes(32), bytes(32))
            answers[liar] = tampered(answers[liar], 0, share=bad)
        with pytest.raises(SealVoid, match="5 good shares of member 0") as caught:
            opened_sum(session, answers)
        assert caught.value.culprits == (1, 3)

    def test_a_dealer_of_shares_on_no_polynomial_is_named(self, session) -> None:
        own = session.own[3]
        shares = split(own.b, SIZE, COHORT.threshold, os.urandom)
        wrong = [share if i else flip(share) for i, share in enumerate(shares)]
        session.own[3] = deal_again(session, 3, wrong)
        with pytest.raises(SealVoid, match="member 3 dealt shares") as caught:
            opened_sum(session, session.answers(ALL, SURVIVORS))
        assert caught.value.culprits == (3,)

    def test_a_dealer_that_encrypts_another_share_is_seen_before_data_flows(self, session) -> None:
        public = session.own[3].public
        boxes = (flip(public.encrypted[0]), *public.encrypted[1:])
        session.own[3] = replace(session.own[3], public=replace(public, encrypted=boxes))
        with pytest.raises(SealVoid, match="dealt member 0") as caught:
            session.answers(ALL, SURVIVORS)
        assert caught.value.culprits == (0, 3)

    def test_a_share_that_opens_but_is_not_the_one_committed_to_is_seen(self, session) -> None:
        own, key = session.own[3], session.party.keys[3][0]
        pair = open_share_pair(own.public, 0, session.party.keys[0][3])
        for bad in (
            SharePair(Share(pair.b.salt, flip(pair.b.share)), pair.r),
            SharePair(pair.b, Share(flip(pair.r.salt), pair.r.share)),
        ):
            box = encrypt_pair(key, session.instance.ctx, 3, 0, bad, os.urandom)
            public = replace(own.public, encrypted=(box, *own.public.encrypted[1:]))
            with pytest.raises(SealVoid, match="dealt member 0"):
                receive_shares(session.own[0], session.party.keys[0], session.setups | {3: public})

    @pytest.mark.parametrize("shares", [{}, {-1: bytes(32)}, {0: bytes(31)}, {0: b"\xff" * 32}])
    def test_a_share_of_nobody_or_of_no_length_is_refused(self, shares) -> None:
        with pytest.raises(SealRefused):
            combine(shares)


def deal_again(session, dealer, shares):
    """The dealer's set-up with other shares of b, committed to as they are."""
    own, keys, ctx = session.own[dealer], session.party.keys[dealer], session.instance.ctx
    pairs = [
        SharePair(Share(os.urandom(32), share), Share(os.urandom(32), bytes(32)))
        for share in shares
    ]
    changed = replace(
        own.public,
        b_shares=tuple(p.b.commitment("b", ctx, dealer, j) for j, p in enumerate(pairs)),
        r_shares=tuple(p.r.commitment("r", ctx, dealer, j) for j, p in enumerate(pairs)),
        encrypted=tuple(
            encrypt_pair(keys[j], ctx, dealer, j, pair, os.urandom)
            if j != dealer
            else own.public.encrypted[j]
            for j, pair in enumerate(pairs)
        ),
    )
    return replace(own, public=changed, own_shares=pairs[dealer])


def test_a_secret_above_the_field_is_not_shared() -> None:
    with pytest.raises(SealRefused, match="byte 00"):
        split(b"\xff" * 32, 5, 3, os.urandom)
    with pytest.raises(SealRefused, match="threshold"):
        split(bytes(32), 3, 4, os.urandom)


def test_one_key_does_not_mask_more_than_64_gib() -> None:
    streams = MaskStreams([bytes(32)], [])
    with pytest.raises(SealRefused, match="longer than one key"):
        streams.apply(np.broadcast_to(np.uint16(0), (2**36,)))


class TestDropOuts:
    def test_a_peer_that_stops_after_set_up_is_left_out_exactly(self, session) -> None:
        _, found = opened_sum(session, session.answers(ALL, SURVIVORS))
        assert (found == plain_sum(VALUES, SURVIVORS)).all()

    def test_a_peer_that_stops_before_its_answer_does_not_matter(self, session) -> None:
        answers = session.answers(ALL, SURVIVORS, among=[0, 1, 2, 3, 4, 6])
        _, found = opened_sum(session, answers)
        assert (found == plain_sum(VALUES, SURVIVORS)).all()

    def test_peers_that_stop_so_that_too_few_answer_void_the_instance(self, session) -> None:
        answers = session.answers(ALL, SURVIVORS, among=[0, 1, 2, 3, 4])
        with pytest.raises(SealVoid, match="5 good shares"):
            opened_sum(session, answers)

    def test_a_peer_that_never_set_up_is_no_part_of_the_set(self) -> None:
        present = IndexSet((0, 1, 2, 3, 4, 6, 7))
        session = Party(COHORT).set_up(instance_of(COHORT), among=present.indices)
        vectors = {i: session.masked(i, VALUES[i], present, RING) for i in present.indices}
        opening = session.open(present, present, session.answers(present, present))
        assert (opening.sum(vectors, RING) == plain_sum(VALUES, present)).all()
        with pytest.raises(SealRefused, match="set-up of the masking set is missing"):
            session.open(ALL, present, [])

    def test_a_bad_blob_names_its_owner(self, session) -> None:
        own = session.own[OUT]
        public = replace(own.public, blob=flip(own.public.blob))
        session.own[OUT] = replace(own, public=public)
        with pytest.raises(SealVoid, match="blob of member 5") as caught:
            opened_sum(session, session.answers(ALL, SURVIVORS))
        assert caught.value.culprits == (OUT,)

    def test_a_blob_with_another_secret_names_its_owner(self, session) -> None:
        """The blob opens, but is not what the tags confirmed."""
        wrong = dict(session.party.keys[OUT])
        wrong[2] = digest(55)
        forged = make_setup(session.instance, COHORT, OUT, wrong, os.urandom)
        public = replace(
            forged.public,
            tags=session.own[OUT].public.tags,
            encrypted=make_boxes_right(session, forged),
        )
        session.own[OUT] = replace(forged, public=public)
        with pytest.raises(SealVoid, match="another secret for member 2") as caught:
            opened_sum(session, session.answers(ALL, SURVIVORS))
        assert caught.value.culprits == (OUT,)


def make_boxes_right(session, forged):
    """The forger's shares for member 2, under the key that member 2 really holds."""
    pair = open_share_pair(forged.public, 2, digest(55))
    boxes = list(forged.public.encrypted)
    key = session.party.keys[OUT][2]
    boxes[2] = encrypt_pair(key, session.instance.ctx, OUT, 2, pair, os.urandom)
    return tuple(boxes)


class TestLyingCoordinator:
    def test_too_small_sets_are_refused(self, session) -> None:
        with pytest.raises(SealRefused, match="too few"):
            masking_set(COHORT, range(5))
        with pytest.raises(SealRefused, match="too few"):
            survivor_set(COHORT, ALL, range(5))
        with pytest.raises(SealRefused, match="too few"):
            session.masked(0, VALUES[0], IndexSet((0, 1, 2)), RING)

    def test_too_few_survivors_are_not_opened(self, session) -> None:
        few = IndexSet((0, 1, 2))
        answers = [session.answer(i, ALL, few) for i in few.indices]
        with pytest.raises(SealRefused, match="too few"):
            session.open(ALL, few, answers)

    def test_a_survivor_who_did_not_mask_is_refused(self, session) -> None:
        masked = IndexSet((0, 1, 2, 3, 4, 6))
        with pytest.raises(SealRefused, match="not in the masking set"):
            survivor_set(COHORT, masked, (0, 1, 2, 3, 4, 5, 6))

    def test_a_member_outside_the_cohort_is_refused(self) -> None:
        with pytest.raises(SealRefused, match="outside"):
            masking_set(COHORT, (0, 1, 2, 3, 4, 8))

    @pytest.mark.parametrize(("bad", "reason"), [
        (lambda session, one: session.answer(0, ALL, ALL), "another instance or survivor set"),
        (lambda session, one: replace(one, ctx=digest(1)), "another instance or survivor set"),
        (lambda session, one: replace(one, member=OUT), "no survivor"),
        (lambda session, one: one, "twice"),
    ], ids=["another U", "another instance", "a drop-out's", "a second"])  # fmt: skip
    def test_an_answer_that_nobody_asked_for_is_left_aside(self, session, bad, reason) -> None:
        """A14 among them. It cannot keep the sum shut either."""
        answers = session.answers(ALL, SURVIVORS)
        opening, found = opened_sum(session, [*answers, bad(session, answers[0])])
        assert len(opening.faults) == 1 and reason in opening.faults[0].reason
        assert (found == plain_sum(VALUES, SURVIVORS)).all()

    def test_answers_to_another_survivor_set_are_not_counted(self, session) -> None:
        """A5: with answers to two sets there are not enough for either."""
        mixed = [session.answer(i, ALL, ALL if i % 2 else SURVIVORS) for i in SURVIVORS.indices]
        for survivors in (ALL, SURVIVORS):
            with pytest.raises(SealVoid, match="6 are needed"):
                session.open(ALL, survivors, mixed)

    def test_a_drop_out_owes_no_answer(self, session) -> None:
        with pytest.raises(SealRefused, match="does not hold me"):
            session.answer(OUT, ALL, SURVIVORS)

    def test_a_swapped_vector_is_seen(self, session) -> None:
        opening = session.open(ALL, SURVIVORS, session.answers(ALL, SURVIVORS))
        vectors = {i: session.masked(i, VALUES[i], ALL, RING) for i in SURVIVORS.indices}
        vectors[2] = session.masked(OUT, VALUES[OUT], ALL, RING)
        with pytest.raises(SealVoid):
            opening.sum(vectors, RING)

    @pytest.mark.parametrize("damage", ["missing", "longer", "type", "shape"])
    def test_vectors_that_do_not_fit_are_refused(self, session, damage: str) -> None:
        opening = session.open(ALL, SURVIVORS, session.answers(ALL, SURVIVORS))
        vectors = {i: session.masked(i, VALUES[i], ALL, RING) for i in SURVIVORS.indices}
        if damage == "missing":
            del vectors[2]
        elif damage == "longer":
            vectors[2] = np.append(vectors[2], vectors[2][:1])
        elif damage == "type":
            vectors[2] = vectors[2].astype(np.uint32)
        else:
            vectors = {i: vector.reshape(2, -1) for i, vector in vectors.items()}
        with pytest.raises(SealRefused):
            opening.sum(vectors, RING)

    def test_a_key_of_another_cohort_is_not_used(self, session) -> None:
        other = cohort_of(7)
        with pytest.raises(SealRefused, match="another cohort"):
            make_setup(session.instance, other, 0, session.party.keys[0], os.urandom)
        keys = dict(session.party.keys[0])
        del keys[3]
        with pytest.raises(SealRefused, match="pair keys"):
            make_setup(session.instance, COHORT, 0, keys, os.urandom)

    def test_a_pair_with_different_keys_is_named(self, session) -> None:
        keys = session.party.keys[2] | {6: digest(9)}
        session.own[2] = make_setup(session.instance, COHORT, 2, keys, os.urandom)
        with pytest.raises(SealVoid, match="members 2 and 6") as caught:
            check_setups(session.instance, COHORT, session.setups)
        assert caught.value.culprits == (2, 6)


class TestMessages:
    def test_messages_come_back_as_they_were(self, session) -> None:
        for setup in session.setups.values():
            assert Setup.decode(setup.encode(), SIZE) == setup
        for answer in session.answers(ALL, SURVIVORS):
            assert Unmask.decode(answer.encode()) == answer

    def test_lengths_depend_on_the_cohort_alone(self) -> None:
        """A13."""
        for size in (3, 8, 16):
            cohort = cohort_of(size)
            session = Party(cohort).set_up(instance_of(cohort))
            lengths = {len(setup.encode()) for setup in session.setups.values()}
            assert lengths == {Setup.length(size)}
            everybody = IndexSet(tuple(range(size)))
            lengths = {len(one.encode()) for one in session.answers(everybody, everybody)}
            assert len(lengths) == 1

    @given(st.binary(max_size=400))
    def test_noise_is_no_message(self, data: bytes) -> None:
        with pytest.raises(SealRefused):
            Setup.decode(data, SIZE)
        with pytest.raises(SealRefused):
            Unmask.decode(data + b"\xff\xff")

    def test_dealers_in_another_order_are_refused(self, session) -> None:
        """A7: a dealer named twice, with a share of each seed."""
        held = receive_shares(session.own[0], session.party.keys[0], session.setups)
        both = (Revealed(3, "b", held[3].b), Revealed(3, "r", held[3].r))
        with pytest.raises(SealRefused, match="ascending"):
            Unmask(digest(1), digest(2), 0, both)

    def test_a_set_up_that_deals_with_itself_is_refused(self, session) -> None:
        data = bytearray(session.setups[0].encode())
        data[34] ^= 1
        with pytest.raises(SealRefused, match="deals with itself"):
            Setup.decode(bytes(data), SIZE)
        with pytest.raises(SealRefused, match="no member"):
            Setup.decode(bytes(data[:32]) + b"\0\x08" + bytes(data[34:]), SIZE)

    @pytest.mark.parametrize("indices", [(), (1, 1), (2, 1), (0, 1 << 16), (-1, 2)])
    def test_sets_are_ascending(self, indices) -> None:
        with pytest.raises(SealRefused):
            IndexSet(indices)

    def test_no_secret_shows_in_a_repr(self, session) -> None:
        own = session.own[0]
        opening = session.open(ALL, SURVIVORS, session.answers(ALL, SURVIVORS))
        shown = repr(own) + repr(opening)
        assert own.r.hex() not in shown and repr(own.r) not in shown
        assert "MaskKeys" not in shown
