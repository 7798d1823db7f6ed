"""Attacks that recovered whole updates elsewhere: each fails here, and succeeds without its guard.

Restart differencing, mask reuse, false drop-out; another model for one member, two survivor sets,
values that wrap the ring, a set-up repeated after a crash.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from seallab import Party, cohort_of, digest, instance_of, plain_sum, random_values
from weakened import (
    CountedNonces,
    HalfIsEnough,
    RestartedGenerator,
    small_seed_key,
    unchecked_sum,
    without_self_mask,
)

from concord.base.errors import SealRefused, SealVoid
from concord.crypto.seal import (
    CHECK_ELEMENTS,
    IndexSet,
    Ring,
    chunk_root,
    make_setup,
    mask,
    mask_keys,
    value_commitment,
)
from concord.crypto.seal.dispute import Committed, disclose, judge
from concord.crypto.seal.instance import pair_mask_key
from concord.crypto.seal.masks import Keystream, apply_masks
from concord.crypto.seal.setup import open_share_pair
from concord.federation.sealed.store import Commitment, SealStore

SIZE, COUNT = 8, 4000
VICTIM = 5
COHORT = cohort_of(SIZE)
RING = Ring(16, SIZE)
ALL = IndexSet(tuple(range(SIZE)))
WITHOUT_VICTIM = IndexSet.of(set(ALL.indices) - {VICTIM})


def values_of(seed: int) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {i: random_values(RING, COUNT, rng) for i in range(SIZE)}


def byte_chi2(data: np.ndarray) -> float:
    """Chi-squared of byte frequencies, 255 degrees of freedom; above 400 once in 10^8 trials."""
    raw = np.frombuffer(data.tobytes(), np.uint8)
    expected = raw.size / 256
    return float(((np.bincount(raw, minlength=256) - expected) ** 2).sum() / expected)


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(a, b, strict=True))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(abs(np.corrcoef(a.astype(np.float64), b.astype(np.float64))[0, 1]))


def run_through(session, values, survivors) -> np.ndarray:
    """An instance in which everybody masks, and `survivors` are unmasked."""
    vectors = {i: session.masked(i, values[i], ALL, RING) for i in survivors.indices}
    opening = session.open(ALL, survivors, session.answers(ALL, survivors))
    return opening.sum(vectors, RING).astype(np.int64)


class TestRestartDifferencing:
    """The coordinator "loses" a member after a sum, and has the round done again without it."""

    def test_succeeds_if_members_send_the_same_updates_again(self) -> None:
        party, values = Party(COHORT), values_of(1)
        first = run_through(party.set_up(instance_of(COHORT)), values, ALL)
        second = party.set_up(instance_of(COHORT, attempt=1))
        again = run_through(second, values, WITHOUT_VICTIM)
        assert (first - again == values[VICTIM][:-CHECK_ELEMENTS]).all()

    def test_fails_since_each_attempt_needs_fresh_training(self, tmp_path) -> None:
        party = Party(COHORT)
        first = run_through(party.set_up(instance_of(COHORT)), values_of(1), ALL)
        second = party.set_up(instance_of(COHORT, attempt=1))
        again = run_through(second, values_of(2), WITHOUT_VICTIM)
        victim = values_of(1)[VICTIM][:-CHECK_ELEMENTS]
        hits = int((first - again == victim).sum())
        assert hits < 10  # of 4,000: what chance gives
        assert correlation(first - again, victim) < 0.4  # one of fifteen unrelated vectors

    def test_member_refuses_to_send_an_update_again(self, tmp_path) -> None:
        party, values = Party(COHORT), values_of(1)
        store = SealStore(tmp_path)
        for attempt in (0, 1):
            session = party.set_up(instance_of(COHORT, attempt=attempt))
            kept = store.begin(session.instance, COHORT)
            kept.setup(lambda s=session: s.own[VICTIM])
            kept.masking_set(ALL)
            root = kept.write_vector(session.masked(VICTIM, values[VICTIM], ALL, RING).tobytes())
            commitment = Commitment(root, digest(20), digest(21), digest(22))
            if attempt == 0:
                kept.commit(commitment)
                kept.void()
            else:
                with pytest.raises(SealRefused, match="another instance"):
                    kept.commit(commitment)

    def test_a_third_attempt_does_not_exist(self) -> None:
        with pytest.raises(SealRefused, match="once at most"):
            instance_of(COHORT, attempt=2)


class TestMaskReuse:
    """Two vectors under the same masks: their difference is that of the values."""

    def test_succeeds_if_the_context_is_the_same(self) -> None:
        session = Party(COHORT).set_up(instance_of(COHORT))
        x, other = values_of(1)[VICTIM], values_of(2)[VICTIM]
        y, y_other = (session.masked(VICTIM, v, ALL, RING) for v in (x, other))
        assert ((y - y_other).view(np.int16) == x - other).all()

    @pytest.mark.parametrize("changed", [
        {"run": digest(99)}, {"round": 8}, {"fragment": 3}, {"attempt": 1}, {"roster": digest(99)},
        {"model": digest(99)}, {"config": digest(99)},
    ], ids=lambda changed: next(iter(changed)))  # fmt: skip
    def test_fails_if_anything_of_the_context_changes(self, changed) -> None:
        """Even with the same seeds, as if a member had not drawn fresh ones."""
        party, x = Party(COHORT), values_of(1)[VICTIM]
        vectors = []
        for instance in (instance_of(COHORT), instance_of(COHORT, **changed)):
            own = make_setup(instance, COHORT, VICTIM, party.keys[VICTIM], RestartedGenerator())
            keys = mask_keys(instance, COHORT, own, party.keys[VICTIM], ALL)
            vectors.append(mask(x.copy(), RING, keys))
        difference = vectors[0] - vectors[1]
        assert byte_chi2(difference) < 400
        assert correlation(difference.view(np.int16), x) < 5 / np.sqrt(COUNT)

    def test_fails_if_the_masking_set_changes(self) -> None:
        session, x = Party(COHORT).set_up(instance_of(COHORT)), values_of(1)[VICTIM]
        smaller = IndexSet((0, 1, 2, 3, 4, 5, 6))
        y, y_other = (session.masked(VICTIM, x, masked, RING) for masked in (ALL, smaller))
        assert byte_chi2(y - y_other) < 400


class TestFalseDropOut:
    """A member's vector has arrived; the coordinator says that it dropped out, and is told its
    pairwise masks."""

    def strip(self, session, y: np.ndarray) -> np.ndarray:
        """What is left of the victim's vector when all pairwise masks are taken away."""
        answers = session.answers(ALL, WITHOUT_VICTIM)
        secrets = session.open(ALL, WITHOUT_VICTIM, answers).secrets[VICTIM]
        set_digest = ALL.digest(session.instance.ctx)
        keys = {j: pair_mask_key(secret, set_digest) for j, secret in secrets.items()}
        left = y.copy()
        apply_masks(
            left,
            add=[key for j, key in keys.items() if j < VICTIM],
            subtract=[key for j, key in keys.items() if j > VICTIM],
        )
        return left.view(np.int16)

    def masked(self, session, x, weaken=lambda keys: keys) -> np.ndarray:
        own, keys = session.own[VICTIM], session.party.keys[VICTIM]
        return mask(x.copy(), RING, weaken(mask_keys(session.instance, COHORT, own, keys, ALL)))

    def test_succeeds_without_self_masks(self) -> None:
        session, x = Party(COHORT).set_up(instance_of(COHORT)), values_of(1)[VICTIM]
        assert (self.strip(session, self.masked(session, x, without_self_mask)) == x).all()

    def test_fails_with_them(self) -> None:
        session, x = Party(COHORT).set_up(instance_of(COHORT)), values_of(1)[VICTIM]
        left = self.strip(session, self.masked(session, x))
        assert correlation(left, x) < 5 / np.sqrt(COUNT)
        assert int((left == x).sum()) < 6  # of 4,064; chance gives one in 65,536 each

    def test_nobody_tells_both_shares_of_one_member(self, tmp_path) -> None:
        """The coordinator lies about a drop-out, then tells the truth: no second answer."""
        session = Party(COHORT).set_up(instance_of(COHORT))
        store = SealStore(tmp_path)
        kept = store.begin(session.instance, COHORT)
        kept.setup(lambda: session.own[0])
        kept.masking_set(ALL)
        root = kept.write_vector(b"vector")
        kept.commit(Commitment(root, digest(20), digest(21), digest(22)))
        kept.survivor_set(WITHOUT_VICTIM)
        with pytest.raises(SealRefused, match="another survivor-set"):
            kept.survivor_set(ALL)
        answer = session.answer(0, ALL, WITHOUT_VICTIM)
        assert {one.kind for one in answer.revealed if one.dealer == VICTIM} == {"r"}
        assert {one.kind for one in answer.revealed if one.dealer != VICTIM} == {"b"}


