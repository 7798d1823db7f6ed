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
from concord.base.tensors import TensorFile
from concord.model.tensors import read_tensors
from concord.train.evaluate import heldout_sums
from concord.train.loop import LocalTrainer
from concord.train.ranks import Ranks

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.mark.processes
def test_two_processes_give_the_result_of_one(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(SCRIPT), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]

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
        result = json.loads((tmp_path / f"result-{rank}.json").read_text())
        assert (result["ranks"], result["told"]) == (2, "go on")
        assert result["stopped_after"] == 2, "the leader alone asked to stop"
        assert result["tokens"] == stats.tokens
        np.testing.assert_allclose(result["losses"], stats.losses, rtol=1e-5)
        np.testing.assert_allclose(result["norms"], stats.gradient_norms, rtol=1e-4)
        assert result["nats"] == pytest.approx(sums.nats, rel=1e-4)
        found = TensorFile(tmp_path / f"weights-{rank}.safetensors")
        for name, array in expected.items():
            moved = np.linalg.norm(array - start[name])
            # Muon rounds to bfloat16: float32 sums in another order can fall on the other side
            assert np.linalg.norm(found[name] - array) < 0.03 * moved


def test_a_batch_too_small_for_the_devices_is_refused():
    member = LocalTrainer(
        tiny_model(), trainer().inner, total_steps=1, end_id=END, ranks=Ranks(0, 8)
    )
    with pytest.raises(DocumentError, match="split over 8 devices"):
        member.run(batches, first_step=0, count=1)
