"""One update as bytes: what is read is what was written; nothing else is read."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from updatelab import EMBEDDING, LAWS, MATRIX, arrays, identity, layout, write_update

from concord.base.canonical import canonical_json, parse_json
from concord.base.digest import digest_bytes, digest_file
from concord.base.errors import DocumentError, RefusalReason, UpdateError, UpdateRefused
from concord.base.tensors import TensorSpec
from concord.update.codecs import CODECS
from concord.update.feedback import ErrorFeedback
from concord.update.layout import Entry, Layout, Role
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update, most_bytes

LAYOUT = layout()
TENSORS = arrays(LAYOUT, 1)


def encoded(update_layout=LAYOUT, tensors=TENSORS, **changes):
    stream = io.BytesIO()
    encode_update(stream, update_layout, identity(**changes), tensors)
    return stream.getvalue()


DATA = encoded()


def refusal_of(data, update_layout=LAYOUT, expected=None):
    with pytest.raises(UpdateRefused) as refused:
        UpdateFile(data, update_layout, expected)
    return refused.value.reason


@pytest.mark.parametrize("codec", ["fp32", "bf16", "int8", "int4", "sparse"])
def test_tensors_come_back_as_the_codec_keeps_them(codec, tmp_path):
    update_layout = layout(codec)
    update = write_update(tmp_path / "u", update_layout, TENSORS)
    for entry in update_layout:
        tensor = TENSORS[entry.name]
        alone = CODECS[entry.codec].decode(
            CODECS[entry.codec].encode(tensor.reshape(-1)), tensor.size
        )
        np.testing.assert_array_equal(update.decode(entry.name), alone.reshape(tensor.shape))


def test_a_file_and_its_bytes_read_the_same(tmp_path):
    path = tmp_path / "u"
    summary, _ = encode_update(path, LAYOUT, identity(), TENSORS.__getitem__)
    assert path.read_bytes() == DATA
    assert summary.digest == digest_file(path) == UpdateFile(DATA, LAYOUT).digest()
    assert summary.bytes == len(DATA) == UpdateFile(path, LAYOUT).bytes
    assert UpdateFile(path, LAYOUT).identity == identity()


def test_a_payload_adds_less_than_half_a_kilobyte_and_eight_bytes_a_tensor():
    body = sum(CODECS[e.codec].encoded_size(e.spec.size) for e in LAYOUT)
    assert len(DATA) <= body + 512 + 8 * len(LAYOUT)


def test_a_layout_sorts_its_entries_and_has_one_digest():
    assert Layout(LAYOUT.entries[::-1]).digest == LAYOUT.digest
    assert [e.name for e in Layout(LAYOUT.entries[::-1])] == sorted(TENSORS)


@pytest.mark.parametrize("name", ["", "a b", "a#b", "é", "a\n", "x" * 241])
def test_a_layout_refuses_names_that_could_mislead(name):
    with pytest.raises(UpdateError):
        Entry(TensorSpec(name, (1,)), Role.BODY, "fp32")


def test_a_layout_refuses_a_name_twice_and_an_unknown_codec():
    entry = Entry(TensorSpec("a", (1,)), Role.BODY, "fp32")
    with pytest.raises(UpdateError, match="twice"):
        Layout((entry, entry))
    with pytest.raises(UpdateError, match="no codec"):
        Entry(TensorSpec("a", (1,)), Role.BODY, "int3")


# --- writing ----------------------------------------------------------------------------------


def test_a_missing_tensor_is_an_error_and_leaves_no_file(tmp_path):
    tensors = {name: array for name, array in TENSORS.items() if name != MATRIX}
    with pytest.raises(UpdateError, match=MATRIX):
        encode_update(tmp_path / "u", LAYOUT, identity(), tensors)
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_of_another_shape_is_an_error(tmp_path):
    with pytest.raises(UpdateError, match="shape"):
        encode_update(tmp_path / "u", LAYOUT, identity(), TENSORS | {MATRIX: TENSORS[MATRIX].T})


def test_a_diverged_training_is_told_with_the_tensors_name(tmp_path):
    bad = TENSORS[MATRIX].copy()
    bad[3, 3] = np.nan
    with pytest.raises(UpdateError, match=MATRIX) as error:
        encode_update(tmp_path / "u", LAYOUT, identity(), TENSORS | {MATRIX: bad})
    assert not isinstance(error.value, UpdateRefused)


def test_feedback_is_a_new_value_and_only_for_codecs_that_need_it(tmp_path):
    update_layout, before = layout("sparse"), ErrorFeedback()
    summary, after = encode_update(
        tmp_path / "u", update_layout, identity(), TENSORS, feedback=before
    )
    update = UpdateFile(tmp_path / "u", update_layout)
    assert before.residuals == {}
    assert sorted(after.residuals) == [EMBEDDING, MATRIX]
    for name, residual in after.residuals.items():
        np.testing.assert_allclose(residual + update.decode(name), TENSORS[name], atol=1e-9)
    assert summary.tensor_bytes[MATRIX] < TENSORS[MATRIX].size / 8


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({"run": digest_bytes(b"other")}, RefusalReason.WRONG_RUN),
        ({"round_": 2}, RefusalReason.WRONG_ROUND),
        ({"base": digest_bytes(b"other")}, RefusalReason.WRONG_BASE),
        ({"member": "eve"}, RefusalReason.NOT_IN_ROSTER),
        ({"member": None}, RefusalReason.NOT_IN_ROSTER),
    ],
)
def test_an_update_meant_for_something_else_is_refused(given_, reason):
    assert refusal_of(encoded(**given_), expected=identity()) is reason


def test_another_layout_is_refused_by_name_or_by_shape():
    other_name = Layout((*LAYOUT.entries, Entry(TensorSpec("z", ()), Role.VECTOR, "fp32")))
    assert refusal_of(DATA, other_name) is RefusalReason.WRONG_NAME
    assert refusal_of(DATA, layout(matrix=(50, 96))) is RefusalReason.WRONG_SHAPE
    assert refusal_of(encoded(layout("bf16")), LAYOUT) in (
        RefusalReason.WRONG_SHAPE,
        RefusalReason.TOO_LARGE,
    )


def test_more_bytes_than_any_update_has_are_refused_unread():
    assert refusal_of(DATA + b"\0" * most_bytes(LAYOUT)) is RefusalReason.TOO_LARGE


@LAWS
@given(cut=st.integers(1, len(DATA)))
def test_a_truncated_update_is_refused(cut):
    assert refusal_of(DATA[:-cut]) is RefusalReason.MALFORMED


@LAWS
@given(extra=st.binary(min_size=1, max_size=40))
def test_an_overlong_update_is_refused(extra):
    assert refusal_of(DATA + extra) is RefusalReason.MALFORMED


@LAWS
@given(position=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_leaves_a_whole_update(position, bit):
    data = bytearray(DATA)
    data[position] ^= 1 << bit
    try:
        update = UpdateFile(data, LAYOUT, identity())
        for entry in LAYOUT:
            assert np.isfinite(update.decode(entry.name)).all()
    except UpdateRefused as error:
        assert error.reason in set(RefusalReason)


def with_header(change):
    length = struct.unpack("<I", DATA[8:12])[0]
    header = parse_json(DATA[12 : 12 + length])
    text = change(header)
    return DATA[:8] + struct.pack("<I", len(text)) + text + DATA[12 + length :]


@pytest.mark.parametrize(
    "change",
    [
        lambda header: canonical_json(header | {"class": "os.system"}),
        lambda header: canonical_json({k: v for k, v in header.items() if k != "run"}),
        lambda header: canonical_json(header | {"round": -1}),
        lambda header: canonical_json(header | {"round": True}),
        lambda header: canonical_json(header | {"round": "3"}),
        lambda header: canonical_json(header | {"member": "../../etc"}),
        lambda header: canonical_json(header | {"base": 5}),
        lambda header: canonical_json(header) + b" ",
        lambda header: canonical_json(header).replace(b'"round":3', b'"round":3.0'),
        lambda header: b"[]",
        lambda header: b"\xff",
        lambda header: b"[" * 4000,
    ],
)
def test_a_header_of_another_form_is_malformed(change):
    assert refusal_of(with_header(change), expected=identity()) is RefusalReason.MALFORMED


def test_a_header_length_beyond_the_file_is_malformed():
    assert refusal_of(DATA[:8] + b"\xff\xff\xff\xff" + DATA[12:]) is RefusalReason.MALFORMED


def test_lengths_that_shift_bytes_between_tensors_are_malformed():
    first, second = struct.unpack("<2Q", DATA[-8 * len(LAYOUT) :][:16])
    table = struct.pack("<2Q", first + 1, second - 1) + DATA[-8 * len(LAYOUT) + 16 :]
    assert refusal_of(DATA[: -8 * len(LAYOUT)] + table) is RefusalReason.MALFORMED


def test_what_is_read_cannot_be_changed_from_outside():
    data = bytearray(DATA)
    update = UpdateFile(data, LAYOUT)
    before = update.decode(MATRIX)
    data[:] = bytes(len(data))
    np.testing.assert_array_equal(update.decode(MATRIX), before)
    before[:] = 0
    assert update.decode(MATRIX).any()


def test_a_missing_file_and_an_empty_one_are_told(tmp_path):
    with pytest.raises(UpdateError, match="cannot be read"):
        UpdateFile(tmp_path / "absent", LAYOUT)
    (tmp_path / "empty").touch()
    assert refusal_of(tmp_path / "empty") is RefusalReason.MALFORMED


def test_an_identity_is_checked_when_it_is_made():
    with pytest.raises(DocumentError):
        UpdateIdentity(run="md5:0", round=0, base=identity().base, member=None)
    with pytest.raises(DocumentError):
        identity(member="not a member")