class TestOtherModelForOneMember:
    """The victim is shown another model, so that its update stands out of the sum."""

    def session(self):
        session = Party(COHORT).set_up(instance_of(COHORT))
        other = session.party.set_up(instance_of(COHORT, model=digest(66)), among=[VICTIM])
        session.own[VICTIM] = other.own[VICTIM]
        return session

    def test_is_seen_before_any_data_flows(self) -> None:
        session = self.session()
        with pytest.raises(SealVoid, match="another model") as caught:
            session.open(ALL, ALL, [])
        assert caught.value.culprits == (VICTIM,)

    def test_is_seen_by_tags_if_the_victim_is_made_to_name_the_right_instance(self) -> None:
        session = self.session()
        own = session.own[VICTIM]
        public = replace(own.public, ctx=session.instance.ctx)
        session.own[VICTIM] = replace(own, public=public)
        with pytest.raises(SealVoid, match="do not share a key") as caught:
            session.open(ALL, ALL, [])
        assert VICTIM in caught.value.culprits

    def test_would_give_noise_even_if_nobody_compared(self) -> None:
        """Masks of the victim do not cancel: no coordinate of the sum is right."""
        session, values = Party(COHORT).set_up(instance_of(COHORT)), values_of(1)
        other = session.party.set_up(instance_of(COHORT, model=digest(66)), among=[VICTIM])
        vectors = {i: session.masked(i, values[i], ALL, RING) for i in WITHOUT_VICTIM.indices}
        vectors[VICTIM] = other.masked(VICTIM, values[VICTIM], ALL, RING)
        opening = session.open(ALL, ALL, session.answers(ALL, ALL))
        found = unchecked_sum(opening, vectors, RING)[:-CHECK_ELEMENTS]
        assert int((found == plain_sum(values, ALL)).sum()) < 6
        with pytest.raises(SealVoid, match="the sum cannot be right"):
            opening.sum(vectors, RING)


