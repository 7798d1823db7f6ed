"""`pip install concord` alone: what a verifier needs works, the rest says what to install."""

import subprocess
import sys

import pytest

from concord.testing.founded import found
from concord.testing.history import History

EXTRAS = (
    "babel",
    "click",  # no dependency of ours: typer brings its own
    "holidays",
    "jinja2",
    "pyarrow",
    "tokenizers",
    "torch",
    "transformers",
    "zstandard",
)
START = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from concord.cli.main import main
main(sys.argv[1:])
"""


def run_plain(*arguments):
    return subprocess.run(
        [sys.executable, "-c", START, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["run", "--help"], ["verify", "--help"]]
)
def test_help_and_version_need_no_extra(arguments):
    assert run_plain(*arguments).returncode == 0


def test_a_command_that_needs_an_extra_says_which(tmp_path):
    (tmp_path / "text.txt").write_text("word " * 100)
    done = run_plain("data", "check", str(tmp_path / "text.txt"))
    assert done.returncode == 2
    assert "concord[train]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stranger_verifies_a_federation_with_it(tmp_path):
    history = History(tmp_path / "atlas")
    run = history.adopt(rounds={"count": 1})
    run.round_of(measured=True)
    history.publish()
    published = run_plain("publish", str(tmp_path / "atlas"), str(tmp_path / "public"))
    assert published.returncode == 0, published.stderr
    done = run_plain("verify", str(tmp_path / "public"), "--json")
    assert done.returncode == 0, done.stderr
    assert history.state.digest in done.stdout


def test_votes_and_the_log_need_no_extra_and_nothing_that_is_not_declared(tmp_path):
    found(tmp_path / "atlas", ["chad", "fiji", "peru"])
    atlas = str(tmp_path / "atlas")
    for words in (
        ["propose", "ordinary", atlas, "--as", "chad", "--title", "x", "--yes"],
        ["vote", atlas, "yes", "--as", "all"],
        ["tally", atlas, "--decide", "--as", "chad"],
        ["charter", "lint", atlas],
        ["log", "show", atlas],
    ):
        done = run_plain(*words)
        assert done.returncode == 0, done.stderr
