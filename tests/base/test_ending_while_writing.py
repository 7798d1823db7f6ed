"""A thread that ends the process leaves nothing behind that another was about to write."""

import subprocess
import sys

import pytest

WRITER = """
import os, sys, threading, time
from pathlib import Path
from concord.base.files import name_no_more, write_new

folder = Path(sys.argv[1])

def end():
    time.sleep(float(sys.argv[2]))
    name_no_more()
    for torn in folder.rglob(".*.part"):
        torn.unlink(missing_ok=True)
    os._exit(3)

threading.Thread(target=end, daemon=True).start()
number = 0
while True:
    write_new(folder / f"key-{number}", b"0" * 32)
    number += 1
"""


@pytest.mark.processes
@pytest.mark.parametrize("seconds", [0.02 + 0.0007 * n for n in range(20)])
def test_no_file_is_left_half_named(tmp_path, seconds):
    done = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path), str(seconds)], check=False)
    assert done.returncode == 3
    left = list(tmp_path.iterdir())
    assert not [path for path in left if path.name.startswith(".")]
    assert all(path.read_bytes() == b"0" * 32 for path in left)
