"""Preparing a member's text: split, summary, privacy, re-use; nothing half-written."""

import hashlib
import json
import os
import random
import stat

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from textlab import KEY, full_disk, jsonl, random_text, write_corpus

from concord.base.errors import (
    CorpusEmpty,
    CorpusNotFound,
    CorpusTooSmall,
    CorpusUnreadable,
    DocumentError,
    StorageError,
)
from concord.data.corpus import TextPart
from concord.data.personal import PersonalDataRule
from concord.data.prepare import (
    TextSummary,
    check_text,
    prepare_parts,
    prepare_text,
    read_prepared,
)
from concord.data.split import HeldoutSplit

TEXTS = [random_text(random.Random(seed), 300) for seed in range(200)]


def prepared_ids(folder, part):
    return [document.id for document in read_prepared(folder, part)]


@pytest.fixture
def corpus(tmp_path):
    write_corpus(tmp_path / "corpus.jsonl", TEXTS)
    return tmp_path / "corpus.jsonl"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=50), st.randoms())
def test_the_side_of_a_document_depends_on_its_id_alone(ids, rng):
    split = HeldoutSplit(KEY, 0.3)
    sides = {id_: split.holds_out(id_) for id_ in ids}
    rng.shuffle(ids)
    assert all(HeldoutSplit(KEY, 0.3).holds_out(id_) == sides[id_] for id_ in ids)


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_only_adds_to_what_is_held_out(id_, a, b):
    small, large = sorted((a, b))
    id_ = id_.encode("utf-8", "ignore").decode()
    assert HeldoutSplit(KEY, large).holds_out(id_) >= HeldoutSplit(KEY, small).holds_out(id_)


def test_the_split_is_keyed_blake2b_and_holds_out_its_share():
    digest = hashlib.blake2b(b"d1", digest_size=8, key=KEY, person=b"concord-heldout").digest()
    bound = int.from_bytes(digest, "big") / 2**64
    assert HeldoutSplit(KEY, bound + 1e-9).holds_out("d1")
    assert not HeldoutSplit(KEY, bound - 1e-9).holds_out("d1")
    held = sum(HeldoutSplit(KEY, 0.05).holds_out(f"d{i}") for i in range(20_000))
    assert 850 < held < 1150  # five standard deviations
    assert HeldoutSplit(KEY, 1).holds_out("d1")
    assert not HeldoutSplit(KEY, 0).holds_out("d1")


@pytest.mark.parametrize(
    ("key", "share"), [(b"short", 0.1), (b"k" * 65, 0.1), (KEY, -0.1), (KEY, 1.1)]
)
def test_a_weak_key_or_an_impossible_share_is_refused(key, share):
    with pytest.raises(DocumentError):
        HeldoutSplit(key, share)


def test_documents_are_cleaned_split_and_counted(tmp_path):
    horse = random_text(random.Random(16), 400, "Han")[1:-1]
    texts = ["ነጭ ፈረስ", " Ein Pferd\r\n", "Ein Pferd", "\x00", horse, horse[:-1] + "鹿"]
    records = [{"id": f"d{i}", "text": t, "lang": "xx"} for i, t in enumerate(texts)]
    (tmp_path / "a.jsonl").write_bytes(jsonl(records))
    out = tmp_path / "out"
    summary = prepare_text([tmp_path / "a.jsonl"], out, key=KEY, heldout_share=0)
    assert [d.text for d in read_prepared(out, "train")] == ["ነጭ ፈረስ", "Ein Pferd", horse]
    assert list(read_prepared(out, "heldout")) == []
    assert summary == TextSummary(
        documents=3,
        bytes=16 + 9 + 3 * 398,
        read_documents=6,
        empty_documents=1,
        exact_duplicates=1,
        near_duplicates=1,
        train_documents=3,
        train_bytes=16 + 9 + 3 * 398,
        heldout_documents=0,
        heldout_bytes=0,
        longest_document_bytes=3 * 398,
        scripts={"Han": 398, "Latin": 8, "Ethiopic": 5},
        languages={"xx": 3},
        personal_data={},
        train_digest=summary.train_digest,
        heldout_digest="sha256:" + hashlib.sha256().hexdigest(),
    )


def test_the_split_stays_when_files_and_documents_are_added(tmp_path):
    def sides(folder):
        prepare_text([folder], tmp_path / "out", key=KEY, heldout_share=0.3)
        return {
            d.text: part
            for part in ("train", "heldout")
            for d in read_prepared(tmp_path / "out", part)
        }

    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "m.jsonl").write_bytes(jsonl({"text": t} for t in TEXTS[:100]))
    before = sides(corpus)
    (corpus / "m.jsonl").write_bytes(jsonl({"text": t} for t in [TEXTS[150], *TEXTS[:100]]))
    (corpus / "a.jsonl").write_bytes(jsonl({"text": t} for t in TEXTS[101:150]))
    after = sides(corpus)
    assert len(after) == 150
    assert set(before.values()) == {"train", "heldout"}
    assert before.items() <= after.items()


