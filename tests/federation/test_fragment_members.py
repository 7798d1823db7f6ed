"""Members that send their model in parts: what they go on from, and what survives a restart."""

import json
import random

import numpy as np
import pytest
import torch

from concord.base.canonical import canonical_json
from concord.base.digest import digest_bytes
from concord.base.tensors import TensorFile
from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder
from concord.federation.gating import Gate
from concord.federation.member.inner import OWN, InnerTraining
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.probing import NetworkProber
from concord.federation.simulation import SimulatedMember, Simulation
from concord.ledger.layouts import base_weights, step_layout, update_layout
from concord.model.tensors import read_tensors
from concord.model.tokenizer import END_TOKEN
from concord.train.evaluate import heldout_sums
from concord.update.payload import UpdateFile
from tinymodels import byte_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")
MEMBERS = {"fiji": "na ni ko sa me kei", "laos": "ban xang muang nam fai"}
TOKENIZER = byte_tokenizer(END_TOKEN).to_str().encode()
RUN = {
    "name": "tiny",
    "roster": [{"id": member} for member in MEMBERS],
    "model": {
        "hidden": 16,
        "layers": 2,
        "heads": 2,
        "kv_heads": 1,
        "head_dim": 8,
        "intermediate": 32,
        "context": 16,
    },
    "tokenizer": {"mode": "ordinary", "merges": 0, "parallel": None},
    "inner": {"batch_tokens": 32, "warmup_steps": 0},
    "update": {"codec": "fp32"},
    "rounds": {"count": 6, "inner_steps": 2, "fragments": 3},
    "evaluation": {"every_rounds": 0, "heldout_share": 0.2},
}


def document(**changes):
    value = {**RUN}
    for section, fields in changes.items():
        value[section] = value.get(section, {}) | fields
    return parse_run(value)


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Members' texts, as tokens on disk."""
    home, draw = FederationFolder(tmp_path_factory.mktemp("federation")), random.Random(0)
    for member, words in MEMBERS.items():
        lines = [
            json.dumps({"text": " ".join(draw.choices(words.split(), k=30))}) for _ in range(40)
        ]
        home.member(member).write(name=member, text=("text.jsonl",))
        (home.member(member).root / "text.jsonl").write_text("\n".join(lines) + "\n")
        (home.member(member).open_private() / "split.key").write_bytes(bytes(32))
        text = MemberText(home.member(member), document())
        text.prepare()
        text.use_tokenizer(TOKENIZER, digest_bytes(TOKENIZER))
    return home


def texts(federation, run):
    opened = {member: MemberText(federation.member(member), run) for member in MEMBERS}
    for text in opened.values():
        text.open(TOKENIZER)
    return opened


def start_again(simulation, federation, folder):
    """Members of new processes, with what the old ones left on disk."""
    run = simulation.run
    for name, text in texts(federation, run).items():
        state = MemberState(folder / "state" / name, run.digest)
        simulation.members[name] = SimulatedMember(text, state)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rounds": {"fragments": 2, "overlap_steps": 1}},
        {"rounds": {"overlap_steps": 1, "overlap_blend": 0.25}},
        {"update": {"codec": "sparse", "down_codec": "sparse"}},
        {"inner": {"optimizer": "adamw", "state": {"mode": "averaged", "every_rounds": 2}}},
    ],
    ids=["plain", "overlap", "blend", "sparse", "averaged"],
)
def test_members_started_again_before_every_round_come_to_the_same_bases(
    federation, tmp_path, changes
):
    run, found = document(**changes), {}
    for way in ("undisturbed", "again"):
        folder = tmp_path / way
        simulation = Simulation(run, texts(federation, run), folder)
        found[way] = []
        for _ in range(4):
            if way == "again":
                start_again(simulation, federation, folder)
            found[way].append(simulation.train().base)
    assert found["again"] == found["undisturbed"]


def inner_of(federation, run=None):
    text = MemberText(federation.member("fiji"), run or document())
    text.open(TOKENIZER)
    return InnerTraining(text, device=torch.device("cpu"))


def restored(federation, base, local, round_, *, since):
    """Weights that fiji begins a round with."""
    inner = inner_of(federation)
    inner.restore(base, local, round_, since=since)
    return read_tensors(inner.trainer.model)


def moved_in(base, *rounds):
    layouts = [step_layout(document(), base.specs, round_) for round_ in rounds]
    return {name for layout in layouts for name in layout.by_name}


@pytest.fixture
def after_a_turn(federation, tmp_path):
    """The base after three rounds, and what fiji kept after the third."""
    return after_three_rounds(federation, document(), tmp_path)


def after_three_rounds(federation, run, folder):
    simulation = Simulation(run, texts(federation, run), folder)
    for _ in range(3):
        simulation.train()
    state = simulation.members["fiji"].state
    return TensorFile(simulation.state.current.path), state.load_local()


@pytest.mark.parametrize(
    ("round_", "since", "moved"),
    [
        (3, 2, [2]),
        (4, 2, [2, 3]),
        (5, 2, [2, 3, 4]),
        (6, 2, [0, 1, 2]),
    ],
    ids=["next", "one_missed", "two_missed", "more_missed"],
)
def test_it_takes_over_what_moved_since_and_goes_on_from_its_own_of_the_rest(
    federation, after_a_turn, round_, since, moved
):
    base, local = after_a_turn
    arrived = moved_in(base, *moved)
    own, differing = restored(federation, base, local, round_, since=since), 0
    for name, array in base_weights(base).items():
        expected = array if name in arrived else local[OWN + name]
        np.testing.assert_array_equal(own[name], expected)
        differing += not np.array_equal(array, local[OWN + name])
    assert differing == len(own), "else one would not see what it goes on from"


