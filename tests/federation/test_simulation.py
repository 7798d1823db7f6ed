"""A simulated run is the run: same bases, bit by bit, as with one process per member."""

import json
import random
from fractions import Fraction

import numpy as np
import pytest
import torch

from concord.base.tensors import TensorFile
from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder
from concord.federation.launch import run_locally
from concord.federation.member.text import MemberText
from concord.federation.records import RunFolder
from concord.federation.simulation import Simulation
from concord.federation.watcher import Watcher
from concord.ledger.layouts import base_weights
from concord.testing.founded import found

MEMBERS = {"fiji": "na ni ko sa me kei", "laos": "ບໍ່ ແລະ ທີ່ ໃນ ຂອງ"}
RUN = {
    "name": "tiny",
    "roster": [{"id": member} for member in MEMBERS],
    "model": {
        "hidden": 32,
        "layers": 1,
        "heads": 2,
        "kv_heads": 1,
        "head_dim": 16,
        "intermediate": 64,
        "context": 16,
    },
    "tokenizer": {"mode": "ordinary", "merges": 30, "parallel": None},
    "inner": {"batch_tokens": 64, "warmup_steps": 2},
    "rounds": {"count": 2, "inner_steps": 3, "min_grace_s": 60.0},
    "update": {"codec": "sparse", "rows": "token_counts"},
    "evaluation": {"every_rounds": 0, "heldout_share": 0.2},
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with processes, and the texts that its members prepared."""
    root = tmp_path_factory.mktemp("federation")
    federation, run = FederationFolder(root), parse_run(RUN)
    draw = random.Random(0)
    for member, words in MEMBERS.items():
        text = root / f"{member}.jsonl"
        lines = [" ".join(draw.choices(words.split(), k=40)) + f" {n}" for n in range(60)]
        text.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
        federation.member(member).write(name=member, text=(f"../../{text.name}",))
    found(root, list(MEMBERS))
    run_locally(federation, run, resume=False, watcher=Watcher())
    folder = RunFolder(root, run.name)
    records = [record for _, record in folder.records()]
    tokenizer = folder.objects.get(records[0].tokenizer)
    texts = {}
    for member in MEMBERS:
        texts[member] = MemberText(federation.member(member), run)
        texts[member].open(tokenizer)
    return run, folder, records, texts


@pytest.mark.processes
def test_a_simulation_ends_with_the_base_of_a_run_with_processes(made, tmp_path):
    run, folder, records, texts = made
    simulation = Simulation(run, texts, tmp_path)
    simulated = [simulation.train() for _ in range(2)]
    assert [r.base for r in simulated] == [r.base for r in records[1:]]
    measured = {m: e.nats for m, e in folder.evaluations() if e.base == records[-1].base}
    assert {m: s.nats for m, s in simulation.evaluate().items()} == measured


@pytest.mark.processes
def test_a_simulation_can_start_from_other_weights(made, tmp_path):
    run, folder, records, texts = made
    trained = TensorFile(folder.objects.path(records[-1].base))
    simulation = Simulation(run, texts, tmp_path, weights=base_weights(trained))
    first = TensorFile(simulation.state.current.path)
    for name, array in base_weights(trained).items():
        assert np.array_equal(first[name], array)


@pytest.mark.processes
def test_the_own_model_is_measured_before_it_is_averaged_away(made, tmp_path):
    run, _, _, texts = made
    simulation = Simulation(run, texts, tmp_path)
    own = {}
    for _ in range(2):
        simulation.train(on_trained=lambda name, member: own.update({name: member.measure_own()}))
    base = simulation.evaluate()
    assert all(own[name].tokens == base[name].tokens for name in MEMBERS)
    assert all(own[name].nats != base[name].nats for name in MEMBERS)


@pytest.mark.processes
def test_a_member_of_a_third_of_the_speed_takes_and_weighs_a_third(made, tmp_path):
    _, _, _, texts = made
    changed = {**RUN, "rounds": {**RUN["rounds"], "pace": "by_speed", "count": 3}}
    simulation = Simulation(
        parse_run(changed), texts, tmp_path, step_s={"fiji": 0.01, "laos": 0.03}
    )
    first, second, _ = [simulation.train() for _ in range(3)]
    steps = [{m: c.steps for m, c in r.contributions.items()} for r in (first, second)]
    assert steps == [{"fiji": 3, "laos": 3}, {"fiji": 3, "laos": 1}]
    assert first.contributions["laos"].weight == Fraction(1, 2)
    assert second.contributions["laos"].weight == Fraction(1, 4)
    assert second.contributions["laos"].tokens == 64
