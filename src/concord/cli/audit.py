"""`concord audit`: what would a member's next update give away of its text?"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from concord.federation.member.rehearsal import Rehearsal

OVER_LIMIT = 11
"""Exit status where the update would not be sent."""
WORDS = {
    "mia_auc": "tells text trained on from held-out text (0.5: not at all, 1: always)",
    "round_auc": "tells the rows of this round from held-out text",
    "recited": "share of this round's rows said by heart, beyond held-out rows",
    "canary_auc": "tells planted canaries from others",
    "canary_epsilon": "privacy loss that is shown at 95 %, at least",
    "canaries_recited": "share of planted canaries said by heart",
    "token_set_auc": "tells used tokens from unused ones",
    "row_cosine": "own embedding rows in the merged step (1: they are its rows)",
}
BASE = {"canary_auc": "auc", "canary_epsilon": "epsilon", "canaries_recited": "recited"}


def register(app: typer.Typer) -> None:
    app.command("audit")(audit)


def audit(
    member: str = typer.Argument(..., help="Id of the member whose machine this is."),
    folder: Path = typer.Option(Path(), help="Federation folder."),
    name: str | None = typer.Option(None, "--run", help="Run, if the folder holds several."),
    as_json: bool = typer.Option(False, "--json", help="Print what was measured as JSON."),
) -> None:
    """Rehearse the next round on this member's text, and measure what its update would give away.

    Nothing is sent or kept, and no privacy budget is spent. Limits are those of privacy.toml.
    Exit status 11: the update would not be sent.

    Example: concord audit kenya --folder atlas
    """
    from concord.federation.folders import FederationFolder
    from concord.federation.member.rehearsal import rehearse

    federation = FederationFolder(folder.resolve())
    found = rehearse(federation, federation.load_run(name), member)
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=1))
    else:
        _print(Console(), found)
    if found.over:
        raise typer.Exit(OVER_LIMIT)


def _as_json(found: Rehearsal) -> dict[str, Any]:
    value = {
        "update": asdict(found.update),
        "base": asdict(found.base),
        "limits": found.limits.model_dump(),
        "over": list(found.over),
        "canaries_commitment": found.commitment,
    }
    return {key: _without_nan(part) for key, part in value.items()}


def _without_nan(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in part.items()}


def _print(console: Console, found: Rehearsal) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("measure", "base", "update", "limit"):
        table.add_column(title, justify="left" if title == "measure" else "right")
    table.add_column("", style="dim")
    limits = found.limits.model_dump()
    for name, words in WORDS.items():
        over = name in found.over
        table.add_row(
            name,
            _number(getattr(found.base, BASE[name])) if name in BASE else "",
            f"[bold red]{_number(getattr(found.update, name))}[/]"
            if over
            else _number(getattr(found.update, name)),
            "" if limits[name] is None else f"{limits[name]:g}",
            words,
        )
    console.print(table)
    console.print(
        f"round {found.update.round}; {found.update.rows} rows of each kind,"
        f" {found.update.canaries} canaries read so far; {found.update.seconds:.1f} s",
        highlight=False,
    )
    verdict = f"would NOT be sent: over {', '.join(found.over)}" if found.over else "would be sent"
    console.print(f"the update {verdict}", highlight=False)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
