"""`concord data`: look at a member's text before a run."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="A member's own text; nothing of it leaves.")


@app.callback()
def _group() -> None:
    """Keeps `check` a sub-command."""
