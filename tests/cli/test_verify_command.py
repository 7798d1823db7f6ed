"""`concord verify` and `concord publish` as a user calls them."""

import json
import shutil

import pytest
from clilab import concord

from concord.charter.run import parse_run
from concord.crypto.keyfiles import load_key
from concord.federation.folders import FederationFolder
from concord.ledger.statements.rounds import RoundCommitted
from concord.testing.founded import found
from concord.testing.history import History, key, run_value

CANARY = "kq7vz-9xj2w-h5fpb-8ydgc"


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A federation of three with a run of two rounds, published."""
    history = History(tmp_path_factory.mktemp("atlas"))
    run = history.adopt(rounds={"count": 2})
    run.round_of(measured=True)
    run.round_of()
    run.close()
    history.publish()
    return history


@pytest.fixture
def atlas(history, tmp_path):
    return shutil.copytree(history.root, tmp_path / "atlas")


def an_update(history):
    return next(
        e.statement.body.merged["fiji"].update
        for e in history.entries
        if isinstance(e.statement.body, RoundCommitted)
    )


def object_path(folder, digest):
    return folder / "objects" / "sha256" / digest[7:9] / digest[9:]


def test_it_tells_what_was_found_and_whose_log_it_is(capsys, atlas, history):
    said = concord(capsys, "verify", atlas)
    assert said.status == 0
    text = " ".join(said.out.split())
    for fact in (
        history.state.federation,
        history.state.digest,
        history.state.charter,
        "chad, fiji, peru; last",
        "2 rounds",
        "computed again",
        "Compare the federation's digest with one that you have from a member by another way",
    ):
        assert fact in text


def test_the_state_is_the_same_from_an_empty_disk(capsys, atlas, history, tmp_path):
    concord(capsys, "publish", atlas, tmp_path / "public")
    shutil.rmtree(atlas)
    told = json.loads(concord(capsys, "verify", tmp_path / "public", "--json").out)
    assert told["state"] == history.state.digest
    assert told["ok"]
    assert [step["passed"] for step in told["steps"]] == [True] * 6


def test_a_wrong_log_ends_with_status_10_and_names_the_place(capsys, atlas, history):
    object_path(atlas, an_update(history)).write_bytes(b"something else")
    said = concord(capsys, "verify", atlas)
    assert said.status == 10
    assert said.err.startswith("error C840: entry ")
    assert "update of fiji" in said.err
    assert "what to do: What is published is not complete, or was altered." in said.err
    assert "WRONG" in said.out
    assert "Traceback" not in said.err


def test_as_json_a_failure_is_told_with_step_place_and_meaning(capsys, atlas, history):
    object_path(atlas, an_update(history)).unlink()
    said = concord(capsys, "verify", atlas, "--json")
    told = json.loads(said.out)
    assert (said.status, told["ok"]) == (10, False)
    assert [step["name"] for step in told["steps"] if not step["passed"]] == ["objects"]
    assert told["error"]["code"] == "C840"
    assert told["error"]["message"] == "is missing from the objects"
    assert "runs" not in told


def test_without_replay_no_base_is_computed(capsys, atlas):
    told = json.loads(concord(capsys, "verify", atlas, "--no-replay", "--json").out)
    assert "bases" not in [step["name"] for step in told["steps"]]
    assert not told["runs"][0]["computed_again"]


def test_a_pinned_federation_witnesses_and_checkpoint(capsys, atlas, history, tmp_path):
    pins = tmp_path / "witnesses.txt"
    lines = [f"{m} {key(m, 'witness').public.text}" for m in ("chad", "fiji")]
    pins.write_text("# asked by telephone\n" + "\n".join(lines) + "\n")
    seen = tmp_path / "checkpoint"
    seen.write_bytes((atlas / "log" / "checkpoint").read_bytes())
    pinned = ["--federation", history.state.federation, "--witness-keys", pins]
    said = concord(capsys, "verify", atlas, *pinned, "--checkpoint", seen)
    assert said.status == 0
    assert "one history with the checkpoints" in said.out
    shown = {"witnesses": {m: key(m, "witness").public.text for m in ("chad", "fiji")}}
    pins.write_text(json.dumps(shown))
    assert concord(capsys, "verify", atlas, "--witness-keys", pins).status == 0
    pins.write_text(json.dumps({"witnesses": {"chad": key("mallory").public.text}}))
    assert concord(capsys, "verify", atlas, "--witness-keys", pins).status == 10
    other = "sha256:" + "0" * 64
    assert concord(capsys, "verify", atlas, "--federation", other).status == 10


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("chad", "line 1: is not one member and its key"),
        ("chad ed25519:00", "'ed25519:00' is not a public key"),
        ("# nobody\n", "names no key"),
        ('{"witnesses": ["chad"]}', "witnesses: names no keys by member"),
        ("{}", "witnesses: names no keys by member"),
        ("{", "not valid JSON"),
    ],
)
def test_a_faulty_file_of_witness_keys_is_refused(capsys, atlas, tmp_path, text, reason):
    pins = tmp_path / "witnesses.txt"
    pins.write_text(text)
    said = concord(capsys, "verify", atlas, "--witness-keys", pins)
    assert said.status == 2
    assert reason in said.err


def test_a_file_that_is_no_checkpoint_is_refused(capsys, atlas):
    said = concord(capsys, "verify", atlas, "--checkpoint", atlas / "log" / "journal")
    assert (said.status, "is no checkpoint" in said.err) == (2, True)


def test_a_folder_without_a_log_says_what_to_name(capsys, tmp_path):
    said = concord(capsys, "verify", tmp_path)
    assert said.status == 9
    assert "name the folder that holds log/ and objects/" in said.err


# --- publishing -----------------------------------------------------------------------------


def published_files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_what_is_published_is_the_log_and_what_it_names(capsys, atlas, history, tmp_path):
    out = tmp_path / "public"
    said = concord(capsys, "publish", atlas, out)
    assert said.status == 0
    assert f"concord verify {out} --federation {history.state.federation}" in said.out
    logs = [name for name in published_files(out) if name.startswith("log/")]
    size = len(history.entries)
    assert logs == [
        "log/checkpoint",
        f"log/tile/0/000.p/{size}",
        f"log/tile/entries/000.p/{size}",
    ]
    assert concord(capsys, "verify", out).status == 0


def test_nothing_private_is_published(capsys, tmp_path):
    root, out = tmp_path / "atlas", tmp_path / "public"
    members = ("chad", "fiji", "peru")
    office = found(root, members, overseers=("odin",))
    federation = FederationFolder(root)
    for member in members:
        folder = federation.member(member)
        (folder.root / "text.jsonl").write_text(json.dumps({"text": CANARY}))
        (folder.open_private("shards") / "text.bin").write_bytes(CANARY.encode())
    (root / "log" / "inbox").mkdir(exist_ok=True)
    (root / "log" / "inbox" / "waiting.json").write_text(CANARY)
    federation.objects.put(CANARY.encode())  # lies there, and the log does not name it
    office.adopt_run(parse_run(run_value(members)))
    assert concord(capsys, "publish", root, out).status == 0
    secrets = [CANARY.encode(), b"PRIVATE KEY"]
    for path in root.rglob("*.pem"):
        private = load_key(path)
        secrets += [path.read_bytes().splitlines()[1], private.inner.private_bytes_raw()]
    assert len(secrets) > 10
    data = {name: (out / name).read_bytes() for name in published_files(out)}
    assert not [name for name, held in data.items() for secret in secrets if secret in held]
    assert {name.split("/")[0] for name in data} == {"log", "objects"}
    assert not [name for name in data if "journal" in name or "inbox" in name or "lock" in name]
    assert concord(capsys, "verify", out).status == 0


def test_a_copy_is_brought_up_to_date_in_place(capsys, tmp_path):
    history = History(tmp_path / "atlas")
    run = history.adopt(rounds={"count": 2})
    run.round_of()
    history.publish()
    out = tmp_path / "public"
    concord(capsys, "publish", history.root, out)
    before = set(published_files(out))
    run.round_of()
    shutil.rmtree(history.root / "log")
    history.publish()
    assert concord(capsys, "publish", history.root, out).status == 0
    assert before < set(published_files(out))
    told = json.loads(concord(capsys, "verify", out, "--json").out)
    assert told["state"] == history.state.digest


def test_what_does_not_hold_is_not_published(capsys, atlas, history, tmp_path):
    object_path(atlas, an_update(history)).write_bytes(b"something else")
    assert concord(capsys, "publish", atlas, tmp_path / "public").status == 10
    assert not (tmp_path / "public").exists()


def test_a_copy_cannot_lie_in_the_federation_or_among_other_files(capsys, atlas, tmp_path):
    assert concord(capsys, "publish", atlas, atlas / "public").status == 9
    assert concord(capsys, "publish", atlas, atlas).status == 9
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "diary.txt").write_text("mine")
    said = concord(capsys, "publish", atlas, tmp_path / "desk")
    assert (said.status, "holds something else: diary.txt" in said.err) == (9, True)
