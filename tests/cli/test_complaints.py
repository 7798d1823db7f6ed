"""Complaints on the command line: taken in, due, overdue, answered; a letter stays outside."""

import json

import pytest
from clilab import Said

from concord.cli.main import main
from concord.testing.founded import found
from concord.testing.hand_clock import HandClock

DAY_S = 86_400


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def atlas(tmp_path, clock):
    found(tmp_path / "atlas", ["chad", "fiji", "laos", "peru"], clock=clock)
    return tmp_path / "atlas"


@pytest.fixture
def told(capsys, clock, atlas):
    def call(*words, status=0):
        capsys.readouterr()
        ended = 0
        try:
            main(["complaint", words[0], str(atlas), *map(str, words[1:])], clock=clock)
        except SystemExit as done:
            ended = done.code or 0
        captured = capsys.readouterr()
        said = Said(ended, captured.out, captured.err)
        assert said.status == status, said.err
        return said

    return call


def standing(told):
    return [
        (s["sort"], s["to"], s["standing"]) for s in json.loads(told("show", "--json").out).values()
    ]


def test_an_opt_out_is_open_then_overdue_then_answered(told, clock):
    told("file", "--as", "chad", "--to", "fiji", "--opt-out", "--text", "Leave my book out.")
    assert standing(told) == [("opt-out", "fiji", "open")]
    clock.now_s += 31 * DAY_S
    assert standing(told) == [("opt-out", "fiji", "overdue")]
    told("answer", "--as", "fiji", "--outcome", "upheld", "--text", "It is out.")
    assert standing(told) == [("opt-out", "fiji", "upheld")]


def test_only_the_digest_of_a_letter_enters_the_log(told, atlas, tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("My name is Secret Person.")
    told("file", "--as", "chad", "--text", "A complaint.", "--letter", letter)
    for path in (atlas / "log").rglob("*"):
        assert not path.is_file() or b"Secret" not in path.read_bytes()


def test_what_cannot_be_is_refused_with_the_reason(told):
    assert "nobody" in told("show").out
    assert "no open complaint" in told(
        "answer", "--as", "fiji", "--outcome", "upheld", "--text", "x", status=2
    ).err  # fmt: skip
    assert "--about" in told("file", "--as", "chad", "--text", "x", "--about", "12", status=2).err
    assert (
        "is no member" in told("file", "--as", "chad", "--text", "x", "--to", "mars", status=9).err
    )
    assert "cannot be read" in told(
        "file", "--as", "chad", "--text", "x", "--letter", "/nowhere", status=2
    ).err  # fmt: skip
    told("file", "--as", "chad", "--text", "x", "--days", "32", status=2)
