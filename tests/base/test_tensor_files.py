"""Tensor files: one content, one form; nothing torn or altered is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from concord.base.digest import digest_file
from concord.base.errors import CheckpointError, InternalError
from concord.base.tensors import TensorFile, TensorSpec, write_tensors

SPECS = [TensorSpec("b.weight", (2, 3)), TensorSpec("a.scale", ()), TensorSpec("c", (0, 4))]
ARRAYS = {"a.scale": np.float32(1.5).reshape(()), "b.weight": np.arange(6, dtype=np.float32)}
ARRAYS["b.weight"] = ARRAYS["b.weight"].reshape(2, 3)
ARRAYS["c"] = np.zeros((0, 4), np.float32)


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "base.tensors"
    write_tensors(target, SPECS, (ARRAYS[spec.name] for spec in sorted(SPECS)))
    return target


def test_any_safetensors_reader_reads_it(path):
    loaded = load_file(path)
    assert {name: array.tolist() for name, array in loaded.items()} == {
        name: array.tolist() for name, array in ARRAYS.items()
    }


def test_it_reads_back_what_was_written(path):
    read = TensorFile(path)
    assert [spec.name for spec in read.specs] == ["a.scale", "b.weight", "c"]
    for spec, array in read.items():
        np.testing.assert_array_equal(array, ARRAYS[spec.name])


def test_the_returned_digest_is_that_of_the_file(tmp_path):
    target = tmp_path / "t"
    digest = write_tensors(target, SPECS, (ARRAYS[spec.name] for spec in sorted(SPECS)))
    assert digest == digest_file(target)


def test_the_order_of_specs_does_not_change_the_bytes(path, tmp_path):
    other = tmp_path / "other"
    write_tensors(other, SPECS[::-1], (ARRAYS[spec.name] for spec in sorted(SPECS)))
    assert other.read_bytes() == path.read_bytes()


def test_an_array_of_another_shape_leaves_no_file(tmp_path):
    with pytest.raises(InternalError):
        write_tensors(tmp_path / "t", SPECS[:1], [np.zeros(6, np.float32)])
    assert list(tmp_path.iterdir()) == []


@given(cut=st.integers(1, 200))
def test_a_torn_file_is_refused(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("torn")
    target = folder / "t"
    write_tensors(target, SPECS, (ARRAYS[spec.name] for spec in sorted(SPECS)))
    data = target.read_bytes()
    target.write_bytes(data[: -min(cut, len(data))])
    with pytest.raises(CheckpointError):
        TensorFile(target)


@given(position=st.integers(0, 150), bit=st.integers(0, 7))
def test_an_altered_header_is_refused(tmp_path_factory, position, bit):
    target = tmp_path_factory.mktemp("altered") / "t"
    write_tensors(target, SPECS, (ARRAYS[spec.name] for spec in sorted(SPECS)))
    data = bytearray(target.read_bytes())
    header_bytes = 8 + int.from_bytes(data[:8], "little")
    data[position % header_bytes] ^= 1 << bit
    target.write_bytes(data)
    try:
        read = TensorFile(target)
    except CheckpointError:
        return
    assert [spec.shape for spec in read.specs] == [spec.shape for spec in sorted(SPECS)]


def test_a_missing_file_is_a_checkpoint_error(tmp_path):
    with pytest.raises(CheckpointError):
        TensorFile(tmp_path / "absent")


@pytest.mark.parametrize("shape", ["[-2,-2]", "[1.5]", "[true]", '["4"]', "4", "[[4]]", "null"])
def test_a_shape_that_is_none_is_refused(tmp_path, shape):
    size = 6 if shape == "[1.5]" else 16
    text = f'{{"w":{{"data_offsets":[0,{size}],"dtype":"F32","shape":{shape}}}}}'.encode()
    text += b" " * (-len(text) % 8)
    path = tmp_path / "t"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
    with pytest.raises(CheckpointError, match="no readable header"):
        TensorFile(path)