class TestTwoSurvivorSets:
    """One half of the members is told that the victim survived, the other that it did not."""

    HALVES = ((0, 1, 2, 3), (4, 5, 6, 7))

    def sums(self, cohort) -> list[np.ndarray]:
        values, session = values_of(1), Party(cohort).set_up(instance_of(cohort))
        vectors = {i: session.masked(i, values[i], ALL, RING) for i in range(SIZE)}
        found, out = [], 3
        for half, survivors in zip(
            self.HALVES, (ALL, IndexSet.of(set(ALL.indices) - {out})), strict=True
        ):
            answers = session.answers(ALL, survivors, half)
            opening = session.open(ALL, survivors, answers)
            found.append(opening.sum({i: vectors[i] for i in survivors.indices}, RING))
        assert (found[0] - found[1] == values[out][:-CHECK_ELEMENTS]).all()
        return found

    def test_succeeds_if_half_of_the_members_can_unmask(self) -> None:
        assert self.sums(HalfIsEnough(COHORT.members, 3))

    def test_fails_with_the_threshold(self) -> None:
        with pytest.raises(SealVoid, match="6 are needed"):
            self.sums(COHORT)

    def test_no_third_of_colluders_can_answer_twice_for_it(self) -> None:
        """Two unmaskings need 2t answers; colluders give two each, the others one."""
        for size in range(3, 201):
            assert 2 * cohort_of(size).threshold > size + size // 3


