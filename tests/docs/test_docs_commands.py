"""Every `concord` command that is shown parses; the cheap ones are run and compared."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from doclab import commands, pages, read_page
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from typer.testing import CliRunner

from concord.base.errors import CorpusUnreadable
from concord.base.tokenizer_file import END_TOKEN
from concord.cli.main import app, main

SHOWN = [
    (page.name, command, output)
    for page in pages()
    for command, output in commands(page)
    if command.startswith("concord ")
]
NAMES = (
    "init",
    "run",
    "report",
    "chat",
    "tokenizer learn",
    "tokenizer show",
    "data check",
    "verify",
    "publish",
)


def _parse(command: Any, arguments: list[str], parent: Any = None) -> None:
    """Parse as the command line does, down to the last sub-command, without running anything."""
    with command.make_context(command.name, arguments, parent=parent) as context:
        if hasattr(command, "resolve_command"):
            rest = [*context._protected_args, *context.args]
            _, inner, left = command.resolve_command(context, rest)
            _parse(inner, left, context)


@pytest.mark.parametrize(("page", "command", "_"), SHOWN, ids=[command for _, command, _ in SHOWN])
def test_command_parses(page: str, command: str, _: list[str]) -> None:
    arguments = shlex.split(command)[1:]
    if arguments != ["--version"]:
        _parse(typer.main.get_command(app), arguments)


def test_a_command_with_an_unknown_option_does_not_parse() -> None:
    with pytest.raises(Exception, match="No such option"):
        _parse(typer.main.get_command(app), ["run", "atlas", "--teleport"])


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_shown_somewhere(name: str) -> None:
    assert any(command.startswith(f"concord {name} ") for _, command, _ in SHOWN)


def _helps(command: Any) -> Iterator[str]:
    yield command.help or ""
    for inner in getattr(command, "commands", {}).values():
        yield from _helps(inner)


def test_examples_of_the_help_parse() -> None:
    command = typer.main.get_command(app)
    examples = re.findall(r"Example: concord (.+)", "\n".join(_helps(command)))
    assert len(examples) >= len(NAMES)
    for example in examples:
        _parse(command, shlex.split(example))


def _shown(beginning: str) -> tuple[str, list[str]]:
    return next((c, out) for _, c, out in SHOWN if c.startswith(beginning) and out)


def _run(*arguments: str) -> list[str]:
    found = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80"})
    assert found.exit_code == 0, found.output
    return [line.rstrip() for line in found.stdout.splitlines()]


def test_version_is_as_shown() -> None:
    _, output = _shown("concord --version")
    assert _run("--version") == output[:1]


def test_tokenizer_show_answers_in_the_form_shown(tmp_path: Path) -> None:
    command, (ids, total) = _shown("concord tokenizer show")
    text = shlex.split(command)[-1]
    made_ids, made_total = _run("tokenizer", "show", str(_tiny_tokenizer(tmp_path)), text)
    assert re.fullmatch(r"\d+( \d+)*", ids)
    assert re.fullmatch(r"\d+( \d+)*", made_ids)
    assert made_total == f"{len(made_ids.split())} tokens for {len(text.encode())} bytes"
    assert total == f"{len(ids.split())} tokens for {len(text.encode())} bytes"


def _tiny_tokenizer(folder: Path) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=[END_TOKEN], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["ኢትዮጵያ ኬንያ ኢትዮጵያ"], trainer)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_data_check_answers_in_the_form_shown(tmp_path: Path) -> None:
    _, shown = _shown("concord data check")
    path = tmp_path / "text.jsonl"
    path.write_text(
        "".join(
            f'{{"text": "Habari ya mji wa {n} na {n * n}.", "lang": "sw"}}\n' for n in range(90)
        )
    )
    made = _run("data", "check", str(path))
    assert _words(made) == _words(shown)


def _words(lines: list[str]) -> list[str]:
    """The words of an output, without its numbers and its breaks."""
    return re.sub(r"[\d,.%]+", "", " ".join(lines)).split()


def test_error_is_told_in_the_form_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = read_page("docs/errors.md").blocks("text")[0]
    path = tmp_path / "kenya.jsonl"
    path.write_text('{"text": "Habari"}\n' * 11 + '{"body": "Habari"}\n')
    with pytest.raises(SystemExit) as stopped:
        main(["data", "check", str(path)])
    assert stopped.value.code == CorpusUnreadable.exit_status
    told = capsys.readouterr().err.replace(str(tmp_path), "corpora")
    assert told == shown


def test_documents_name_the_same_two_commands() -> None:
    tried = [command for command, _ in commands(read_page("README.md"))]
    assert tried[:2] == ["make demo", "make test"]
