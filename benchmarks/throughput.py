"""Tokens per second of the inner loop against the plainest PyTorch loop with the same network.

usage: throughput.py [--repetitions N] [--steps N]

Plain loop: `model(...)`, `torch.nn.functional.cross_entropy`, `backward`, `clip_grad_norm_`, and
`torch.optim` steps, under the same bf16 autocast, on the same batches. Concord's loop does the
same plus z-loss, the schedule and a look at every loss. Arms are timed in turn, in small portions
whose order alternates, in CPU seconds, so that other work on the machine touches both alike; the
ratio is the median over portions. Prints a Markdown table for `docs/benchmarks/throughput.md`.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import torch

from concord.charter.run_sections import InnerSpec
from concord.model.build import ModelShape, build_model
from concord.train.loop import LocalTrainer

SHAPES = {
    "1.3 M": ModelShape(
        hidden=128,
        layers=4,
        heads=4,
        kv_heads=2,
        head_dim=32,
        intermediate=384,
        context=128,
        vocabulary_size=4096,
        end_id=0,
    ),
    "2.9 M": ModelShape(
        hidden=192,
        layers=4,
        heads=6,
        kv_heads=3,
        head_dim=32,
        intermediate=512,
        context=256,
        vocabulary_size=6144,
        end_id=0,
    ),
}
BATCH_TOKENS = 512

Optimizer = Literal["adamw", "muon"]
Precision = Literal["fp32", "bf16"]
Batches = Callable[[int], np.ndarray]


class Loop(Protocol):
    def run(self, batches: Batches, first_step: int, count: int) -> None: ...


class PlainLoop:
    """What one writes in an afternoon."""

    def __init__(self, shape: ModelShape, optimizer: Optimizer, precision: Precision) -> None:
        self.model = build_model(shape, seed=0)
        self.bf16 = precision == "bf16"
        named = list(self.model.named_parameters())
        body = [p for n, p in named if p.ndim == 2 and "embed" not in n and optimizer == "muon"]
        held = {id(p) for p in body}
        rest = [p for _, p in named if id(p) not in held]
        self.optimizers = [torch.optim.AdamW(rest, lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0)]
        if body:
            self.optimizers.append(
                torch.optim.Muon(body, lr=5e-3, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
            )

    def run(self, batches: Batches, first_step: int, count: int) -> None:
        self.model.train()
        for step in range(first_step, first_step + count):
            tokens = torch.from_numpy(batches(step))
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                logits = self.model(input_ids=tokens[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), tokens[:, 1:].flatten()
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()


class ConcordLoop:
    def __init__(self, shape: ModelShape, optimizer: Optimizer, precision: Precision) -> None:
        inner = InnerSpec(optimizer=optimizer, precision=precision)
        self.trainer = LocalTrainer(build_model(shape, seed=0), inner, total_steps=100_000)

    def run(self, batches: Batches, first_step: int, count: int) -> None:
        self.trainer.run(batches, first_step=first_step, count=count)


def cpu_seconds(loop: Loop, batches: Batches, first_step: int, count: int) -> float:
    begun = time.process_time()
    loop.run(batches, first_step, count)
    return time.process_time() - begun


def compare(
    shape: ModelShape,
    optimizer: Optimizer,
    precision: Precision,
    *,
    repetitions: int,
    steps: int,
) -> tuple[float, float, float, float]:
    """Median tokens per second of the plain loop and ours, median ratio, lowest ratio."""
    samples = BATCH_TOKENS // shape.context
    corpus = np.random.default_rng(0).integers(1, shape.vocabulary_size, 1 << 18)

    def batches(step: int) -> np.ndarray:
        starts = np.random.default_rng(step).integers(0, len(corpus) - shape.context - 1, samples)
        return np.stack([corpus[start : start + shape.context + 1] for start in starts])

    plain = PlainLoop(shape, optimizer, precision)
    ours = ConcordLoop(shape, optimizer, precision)
    for loop in (plain, ours):
        loop.run(batches, 0, 3)
    ratios: list[float] = []
    rates: dict[Loop, list[float]] = {plain: [], ours: []}
    for repetition in range(repetitions):
        took: dict[Loop, float] = {}
        for loop in (plain, ours) if repetition % 2 else (ours, plain):
            took[loop] = cpu_seconds(loop, batches, 3 + repetition * steps, steps)
            rates[loop].append(steps * BATCH_TOKENS / took[loop])
        ratios.append(took[plain] / took[ours])
    return (
        statistics.median(rates[plain]),
        statistics.median(rates[ours]),
        statistics.median(ratios),
        min(ratios),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{processor()}, one thread, torch {torch.__version__}\n")
    print(
        "| network | optimiser | precision | plain tok/CPU-s | Concord tok/CPU-s | ratio | lowest |"
    )
    print("|---|---|---|--:|--:|--:|--:|")
    for name, shape in SHAPES.items():
        for optimizer in get_args(Optimizer):
            for precision in get_args(Precision):
                plain, ours, ratio, lowest = compare(
                    shape,
                    optimizer,
                    precision,
                    repetitions=options.repetitions,
                    steps=options.steps,
                )
                print(
                    f"| {name} | {optimizer} | {precision} | {plain:,.0f} | {ours:,.0f}"
                    f" | {ratio:.2f} | {lowest:.2f} |",
                    flush=True,
                )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores, {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    main()