class TestValuesThatWrap:
    """One member adds large numbers, so that the sum of all comes out as it likes."""

    def damaged(self, add: int, where=slice(None)):
        session, values = Party(COHORT).set_up(instance_of(COHORT)), values_of(1)
        vectors = {i: session.masked(i, values[i], ALL, RING) for i in range(SIZE)}
        vectors[VICTIM][where] += np.uint16(add)
        opening = session.open(ALL, ALL, session.answers(ALL, ALL))
        return session, values, vectors, opening

    @pytest.mark.parametrize("add", [1 << 15, 1 << 14, 12_345])
    def test_is_void(self, add: int) -> None:
        _, values, vectors, opening = self.damaged(add)
        found = unchecked_sum(opening, vectors, RING)[:-CHECK_ELEMENTS]
        assert not (found == plain_sum(values, ALL)).any()  # nobody would have seen it
        with pytest.raises(SealVoid, match="the sum cannot be right"):
            opening.sum(vectors, RING)

    def test_is_void_by_check_elements_though_every_value_is_possible(self) -> None:
        _, _, vectors, opening = self.damaged(1, slice(-1, None))
        with pytest.raises(SealVoid, match="check elements"):
            opening.sum(vectors, RING)

    def test_is_void_by_the_guard_bit_if_check_elements_are_spared(self) -> None:
        _, _, vectors, opening = self.damaged(1 << 15, slice(0, COUNT))
        with pytest.raises(SealVoid, match="beyond"):
            opening.sum(vectors, RING)

    def test_is_not_masked_by_an_honest_member(self) -> None:
        session = Party(COHORT).set_up(instance_of(COHORT))
        for at, value in ((0, RING.largest + 1), (3, -RING.largest - 1), (-1, 1)):
            bad = values_of(1)[0]
            bad[at] = value
            with pytest.raises(SealRefused):
                session.masked(0, bad, ALL, RING)

    @pytest.mark.parametrize("lie", ["values", "small values", "nothing"])
    def test_panel_names_the_member(self, lie: str) -> None:
        """Whatever values the culprit shows to the panel; an honest member is cleared."""
        session, values, vectors, _ = self.damaged(1 << 14)
        named = []
        for i in range(SIZE):
            true = values[i].copy()
            salt, header = os.urandom(32), bytes(64)
            if i == VICTIM and lie == "values":
                true = (true.view(np.uint16) + np.uint16(1 << 14)).view(np.int16)
            committed = Committed(
                chunk_root(header + vectors[i].tobytes()),
                value_commitment(session.instance, i, salt, chunk_root(true.tobytes())),
                header,
            )
            shown = values[i] * 0 if i == VICTIM and lie == "nothing" else true
            disclosed = disclose(
                session.own[i], session.party.keys[i], ALL, values=shown, salt=salt
            )
            if judge(session.instance, COHORT, session.setups, ALL, disclosed, committed, RING):
                named.append(i)
        assert named == [VICTIM]


