"""How a model without chat training answers a chat: it goes on with the text.

The template joins what was said by blank lines and adds nothing: no roles, no instructions, no
marks that the model never saw. What comes back is how such a text might go on, which is seldom an
answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHAT_TEMPLATE_FILE = "chat_template.jinja"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}"
)


def chat_template(files: Mapping[str, str]) -> str | None:
    """The template that a model folder carries, by the content of its tokenizer's files."""
    if CHAT_TEMPLATE_FILE in files:
        return files[CHAT_TEMPLATE_FILE]
    template = json.loads(files.get("tokenizer_config.json", "{}")).get("chat_template")
    return template if isinstance(template, str) else None


def write_plain_template(folder: Path) -> None:
    """Give a model folder the plain template, if it has none."""
    files = {
        name: (folder / name).read_text(encoding="utf-8")
        for name in (CHAT_TEMPLATE_FILE, "tokenizer_config.json")
        if (folder / name).is_file()
    }
    if chat_template(files) is None:
        (folder / CHAT_TEMPLATE_FILE).write_text(CHAT_TEMPLATE, encoding="utf-8")


def response_template(end_token: str) -> dict[str, Any]:
    """What tells `transformers serve` that an answer under this template is plain text.

    Without it that server takes the architecture's name for a promise of tool calls, and repeats
    the question in the answer.
    """
    return {
        "defaults": {"role": "assistant"},
        "start_anchor_pattern": r"\Z",
        "fields": {"content": {"close": end_token, "content": "text"}},
    }
