"""The command line as a user meets it: help with examples, plain output, one clear error."""

import io
import json
import re
import subprocess
import sys

import pytest
import typer
from clilab import Federation, concord, documents, write_jsonl

from concord.cli import main as cli
from concord.cli.plain import printable
from concord.federation.folders import FederationFolder

ANSI = "\x1b"


def commands():
    """Every command that can be called, as its words."""
    found = []
    groups = [((), typer.main.get_command(cli.app))]
    while groups:
        words, group = groups.pop()
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                groups.append(((*words, name), command))
            else:
                found.append((*words, name))
    return sorted(found)


def test_all_commands_of_the_design_are_there():
    named = {words[0] for words in commands()}
    assert named == {
        *("demo", "init", "run", "report", "chat", "serve", "sovereign", "tokenizer", "data"),
        *("charter", "propose", "discuss", "vote", "tally", "ratify"),
        *("join", "leave", "halt", "coordinator", "keys", "sign", "file"),
        *("log", "prove", "verify", "publish", "policy", "law", "declare"),
        *("gate", "seal", "scan", "audit", "release", "federation", "member", "status", "observe"),
        *("complaint", "bench", "canaries"),
    }
    assert ("data", "check") in commands()


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_of_each_command_shows_an_example_that_calls_it(capsys, words):
    said = concord(capsys, *words, "--help")
    assert said.status == 0
    assert f"Example: concord {' '.join(words)}" in said.out
    assert ANSI not in said.out


