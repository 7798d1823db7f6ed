"""The tutorial for a secretariat, command by command, from founding to the last proof."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from doclab import commands, read_page

from concord.cli.main import main
from concord.federation.folders import FederationFolder
from concord.ledger.archive import Archive
from concord.ledger.state.library import ObjectLibrary

PAGE = read_page("docs/tutorial-secretariat.md")
MEMBERS = ("greece", "kenya", "peru", "thailand")
ASKS = ("propose", "sign")
"""Commands that ask before they sign; nobody can answer in a test."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Where the tutorial was followed, and the commands that were given."""
    folder = tmp_path_factory.mktemp("secretariat")
    (folder / "founders.toml").write_text(PAGE.blocks("toml")[0])
    (folder / "corpora").mkdir()
    for member in MEMBERS:
        lines = [f'{{"text": "{member} has {n} words and {n * n} letters."}}\n' for n in range(50)]
        (folder / "corpora" / f"{member}.jsonl").write_text("".join(lines))
    given = [command for command, _ in commands(PAGE)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in given:
            _give(command)
    return folder, given


def _give(command: str) -> None:
    words = shlex.split(command)
    if words[0] != "concord":
        subprocess.run(words, check=True)
        return
    asks = ["--yes"] if words[1] in ASKS and "--dry-run" not in words else []
    try:
        main([*words[1:], *asks])
    except SystemExit as done:
        assert not done.code, command


def test_every_command_of_the_tutorial_does_what_it_says(said: tuple[Path, list[str]]) -> None:
    folder, given = said
    federation = FederationFolder(folder / "atlas")
    archive = Archive(federation.log, ObjectLibrary(federation.objects))
    state = archive.state
    assert state.coordinator.member == "peru"
    assert state.members["nepal"].standing == "probation"
    assert [seat.outcome for seat in state.proposals.values()] == ["adopted"] * 5
    assert len(state.coming_charters) == 1
    assert [seat.lifted for seat in state.halts.values()] == [True, True]
    assert [seat.name for seat in state.runs.values()] == ["first"]
    coming = next(iter(state.coming_charters))
    bound = {name for name, seat in state.members.items() if seat.ratified == coming}
    assert bound == {"greece", "kenya"}
    assert len(given) > 45


def test_the_founders_of_the_tutorial_are_those_of_the_log(said: tuple[Path, list[str]]) -> None:
    folder, _ = said
    federation = FederationFolder(folder / "atlas")
    founding = Archive(federation.log, ObjectLibrary(federation.objects)).entries[0].statement
    value = json.loads(founding.payload())["predicate"]["body"]
    assert [member["id"] for member in value["members"]] == list(MEMBERS)
    assert [one["id"] for one in value["overseers"]] == ["amina", "bela", "cora"]
    assert value["coordinator"]["member"] == "kenya"
