"""The parallel set: aligned or refused; what was learned on is not measured on."""

import gzip

import pytest

from concord.base.errors import CorpusNotFound, CorpusUnreadable
from concord.federation.parallel import languages_in, read_parallel


def write(folder, language, lines):
    (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_halves_are_apart_and_aligned(tmp_path):
    for language in ("am", "sw"):
        write(tmp_path, language, [f"{language} {i}" for i in range(100)])
    found = read_parallel(tmp_path, ["am", "sw"])
    assert len(found.learn["am"]) == 49
    assert found.learn["sw"][-1] == "sw 48"
    assert found.measure["am"][0] == "am 49"
    assert not set(found.learn["am"]) & set(found.measure["am"])


def test_a_line_separator_inside_a_line_does_not_shift_the_rest(tmp_path):
    write(tmp_path, "am", ["one\u2028still one", "two"])
    write(tmp_path, "sw", ["moja", "mbili"])
    assert read_parallel(tmp_path, ["am", "sw"]).measure["am"] == ["two"]


def test_files_of_different_length_are_refused(tmp_path):
    write(tmp_path, "am", ["one", "two"])
    write(tmp_path, "sw", ["moja"])
    with pytest.raises(CorpusUnreadable, match="am 2, sw 1"):
        read_parallel(tmp_path, ["am", "sw"])


def test_a_missing_language_is_named(tmp_path):
    write(tmp_path, "am", ["one"])
    with pytest.raises(CorpusNotFound, match=r"sw\.txt"):
        read_parallel(tmp_path, ["am", "sw"])


def test_packed_files_are_read_and_damaged_ones_refused(tmp_path):
    (tmp_path / "am.txt.gz").write_bytes(gzip.compress("e\u0301\nb\nc".encode()))
    assert read_parallel(tmp_path, ["am"]).learn["am"] == ["\u00e9"]
    (tmp_path / "am.txt.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(CorpusUnreadable, match="damaged"):
        read_parallel(tmp_path, ["am"])


def test_languages_are_found_by_their_files(tmp_path):
    write(tmp_path, "sw", ["x"])
    (tmp_path / "am.txt.gz").touch()
    assert languages_in(tmp_path) == ["am", "sw"]
