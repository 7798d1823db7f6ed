"""A member with two devices takes part as one with one device does, and leaves none behind."""

import json
import random
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from concord.base.errors import DocumentError, MemberFailed, MessageRefused
from concord.base.tensors import TensorFile
from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder, MemberFile
from concord.federation.frames import receive_frame, send_frame
from concord.federation.launch import run_locally
from concord.federation.member.devices import device_kind
from concord.federation.member.orders import REPORTS, Measure
from concord.federation.member.text import MemberText
from concord.federation.messages import decode_message, encode_message
from concord.federation.records import RunFolder
from concord.federation.simulation import Simulation
from concord.federation.watcher import Watcher
from concord.ledger.layouts import base_weights
from concord.testing.founded import found

pytestmark = pytest.mark.usefixtures("one_thread")
MEMBERS = {"fiji": "na ni ko sa me kei", "laos": "ບໍ່ ແລະ ທີ່ ໃນ ຂອງ"}
RUN = {
    "name": "tiny",
    "roster": [{"id": member} for member in MEMBERS],
    "model": {
        "hidden": 32,
        "layers": 2,
        "heads": 2,
        "kv_heads": 1,
        "head_dim": 16,
        "intermediate": 64,
        "context": 16,
    },
    "tokenizer": {"mode": "ordinary", "merges": 30, "parallel": None},
    "inner": {
        "batch_tokens": 64,
        "warmup_steps": 2,
        "optimizer": "adamw",
        "precision": "fp32",
        "goldfish_k": 0,
    },
    "rounds": {"count": 2, "inner_steps": 3, "min_grace_s": 60.0, "quorum": "1/2"},
    "update": {"codec": "fp32", "rows": "token_counts"},
    "evaluation": {"every_rounds": 1, "heldout_share": 0.2},
}
FOLLOWER = "concord.federation.member.follower"


def plant(root, devices=2):
    federation = FederationFolder(root)
    draw = random.Random(0)
    for member, words in MEMBERS.items():
        text = root / f"{member}.jsonl"
        lines = [" ".join(draw.choices(words.split(), k=40)) + f" {n}" for n in range(60)]
        text.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
        federation.member(member).write(name=member, text=(f"../../{text.name}",))
    with federation.member("laos").file.open("a") as file:
        file.write(f'device = "cpu"\ndevices = {devices}\n')
    found(root, list(MEMBERS))
    return federation


def followers():
    """Processes of further devices that this test process's runs started and that still live."""
    living = []
    for process in psutil.Process().children(recursive=True):
        try:
            if FOLLOWER in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
        except psutil.NoSuchProcess:
            continue
    return living


def weights(path):
    return base_weights(TensorFile(path))


class Counter(Watcher):
    """Takes note of the further processes in each round."""

    def __init__(self):
        self.seen = []

    def round_called(self, round_, members, inner_steps):
        self.seen += followers()


class Killer(Watcher):
    """Kills one process of the member, by `victim`, in the first round."""

    def __init__(self, victim):
        self.victim = victim
        self.group = []
        self.left = []

    def round_called(self, round_, members, inner_steps):
        if self.group or "laos" not in members:
            return
        (follower,) = followers()
        self.group = [follower.parent(), follower]
        self.group[self.victim].kill()
        _, self.alive = psutil.wait_procs(self.group, timeout=20)

    def member_left(self, member, reason):
        self.left.append(member)


@pytest.mark.processes
def test_two_devices_give_the_base_of_one(tmp_path):
    federation, run, watcher = plant(tmp_path), parse_run(RUN), Counter()
    run_locally(federation, run, resume=False, watcher=watcher)
    assert len(set(watcher.seen)) == 1, "one further process, in all rounds the same"
    gone, alive = psutil.wait_procs(watcher.seen, timeout=10)
    assert gone and not alive

    folder = RunFolder(tmp_path, run.name)
    records = [record for _, record in folder.records()]
    assert all(len(record.contributions) == len(MEMBERS) for record in records[1:])
    texts = {member: MemberText(federation.member(member), run) for member in MEMBERS}
    for text in texts.values():
        text.open(folder.objects.get(records[0].tokenizer))
    alone = Simulation(run, texts, tmp_path / "alone")
    start = {name: np.array(array) for name, array in weights(alone.state.current.path).items()}
    for _ in range(2):
        alone.train()
    expected = weights(alone.state.current.path)
    found = weights(folder.objects.path(records[-1].base))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        moved = np.linalg.norm(array - start[name])
        assert np.linalg.norm(found[name] - array) < 0.01 * moved
    measured = {m: e for m, e in folder.evaluations() if e.base == records[-1].base}
    for member, sums in alone.evaluate().items():
        assert measured[member].nats == pytest.approx(sums.nats, rel=1e-3)
        assert measured[member].tokens == sums.tokens


@pytest.mark.processes
@pytest.mark.parametrize("victim", [0, 1], ids=["leader", "follower"])
def test_none_of_its_processes_outlives_another_and_the_run_goes_on(tmp_path, victim):
    run = parse_run(RUN | {"rounds": RUN["rounds"] | {"count": 1}})
    watcher = Killer(victim)
    run_locally(plant(tmp_path), run, resume=False, watcher=watcher)
    assert watcher.group and watcher.alive == []
    assert watcher.left == ["laos"]
    assert len(RunFolder(tmp_path, run.name).records()) == 2
    _, alive = psutil.wait_procs(followers(), timeout=20)
    assert alive == []


@pytest.mark.processes
def test_a_further_process_says_why_it_cannot_go_on_and_ends_with_its_leader(tmp_path):
    leader, theirs = socket.socketpair()
    with leader, theirs:
        leader.settimeout(60)
        process = subprocess.Popen(
            [sys.executable, "-m", FOLLOWER, str(theirs.fileno()), str(tmp_path)],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
        )
        theirs.close()
        send_frame(leader, encode_message(Measure(base="base.tensors")))
        frame = receive_frame(leader, tmp_path, max_payload_bytes=0)
        told = decode_message(REPORTS, frame.message, sender="follower")
        assert told.code == MessageRefused.code
        assert "the first order must be to join" in told.message
        assert process.poll() is None
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, b"")


@pytest.mark.processes
def test_more_devices_than_samples_of_a_batch_are_refused_before_training(tmp_path):
    federation = plant(tmp_path, devices=5)
    with pytest.raises(MemberFailed, match=r"batch of 4 samples .* 5 devices") as caught:
        run_locally(federation, parse_run(RUN), resume=False, watcher=Watcher())
    assert "member.toml" in str(caught.value)
    assert "4 or less" in str(caught.value)
    assert not RunFolder(tmp_path, "tiny").started()


@pytest.mark.parametrize("wish", ["cuda", "auto"])
def test_more_devices_than_the_machine_has_are_refused(wish):
    file = MemberFile(text=("text",), device=wish, devices=4)
    with pytest.raises(DocumentError, match=r"asks for 4 GPUs, and there are 2") as caught:
        device_kind(file, gpus=2, where=Path("peru/member.toml"))
    assert "member.toml" in str(caught.value)
    assert "set devices to 2" in str(caught.value)


@pytest.mark.parametrize(
    ("wish", "gpus", "kind"), [("auto", 4, "cuda"), ("auto", 0, "cpu"), ("cpu", 1, "cpu")]
)
def test_the_processor_serves_where_there_is_no_gpu(wish, gpus, kind):
    file = MemberFile(text=("text",), device=wish, devices=4)
    assert device_kind(file, gpus=gpus, where=Path("member.toml")) == kind