def test_help_and_version_are_quick_and_need_no_torch():
    code = (
        "import sys; from concord.cli.main import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.match(r"concord \d+\.\d+", out.stdout)
    assert out.stdout.endswith("False False\n")


def test_an_unknown_option_is_refused_with_a_usage_line(capsys):
    said = concord(capsys, "run", "--fast")
    assert said.status == 2
    assert "--fast" in said.err
    assert "Traceback" not in said.err


# --- errors that nobody foresaw ---------------------------------------------------------------


def failing_command(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the secret text"),
        AssertionError("the secret text"),
        KeyError("the secret text"),
        RecursionError("the secret text"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"the secret text", 0, 1, "bad"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_defect_ends_in_c900_without_traceback_and_without_the_errors_own_words(capsys, error):
    cli.app.command("fail-for-a-test", hidden=True)(failing_command(error))
    try:
        said = concord(capsys, "fail-for-a-test")
    finally:
        cli.app.registered_commands.pop()
    assert said.status == 70
    assert "error C900: " in said.err
    assert type(error).__name__ in said.err
    assert "what to do: please report it" in said.err
    assert "Traceback" not in said.err
    assert "secret" not in said.err


def test_a_defect_is_told_with_its_place(capsys):
    cli.app.command("fail-for-a-test", hidden=True)(lambda: printable(None))
    try:
        said = concord(capsys, "fail-for-a-test")
    finally:
        cli.app.registered_commands.pop()
    assert re.search(r"TypeError at cli/plain\.py:\d+", said.err)


def test_an_interrupt_ends_with_130_and_says_how_to_go_on(capsys):
    cli.app.command("fail-for-a-test", hidden=True)(failing_command(KeyboardInterrupt()))
    try:
        said = concord(capsys, "fail-for-a-test")
    finally:
        cli.app.registered_commands.pop()
    assert said.status == 130
    assert "concord run --resume" in said.err


def test_escape_sequences_in_names_do_not_reach_the_terminal(capsys, tmp_path):
    said = concord(capsys, "data", "check", tmp_path / "a\x1b]0;owned\x07.txt")
    assert said.status == 3
    assert ANSI not in said.err
    assert "\x07" not in said.err


def test_joiners_and_marks_of_a_script_stay():
    text = "க்ஷ\u200dமி \u0d15\u0d4d\u200c — سلام\n\t"
    assert printable(text) == text
    assert printable("a\x1b[2Jb\x00\x9b\r") == "a[2Jb"


def test_a_terminal_without_unicode_shows_question_marks(tmp_path):
    write_jsonl(tmp_path / "ኢትዮጵያ.jsonl", [""])
    out = subprocess.run(
        [sys.executable, "-m", "concord.cli.main", "data", "check", str(tmp_path)],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
        check=False,
    )
    assert out.returncode == 3
    assert b"error C203" in out.stderr
    assert b"????" in out.stderr


# --- data check -------------------------------------------------------------------------------


def test_data_check_counts_what_a_run_would_find(capsys, tmp_path):
    texts = documents(1, 80)
    write_jsonl(tmp_path / "a.jsonl", [*texts, texts[0], texts[1] + " aka", "", "سلام دنیا " * 9])
    said = concord(capsys, "data", "check", tmp_path, "--json")
    found = json.loads(said.out)
    assert found["read_documents"] == 84
    assert found["exact_duplicates"] == 1
    assert found["near_duplicates"] == 1
    assert found["empty_documents"] == 1
    assert found["documents"] == 81
    assert found["heldout_documents"] + found["train_documents"] == 81
    assert set(found["scripts"]) == {"Latin", "Arabic"}
    assert any("small" in warning for warning in found["warnings"])


def test_data_check_speaks_plainly_on_a_pipe(capsys, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", documents(1, 80))
    said = concord(capsys, "data", "check", tmp_path, "--tokens-needed", 100)
    assert said.status == 0
    for word in ("documents", "near duplicates", "longest document", "held out", "Latin 100"):
        assert word in said.out
    assert ANSI not in said.out + said.err
    assert "small" not in said.err
    said = concord(capsys, "data", "check", tmp_path, "--tokens-needed", 10_000_000)
    assert "note: small" in said.err


def test_data_check_takes_text_that_is_held_out_already(capsys, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", documents(1, 30))
    write_jsonl(tmp_path / "b.jsonl", documents(1, 40)[30:])
    said = concord(
        capsys, "data", "check", tmp_path / "a.jsonl", "--heldout", tmp_path / "b.jsonl", "--json"
    )
    found = json.loads(said.out)
    assert (found["train_documents"], found["heldout_documents"]) == (30, 10)


@pytest.mark.parametrize(
    ("content", "code", "remedy"),
    [
        (b'{"text": "a"}\n{"text": \n', "C202", "one JSON object a line"),
        (b'{"content": "a"}\n', "C202", "name the key"),
        (b'{"text": "\xff"}\n', "C202", "UTF-8"),
        (b'{"text": " "}\n', "C203", "give files that hold text"),
    ],
)
def test_data_check_refuses_what_a_run_would_refuse(capsys, tmp_path, content, code, remedy):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    said = concord(capsys, "data", "check", path)
    assert said.status == 3
    assert f"error {code}: {path}" in said.err
    assert remedy in said.err
    assert said.out == ""


# --- init -------------------------------------------------------------------------------------


@pytest.fixture
def corpora(tmp_path):
    for seed, member in enumerate(("chad", "fiji")):
        write_jsonl(tmp_path / "text" / f"{member}.jsonl", documents(seed, 40))
    return tmp_path


def test_init_makes_a_federation_that_a_run_accepts(capsys, corpora):
    said = concord(capsys, "init", corpora / "atlas", "--text", corpora / "text", "--rounds", 2)
    assert said.status == 0, said.err
    federation = FederationFolder(corpora / "atlas")
    run = federation.load_run(None)
    assert run.member_ids == ("chad", "fiji")
    assert run.rounds.count == 2
    member = federation.member("chad")
    (path,) = member.paths(member.load().text)
    assert path == corpora / "text" / "chad.jsonl"
    assert sorted(p.name for p in corpora.iterdir()) == ["atlas", "text"]


def test_init_from_the_almanac_needs_nothing_but_members(capsys, tmp_path):
    said = concord(
        capsys,
        "init",
        tmp_path / "atlas",
        *("--member", "kenya", "--member", "greece", "--almanac-bytes", 20_000),
    )
    assert said.status == 0, said.err
    run = FederationFolder(tmp_path / "atlas").load_run(None)
    assert run.tokenizer.mode == "parity"
    assert (tmp_path / "atlas" / "parallel" / "sw.txt").exists()


def refused_init(capsys, root, *arguments):
    before = sorted(root.rglob("*"))
    said = concord(capsys, "init", root / "atlas", *arguments)
    assert sorted(root.rglob("*")) == before, "nothing is left behind"
    assert "Traceback" not in said.err
    return said


@pytest.mark.parametrize(
    ("arguments", "status", "names"),
    [
        (["--text", "{root}/nowhere"], 3, "nowhere"),
        (["--text", "{root}/text", "--member", "laos"], 3, "laos"),
        (["--text", "{root}/text", "--member", "Chad!"], 2, "--member"),
        (["--text", "{root}/text", "--name", "../up"], 2, "--name"),
        (["--text", "{root}/text", "--parallel", "{root}/p", "--member", "chad=fr"], 3, "fr.txt"),
        (["--text", "{root}/text", "--heldout", "{root}/p"], 3, "holds no text"),
        (["--text", "{root}/text", "--continue-from", "{root}/text"], 4, "config.json"),
        (["--member", "atlantis"], 2, "atlantis"),
        (["--parallel", "{root}/p"], 2, "--parallel"),
    ],
)
def test_init_refuses_and_leaves_nothing_behind(capsys, corpora, arguments, status, names):
    (corpora / "p").mkdir()
    said = refused_init(capsys, corpora, *(text.format(root=corpora) for text in arguments))
    assert said.status == status, said.err
    assert names in said.err
    assert "what to do: " in said.err


def test_init_refuses_a_name_that_no_member_can_have(capsys, corpora):
    (corpora / "text" / "chad.jsonl").rename(corpora / "text" / "My Text.jsonl")
    said = refused_init(capsys, corpora, "--text", corpora / "text")
    assert said.status == 2
    assert "My Text.jsonl" in said.err


@pytest.mark.parametrize("kind", ["file", "full folder"])
def test_init_touches_nothing_that_is_there(capsys, corpora, kind):
    target = corpora / "atlas"
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "mine").write_text("mine")
    said = refused_init(capsys, corpora, "--text", corpora / "text")
    assert said.status == 2
    assert str(target) in said.err


def test_paths_with_quotes_and_line_ends_survive_the_documents(capsys, tmp_path):
    odd = tmp_path / 'a "b" \\ c\n\x7f é'
    write_jsonl(odd / "chad.jsonl", documents(1, 40))
    said = concord(capsys, "init", tmp_path / "atlas", "--text", odd)
    assert said.status == 0, said.err
    member = FederationFolder(tmp_path / "atlas").member("chad")
    assert member.paths(member.load().text) == [odd / "chad.jsonl"]


# --- report and chat --------------------------------------------------------------------------


def test_a_report_of_a_run_that_never_began(capsys, tmp_path):
    federation = Federation(tmp_path).make()
    said = concord(capsys, "report", federation.folder)
    assert said.status == 2
    assert "concord run" in said.err


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff"])
def test_a_report_file_that_is_none(capsys, tmp_path, content):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    said = concord(capsys, "report", path)
    assert said.status == 2, said.err
    assert str(path) in said.err


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_chat_refuses_an_impossible_temperature(capsys, tmp_path, value):
    said = concord(capsys, "chat", tmp_path, "a", "--temperature", value)
    assert said.status == 2
    assert "temperature" in said.err


def test_chat_without_a_model(capsys, tmp_path):
    said = concord(capsys, "chat", tmp_path, "a")
    assert said.status == 4
    assert f"error C300: {tmp_path}" in said.err


def test_chat_without_a_prompt(capsys, tmp_path, monkeypatch):
    from modellab import save_gpt2

    save_gpt2(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    said = concord(capsys, "chat", tmp_path)
    assert said.status == 2
    assert "what to do: give it as an argument" in said.err


def test_what_a_model_says_cannot_steer_the_terminal(capsys, tmp_path):
    """An untrained model says all bytes, control characters among them."""
    from modellab import save_gpt2

    save_gpt2(tmp_path)
    said = concord(
        capsys, "chat", tmp_path, "a\x1b", "--temperature", 2, "--max-new-tokens", 900, "--top-k", 0
    )
    assert said.status == 0, said.err
    assert len(said.out) > 20
    assert not set(said.out) & {ANSI, "\x07", "\x08", "\r", "\x9b"}
