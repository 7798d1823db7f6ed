"""Run by `torchrun` in two processes: train, hand the state over, measure, and write what came out.

usage: two_processes.py FOLDER

Muon for the matrices, AdamW for the rest: both optimisers are met. FOLDER holds a checkpoint that
one process wrote; from there on the two train as well, and leave a checkpoint for one process.
"""

import json
import sys
from pathlib import Path

import torch
from trainlab import END, TINY, batches

from concord.base.tensors import TensorFile, write_tensors
from concord.charter.run_sections import InnerSpec
from concord.model.build import build_model
from concord.model.tensors import load_tensors, read_tensors, save_tensors
from concord.train.distributed import (
    broadcast_bytes,
    default_device,
    end_rank,
    joined_ranks,
    leader_says,
    shard_model,
)
from concord.train.evaluate import heldout_sums
from concord.train.loop import LocalTrainer

torch.set_num_threads(1)


def main(folder):
    device = default_device()
    inner = InnerSpec(optimizer="muon", precision="fp32", warmup_steps=2)
    with joined_ranks(device) as ranks:

        def trainer(seed):
            model = shard_model(build_model(TINY, seed=seed), device=device, ranks=ranks)
            return LocalTrainer(model, inner, total_steps=20, device=device, ranks=ranks)

        first = trainer(0)
        stats = first.run(batches, first_step=0, count=3)
        weights, state = read_tensors(first.model), first.optimizer.read_state()
        told = broadcast_bytes(b"go on" if ranks.is_leader else None, device=device, ranks=ranks)
        second = trainer(1)
        load_tensors(second.model, weights)
        second.optimizer.load_state(state)
        later = second.run(batches, first_step=3, count=3)
        sums = heldout_sums(
            second.model,
            ["some text", "more of it"],
            lambda text: [1 + byte % 63 for byte in text.encode()],
            start_id=END,
            context=32,
        )
        save_tensors(folder / f"weights-{ranks.index}.safetensors", second.model)
        asked = []

        def should_stop():
            asked.append(ranks.is_leader and len(asked) == 2)
            return leader_says(asked[-1], ranks=ranks)

        stopped = second.run(batches, first_step=6, count=5, should_stop=should_stop)
        third = trainer(2)
        load_tensors(third.model, TensorFile(folder / "weights-from-one"))
        third.optimizer.load_state(TensorFile(folder / "state-from-one"))
        third.run(batches, first_step=3, count=3)
        save_tensors(folder / f"weights-to-one-{ranks.index}", third.model)
        kept = third.optimizer.read_state()
        write_tensors(
            folder / f"state-to-one-{ranks.index}", third.optimizer.state_specs(), kept.values()
        )
        result = {
            "state_values": [array.size for array in kept.values()],
            "state_values_here": [
                state.to_local().numel() for _, state in sorted(third.optimizer.states())
            ],
            "stopped_after": stopped.steps,
            "ranks": ranks.count,
            "told": told.decode(),
            "losses": stats.losses + later.losses,
            "norms": stats.gradient_norms + later.gradient_norms,
            "tokens": stats.tokens + later.tokens,
            "nats": sums.nats,
        }
        (folder / f"result-{ranks.index}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    end_rank()
