"""The shared tokenizer: cost of learning it, identity with pooled training, what languages pay.

    make bench-tokenizer CORPORA=<folder>

The folder holds `train/<member>.jsonl.gz` (one JSON object with "text" a line), the like in
`heldout/`, and `parallel/<language>.txt.gz` (line n is the same sentence in each). Parallel lines
up to --build-lines serve to build, all later ones to measure. Nothing is random. CPU seconds are
those of the process while it does one side's work; reading files counts for neither side.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from concord.data.bpe import END_TOKEN, CountingMember, MergeSession, measure_fairness
from concord.data.bpe.words import WORD_PATTERN

MEMBERS = (
    "ethiopia=amh_Ethi",
    "thailand=tha_Thai",
    "kerala=mal_Mlym",
    "brazil=por_Latn",
    "nigeria=ibo_Latn",
    "greece=ell_Grek",
)
MIN_PAIR_COUNT = 2
ARMS: dict[str, dict[str, Any]] = {
    "ordinary": {"mode": "ordinary"},
    "parity": {},
    "parity, any pair": {"min_parallel_count": 0},
    "parity, pair once in the sentences": {"min_parallel_count": 1},
    "parity, pair 4 times": {"min_parallel_count": 4},
    "parity after 1,500 ordinary merges": {"global_merges": 1_500},
}
USUAL_ARMS = ("ordinary", "parity")


def main() -> None:
    arguments = parsed_arguments()
    languages = {name: tuple(filter(None, own.split("+"))) for name, own in arguments.members}
    texts = {
        name: sample(arguments.corpora / "train" / f"{name}.jsonl.gz", arguments.sample_bytes)
        for name in languages
    }
    lines = {
        code: list(read_lines(arguments.corpora / "parallel" / f"{code}.txt.gz"))
        for own in languages.values()
        for code in own
    }
    to_build = {code: part[: arguments.build_lines] for code, part in lines.items()}
    to_measure = {code: part[arguments.build_lines :] for code, part in lines.items()}
    own_text = [
        text
        for name in languages
        for text in documents(arguments.corpora / "heldout" / f"{name}.jsonl.gz")
    ]
    results: dict[str, Any] = {
        "members": {name: sum(len(t.encode()) for t in part) for name, part in texts.items()},
        "arms": {},
    }
    for arm in ARMS if arguments.ablate else USUAL_ARMS:
        options = {"parallel": to_build, "merges": arguments.merges, **ARMS[arm]}
        row, session = run(texts, languages, options)
        row |= measured(session.tokenizer_json(), to_measure, own_text)
        results["arms"][arm] = row
        write_files(session, arguments.tokenizers, arm)
        if arm == "ordinary":
            results["pooled"] = compare_with_pooled(session, texts, arguments.merges)
    show(results)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"written: {arguments.out}")


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument(
        "--members",
        nargs="+",
        type=member_argument,
        default=[member_argument(text) for text in MEMBERS],
        metavar="NAME=LANGUAGE[+LANGUAGE]",
    )
    parser.add_argument("--merges", type=int, default=8_000)
    parser.add_argument("--sample-bytes", type=int, default=3_200_000, help="of each member")
    parser.add_argument("--build-lines", type=int, default=997)
    parser.add_argument("--ablate", action="store_true", help="also run the variants")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/tokenizer.json"))
    parser.add_argument("--tokenizers", type=Path, help="write the tokenizers below this folder")
    return parser.parse_args()


def member_argument(text: str) -> tuple[str, str]:
    name, _, languages = text.partition("=")
    return name, languages


def documents(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:  # parsed as it stands: a mark may follow an escape
            yield unicodedata.normalize("NFC", json.loads(line)["text"])


def read_lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield unicodedata.normalize("NFC", line.rstrip("\n"))


def sample(path: Path, max_bytes: int) -> list[str]:
    taken, size = [], 0
    for text in documents(path):
        size += len(text.encode())
        if size > max_bytes:
            break
        taken.append(text)
    return taken


class Stopwatch:
    """CPU seconds by side."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def on(self, side: str, work: Any, *arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        result = work(*arguments, **options)
        self.seconds[side] = self.seconds.get(side, 0.0) + time.process_time() - start
        return result


