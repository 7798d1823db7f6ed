"""Bad input ends in one clear error that names file and remedy, and leaves nothing half-written."""

import gzip
import json

import pytest
from clilab import Federation, concord, write_jsonl
from modellab import save_bert, save_gpt2

from concord.cli.main import main

REMEDY = "what to do: "


@pytest.fixture
def federation(tmp_path):
    return Federation(tmp_path).make()


def assert_refused(said, *, status, code, names):
    assert said.status == status, said.err
    assert f"error {code}: " in said.err or f"[{code}]" in said.err, said.err
    assert str(names) in said.err
    assert REMEDY in said.err or said.err.rstrip().endswith(")"), "a remedy is given"
    assert "Traceback" not in said.out + said.err
    assert "\x1b" not in said.out + said.err


def refused_before_anything_starts(capsys, federation, *, status, code, names):
    before = federation.tree()
    said = concord(capsys, "run", federation.folder)
    assert_refused(said, status=status, code=code, names=names)
    assert REMEDY in said.err
    assert federation.tree() == before, "nothing was written"
    return said


# --- found out before any process is started -------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rounds__inner_stepps": 3}, "rounds.inner_stepps: unknown key"),
        ({"modell__hidden": 3}, "modell: unknown key"),
        ({"model__hidden": -1}, "model.hidden"),
        ({"model__kv_heads": 3}, "model: heads must be a multiple of kv_heads"),
        ({"model__hidden": "many"}, "model.hidden"),
        ({"inner__batch_tokens": 100}, "inner.batch_tokens"),
        ({"inner__lr": 0}, "inner.lr"),
        ({"rounds__count": 0}, "rounds.count"),
        ({"rounds__quorum": "3/2"}, "quorum"),
        ({"rounds__quorum": 0.5}, "rounds.quorum"),
        ({"update__codec": "zip"}, "update.codec"),
        ({"update__owner_cap": "1/4"}, "update.owner_cap"),
        ({"evaluation__heldout_share": 0.9}, "evaluation.heldout_share"),
        ({"tokenizer__mode": "parity"}, "parity"),
    ],
)
def test_a_run_document_with_an_unknown_key_or_an_impossible_value(
    capsys, federation, change, field
):
    federation.write_run(**change)
    said = refused_before_anything_starts(
        capsys, federation, status=2, code="C100", names=federation.run_file
    )
    assert field in said.err


def test_a_run_document_that_is_no_toml(capsys, federation):
    federation.run_file.write_text("name = \n")
    said = concord(capsys, "run", federation.folder)
    assert_refused(said, status=2, code="C100", names=federation.run_file)
    assert "line 1" in said.err


def test_a_member_of_the_roster_without_a_folder(capsys, federation):
    federation.roster.append({"id": "laos"})
    federation.write_run()
    refused_before_anything_starts(
        capsys, federation, status=2, code="C100", names="members/laos/member.toml"
    )


def test_a_member_file_with_an_unknown_key(capsys, federation):
    federation.write_member("fiji", texts=["a.jsonl"])
    refused_before_anything_starts(
        capsys, federation, status=2, code="C100", names="members/fiji/member.toml"
    )


def test_a_member_whose_text_is_not_there(capsys, federation):
    federation.text("fiji").unlink()
    refused_before_anything_starts(
        capsys, federation, status=3, code="C201", names=federation.text("fiji")
    )


def test_a_member_whose_text_is_of_no_known_kind(capsys, federation):
    other = federation.text("fiji").rename(federation.root / "text" / "fiji.docx")
    federation.write_member("fiji", text=["../../../text/fiji.docx"])
    refused_before_anything_starts(capsys, federation, status=3, code="C201", names=other)


def test_faulty_facts_are_found_before_hours_of_training(capsys, federation):
    facts = federation.root / "facts.jsonl"
    facts.write_text('{"id": "1"}\n')
    federation.write_member("fiji", text=["../../../text/fiji.jsonl"], facts=str(facts))
    refused_before_anything_starts(capsys, federation, status=3, code="C202", names=facts)


def test_a_parallel_set_that_lacks_a_language(capsys, federation):
    parallel = federation.folder / "parallel"
    parallel.mkdir()
    (parallel / "fj.txt").write_text("bula\nvinaka\n")
    for entry, language in zip(federation.roster, ("ar", "fj", "es"), strict=True):
        entry["languages"] = [language]
    federation.write_run(tokenizer__mode="parity", tokenizer__parallel="parallel")
    said = refused_before_anything_starts(capsys, federation, status=3, code="C201", names=parallel)
    assert "ar.txt" in said.err


def test_a_folder_that_is_no_federation(capsys, tmp_path):
    said = concord(capsys, "run", tmp_path)
    assert_refused(said, status=2, code="C100", names=tmp_path)
    assert "concord init" in said.err


# --- a base of another architecture ----------------------------------------------------------


def test_continuing_from_a_folder_that_is_not_there(capsys, federation):
    federation.write_run(model__continue_from="../base")
    refused_before_anything_starts(
        capsys, federation, status=4, code="C300", names=federation.root / "base"
    )


def test_continuing_from_an_encoder(capsys, federation):
    save_bert(federation.root / "base")
    federation.write_run(model__continue_from="../base")
    said = refused_before_anything_starts(
        capsys, federation, status=4, code="C300", names=federation.root / "base" / "config.json"
    )
    assert "Bert" in said.err
    assert "not a causal language model" in said.err


def test_continuing_from_a_model_without_a_tokenizer(capsys, federation):
    save_gpt2(federation.root / "base")
    (federation.root / "base" / "tokenizer.json").unlink()
    federation.write_run(model__continue_from="../base")
    said = refused_before_anything_starts(
        capsys, federation, status=4, code="C300", names=federation.root / "base"
    )
    assert "tokenizer.json" in said.err


