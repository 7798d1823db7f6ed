import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from babel import Locale

from concord.base.errors import DocumentError, StorageError
from concord.data.almanac import MEMBERS, write_almanac

PROGRAM = """
import sys
from pathlib import Path
from concord.data.almanac import write_almanac
write_almanac(Path(sys.argv[1]), members=["ethiopia", "peru"], bytes_per_member=40_000, seed=3)
"""


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_bytes_depend_on_no_hash_seed_locale_time_zone_or_working_directory(tmp_path):
    found = []
    for number, (seed, language, zone) in enumerate(
        [("1", "C", "UTC"), ("2", "th_TH.UTF-8", "Asia/Tokyo")]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        surroundings = os.environ | {
            "PYTHONHASHSEED": seed,
            "LC_ALL": language,
            "LANGUAGE": language,
            "TZ": zone,
        }
        subprocess.run(
            [sys.executable, "-c", PROGRAM, "out"], cwd=folder, env=surroundings, check=True
        )
        found.append(digests(folder / "out"))
    assert found[0] == found[1]
    assert len(found[0]) == 2 + 1 + 2 * len(MEMBERS)


def test_a_members_text_is_the_same_whoever_else_is_written_or_asked_first(tmp_path):
    _ = Locale("qu").months["stand-alone"]["wide"][3]
    write_almanac(tmp_path / "two", members=["peru", "cambodia"], bytes_per_member=30_000, seed=1)
    write_almanac(tmp_path / "one", members=["cambodia"], bytes_per_member=30_000, seed=1)
    two, one = ((tmp_path / name / "cambodia/text.jsonl").read_bytes() for name in ("two", "one"))
    assert one == two


def test_another_seed_writes_other_text_and_other_lines(tmp_path, corpus):
    write_almanac(tmp_path, members=["kenya"], bytes_per_member=30_000, seed=8)
    for name in ("kenya/text.jsonl", "parallel/dev/sw.txt"):
        assert (tmp_path / name).read_bytes()[:2000] != (corpus / name).read_bytes()[:2000]


def test_each_member_has_the_bytes_asked_for_and_at_most_a_document_more(documents):
    for member, found in documents.items():
        total = sum(len(document["text"].encode()) for document in found)
        assert 300_000 <= total < 304_000, member


def test_progress_is_told_for_each_member_in_the_order_asked(tmp_path):
    told = []
    summary = write_almanac(
        tmp_path,
        members=["kenya", "ethiopia"],
        bytes_per_member=20_000,
        seed=0,
        on_progress=told.append,
    )
    assert [one.member for one in told] == ["kenya", "ethiopia"]
    assert tuple(told) == summary.members
    assert told[0].documents == len((tmp_path / "kenya/text.jsonl").read_bytes().splitlines())


def test_existing_files_are_replaced_and_nothing_temporary_stays(tmp_path):
    for _ in range(2):
        write_almanac(tmp_path, members=["peru"], bytes_per_member=20_000, seed=0)
        names = sorted(digests(tmp_path))
    assert not [name for name in names if ".part" in name]


@pytest.mark.parametrize(
    ("members", "size", "word"),
    [
        (["atlantis"], 50_000, "atlantis"),
        (["kenya", "kenya"], 50_000, "twice"),
        ([], 50_000, "no member"),
        (["kenya"], 9_999, "too few"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path, members, size, word):
    with pytest.raises(DocumentError, match=word):
        write_almanac(tmp_path / "out", members=members, bytes_per_member=size, seed=0)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        write_almanac(tmp_path / "file", members=["kenya"], bytes_per_member=20_000, seed=0)
