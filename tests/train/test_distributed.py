"""Two processes under `torchrun` with FSDP2 do what one process does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trainlab import END, batches, tiny_model, trainer

from concord.base.errors import DocumentError
from concord.base.tensors import TensorFile, write_tensors
from concord.model.tensors import load_tensors, read_tensors, save_tensors
from concord.train.evaluate import heldout_sums
from concord.train.loop import LocalTrainer
from concord.train.ranks import Ranks

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """Folder with what two processes found, given a checkpoint that one process made."""
    folder = tmp_path_factory.mktemp("two")
    start = trainer(total_steps=20, warmup_steps=2)
    start.run(batches, first_step=0, count=3)
    save_tensors(folder / "weights-from-one", start.model)
    state = start.optimizer.read_state()
    write_tensors(folder / "state-from-one", start.optimizer.state_specs(), state.values())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(SCRIPT), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def require_near(found, expected, start):
    for name, array in expected.items():
        moved = np.linalg.norm(array - start[name])
        # Muon rounds to bfloat16: float32 sums in another order can fall on the other side
        assert np.linalg.norm(found[name] - array) < 0.03 * moved


@pytest.mark.processes
def test_two_processes_give_the_result_of_one(two_processes):
    alone = trainer(total_steps=20, warmup_steps=2)
    stats = alone.run(batches, first_step=0, count=6)
    start, expected = read_tensors(tiny_model()), read_tensors(alone.model)
    sums = heldout_sums(
        alone.model,
        ["some text", "more of it"],
        lambda text: [1 + byte % 63 for byte in text.encode()],
        start_id=END,
        context=32,
    )
    for rank in range(2):
        result = json.loads((two_processes / f"result-{rank}.json").read_text())
        assert (result["ranks"], result["told"]) == (2, "go on")
        assert result["stopped_after"] == 2, "the leader alone asked to stop"
        assert result["tokens"] == stats.tokens
        np.testing.assert_allclose(result["losses"], stats.losses, rtol=1e-5)
        np.testing.assert_allclose(result["norms"], stats.gradient_norms, rtol=1e-4)
        assert result["nats"] == pytest.approx(sums.nats, rel=1e-4)
        found = TensorFile(two_processes / f"weights-{rank}.safetensors")
        require_near(found, expected, start)


@pytest.mark.processes
def test_a_checkpoint_goes_from_one_process_to_two_and_back(two_processes):
    alone = trainer(total_steps=20, warmup_steps=2)
    alone.run(batches, first_step=0, count=9)
    for rank in range(2):
        again = trainer(total_steps=20, warmup_steps=2)
        load_tensors(again.model, TensorFile(two_processes / f"weights-to-one-{rank}"))
        again.optimizer.load_state(TensorFile(two_processes / f"state-to-one-{rank}"))
        again.run(batches, first_step=6, count=3)
        require_near(
            read_tensors(again.model), read_tensors(alone.model), read_tensors(tiny_model())
        )
    written = [(two_processes / f"state-to-one-{rank}").read_bytes() for rank in range(2)]
    assert written[0] == written[1]


@pytest.mark.processes
def test_each_of_two_processes_holds_half_of_the_optimisers_state(two_processes):
    results = [json.loads((two_processes / f"result-{rank}.json").read_text()) for rank in range(2)]
    values = results[0]["state_values"]
    here = [result["state_values_here"] for result in results]
    assert [sum(parts) for parts in zip(*here, strict=True)] == values
    assert max(sum(part) for part in here) <= 0.55 * sum(values)


def test_a_batch_too_small_for_the_devices_is_refused():
    member = LocalTrainer(
        tiny_model(), trainer().inner, total_steps=1, end_id=END, ranks=Ranks(0, 8)
    )
    with pytest.raises(DocumentError, match="split over 8 devices"):
        member.run(batches, first_step=0, count=1)
