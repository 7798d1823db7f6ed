"""`concord observe` as a user calls it: what it makes, what it refuses, and how it keeps up."""

import json
import urllib.request
from pathlib import Path

import pytest
from clilab import Said

from concord.base.errors import LogError, StorageError
from concord.cli.main import main
from concord.cli.observe import keep_up, serving
from concord.testing.history import History


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    history = History(tmp_path_factory.mktemp("atlas"))
    run = history.adopt()
    run.round_of(measured=True)
    history.publish()
    return history


@pytest.fixture
def observe(capsys, tmp_path):
    def call(folder, *words, status=0):
        capsys.readouterr()
        ended = 0
        try:
            main(["observe", str(folder), str(tmp_path / "out"), *words])
        except SystemExit as done:
            ended = done.code or 0
        captured = capsys.readouterr()
        assert ended == status, captured.err
        return Said(ended, captured.out, captured.err)

    return call


def test_it_says_what_it_made_and_makes_it_again_in_the_same_place(observe, history, tmp_path):
    made = json.loads(observe(history.root, "--language", "fr", "--json").out)
    assert made["languages"] == 2
    assert Path(made["index"]).is_file()
    (tmp_path / "out" / "stray.html").write_text("from before")
    assert "open" in observe(history.root, "--language", "sw").out
    assert not (tmp_path / "out" / "stray.html").exists()
    assert not (tmp_path / "out" / "fr").exists()
    assert not list(tmp_path.glob(".out.*"))


def test_with_replay_the_auditors_page_says_that_bases_were_computed_again(
    observe, history, tmp_path
):
    observe(history.root, "--language", "en")
    plain = json.loads((tmp_path / "out" / "auditor.json").read_text())
    observe(history.root, "--language", "en", "--replay")
    again = json.loads((tmp_path / "out" / "auditor.json").read_text())
    assert (plain["verified"], again["verified"]) == (False, True)
    assert [step["passed"] for step in again["steps"]] == [True] * 6
    assert None in [step["passed"] for step in plain["steps"]]


def test_a_folder_with_other_things_is_left_alone(observe, history, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    assert "holds other things" in observe(history.root, status=2).err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_no_log_an_altered_log_and_an_unknown_language_leave_nothing(observe, tmp_path):
    assert "holds no log" in observe(tmp_path, status=9).err
    broken = History(tmp_path / "broken")
    broken.publish()
    entries = next((broken.root / "log" / "tile" / "entries").rglob("0*"))
    path = next(p for p in [entries, *entries.rglob("*")] if p.is_file())
    path.write_bytes(path.read_bytes().replace(b"chad", b"mars", 1)[:-1] + b"?")
    assert "error C8" in observe(broken.root, status=9).err
    assert "no messages in" in observe(broken.root, "--language", "tlh", status=2).err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out.*"))


def test_it_keeps_up_with_a_log_that_grows_and_bears_one_that_cannot_be_read(tmp_path):
    history = History(tmp_path)
    checkpoint = history.publish() / "log" / "checkpoint"
    made, waits = [], []

    def make():
        made.append(checkpoint.read_bytes())
        if len(made) == 1:
            raise LogError("is being written")

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            checkpoint.write_bytes(b"another")
        if len(waits) == 5:
            raise KeyboardInterrupt

    keep_up(checkpoint, checkpoint.read_bytes(), make, 7.0, wait)
    assert waits == [7.0] * 5
    assert made == [b"another"] * 2


def test_a_checkpoint_that_came_while_the_first_pages_were_made_is_not_missed(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"came meanwhile")
    made, waits = [], []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    keep_up(tmp_path / "checkpoint", b"from before", lambda: made.append(1), 7.0, wait)
    assert made == [1]


def test_a_port_without_live_is_refused_and_nothing_made(observe, history, tmp_path):
    assert "add --live" in observe(history.root, "--port", "0", status=2).err
    assert not (tmp_path / "out").exists()


def test_it_serves_on_this_machine_alone_and_names_a_taken_port(tmp_path, capsys):
    (tmp_path / "index.html").write_text("pages")
    with serving(tmp_path, 0):
        address = capsys.readouterr().out.split()[2]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}index.html") as answer:  # noqa: S310 - of this test
            assert answer.read() == b"pages"
        port = int(address.rstrip("/").rpartition(":")[2])
        with pytest.raises(StorageError, match="cannot be listened on"), serving(tmp_path, port):
            pass


def test_a_live_page_says_so(history, tmp_path):
    from concord.cli.observe import make_pages
    from concord.observatory.pages.language import chosen

    make_pages(history.root, tmp_path / "out", chosen(["en"]), live=True)
    assert "load it again" in (tmp_path / "out" / "index.html").read_text()
