"""A simulated run is the run: same bases, bit by bit, as with one process per member.

Members of the run go on while their updates travel, so that this is compared too.
"""

import json
import random
from fractions import Fraction

import numpy as np
import pytest

from concord.base.tensors import TensorFile
from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder
from concord.federation.launch import run_locally
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.records import RunFolder
from concord.federation.simulation import SimulatedMember, Simulation
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
        "layers": 1,
        "heads": 2,
        "kv_heads": 1,
        "head_dim": 16,
        "intermediate": 64,
        "context": 16,
    },
    "tokenizer": {"mode": "ordinary", "merges": 30, "parallel": None},
    "inner": {"batch_tokens": 64, "warmup_steps": 2},
    "rounds": {
        "count": 2,
        "inner_steps": 3,
        "min_grace_s": 60.0,
        "overlap_steps": 1,
        "overlap_blend": 0.25,
    },
    "update": {"codec": "sparse", "rows": "token_counts"},
    "evaluation": {"every_rounds": 0, "heldout_share": 0.2},
}


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

    def texts(run=run):
        """The members' texts, opened for another run of the same tokens."""
        tokenizer, opened = folder.objects.get(records[0].tokenizer), {}
        for member in MEMBERS:
            opened[member] = MemberText(federation.member(member), run)
            opened[member].open(tokenizer)
        return opened

    return run, folder, records, texts


@pytest.mark.processes
def test_a_simulation_ends_with_the_base_of_a_run_with_processes(made, tmp_path):
    run, folder, records, texts = made
    simulation = Simulation(run, texts(run), tmp_path)
    simulated = [simulation.train() for _ in range(2)]
    assert [r.base for r in simulated] == [r.base for r in records[1:]]
    measured = {m: e.nats for m, e in folder.evaluations() if e.base == records[-1].base}
    assert {m: s.nats for m, s in simulation.evaluate().items()} == measured


@pytest.mark.processes
def test_a_simulation_can_start_from_other_weights(made, tmp_path):
    run, folder, records, texts = made
    trained = TensorFile(folder.objects.path(records[-1].base))
    simulation = Simulation(run, texts(run), tmp_path, weights=base_weights(trained))
    first = TensorFile(simulation.state.current.path)
    for name, array in base_weights(trained).items():
        assert np.array_equal(first[name], array)


@pytest.mark.processes
def test_the_own_model_is_measured_before_it_is_averaged_away(made, tmp_path):
    run, _, _, texts = made
    simulation = Simulation(run, texts(run), tmp_path)
    own = {}
    for _ in range(2):
        simulation.train(on_trained=lambda name, member: own.update({name: member.measure_own()}))
    base = simulation.evaluate()
    assert all(own[name].tokens == base[name].tokens for name in MEMBERS)
    assert all(own[name].nats != base[name].nats for name in MEMBERS)


@pytest.mark.processes
def test_a_member_of_a_third_of_the_speed_takes_and_weighs_a_third(made, tmp_path):
    _, _, _, texts = made
    run = parse_run({**RUN, "rounds": {**RUN["rounds"], "pace": "by_speed", "count": 3}})
    step_s = {"fiji": 0.01, "laos": 0.03}
    simulation = Simulation(run, texts(run), tmp_path, step_s=step_s)
    first, second, _ = [simulation.train() for _ in range(3)]
    steps = [{m: c.steps for m, c in r.contributions.items()} for r in (first, second)]
    assert steps == [{"fiji": 3, "laos": 3}, {"fiji": 3, "laos": 1}]
    assert first.contributions["laos"].weight == Fraction(1, 2)
    assert second.contributions["laos"].weight == Fraction(1, 4)
    assert second.contributions["laos"].tokens == 64


@pytest.mark.processes
def test_a_member_started_again_takes_the_same_steps_ahead(made, tmp_path):
    run, _, records, texts = made
    simulation = Simulation(run, texts(run), tmp_path)
    simulation.train()
    for name, text in texts(run).items():
        state = MemberState(tmp_path / "state" / name, run.digest)
        simulation.members[name] = SimulatedMember(text, state)
    assert simulation.train().base == records[-1].base


def go_on(simulation, *stretches):
    """Everybody goes ahead, interrupted after so many steps each time."""
    for member in simulation.members.values():
        for count in stretches:
            left = iter([False] * (count + 1))
            member.go_ahead(interrupted=lambda left=left: next(left, True))


@pytest.mark.processes
def test_steps_ahead_come_to_the_same_however_they_are_cut(made, tmp_path):
    _, _, _, texts = made
    rounds = {**RUN["rounds"], "inner_steps": 5, "overlap_steps": 3}
    run = parse_run({**RUN, "rounds": rounds})
    found = []
    for number, stretches in enumerate([(), (3,), (1, 0, 2), (2,)]):
        simulation = Simulation(run, texts(run), tmp_path / str(number))
        simulation.train()
        go_on(simulation, *stretches)
        found.append(simulation.train())
    assert len({record.base for record in found}) == 1
    assert {c.steps for c in found[0].contributions.values()} == {5}
    assert {c.tokens for c in found[0].contributions.values()} == {5 * 64}


@pytest.mark.processes
def test_who_was_left_out_starts_from_the_base(made, tmp_path):
    run, _, _, texts = made

    def without_laos(_, sent):
        return [one for one in sent if one.member != "laos"]

    plain = {**RUN["rounds"], "overlap_steps": 0, "overlap_blend": 0.0}
    sent = {}
    for name, document in {"ahead": run, "waits": parse_run({**RUN, "rounds": plain})}.items():
        simulation = Simulation(document, texts(document), tmp_path / name)
        simulation.train(adversary=without_laos)
        second = simulation.train()
        sent[name] = {member: c.mean_loss for member, c in second.contributions.items()}
    assert sent["ahead"]["laos"] == sent["waits"]["laos"]
    assert sent["ahead"]["fiji"] != sent["waits"]["fiji"]
