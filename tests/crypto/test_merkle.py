"""The tree: published vectors, the definition of RFC 6962 read aloud, and no false proof."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import LogCorrupt, LogError
from concord.crypto.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of_leaves,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

# Entries and roots of sizes 0 to 8 that the implementations of RFC 6962 share as test data.
ENTRIES = [bytes.fromhex(text) for text in [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]]  # fmt: skip
ROOTS = """
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
    fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
    aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77
    d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7
    4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4
    76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef
    ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c
    5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328
"""
ROOTS = [bytes.fromhex(text) for text in ROOTS.split()]
MOST = 129


def mth(leaves):
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m, leaves):
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m, leaves, whole):
    """SUBPROOF of section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


LEAVES = [leaf_hash(b"%d" % number) for number in range(MOST)]
ROOT_OF = [mth(LEAVES[:size]) for size in range(MOST + 1)]


def subtree(level, index):
    return mth(LEAVES[index << level : (index + 1) << level])


def of_vectors(level, index):
    return mth([leaf_hash(entry) for entry in ENTRIES[index << level : (index + 1) << level]])


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size):
    assert root_of_leaves(map(leaf_hash, ENTRIES[:size])) == ROOTS[size]
    assert tree_root(of_vectors, size) == ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "hashes"),
    [
        (5, 8, "bc1a0643 ca854ea1 d37ee418"),
        (0, 8, "96a296d2 5f083f0a 6b47aaf2"),
        (2, 3, "fac54203"),
    ],
)
def test_published_inclusion_paths(index, size, hashes):
    found = inclusion_path(of_vectors, index, size)
    assert [value.hex()[:8] for value in found] == hashes.split()
    verify_inclusion(leaf_hash(ENTRIES[index]), index, size, found, ROOTS[size])


@pytest.mark.parametrize(
    ("old", "new", "hashes"),
    [(6, 8, "0ebc5d34 ca854ea1 d37ee418"), (2, 5, "5f083f0a bc1a0643")],
)
def test_published_consistency_paths(old, new, hashes):
    found = consistency_path(of_vectors, old, new)
    assert [value.hex()[:8] for value in found] == hashes.split()
    verify_consistency(old, ROOTS[old], new, ROOTS[new], found)


def refused(check, *arguments):
    with pytest.raises(LogCorrupt):
        check(*arguments)


def altered(hashes):
    """A proof with one hash missing, one too many, two swapped, one bit flipped."""
    if hashes:
        yield hashes[1:]
        yield hashes[:-1]
        yield [bytes([hashes[0][0] ^ 1]) + hashes[0][1:], *hashes[1:]]
        yield [*hashes[:-1], hashes[-1][:-1]]
    if len(hashes) > 1:
        yield hashes[::-1]
    yield [*hashes, LEAVES[0]]
    yield [LEAVES[0], *hashes]


@pytest.mark.parametrize("size", range(1, MOST + 1))
def test_every_inclusion_proof_holds_and_no_other(size):
    root = ROOT_OF[size]
    for index in range(size):
        found = inclusion_path(subtree, index, size)
        assert found == path(index, LEAVES[:size])
        verify_inclusion(LEAVES[index], index, size, found, root)
        for other in {index ^ 1, index + 1, index - 1, size - 1, size, -1} - {index}:
            refused(verify_inclusion, LEAVES[index], other, size, found, root)
        for other in {size - 1, size + 1, 2 * size} & set(range(1, MOST + 1)):
            refused(verify_inclusion, LEAVES[index], index, other, found, ROOT_OF[other])
        for wrong in altered(found):
            refused(verify_inclusion, LEAVES[index], index, size, wrong, root)
        refused(verify_inclusion, LEAVES[(index + 1) % MOST], index, size, found, root)


@pytest.mark.parametrize("new", range(1, MOST + 1))
def test_every_consistency_proof_holds_and_no_other(new):
    for old in range(1, new):
        found = consistency_path(subtree, old, new)
        assert found == subproof(old, LEAVES[:new], True)
        verify_consistency(old, ROOT_OF[old], new, ROOT_OF[new], found)
        for other in {old - 1, old + 1, new} - {old}:
            refused(verify_consistency, other, ROOT_OF[other], new, ROOT_OF[new], found)
        for wrong in altered(found):
            refused(verify_consistency, old, ROOT_OF[old], new, ROOT_OF[new], wrong)
        refused(verify_consistency, old, ROOT_OF[old - 1], new, ROOT_OF[new], found)
        refused(verify_consistency, old, ROOT_OF[old], new, ROOT_OF[new - 1], found)


def test_an_empty_proof_shows_only_what_needs_none():
    assert consistency_path(subtree, 0, 5) == consistency_path(subtree, 5, 5) == []
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    verify_consistency(0, EMPTY_ROOT, 5, ROOT_OF[5], [])
    verify_consistency(5, ROOT_OF[5], 5, ROOT_OF[5], [])
    refused(verify_consistency, 0, ROOT_OF[1], 5, ROOT_OF[5], [])
    refused(verify_consistency, 0, EMPTY_ROOT, 0, ROOT_OF[5], [])
    refused(verify_consistency, 5, ROOT_OF[5], 5, ROOT_OF[4], [])
    refused(verify_consistency, 5, ROOT_OF[5], 5, ROOT_OF[5], [LEAVES[0]])
    refused(verify_consistency, 5, ROOT_OF[5], 4, ROOT_OF[4], [])
    refused(verify_consistency, 4, ROOT_OF[4], 5, ROOT_OF[5], [])


def test_there_is_no_proof_for_what_is_not_there():
    for make, old, new in [
        (inclusion_path, 5, 5),
        (inclusion_path, -1, 5),
        (consistency_path, 6, 5),
    ]:
        with pytest.raises(LogError):
            make(subtree, old, new)
    refused(verify_inclusion, LEAVES[0], 0, 2**63, [LEAVES[0]] * 63, ROOT_OF[1])


def test_a_node_does_not_pass_for_a_leaf():
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
    refused(verify_inclusion, leaf_hash(left + right), 0, 1, [], node_hash(left, right))


@given(st.integers(0, MOST), st.integers(0, MOST))
def test_a_frontier_restored_from_a_stored_tree_goes_on(kept, size):
    frontier = Frontier.at(subtree, kept)
    for number in range(kept, size):
        made = frontier.append(LEAVES[number])
        assert made == [
            mth(LEAVES[number + 1 - (1 << level) : number + 1]) for level in range(len(made))
        ]
        assert (number + 1) % (1 << len(made) - 1) == 0
    assert frontier.size == max(kept, size)
    assert frontier.root() == ROOT_OF[max(kept, size)]
    assert Frontier(frontier.size, frontier.hashes).root() == frontier.root()


def test_a_frontier_of_another_number_of_hashes_is_refused():
    with pytest.raises(LogCorrupt, match=re.escape("1 hashes cannot make a tree of 3")):
        Frontier(3, [LEAVES[0]])


@given(st.integers(2, 2**40), st.data())
def test_a_proof_asks_for_few_subtrees_however_large_the_tree(size, data):
    asked = 0

    def made_up(level, index):
        nonlocal asked
        asked += 1
        assert (index + 1) << level <= size
        return hashlib.sha256(b"%d %d" % (level, index)).digest()

    index = data.draw(st.integers(0, size - 1))
    found = inclusion_path(made_up, index, size)
    assert len(found) <= (size - 1).bit_length()
    assert asked <= 2 * size.bit_length()
    asked = 0
    found = consistency_path(made_up, index, size)
    assert len(found) <= (size - 1).bit_length() + 1
    assert asked <= 2 * size.bit_length()
