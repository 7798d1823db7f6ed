"""Tensor files from outside: the header is the expected one, byte for byte, or nothing is read.

The table of cases follows what other readers of the format were found to accept.
"""

import struct
import tracemalloc

import numpy as np
import pytest

from concord.base.errors import CheckpointError
from concord.base.tensors import (
    MAX_HEADER_BYTES,
    TensorFile,
    TensorSpec,
    write_tensors,
)

SPECS = [TensorSpec("a", (2, 3)), TensorSpec("b", (4,))]


def header(text, data=b"", *, length=None):
    text = text.encode() if isinstance(text, str) else text
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin, end, shape="[2,3]", dtype="F32"):
    return f'{{"data_offsets":[{begin},{end}],"dtype":"{dtype}","shape":{shape}}}'


A, B, DATA = entry(0, 24), entry(24, 40, "[4]"), bytes(40)
RIGHT = f'{{"a":{A},"b":{B}}}'
FILES = {
    "a name twice": header(f'{{"a":{A},"a":{A},"b":{B}}}', DATA),
    "a name twice, the last one right": header(f'{{"b":{A},"a":{A},"b":{B}}}', DATA),
    "names in another order": header(f'{{"b":{B},"a":{A}}}', DATA),
    "a blank more": header(f'{{"a":{A}, "b":{B}}}', DATA),
    "blanks in front": header(" " * 8 + RIGHT, DATA),
    "blanks behind": header(RIGHT + " " * 64, DATA),
    "metadata": header(f'{{"__metadata__":{{"x":"y"}},"a":{A},"b":{B}}}', DATA),
    "nested metadata": header(f'{{"__metadata__":{{"x":{{"y":1}}}},"a":{A},"b":{B}}}', DATA),
    "a key twice within": header(
        f'{{"a":{{"data_offsets":[0,24],"dtype":"F32","dtype":"F32","shape":[2,3]}},"b":{B}}}', DATA
    ),
    "a way out of a folder": header(f'{{"../../etc/passwd":{A},"b":{B}}}', DATA),
    "an absolute path": header(f'{{"/etc/passwd":{A},"b":{B}}}', DATA),
    "a name in another direction": header(f'{{"\u202ea":{A},"b":{B}}}', DATA),
    "an empty name": header(f'{{"":{A},"b":{B}}}', DATA),
    "tensors that overlap": header(f'{{"a":{A},"b":{entry(20, 36, "[4]")}}}', DATA),
    "a hole": header(f'{{"a":{A},"b":{entry(28, 44, "[4]")}}}', DATA + bytes(4)),
    "bytes behind": header(RIGHT, DATA + b"\0"),
    "a byte too few": header(RIGHT, DATA[:-1]),
    "a size that is not the shape's": header(f'{{"a":{entry(0, 20)},"b":{B}}}', DATA),
    "a shape without end": header(f'{{"a":{entry(0, 0, "[0,1152921504606846976]")}}}'),
    "a shape that overflows": header(
        f'{{"a":{entry(0, 0, "[4294967296,4294967296,4294967296]")}}}'
    ),
    "a negative length": header(f'{{"a":{entry(0, 24, "[-2,-3]")},"b":{B}}}', DATA),
    "a header without end": header(RIGHT, DATA, length=2**63),
    "a header of 99 MB of blanks": header(RIGHT.ljust(1 << 10), DATA, length=99_000_000),
    "another type": header(f'{{"a":{entry(0, 24, dtype="F64")},"b":{B}}}', DATA),
    "a list": header("[1]", DATA),
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "an archive": b"PK\x03\x04" + bytes(60),
    "nothing": b"",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t"


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
@pytest.mark.parametrize("expected", [None, SPECS], ids=["unknown", "known"])
def test_a_file_of_another_form_is_refused(path, data, expected):
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        TensorFile(path, expected)


def test_the_one_right_form_is_read(path):
    path.write_bytes(header(RIGHT, DATA))
    assert TensorFile(path, SPECS).specs == TensorFile(path).specs == SPECS


def test_300_000_empty_tensors_are_refused(path):
    empty = entry(0, 0, "[0]")
    path.write_bytes(header("{" + ",".join(f'"t{i:06}":{empty}' for i in range(300_000)) + "}"))
    for expected in (None, SPECS):
        with pytest.raises(CheckpointError):
            TensorFile(path, expected)


@pytest.mark.parametrize(
    "other",
    [
        [TensorSpec("a", (3, 2)), TensorSpec("b", (4,))],
        [TensorSpec("a", (2, 3)), TensorSpec("c", (4,))],
        [TensorSpec("a", (2, 3))],
        [*SPECS, TensorSpec("c", (1,))],
        [TensorSpec("a", (10,))],
    ],
)
def test_a_whole_file_of_other_tensors_is_refused_where_they_are_known(path, other):
    specs = sorted(other)
    write_tensors(path, specs, (np.zeros(spec.shape, np.float32) for spec in specs))
    TensorFile(path)
    with pytest.raises(CheckpointError, match="other tensors than the run has"):
        TensorFile(path, SPECS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_found_and_its_tensor_named(path, value):
    arrays = [np.zeros((2, 3), np.float32), np.array([0, 0, 0, value], np.float32)]
    write_tensors(path, SPECS, arrays)
    with pytest.raises(CheckpointError, match="b holds a value that is not finite"):
        TensorFile(path, SPECS).require_finite()


def test_a_refusal_allocates_less_than_a_mebibyte(path):
    for data in (header(RIGHT, length=MAX_HEADER_BYTES), header(" " * (8 << 20))):
        path.write_bytes(data)
        tracemalloc.start()
        with pytest.raises(CheckpointError):
            TensorFile(path, SPECS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20
