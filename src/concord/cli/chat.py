"""`concord chat`: continue a prompt with a trained model."""

from __future__ import annotations

import math
from pathlib import Path

import typer
from rich.console import Console

from concord.base.errors import DocumentError
from concord.cli.checked import UNVERIFIED, checked_model
from concord.cli.plain import printable


def register(app: typer.Typer) -> None:
    app.command("chat")(chat)


def chat(
    model: Path = typer.Argument(
        ..., help="Release, model folder, or a federation whose model it is."
    ),
    prompts: list[str] = typer.Argument(None, help="Text to continue; without it, asks for some."),
    max_new_tokens: int = typer.Option(60, min=1, max=4096, help="Tokens to add."),
    temperature: float = typer.Option(0.7, min=0.0, help="0 takes the likeliest token."),
    top_k: int = typer.Option(40, min=0, help="Sample among so many tokens; 0 is all."),
    seed: int = typer.Option(0, min=0, help="The same seed gives the same text."),
    unverified: bool = UNVERIFIED,
) -> None:
    """Continue a prompt in any of the members' languages. A release is verified first.

    Example: concord chat demo/runs/demo/model "ኢትዮጵያ"
    """
    from concord.model.folder import load_folder, load_tokenizer
    from concord.model.generate import continue_text

    if not math.isfinite(temperature):
        raise DocumentError("is not a number", where="--temperature", remedy="use 0 to 2")
    folder = checked_model(model, unverified=unverified)
    loaded, tokenizer = load_folder(folder), load_tokenizer(folder)
    loaded.model.eval()
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for prompt in prompts or _asked(console):
        if not prompt.strip():
            raise DocumentError("the prompt is empty", remedy="give some text to continue")
        console.print(printable(prompt), style="bold", end="")
        continue_text(
            loaded.model,
            tokenizer,
            prompt,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
            on_token=lambda piece: console.print(printable(piece), end=""),
        )
        console.print()


def _asked(console: Console) -> list[str]:
    try:
        return [console.input("prompt: ")]
    except EOFError as error:
        raise DocumentError("there is no prompt", remedy="give it as an argument") from error
