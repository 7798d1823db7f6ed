"""Commitments to documents: one is opened, no other, and nothing but the very document fits."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import CryptoError, LogCorrupt
from concord.crypto.commitments import Leaves, check_opening, document_leaf, document_salt

SECRET = bytes(range(32))


def committed(documents, secret=SECRET):
    salts = [document_salt(secret, f"d{i}") for i in range(len(documents))]
    leaves = [document_leaf(s, d) for s, d in zip(salts, documents, strict=True)]
    return salts, Leaves(b"".join(leaves))


def reference_root(leaves):
    """RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    both = reference_root(leaves[:k]) + reference_root(leaves[k:])
    return hashlib.sha256(b"\x01" + both).digest()


def test_salt_and_leaf_are_those_of_the_formula():
    salt = hmac.new(SECRET, b"d1", hashlib.sha256).digest()
    assert document_salt(SECRET, "d1") == salt
    assert document_leaf(salt, b"text") == hashlib.sha256(b"\0" + salt + b"text").digest()


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=20), st.data())
def test_every_document_opens_and_no_other_in_its_place(documents, data):
    salts, leaves = committed(documents)
    root = leaves.root()
    assert root == reference_root([leaves[i] for i in range(len(leaves))])
    index = data.draw(st.integers(0, len(documents) - 1))
    opening = {"index": index, "size": len(documents), "path": leaves.path(index), "root": root}
    check_opening(documents[index], salt=salts[index], **opening)
    with pytest.raises(LogCorrupt):
        check_opening(documents[index] + b"!", salt=salts[index], **opening)
    with pytest.raises(LogCorrupt):
        check_opening(documents[index], salt=document_salt(b"another" * 5, "d"), **opening)


def test_a_guess_of_the_document_does_not_fit_without_the_salt():
    _, leaves = committed([b"the minister resigned", b"other"])
    assert leaves[0] != hashlib.sha256(b"\0the minister resigned").digest()
    assert committed([b"the minister resigned"], b"k" * 32)[1][0] != leaves[0]


def test_equal_documents_of_different_names_do_not_show_that_they_are_equal():
    _, leaves = committed([b"same", b"same"])
    assert leaves[0] != leaves[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: document_salt(b"short", "d"),
        lambda: Leaves(b"123"),
        lambda: check_opening(b"", salt=b"", index=0, size=1, path=[], root=b"r" * 32),
    ],
)
def test_a_short_secret_salt_or_leaf_is_refused(call):
    with pytest.raises(CryptoError):
        call()
