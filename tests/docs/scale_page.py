"""Write the outputs of the commands on docs/scale.md anew.

python tests/docs/scale_page.py
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from concord.cli.main import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
_BLOCK = re.compile(r"^```console\n\$ concord ([^\n]+)\n.*?^```$", re.MULTILINE | re.DOTALL)


def render(text: str) -> str:
    """The page with every command's output as it is now."""
    return _BLOCK.sub(
        lambda found: f"```console\n$ concord {found[1]}\n{output(found[1])}```", text
    )


def output(command: str) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it fails.
    """
    done = CliRunner().invoke(app, shlex.split(command))
    if done.exit_code:
        raise RuntimeError(done.output)
    return done.stdout


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text("utf-8")), "utf-8")
