"""`concord observe`: public pages made from a log and its releases."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from concord.cli import desk
from concord.cli.say import reading, say, say_json


def register(app: typer.Typer) -> None:
    app.command("observe")(observe)


def observe(
    folder: Path = typer.Argument(..., help="Federation folder, or a published copy of it."),
    out: Path = typer.Argument(..., help="New folder for the pages, or one made before."),
    languages: list[str] = typer.Option(
        [], "--language", help="Only these languages; English is always there."
    ),
    messages: list[Path] = typer.Option(
        [], "--messages", help="A language of your own: `<tag>.json`, with the keys of en.json."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Make the observatory: pages for citizens, members, auditors and regulators, in a folder.

    They need no server and no network, and can be read without JavaScript.

    Example: concord observe atlas observatory
    """
    from concord.observatory.pages.bundle import build, check_place
    from concord.observatory.pages.language import chosen
    from concord.observatory.pages.source import read_source

    began_s = time.monotonic()
    wanted = chosen(languages, messages)
    place = out.resolve()
    check_place(place)
    with reading() as watch:
        source = read_source(folder.resolve(), made=desk.now(), watch=watch)
    made = build(source, wanted, place)
    if as_json:
        say_json({**vars(made), "index": str(place / "index.html")})
        return
    say(
        f"{made.pages} pages in {made.languages} languages, {made.files} files,"
        f" {made.bytes:,} bytes, in {time.monotonic() - began_s:.1f} s"
    )
    say(f"open {place / 'index.html'}")
