"""`concord bench`: what a run would need and how long it would take, before it is begun."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from concord.base.errors import DocumentError
from concord.cli.bench_words import plan_json, tell_needs, tell_rows
from concord.cli.quantities import BITS, BYTES, COUNTS, SECONDS, quantity
from concord.cli.say import say_json
from concord.cli.setting import json_option

if TYPE_CHECKING:
    from concord.federation.planning.needs import Needs

app = typer.Typer(help="Reckon what a run needs, and measure what it takes.", no_args_is_help=True)
CODECS = ("fp32", "int8", "int4", "sparse")
"""From the most exact to the coarsest."""
TOKENS_PER_PARAMETER = 20
"""Of a whole run, if nothing else is said (Hoffmann et al. 2022)."""


@app.callback()
def _group() -> None:
    """Keep `plan` a word of its own while it is the only command."""


@app.command()
def plan(
    run: Path | None = typer.Argument(None, help="Run document; else give --parameters."),
    parameters: str | None = typer.Option(None, help="Size of the network, such as 7B."),
    members: int = typer.Option(8, min=1, max=4096, help="How many; a run document says itself."),
    tokens_per_round: str | None = typer.Option(
        None, help="Of one member in one round, such as 15M; a run document says itself."
    ),
    tokens: str | None = typer.Option(
        None, help="Of all members in the whole run; 20 per parameter, or the document's rounds."
    ),
    flops: str = typer.Option("3.2P", help="Of one member, effective operations per second."),
    link: list[str] = typer.Option(["100Mbit", "1Gbit"], help="A member's link; may be repeated."),
    hub: str | None = typer.Option(
        None, help="The coordinator's link each way; as fast as all members' together if left out."
    ),
    latency: str = typer.Option("150ms", help="One way."),
    codec: list[str] = typer.Option([], help="Codec up and down; may be repeated; all if none."),
    overlap: bool = typer.Option(
        False, help="The next round is trained while the last travels; a run document says itself."
    ),
    fragments: int | None = typer.Option(
        None, min=1, max=64, help="Parts of the model, one sent each round; as in a run document."
    ),
    unequal: float = typer.Option(
        0.0, min=0.0, max=0.95, help="Simulate members whose speeds differ by so much each way."
    ),
    memory: str = typer.Option("256GB", help="The coordinator's."),
    devices: str = typer.Option("640GB", help="Memory of a member's devices together."),
    disk: str = typer.Option("100TB", help="The coordinator's, where all updates stay."),
    days: float = typer.Option(365.0, min=0.001, help="How long the run may take."),
    as_json: bool = typer.Option(
        False, "--json", help="Print everything as JSON.", callback=json_option
    ),
) -> None:
    """Reckon memory, bytes, time of a round and what breaks first, for each link and codec.

    Example: concord bench plan --parameters 7B --members 32 --tokens-per-round 15M --link 100Mbit
    """
    from concord.federation.planning.needs import with_fragments
    from concord.federation.planning.plan import Machines, Work, row

    wanted = [_needs(run, parameters, members, name) for name in _codecs(run, codec)]
    if fragments is not None:
        wanted = [replace(one, run=with_fragments(one.run, fragments)) for one in wanted]
    first = wanted[0]
    machines = Machines(
        flops=quantity(flops, COUNTS, where="--flops"),
        hub_bits=math.inf if hub is None else quantity(hub, BITS, where="--hub"),
        latency_s=quantity(latency, SECONDS, where="--latency"),
        memory=quantity(memory, BYTES, where="--memory"),
        devices=quantity(devices, BYTES, where="--devices"),
        disk=quantity(disk, BYTES, where="--disk"),
        days=days,
    )
    work = Work(
        round_tokens=_round_tokens(run, first, tokens_per_round),
        tokens=_tokens(run, first, tokens),
        overlap=1.0 if overlap else first.overlap,
    )
    speeds = [quantity(text, BITS, where="--link") for text in link]
    groups = [[row(needs, bits, machines, work) for needs in wanted] for bits in speeds]
    if as_json:
        say_json(plan_json(wanted, machines, work, groups, unequal))
        return
    tell_needs(wanted, machines, work)
    tell_rows(wanted[0], groups, unequal)


def _codecs(run: Path | None, codec: list[str]) -> list[str | None]:
    """Codecs to reckon with; None is that of the run document."""
    if codec:
        return [*codec]
    return [None] if run is not None else [*CODECS]


def _needs(run: Path | None, parameters: str | None, members: int, codec: str | None) -> Needs:
    from concord.charter.run import load_run
    from concord.federation.planning.needs import needs_of, needs_of_size, with_codec

    if (run is None) == (parameters is None):
        raise DocumentError(
            "give a run document or --parameters, one of them",
            where="bench plan",
            remedy="concord bench plan --parameters 7B",
        )
    if run is not None:
        document = load_run(run)
        if document.model.continue_from is not None or document.mode == "sealed":
            raise DocumentError(
                "a sealed run, or one that continues a model folder, is not reckoned",
                where=run,
                remedy="give --parameters and --members",
            )
        return needs_of(document if codec is None else with_codec(document, codec))
    assert parameters is not None  # noqa: S101 - one of the two is there
    size = round(quantity(parameters, COUNTS, where="--parameters"))
    return needs_of_size(size, members, codec or "int4")


def _round_tokens(run: Path | None, needs: Needs, text: str | None) -> float:
    if text is not None:
        return quantity(text, COUNTS, where="--tokens-per-round")
    if run is None:
        raise DocumentError(
            "is needed beside --parameters",
            where="--tokens-per-round",
            remedy="say what one member trains on in one round, such as 15M",
        )
    return float(needs.run.rounds.inner_steps * needs.run.inner.batch_tokens)


def _tokens(run: Path | None, needs: Needs, text: str | None) -> float:
    if text is not None:
        return quantity(text, COUNTS, where="--tokens")
    if run is None:
        return float(TOKENS_PER_PARAMETER * needs.parameters)
    from concord.charter.schedule import total_steps

    document = needs.run
    steps = total_steps(document.rounds)
    return float(steps * document.inner.batch_tokens * len(document.roster))
