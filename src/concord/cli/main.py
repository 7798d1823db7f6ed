"""The `concord` command: what it offers, and how errors reach a user."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text
from typer.models import CommandInfo

from concord import __version__
from concord.base.clock import Clock
from concord.base.errors import ConcordError, DocumentError, InternalError
from concord.cli import (
    audit,
    bench,
    canaries,
    charter,
    chat,
    complaints,
    coordinator,
    data,
    datasets,
    demo,
    federation,
    fetch,
    gate,
    gguf,
    halts,
    initialise,
    joining,
    keys,
    law,
    log,
    member,
    observe,
    openings,
    policy,
    propose,
    proving,
    release,
    report,
    run,
    scan,
    seal,
    serve,
    sovereign,
    status,
    tokenizer,
    verify,
    votes,
)
from concord.cli.plain import printable
from concord.cli.setting import begin

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

app = typer.Typer(
    name="concord",
    help="Nations jointly pre-train one open language model; text never leaves its member.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for group in (
    *(demo, initialise, run, audit, report, verify, proving, votes, joining, law),
    *(chat, serve, status, observe),
):
    group.register(app)
scan.register(app)
for group in (datasets, openings):
    group.register(data.app)
for group in (gguf, fetch):
    group.register(release.app)
app.add_typer(data.app, name="data")
app.add_typer(tokenizer.app, name="tokenizer")
for name, commands in (
    ("bench", bench),
    ("canaries", canaries),
    ("charter", charter),
    ("propose", propose),
    ("halt", halts),
    ("complaint", complaints),
    ("coordinator", coordinator),
    ("keys", keys),
    ("log", log),
    ("policy", policy),
    ("gate", gate),
    ("release", release),
    ("seal", seal),
    ("sovereign", sovereign),
    ("federation", federation),
    ("member", member),
):
    app.add_typer(commands.app, name=name)


def _show_version(show: bool) -> None:
    if show:
        typer.echo(f"concord {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None, *, clock: Clock | None = None) -> None:
    """Run the command line; every error ends in one clear message and a stable exit status.

    Args:
        arguments: Words of the command; those of this process if left out.
        clock: Time for statements; the machine's own if left out.
    """
    _replace_what_a_terminal_cannot_show()
    begin(clock)
    try:
        _built(tuple(app.registered_commands))(args=arguments)
    except ConcordError as error:
        show_error(error)
        sys.exit(error.exit_status)
    except SystemExit as done:
        if done.code == INTERRUPTED:
            _say_interrupted()
        raise
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        show_error(_without(error.name))
        sys.exit(DocumentError.exit_status)
    except Exception as error:  # noqa: BLE001 - the boundary: no traceback reaches a user
        show_error(_defect(error))
        sys.exit(InternalError.exit_status)


@lru_cache(maxsize=1)
def _built(commands: tuple[CommandInfo, ...]) -> Callable[..., object]:
    """The tree of commands, built once: it takes longer than most of them.

    Args:
        commands: What is registered at its top; with another one it is built anew.
    """
    del commands
    return typer.main.get_command(app)


def show_error(error: ConcordError) -> None:
    """Print an error's code, place, message and remedy to standard error."""
    text = Text(f"error {error.code}: ", style="bold red")
    if error.where:
        text.append(f"{printable(error.where)}: ", style="bold")
    text.append(printable(error.message), style="default")
    if error.remedy:
        text.append(f"\nwhat to do: {printable(error.remedy)}", style="cyan")
    Console(stderr=True, soft_wrap=True).print(text)


EXTRAS = {
    "gguf": "release",
    "nvflare": "sites",
    "peft": "adapters",
}
"""Which extra brings a library; all others come with `train`."""


def _without(library: str | None) -> DocumentError:
    """A plain `pip install concord` holds what a verifier needs, and neither torch nor readers."""
    extra = EXTRAS.get((library or "").partition(".")[0], "train")
    return DocumentError(
        f"this command needs {library}, which is not installed",
        remedy=f"install what it is made with: pip install 'concord[{extra}]'",
    )


def _defect(error: Exception) -> InternalError:
    """What is told of an error nobody foresaw: its type and place. Its message may quote text."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{place}:{frame.lineno}" for frame in frames if (place := _place(frame.filename))]
    described = f"{type(error).__name__} at {places[-1]}" if places else type(error).__name__
    return InternalError(
        f"a defect in Concord: {described}",
        remedy="please report it, with the command that you gave",
    )


def _place(file: str) -> str:
    """A file of this package, from the package's folder; empty for one of another."""
    root = Path(__file__).parents[1]
    return Path(file).relative_to(root).as_posix() if root in Path(file).parents else ""


def _say_interrupted() -> None:
    Console(stderr=True, soft_wrap=True).print(
        "Interrupted. A run goes on from its last committed round with `concord run --resume`.",
        highlight=False,
    )


def _replace_what_a_terminal_cannot_show() -> None:
    """A terminal without Unicode shows question marks; it does not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    main()