def run(
    texts: dict[str, list[str]], languages: dict[str, tuple[str, ...]], options: dict[str, Any]
) -> tuple[dict[str, Any], MergeSession]:
    watch = Stopwatch()
    members = {
        name: watch.on(name, CountingMember, part, max_bytes=1 << 40)
        for name, part in texts.items()
    }
    session = watch.on(
        "coordinator",
        MergeSession,
        member_languages=languages,
        min_pair_count=MIN_PAIR_COUNT,
        **options,
    )
    answers: dict[str, bytes] = {}
    while (request := watch.on("coordinator", session.next_request, answers)) is not None:
        answers = {name: watch.on(name, member.answer, request) for name, member in members.items()}
    row = {
        "merges": session.chosen,
        "exchanges": session.exchanges,
        "bytes_sent": session.bytes_sent,
        "bytes_received": session.bytes_received,
        "cpu_s": {side: round(seconds, 2) for side, seconds in watch.seconds.items()},
        "cpu_s_total": round(sum(watch.seconds.values()), 2),
    }
    return row, session


def measured(
    tokenizer_json: str, parallel: dict[str, list[str]], own_text: list[str]
) -> dict[str, Any]:
    fairness = measure_fairness(tokenizer_json, parallel)
    encodings = Tokenizer.from_str(tokenizer_json).encode_batch_fast(own_text)
    return {
        "premium_max_min": fairness.premium_max_min,
        "gini": fairness.gini,
        "total_tokens": fairness.total_tokens,
        "languages": {
            code: {
                "tokens": cost.tokens,
                "premium": cost.premium,
                "bytes_per_token": cost.bytes_per_token,
            }
            for code, cost in fairness.languages.items()
        },
        "own_text_tokens": sum(len(encoding) for encoding in encodings),
    }


def compare_with_pooled(
    session: MergeSession, texts: dict[str, list[str]], merges: int
) -> dict[str, Any]:
    """Train `tokenizers` on all texts together and compare the merges."""
    pooled = Tokenizer(models.BPE())
    pooled.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=257 + merges,
        min_frequency=MIN_PAIR_COUNT,
        special_tokens=[END_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    start = time.process_time()
    pooled.train_from_iterator((text for part in texts.values() for text in part), trainer)
    seconds = time.process_time() - start
    theirs = json.loads(pooled.to_str())["model"]
    ours = json.loads(session.tokenizer_json())["model"]
    return {
        "identical": ours["merges"] == theirs["merges"] and ours["vocab"] == theirs["vocab"],
        "cpu_s": round(seconds, 2),
    }


def write_files(session: MergeSession, folder: Path | None, arm: str) -> None:
    if folder is None:
        return
    place = folder / arm.replace(",", "").replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    for name, content in session.tokenizer_files().items():
        (place / name).write_text(content, encoding="utf-8")


def show(results: dict[str, Any]) -> None:
    console = Console(width=160)
    size = sum(results["members"].values())
    console.print(f"{len(results['members'])} members, {size:,} bytes")
    table = Table()
    for column in ("arm", "merges", "CPU s", "of it coord.", "exchanges", "MB sent", "max/min"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for column in ("Gini", "total tokens", "vs ordinary", "own-text tokens"):
        table.add_column(column, justify="right")
    base = results["arms"]["ordinary"]["total_tokens"]
    for arm, row in results["arms"].items():
        table.add_row(
            arm,
            f"{row['merges']:,}",
            f"{row['cpu_s_total']:.1f}",
            f"{row['cpu_s']['coordinator']:.1f}",
            str(row["exchanges"]),
            f"{sum(row['bytes_sent'].values()) / 1e6:.2f}",
            f"{row['premium_max_min']:.3f}",
            f"{row['gini']:.4f}",
            f"{row['total_tokens']:,}",
            f"{row['total_tokens'] / base - 1:+.2%}",
            f"{row['own_text_tokens']:,}",
        )
    console.print(table)
    pooled = results["pooled"]
    verdict = "identical to" if pooled["identical"] else "DIFFERENT FROM"
    console.print(f"ordinary: {verdict} pooled `tokenizers` training ({pooled['cpu_s']:.1f} CPU s)")


if __name__ == "__main__":
    main()
