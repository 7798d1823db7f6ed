"""The page about sites, command by command: secretariat and member, up to what needs a server."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from doclab import commands, read_page

from concord.cli.main import main
from concord.federation.sites.home import member_of
from concord.testing.founded import found

PAGE = read_page("docs/sites.md")
NEEDS_A_SERVER = ("coordinator up", "member check", "member up")
MEMBERS = ["kenya", "nepal", "peru"]


def _give(words: list[str]) -> None:
    try:
        main(words)
    except SystemExit as done:
        assert not done.code, words


def test_every_command_that_needs_no_server_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found(tmp_path / "atlas", MEMBERS)
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "kenya").write_text("Habari ya mji.")
    left = []
    for command, _ in commands(PAGE):
        words = shlex.split(command.replace("--watch", ""))[1:]
        if any(command.startswith(f"concord {name}") for name in NEEDS_A_SERVER):
            left.append(command)
            continue
        if "--add" in words:  # as if the member had been admitted later
            project = tmp_path / "atlas" / "sites" / "project.json"
            value = json.loads(project.read_text())
            del value["members"]["nepal"]
            project.write_text(json.dumps(value))
        if words[:2] == ["member", "join"]:  # both were handed over
            shutil.copytree("atlas/sites/kits/kenya", "kit")
            shutil.copytree("atlas/members/kenya", "kenya")
        _give(words)
    assert len(left) == len(NEEDS_A_SERVER)
    assert (
        sorted(path.name for path in (tmp_path / "atlas" / "sites" / "kits").iterdir()) == MEMBERS
    )
    assert member_of(tmp_path / "atlas-kenya").load().text == (str(tmp_path / "corpora/kenya"),)
    assert "ExecStart" in (tmp_path / "concord-kenya.service").read_text()
    assert "ENTRYPOINT" in (tmp_path / "Containerfile").read_text()


def test_files_of_a_site_are_those_that_are_written() -> None:
    from concord.federation.sites.site_files import KNOWN

    section = PAGE.section("What a job may do at a site")
    cells = [line.split("|")[1].strip(" `") for line in section.splitlines() if "|" in line]
    named = {cell for cell in cells if cell.endswith(".json")}
    assert named == {name for name in KNOWN if not name.endswith((".default", ".sample"))}