@pytest.mark.parametrize(
    ("fragments", "round_", "missed"), [(3, 4, [3]), (3, 5, [3, 4]), (1, 4, [3]), (1, 9, [8])]
)
def test_who_was_left_out_of_a_mean_goes_on_with_its_share_of_it_where_that_is_larger(
    federation, tmp_path, fragments, round_, missed
):
    """A mean without the member: of rows that it alone uses there is next to nothing in it."""
    run = document(rounds={"fragments": fragments})
    base, local = after_three_rounds(federation, run, tmp_path)
    inner = inner_of(federation, run)
    inner.restore(base, local, round_, since=2)
    moved = {name for one in missed for name in step_layout(run, base.specs, one).by_name}
    kept = 0
    saved = {spec.name for spec in local.specs}
    for name, array in inner.trainer.optimizer.read_state().items():
        sent = {name, name.replace("second_moment/", "second_moment/rows/")}
        if name.startswith("second_moment/") and name in saved and sent & moved:
            (shared,) = [base[one] for one in sent if one in {spec.name for spec in base.specs}]
            shared = np.broadcast_to(shared.reshape(-1, *(1,) * (array.ndim - 1)), array.shape)
            share = local[name] * np.float32(1 / len(MEMBERS))
            np.testing.assert_array_equal(array, np.maximum(shared, share))
            kept += not np.array_equal(array, shared)
    assert kept


def test_a_newcomer_starts_from_the_whole_base(federation, after_a_turn):
    base, _ = after_a_turn
    own = restored(federation, base, None, 3, since=0)
    for name, array in base_weights(base).items():
        np.testing.assert_array_equal(own[name], array)


def test_an_update_holds_all_that_was_trained_since_its_fragment_was_sent(federation, tmp_path):
    """In round 3 of three fragments the last one has never been sent: three rounds are in it."""
    run = document(inner={"state": {"mode": "local"}})
    simulation = Simulation(run, texts(federation, run), tmp_path)
    first = TensorFile(simulation.state.current.path)
    kept = {}

    def keep(name, member):
        kept[name] = {n: a.copy() for n, a in read_tensors(member._trainer.model).items()}

    after_one = [simulation.train(on_trained=keep), dict(kept)][1]
    simulation.train()
    record = simulation.train(on_trained=keep)
    layout = update_layout(run, first.specs, 2)
    for member, contribution in record.contributions.items():
        sent = UpdateFile(simulation.state.folder.objects.path(contribution.update), layout)
        for entry in layout:
            delta = sent.decode(entry.name)
            np.testing.assert_array_equal(delta, first[entry.name] - kept[member][entry.name])
            if entry.role == "body":
                after_first_round = first[entry.name] - after_one[member][entry.name]
                assert np.linalg.norm(delta) > 1.5 * np.linalg.norm(after_first_round)


def test_who_was_left_out_goes_on_from_its_last_update_that_went_in(federation, tmp_path):
    run = document()
    simulation = Simulation(run, texts(federation, run), tmp_path)
    simulation.train()
    laos = simulation.members["laos"].state
    before = {spec.name: array.copy() for spec, array in laos.load_local().items()}
    simulation.train(adversary=lambda _, sent: [one for one in sent if one.member != "laos"])
    assert laos.local_round == 0
    after = laos.load_local()
    assert {spec.name for spec in after.specs} == set(before)
    assert all(np.array_equal(after[name], array) for name, array in before.items())
    assert simulation.members["fiji"].state.local_round == 1
    assert "laos" in simulation.train().contributions


def test_what_a_sparse_codec_left_out_of_the_others_is_kept(federation, tmp_path):
    run = document(update={"codec": "sparse", "down_codec": "sparse"})
    simulation = Simulation(run, texts(federation, run), tmp_path)
    residuals = []
    for _ in range(2):
        simulation.train()
        local = simulation.members["fiji"].state.load_local()
        found = {s.name: a.copy() for s, a in local.items() if s.name.startswith("feedback/")}
        residuals.append(found)
    first, second = residuals
    assert first.keys() < second.keys()
    assert all(np.array_equal(second[name], array) for name, array in first.items())


def nats_per_token(federation, run, base, lines):
    text = MemberText(federation.member("fiji"), run)
    text.open(TOKENIZER)
    inner = InnerTraining(text, device=torch.device("cpu"))
    inner.load_weights(base)
    tokenizer = text.tokenizer
    sums = heldout_sums(
        inner.trainer.model, lines, tokenizer.encode, start_id=tokenizer.end_id, context=16
    )
    return sums.nats / sums.tokens


def test_a_gate_measures_what_the_update_of_a_fragment_does(federation, tmp_path):
    """Against two runs to their end: one with fiji's update of the second round, one without."""
    run = document(update={"down_codec": "fp32"}, gate={"harm": 1000.0})
    lines = {"fj": ["na ni ko sa", "me kei na"]}
    probes = tmp_path / "probes"
    probes.write_bytes(canonical_json(lines))
    gate = Gate(digest_bytes(b""), probes, NetworkProber())
    simulation = Simulation(run, texts(federation, run), tmp_path / "all", gate=gate)
    simulation.state.folder.objects.put(TOKENIZER)
    without = Simulation(run, texts(federation, run), tmp_path / "without")
    for one in (simulation, without):
        one.train()
    simulation.train()
    without.train(adversary=lambda _, sent: [one for one in sent if one.member != "fiji"])
    found = [
        nats_per_token(federation, run, TensorFile(one.state.current.path), lines["fj"])
        for one in (simulation, without)
    ]
    benefit = simulation.gate_findings[-1].benefits["fiji"]
    assert benefit == pytest.approx(found[1] - found[0], abs=1e-5)
    assert abs(benefit) > 1e-4