def test_continuing_with_more_context_than_the_model_has(capsys, federation):
    save_gpt2(federation.root / "base")
    federation.write_run(model__continue_from="../base", model__context=128)
    refused_before_anything_starts(
        capsys, federation, status=2, code="C100", names=federation.run_file
    )


# --- found out by the member itself, before training begins -----------------------------------


def damaged_text(federation, kind):
    path = federation.text("fiji")
    if kind == "empty":
        write_jsonl(path, ["", "  "])
    elif kind == "not UTF-8":
        path.write_bytes(b'{"text": "\xff\xfe"}\n')
    elif kind == "not JSON":
        path.write_text('{"text": "a"}\n{"text": \n')
    elif kind == "no such key":
        path.write_text('{"content": "a"}\n')
    elif kind == "less than a batch":
        write_jsonl(path, ["bula vinaka moce"])
        apart = "../../../text/chad.jsonl"
        federation.write_member("fiji", text=["../../../text/fiji.jsonl"], heldout=[apart])
    elif kind == "cut short":
        packed = gzip.compress(path.read_bytes())
        path = path.with_suffix(".jsonl.gz")
        path.write_bytes(packed[:-200])
        federation.write_member("fiji", text=["../../../text/fiji.jsonl.gz"])
    return path


@pytest.mark.processes
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("empty", "C203"),
        ("not UTF-8", "C202"),
        ("not JSON", "C202"),
        ("no such key", "C202"),
        ("cut short", "C202"),
        ("less than a batch", "C204"),
    ],
)
def test_a_members_text_that_cannot_be_used(capsys, federation, kind, code):
    federation.write_run(tokenizer__merges=20)
    path = damaged_text(federation, kind)
    said = concord(capsys, "run", federation.folder)
    names = "member.toml" if kind == "less than a batch" else path
    assert_refused(said, status=3, code=code, names=names)
    assert f"error {code}: member fiji" in said.err
    assert not federation.bases(), "no round was begun"
    assert not federation.half_written()
    assert not (federation.run_folder / "model").exists()
    assert not (federation.run_folder / "report.json").exists()


@pytest.mark.processes
def test_a_corrected_text_is_taken_without_further_ado(capsys, federation):
    federation.write_run(rounds__count=1)
    good = federation.text("fiji").read_bytes()
    write_jsonl(federation.text("fiji"), [""])
    assert concord(capsys, "run", federation.folder).status == 3
    federation.text("fiji").write_bytes(good)
    said = concord(capsys, "run", federation.folder, "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["evidence"]["card"]


# --- corrupted checkpoints --------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    made = Federation(tmp_path_factory.mktemp("finished")).make()
    made.write_run(rounds__count=2)
    with pytest.raises(SystemExit) as done:
        main(["run", str(made.folder)])
    assert not done.value.code
    return made


def flip_last_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def corrupt_base(federation):
    path = federation.object(federation.bases()[-1])
    flip_last_byte(path)
    return path


def lose_base(federation):
    path = federation.object(federation.bases()[-1])
    path.unlink()
    return path


def tear_record(federation):
    path = federation.record(2)
    path.write_bytes(path.read_bytes()[:100])
    return path


def alter_record(federation):
    path = federation.record(1)
    path.write_bytes(path.read_bytes().replace(b'"round":1', b'"round":3'))
    return path


def lose_first_record(federation):
    federation.record(0).unlink()
    return federation.record(0)


@pytest.mark.processes
@pytest.mark.parametrize(
    "damage", [corrupt_base, lose_base, tear_record, alter_record, lose_first_record]
)
def test_a_corrupted_checkpoint_is_refused_before_members_start(capsys, finished, tmp_path, damage):
    federation = finished.copy_to(tmp_path / "copy")
    path = damage(federation)
    before = federation.tree()
    said = concord(capsys, "run", federation.folder, "--resume")
    assert_refused(said, status=5, code="C400", names=path)
    assert federation.tree() == before


@pytest.mark.processes
def test_an_altered_state_of_a_member_is_refused_by_that_member(capsys, finished, tmp_path):
    federation = finished.copy_to(tmp_path / "copy")
    (path,) = (federation.member("peru") / "private" / "state" / "first").glob("local-*")
    flip_last_byte(path)
    said = concord(capsys, "run", federation.folder, "--resume")
    assert_refused(said, status=7, code="C400", names=path)


@pytest.mark.processes
def test_a_member_whose_copy_of_the_base_is_torn_gets_it_anew(capsys, finished, tmp_path):
    federation = finished.copy_to(tmp_path / "copy")
    path = federation.member("peru") / "private" / "state" / "first" / "base.tensors"
    good = path.read_bytes()
    path.write_bytes(good[:1000])
    (federation.run_folder / "evaluations.jsonl").unlink()
    assert concord(capsys, "run", federation.folder, "--resume").status == 0
    assert path.read_bytes() == good


@pytest.mark.processes
def test_a_changed_run_document_is_not_mixed_with_the_rounds_of_the_old_one(
    capsys, finished, tmp_path
):
    federation = finished.copy_to(tmp_path / "copy")
    said = refused_before_anything_starts(
        capsys, federation, status=2, code="C100", names=federation.run_folder
    )
    assert "--resume" in said.err
    federation.write_run(inner__lr=0.001)
    said = concord(capsys, "run", federation.folder, "--resume")
    assert_refused(said, status=2, code="C100", names=federation.run_file)
    assert "was changed" in said.err
