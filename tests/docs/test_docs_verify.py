"""The commands of docs/verify.md, run in their order on a small federation."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from doclab import commands, read_page

from concord.base.errors import VerificationFailed
from concord.cli.main import main
from concord.testing.history import History, key

PAGE = read_page("docs/verify.md")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """A folder `demo` with a run of two rounds, as a reader's working folder has it."""
    monkeypatch.chdir(tmp_path)
    history = History(tmp_path / "demo")
    run = history.adopt(rounds={"count": 2})
    run.round_of(measured=True)
    run.round_of()
    run.close()
    history.publish()
    lines = [f"{m} {key(m, 'witness').public.text}\n" for m in ("chad", "fiji", "peru")]
    (tmp_path / "witnesses.txt").write_text("".join(lines))
    return history


def status_of(command: str, federation: str) -> int:
    words = shlex.split(_DIGEST.sub(federation, command))
    if words[0] != "concord":
        return subprocess.run(words, check=False).returncode
    try:
        main(words[1:])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def test_every_command_does_what_the_page_says(
    demo: History, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [command for command, _ in commands(PAGE)]
    federation = demo.state.federation or ""
    statuses = [status_of(command, federation) for command in shown]
    failing = PAGE.section("When it fails")
    expected = [10 if f"$ {c}\n" in failing and "verify" in c else 0 for c in shown]
    assert statuses == expected
    told = capsys.readouterr().err.replace("demo-public/", "")
    assert told == PAGE.blocks("text")[0]
    assert VerificationFailed.exit_status == 10


def words(lines: list[str]) -> list[str]:
    """What stands in an output besides numbers, digests and names."""
    text = re.sub(r"sha256:\w+|root \w+|(?:\w+, )*\w+; last|[\d,.:-]+", " ", "\n".join(lines))
    return text.replace("chad", "ethiopia").replace("test", "demo").replace("first", "demo").split()


def test_the_answer_is_in_the_form_shown(
    demo: History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = next(out for _, out in commands(PAGE) if out)
    assert status_of("concord verify demo", "") == 0
    told = capsys.readouterr().out.splitlines()
    assert words(told[: len(shown)]) == words(shown)


def test_the_page_tells_of_every_step_and_of_no_other() -> None:
    from concord.ledger.verify_terms import STEPS

    rows = re.findall(r"^\| (\d) (\w+) \|", PAGE.text, re.MULTILINE)
    assert rows == [(str(number), name) for number, (name, _) in enumerate(STEPS, 1)]


def test_the_page_names_every_option() -> None:
    for option in (
        "--run",
        "--no-replay",
        "--federation",
        "--witness-keys",
        "--checkpoint",
        "--json",
    ):
        assert option in PAGE.text
