"""How long until the first token: `concord serve` on a model, asked by OpenAI's own client.

python benchmarks/first_token.py --model demo/runs/demo/model
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import openai

PROMPTS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompt", default="Ο πληθυσμός της Ελλάδας είναι")
    given = parser.parse_args()
    words = [sys.executable, "-m", "concord.cli.main", "serve", str(given.model)]
    began = time.monotonic()
    process = subprocess.Popen(
        [*words, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        assert lines[-1], "the server ended by itself"
    told = json.loads("".join(lines))
    print(f"{told['backend']} served after {time.monotonic() - began:.1f} s")
    try:
        with openai.OpenAI(base_url=told["url"], api_key="any") as client:
            report("completions", [first_token_ms(client, told["model"], given.prompt, chat=False)
                                   for _ in range(PROMPTS)])  # fmt: skip
            report("chat", [first_token_ms(client, told["model"], given.prompt, chat=True)
                            for _ in range(PROMPTS)])  # fmt: skip
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def first_token_ms(client: openai.OpenAI, model: str, prompt: str, *, chat: bool) -> float:
    began = time.monotonic()
    if chat:
        stream = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=8,
            stream=True,
        )
        with stream:
            for part in stream:
                if part.choices and part.choices[0].delta.content:
                    break
    else:
        with client.completions.create(
            model=model, prompt=prompt, max_tokens=8, stream=True
        ) as stream:
            next(iter(stream))
    return 1000 * (time.monotonic() - began)


def report(what: str, times_ms: list[float]) -> None:
    ordered = sorted(times_ms)
    print(
        f"{what}: first {times_ms[0]:.0f} ms; of {len(ordered)}: median"
        f" {statistics.median(ordered):.0f} ms, slowest {ordered[-1]:.0f} ms"
    )


if __name__ == "__main__":
    main()