class TestDispute:
    """What a member shows to the panel, one thing of it false; the vector itself is right."""

    def judged(self, *, committed_to=None, **changed) -> tuple[str, ...]:
        session, values = Party(COHORT).set_up(instance_of(COHORT)), values_of(1)[VICTIM]
        vector, salt = session.masked(VICTIM, values, ALL, RING), os.urandom(32)
        root = chunk_root((values if committed_to is None else committed_to).tobytes())
        hidden = value_commitment(session.instance, VICTIM, salt, root)
        committed = Committed(chunk_root(vector.tobytes()), hidden)
        own, keys = session.own[VICTIM], session.party.keys[VICTIM]
        shown = disclose(own, keys, ALL, values=values, salt=salt)
        shown = replace(shown, **{name: make(shown) for name, make in changed.items()})
        return judge(session.instance, COHORT, session.setups, ALL, shown, committed, RING)

    def test_honest_member_is_cleared(self) -> None:
        assert self.judged() == ()

    def test_other_values_than_committed(self) -> None:
        assert self.judged(committed_to=values_of(2)[VICTIM]) == (
            "the values are not those committed to",
        )

    def test_other_seed(self) -> None:
        (found,) = self.judged(seed=lambda shown: bytes(32))
        assert found == "the self seed is not the one committed to"

    @pytest.mark.parametrize("make", [
        lambda shown: shown.secrets | {2: bytes(32)},
        lambda shown: {j: one for j, one in shown.secrets.items() if j != 2},
    ], ids=["another", "missing"])  # fmt: skip
    def test_other_secret_of_a_pair(self, make) -> None:
        (found,) = self.judged(secrets=make)
        assert found == "the secret shared with member 2 is not the one that was confirmed"

    def test_who_did_not_mask_is_not_judged(self) -> None:
        with pytest.raises(SealRefused, match="not in this masking set"):
            self.judged(member=lambda shown: SIZE)

    def test_disclosure_opens_this_instance_alone(self) -> None:
        """What the panel learns gives no mask of another round."""
        session = Party(COHORT).set_up(instance_of(COHORT))
        own, keys = session.own[VICTIM], session.party.keys[VICTIM]
        shown = disclose(own, keys, ALL, values=values_of(1)[VICTIM], salt=bytes(32))
        other = session.party.set_up(instance_of(COHORT, round=8))
        masks = mask_keys(other.instance, COHORT, other.own[VICTIM], keys, ALL)
        known = {
            pair_mask_key(one, ALL.digest(other.instance.ctx)) for one in shown.secrets.values()
        }
        assert not known & {*masks.add, *masks.subtract}


class TestSetUpRepeatedAfterACrash:
    """A member that lost its set-up makes another for the same instance, under the same keys."""

    def twice(self, entropy):
        """Both set-ups, and what member 1 was dealt in each."""
        party, instance = Party(COHORT), instance_of(COHORT)
        made = [make_setup(instance, COHORT, 0, party.keys[0], entropy()) for _ in range(2)]
        dealt = [open_share_pair(own.public, 1, party.keys[1][0]).encode() for own in made]
        return *made, xor(*dealt)

    def test_succeeds_if_nonces_repeat(self) -> None:
        """Same key and nonce: the ciphertexts' difference is that of the shares."""
        first, second, dealt = self.twice(CountedNonces)
        boxes = [own.public.encrypted[1][12:-16] for own in (first, second)]
        assert xor(*boxes) == dealt

    def test_fails_since_nothing_repeats(self) -> None:
        first, second, dealt = self.twice(lambda: os.urandom)
        assert first.b != second.b and first.r != second.r
        for one, other in zip(first.public.encrypted[1:], second.public.encrypted[1:], strict=True):
            assert one[:12] != other[:12]
        boxes = [own.public.encrypted[1][12:-16] for own in (first, second)]
        assert xor(*boxes) != dealt
        assert first.public.blob[:12] != second.public.blob[:12]
        assert first.public.tags == second.public.tags  # these follow from the keys alone


class TestSmallSeeds:
    """A generator with few bits of seed: two known mask values give the seed, and all the rest."""

    BITS = 10

    def search(self, known: np.ndarray) -> int | None:
        for seed in range(1 << self.BITS):
            stream = Keystream(small_seed_key(seed)).read(known.nbytes)
            if stream == known.tobytes():
                return seed
        return None

    def test_search_succeeds_on_a_folded_key(self) -> None:
        vector = np.zeros(16, np.uint16)
        apply_masks(vector, [small_seed_key(700)], [])
        assert self.search(vector[:4]) == 700

    def test_search_fails_on_ours(self) -> None:
        session = Party(COHORT).set_up(instance_of(COHORT))
        own, keys = session.own[VICTIM], session.party.keys[VICTIM]
        for key in mask_keys(session.instance, COHORT, own, keys, ALL).add:
            vector = np.zeros(16, np.uint16)
            apply_masks(vector, [key], [])
            assert self.search(vector[:4]) is None

    def test_seeds_have_248_random_bits(self) -> None:
        session = Party(COHORT).set_up(instance_of(COHORT))
        seeds = [seed for own in session.own.values() for seed in (own.b, own.r)]
        assert len(set(seeds)) == len(seeds)
        joined = 0
        for seed in seeds:
            assert len(seed) == 32 and seed[0] == 0
            joined |= int.from_bytes(seed, "big")
        assert joined.bit_count() > 240
