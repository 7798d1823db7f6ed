"""`concord demo`: the whole of it in minutes, on text that needs no download."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import typer
from rich.console import Console

from concord.base.errors import DocumentError
from concord.cli.templates import Rates, RunChoices, run_toml
from concord.federation.engine import EngineName
from concord.federation.folders import FederationFolder

MEMBERS = ("ethiopia", "greece", "kenya", "tamil_nadu", "thailand", "georgia")
PROMPTS = 3
MARK = ".concord-demo"
RUN = "demo"


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    folder: Path = typer.Option(Path("demo"), help="Folder to make."),
    force: bool = typer.Option(False, help="Replace an earlier demo in that folder."),
    rounds: int = typer.Option(66, min=1, help="Rounds to run."),
    compare: bool = typer.Option(True, help="Also train each member alone and one pooled model."),
    seed: int = typer.Option(0, min=0),
    engine: EngineName = typer.Option(
        "local", help="local: a process per member; flare: a site per member, over mutual TLS."
    ),
) -> None:
    """Six nations train one model of their almanacs together; then it is compared, and it speaks.

    Each member is a process of its own with text in its own language; only pair counts, updates
    and sums cross between them.

    Example: concord demo --folder demo --engine flare
    """
    from concord.cli.demo_release import missing, release_it
    from concord.cli.initialise import found_here, make_almanac_federation
    from concord.cli.observe import make_pages
    from concord.cli.pipeline import run_and_report
    from concord.cli.say import say
    from concord.cli.watch import TerminalWatcher
    from concord.federation.datasets import describe_almanacs
    from concord.federation.workers import warm_up
    from concord.observatory.pages.language import languages as all_languages
    from concord.observatory.terminal import print_report

    _prepare_folder(folder, force=force)
    began_s = time.monotonic()
    warm_up()
    console = Console()
    console.print("Writing six nations' almanacs from Unicode CLDR …", style="dim")
    languages = make_almanac_federation(folder, MEMBERS, almanac_bytes=1_200_000, seed=seed)
    federation = FederationFolder(folder.resolve())
    office = found_here(federation, "demo", languages, almanac=True)
    describe_almanacs(office)
    charter = office.charter
    console.print(
        f"Founded under a charter that {len(languages)} members signed; all else is in its log.",
        style="dim",
    )
    choices = demo_choices(
        languages, rounds=rounds, seed=seed, owner_cap=str(charter.influence.owner_cap)
    )
    federation.write_run(run_toml(choices), RUN)
    run = federation.load_run(RUN)
    with TerminalWatcher(Console(stderr=True), rounds=rounds) as watcher:
        made = run_and_report(
            federation, run, resume=False, compare=compare, watcher=watcher, engine=engine
        )
    print_report(console, made.report)
    speak(console, made.model, federation)
    lacking = missing()
    release = None if lacking else release_it(federation, run, console)
    pages = federation.root / "observatory"
    make_pages(federation.root, pages, all_languages())
    console.print(f"\nDone in {time.monotonic() - began_s:.0f} s.")
    without = f"none: needs {', '.join(lacking)} (pip install 'concord[release]')"
    rows = [
        ("report", made.html),
        ("model", made.model),
        ("release", without if release is None else f"{release} (verified)"),
        ("observatory", pages / "index.html"),
        ("check", f"concord verify {folder}"),
        ("", None if release is None else f"concord release verify {release}"),
        ("try", f'concord chat {release or made.model} "…"'),
    ]
    for name, shown in rows:
        if shown is not None:
            say(f"{name:11} {shown}")


def demo_choices(
    languages: dict[str, tuple[str, ...]], *, rounds: int, seed: int, owner_cap: str = "1"
) -> RunChoices:
    """The run document of the demo: small enough for two cores and a few minutes."""
    return RunChoices(
        name=RUN,
        members=sorted(languages),
        languages=languages,
        seed=seed,
        owner_cap=owner_cap,
        rounds=rounds,
        inner_steps=4,
        rates=Rates(inner=0.005, outer=2.2, outer_embedding=2.45, sovereign=0.2),
        merges=2048,
        batch_tokens=512,
        hidden=96,
        layers=3,
        warmup_steps=40,
        evaluate_every=15,
        evaluate_bytes=40_000,
        sample_bytes=1_200_000,
    )


def speak(console: Console, model: Path, federation: FederationFolder) -> None:
    """Continue the beginning of a fact in three languages; a line of each is shown."""
    from concord.federation.facts import member_facts
    from concord.model.folder import load_folder, load_tokenizer
    from concord.model.generate import continue_text

    loaded, tokenizer = load_folder(model), load_tokenizer(model)
    loaded.model.eval()
    console.print("\nThe shared model continues, in three languages:", style="bold")
    for member in MEMBERS[:PROMPTS]:
        facts = member_facts(federation.member(member))
        prompt = facts[0].prompt if facts else member
        console.print(f"  [{member}] {prompt}", end="", markup=False, highlight=False)
        text = continue_text(loaded.model, tokenizer, prompt, max_new_tokens=40, temperature=0.5)
        line = text.partition("\n")[0]
        console.print(line, style="cyan", markup=False, highlight=False)


def _prepare_folder(folder: Path, *, force: bool) -> None:
    """An empty folder; only what an earlier demo made is ever removed."""
    if folder.exists() and any(folder.iterdir()):
        if not (force and (folder / MARK).exists()):
            raise DocumentError(
                "is not empty",
                where=folder,
                remedy="choose another --folder, or --force to replace an earlier demo",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