def test_another_key_gives_another_split(tmp_path, corpus):
    for number in (1, 2):
        prepare_text([corpus], tmp_path / f"{number}", key=bytes([number]) * 32, heldout_share=0.3)
    assert prepared_ids(tmp_path / "1", "heldout") != prepared_ids(tmp_path / "2", "heldout")


def test_training_documents_that_repeat_held_out_ones_are_left_out(tmp_path, corpus):
    apart = tmp_path / "apart.jsonl"
    write_corpus(apart, [TEXTS[3], TEXTS[7].upper(), random_text(random.Random(1000), 300)])
    summary = prepare_text(
        [corpus], tmp_path / "out", key=KEY, heldout_share=0.5, heldout_paths=[apart]
    )
    assert (summary.exact_duplicates, summary.near_duplicates) == (1, 1)
    assert (summary.train_documents, summary.heldout_documents) == (198, 3)
    assert not {"d3", "d7"} & set(prepared_ids(tmp_path / "out", "train"))


def test_the_same_files_and_options_are_not_prepared_again(tmp_path, corpus):
    out = tmp_path / "out"
    options = {"key": KEY, "heldout_share": 0.2}
    summary = prepare_text([corpus], out, **options)
    inode = (out / "train.jsonl.zst").stat().st_ino
    told = []
    assert prepare_text([corpus], out, **options, on_progress=lambda *_: told.append(1)) == summary
    assert (out / "train.jsonl.zst").stat().st_ino == inode
    assert not told


@pytest.mark.parametrize("change", ["text", "time", "key", "share", "threshold", "part", "summary"])
def test_whatever_changes_the_result_prepares_anew(tmp_path, corpus, change):
    out = tmp_path / "out"
    options = {"key": KEY, "heldout_share": 0.2, "near_threshold": 0.8}
    first = prepare_text([corpus], out, **options)
    if change == "text":
        write_corpus(corpus, [*TEXTS, "one more"])
    elif change == "time":
        os.utime(corpus, ns=(1, 1))
    elif change == "part":
        (out / "heldout.jsonl.zst").unlink()
    elif change == "summary":
        (out / "summary.json").write_text('{"summary": 3}')
    else:
        name = {"key": "key", "share": "heldout_share", "threshold": "near_threshold"}[change]
        options[name] = {"key": b"x" * 32, "share": 0.3, "threshold": 0.9}[change]
    told = []
    again = prepare_text([corpus], out, **options, on_progress=lambda *_: told.append(1))
    assert told
    assert (again == first) == (change in ("time", "threshold", "part", "summary"))


def test_the_folder_is_private(tmp_path, corpus):
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True, mode=0o755)
    prepare_text([corpus], out, key=KEY, heldout_share=0.2)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    names = {"train.jsonl.zst", "heldout.jsonl.zst", "summary.json"}
    assert {p.name: stat.S_IMODE(p.stat().st_mode) for p in out.iterdir()} == dict.fromkeys(
        names, 0o600
    )


@pytest.mark.parametrize("earlier", [False, True])
def test_a_preparation_that_fails_leaves_nothing_half_written(tmp_path, corpus, earlier):
    out = tmp_path / "out"
    if earlier:
        prepare_text([corpus], out, key=KEY, heldout_share=0.2)
    before = {p.name: p.read_bytes() for p in out.iterdir()} if earlier else {}
    corpus.write_bytes(corpus.read_bytes() + b'{"tex')
    with pytest.raises(CorpusUnreadable, match="line 201"):
        prepare_text([corpus], out, key=KEY, heldout_share=0.2)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_what_a_killed_preparation_left_behind_is_removed(tmp_path, corpus):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".train.jsonl.zst.0a1b2c3d.part").write_bytes(b"torn")
    prepare_text([corpus], out, key=KEY, heldout_share=0.2)
    assert not list(out.glob(".*"))


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path, corpus):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        prepare_text([corpus], tmp_path / "file" / "out", key=KEY, heldout_share=0.2)


def test_a_full_disk_leaves_nothing_half_written(tmp_path, corpus):
    out = tmp_path / "out"
    prepare_text([corpus], out, key=KEY, heldout_share=0.2)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with full_disk(10_000), pytest.raises(StorageError, match="zst"):
        prepare_text([corpus], out, key=KEY, heldout_share=0.1)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_a_corpus_without_text_is_empty(tmp_path):
    path = tmp_path / "empty.jsonl"
    for data in (b"", b"\n\n", jsonl([{"text": " \x00"}, {"text": None}])):
        path.write_bytes(data)
        with pytest.raises(CorpusEmpty, match=r"empty\.jsonl"):
            prepare_text([path], tmp_path / "out", key=KEY, heldout_share=0.1)
        with pytest.raises(CorpusEmpty):
            check_text([path])


