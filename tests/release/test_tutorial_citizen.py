"""The tutorial for a citizen, command by command, on a published release."""

import json
import re
import shlex
from pathlib import Path

import pytest

from concord.cli.main import main
from concord.release.sovereign.record import read_record

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-citizen.md"
ADDRESS = "https://example.org/atlas/1.0"
ELSEWHERE = ("pip", "concord serve")
"""Installed before, and tried in `test_serving.py`: it runs until it is stopped."""


def test_every_command_of_the_tutorial_does_what_it_says(loadable, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [{"text": f"Mji wa {n} una watu {n * n} na nyumba {n + 7}. " * 3} for n in range(100)]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = re.findall(r"^\$ (.+)$", PAGE.read_text(), flags=re.M)
    said = {}
    for command in given:
        if command.startswith(ELSEWHERE):
            continue
        words = [str(loadable) if word == ADDRESS else word for word in shlex.split(command)]
        with pytest.raises(SystemExit) as ended:
            main(words[1:])
        printed = capsys.readouterr()
        assert ended.value.code == 0, (command, printed.err)
        said[" ".join(words[1:3])] = printed.out
    assert "sha256:" in said["release fetch"]
    assert "ok  3 decision" in said["release verify"]
    assert "publishes model" in said["log show"]
    assert "harmless" in said["gate list"]
    assert said["chat mine"].startswith("Mji mkuu wa")
    assert (tmp_path / "atlas-q4_0.gguf").read_bytes()[:4] == b"GGUF"
    assert read_record(tmp_path / "mine").measured["own text"].change < 0
