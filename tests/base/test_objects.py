"""Objects are read whole only if they are what their name says, and not too large."""

import pytest

from concord.base.errors import CheckpointError
from concord.base.objects import ObjectStore


def test_an_object_comes_back_as_it_was_put(tmp_path):
    store = ObjectStore(tmp_path)
    assert store.get(store.put(b"text")) == b"text"


def test_an_altered_object_is_refused(tmp_path):
    store = ObjectStore(tmp_path)
    digest = store.put(b"text")
    store.path(digest).write_bytes(b"tex")
    with pytest.raises(CheckpointError, match="object was altered"):
        store.get(digest)


def test_a_missing_object_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="object is missing"):
        ObjectStore(tmp_path).get("sha256:" + "0" * 64)


def test_an_object_over_the_limit_is_not_read(tmp_path):
    store = ObjectStore(tmp_path)
    digest = store.put(b"x" * 101)
    assert store.get(digest, max_bytes=101)
    with pytest.raises(CheckpointError, match="over the limit of 100 bytes"):
        store.get(digest, max_bytes=100)
