"""The `concord` command: what it offers, and how errors reach a user."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.text import Text

from concord import __version__
from concord.base.errors import ConcordError, InternalError
from concord.cli import chat, data, demo, initialise, report, run, tokenizer

app = typer.Typer(
    name="concord",
    help="Nations jointly pre-train one open language model; text never leaves its member.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for group in (demo, initialise, run, report, chat):
    group.register(app)
app.add_typer(data.app, name="data")
app.add_typer(tokenizer.app, name="tokenizer")


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error ends in one clear message and a stable exit status."""
    try:
        app(args=arguments)
    except ConcordError as error:
        show_error(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted. `concord run --resume` goes on from here.")
        sys.exit(130)
    except (RuntimeError, MemoryError, OSError, ValueError, LookupError, TypeError) as error:
        show_error(InternalError(f"{type(error).__name__}: {error}", remedy="please report it"))
        sys.exit(InternalError.exit_status)


def show_error(error: ConcordError) -> None:
    """Print an error's code, place, message and remedy to standard error."""
    text = Text(f"error {error.code}: ", style="bold red")
    if error.where:
        text.append(f"{error.where}: ", style="bold")
    text.append(error.message, style="default")
    if error.remedy:
        text.append(f"\nwhat to do: {error.remedy}", style="cyan")
    Console(stderr=True, soft_wrap=True).print(text)


if __name__ == "__main__":
    main()
