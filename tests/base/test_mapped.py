"""Large files are read without piling up in memory."""

import re
from pathlib import Path

import numpy as np

from concord.base.mapped import let_go, map_file
from concord.base.tensors import TensorFile, TensorSpec, write_tensors
from concord.update.layout import Entry, Layout, Role
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update

VALUES = 1 << 21
BYTES = 4 * VALUES
DIGEST = "sha256:" + "0" * 64


def mapped_bytes(path: Path) -> int:
    """Bytes of a file that are in this process's memory."""
    maps = Path("/proc/self/smaps").read_text()
    found = re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+) kB", maps)
    return sum(int(kilobytes) * 1024 for kilobytes in found)


def test_pages_that_were_let_go_are_gone_and_read_the_same_again(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (BYTES // 256))
    data = map_file(path)
    before = bytes(data)
    assert mapped_bytes(path) >= BYTES

    let_go(data, data[1000:])

    assert mapped_bytes(path) == 0
    assert bytes(data) == before


def test_a_decoded_update_is_not_kept_in_memory(tmp_path):
    path = tmp_path / "update"
    layout = Layout((Entry(TensorSpec("w", (VALUES,)), Role.BODY, "fp32"),))
    values = np.arange(VALUES, dtype=np.float32)
    encode_update(path, layout, UpdateIdentity(DIGEST, 0, DIGEST, "kenya"), {"w": values})

    update = UpdateFile(path, layout)
    np.testing.assert_array_equal(update.decode("w"), values)

    assert mapped_bytes(path) < BYTES / 8


def test_a_tensor_that_was_let_go_stays_readable_through_views_of_it(tmp_path):
    path, specs = tmp_path / "base", [TensorSpec("a", (VALUES,)), TensorSpec("b", (0,))]
    values = np.arange(VALUES, dtype=np.float32)
    write_tensors(path, specs, [values, np.zeros(0, np.float32)])
    base = TensorFile(path)
    view = base["a"]
    np.testing.assert_array_equal(view, values)

    base.let_go("a")
    base.let_go("b")

    assert mapped_bytes(path) < BYTES / 8
    np.testing.assert_array_equal(view, values)