def test_a_corpus_of_which_nothing_is_left_on_one_side_is_too_small(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("one document")
    for share in (1e-9, 1.0):
        with pytest.raises(CorpusTooSmall, match=r"one\.txt"):
            prepare_text([path], tmp_path / "out", key=KEY, heldout_share=share)
    assert not list((tmp_path / "out").iterdir())


def test_reading_what_was_not_prepared_or_was_damaged_is_refused(tmp_path, corpus):
    with pytest.raises(CorpusNotFound, match="prepare"):
        read_prepared(tmp_path, "train")
    out = tmp_path / "out"
    prepare_text([corpus], out, key=KEY, heldout_share=0.2)
    data = bytearray((out / "train.jsonl.zst").read_bytes())
    data[len(data) // 2] ^= 1
    (out / "train.jsonl.zst").write_bytes(data)
    with pytest.raises(CorpusUnreadable, match="train"):
        list(read_prepared(out, "train"))


def test_checking_gives_the_summary_and_writes_nothing(tmp_path, corpus):
    names = set(tmp_path.iterdir())
    checked = check_text([corpus], key=KEY, heldout_share=0.2)
    assert set(tmp_path.iterdir()) == names
    assert checked == prepare_text([corpus], tmp_path / "out", key=KEY, heldout_share=0.2)
    assert check_text([corpus]).train_documents == 200


PEOPLE = [
    {"id": "plain", "text": "nothing in it but words, and these are many enough"},
    {"id": "mail", "text": "write to amina@example.org about the harvest festival of this year"},
    {"id": "cpf", "text": "o número 390.533.447-05 consta do processo arquivado em outubro"},
]


@pytest.mark.parametrize(
    ("treatment", "kept"),
    [
        ("keep", [one["text"] for one in PEOPLE]),
        (
            "mask",
            [
                PEOPLE[0]["text"],
                "write to [EMAIL] about the harvest festival of this year",
                "o número [ID] consta do processo arquivado em outubro",
            ],
        ),
        ("leave_out", [PEOPLE[0]["text"]]),
    ],
)
@pytest.mark.parametrize("side", ["train", "heldout"])
def test_personal_data_is_treated_alike_in_training_and_held_out_text(
    tmp_path, treatment, kept, side
):
    other = [{"id": "other", "text": "another text altogether, on weather and on rain"}]
    for name, lines in (("people", PEOPLE), ("other", other)):
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl(lines))
    files = [tmp_path / "people.jsonl", tmp_path / "other.jsonl"]
    text, heldout = files if side == "train" else files[::-1]
    rule = PersonalDataRule(treatment, ("BR",))
    part = TextPart.find([text], [heldout], personal=rule)
    out = tmp_path / "out"
    summary = prepare_parts([part], out, key=KEY, heldout_share=0.1)
    assert [one.text for one in read_prepared(out, side)] == kept
    assert summary.personal_data == {
        "found:br-cpf": 1,
        "found:email": 1,
        "scanned_documents": 4,
        "scanned_bytes": summary.personal_data["scanned_bytes"],
        "documents": 2,
        "masked": 2 if treatment == "mask" else 0,
        "left_out": 2 if treatment == "leave_out" else 0,
    }


def test_each_part_has_its_own_rule_and_a_changed_rule_prepares_anew(tmp_path):
    for name in ("a", "b"):
        line = {
            "id": name,
            "text": f"write to {name}@example.org, says the notice number {name}" * 2,
        }
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl([line]))

    def prepared(*treatments):
        parts = [
            TextPart.find([tmp_path / f"{name}.jsonl"], personal=PersonalDataRule(treatment))
            for name, treatment in zip("ab", treatments, strict=True)
        ]
        prepare_parts(parts, tmp_path / "out", key=KEY, heldout_share=0)
        return ["@" in document.text for document in read_prepared(tmp_path / "out", "train")]

    assert prepared("keep", "mask") == [True, False]
    assert prepared("mask", "keep") == [False, True]


def test_a_corpus_of_which_all_is_left_out_says_why(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl(PEOPLE[1:]))
    part = TextPart.find([tmp_path / "a.jsonl"], personal=PersonalDataRule("leave_out", ("BR",)))
    with pytest.raises(CorpusEmpty, match="all are left out"):
        prepare_parts([part], tmp_path / "out", key=KEY, heldout_share=0)


def test_a_summary_survives_json(tmp_path, corpus):
    summary = check_text([corpus], key=KEY, heldout_share=0.2)
    value = json.loads(json.dumps(summary.to_json()))
    assert TextSummary.from_json(value) == summary
    for faulty in ({}, [], {**value, "more": 1}, {**value, "bytes": "x"}):
        with pytest.raises(DocumentError):
            TextSummary.from_json(faulty)


def test_the_stored_form_is_plain_json_lines(tmp_path, corpus):
    summary = prepare_text([corpus], tmp_path / "out", key=KEY, heldout_share=0)
    with zstandard.open(tmp_path / "out" / "train.jsonl.zst", "rb") as stream:
        data = stream.read()
    assert [json.loads(line) for line in data.splitlines()] == [
        {"id": f"d{i}", "lang": "", "text": text} for i, text in enumerate(TEXTS)
    ]
    assert summary.train_digest == "sha256:" + hashlib.sha256(data).hexdigest()
